"""Files that are sent to this machine, whole or from where an earlier connection ended."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from .channel import Channel

_BLOCK = 1 << 20


def offer(job: Path, request: dict[str, Any], channel: Channel) -> None:
    """Answer how many bytes of each file are here already: all of them only where the checksum is right.

    `files` is a list of [name, size, sha256]; a name is a path relative to the job's folder.
    """
    present = []
    for name, size, sha256 in request["files"]:
        path = inside(job, name)
        if path.is_file():
            present.append(size if _sha256(path) == sha256 else 0)
        else:
            part = _part(path)
            here = part.stat().st_size if part.is_file() else 0
            present.append(here if here < size else 0)
        channel.interrupted(0)
    channel.send(done=True, present=present)


def take(job: Path, request: dict[str, Any], channel: Channel) -> None:
    """Write the bytes after the request to a partial file, from `offset` on; a complete file gets its name.

    The answer's `right` says whether the checksum is right. The text of an OSError, such as a full disk, is
    the answer's `failed`, after all bytes were read.
    """
    path, left = inside(job, request["name"]), request["size"] - request["offset"]
    part, failed = _part(path), None
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("r+b" if part.is_file() else "wb") as file:
            file.truncate(request["offset"])
            file.seek(request["offset"])
            while left:
                block = channel.read(left)
                left -= len(block)
                file.write(block)
    except OSError as error:
        failed = error.strerror or str(error)
        while left:
            left -= len(channel.read(left))
    if failed is not None:
        channel.send(done=True, failed=failed)
        return
    right = _sha256(part) == request["sha256"]
    if right:
        part.replace(path)
    else:
        part.unlink()
    channel.send(done=True, right=right)


def inside(job: Path, name: str) -> Path:
    """Return the path of a file of the job; raises ValueError for a path outside the job's folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name} is not inside the job's folder")
    return job / name


def remove(folder: Path) -> str | None:
    """Remove a folder with its contents; returns why that failed, else None."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        return str(error) if folder.exists() else None
    return None


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name[:100]}.part")  # A name may have at most 255 bytes.


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
