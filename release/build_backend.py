"""Setuptools as the build backend (PEP 517), whose wheel and sdist depend on nothing but the files in them.

Setuptools takes over when, by whom and under which umask a file was made, and what an earlier build left in
build/ and *.egg-info. Here all is built in an empty folder, and each archive is written again: sorted, with
fixed owners and modes, at one time. That time is SOURCE_DATE_EPOCH where it is set
(https://reproducible-builds.org/specs/source-date-epoch/), and otherwise the first of 1980, the oldest that a
zip file can hold. What is left are the versions of setuptools, which stands in the wheel and in
requirements/build.txt, and of zlib, which compresses.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  What installs in place, and what asks.
    build_editable,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

_EARLIEST = 315532800  # 1980-01-01 00:00:00 UTC.
_LATEST = 4354819199  # 2107-12-31 23:59:59 UTC, the last that a zip file can hold.


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel, and return its file name."""
    with _empty_folder():
        name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    path = Path(wheel_directory) / name
    path.write_bytes(normalize_zip(path.read_bytes(), source_date()))
    return name


def build_sdist(sdist_directory: str, config_settings: dict[str, Any] | None = None) -> str:
    """Build the source distribution, and return its file name."""
    with _empty_folder():
        name: str = build_meta.build_sdist(sdist_directory, config_settings)
    path = Path(sdist_directory) / name
    path.write_bytes(normalize_tar(path.read_bytes(), source_date()))
    return name


def source_date() -> int:
    """Return the time of all files, in seconds since 1970. Raises ValueError for what is no time."""
    text = os.environ.get("SOURCE_DATE_EPOCH", str(_EARLIEST))
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"SOURCE_DATE_EPOCH takes seconds since 1970. Received: {text}")
    return min(max(int(text), _EARLIEST), _LATEST)


def normalize_zip(data: bytes, seconds: int) -> bytes:
    """Return a zip file with the same contents, of which nothing else depends on this machine."""
    moment = time.gmtime(seconds)
    date = (moment.tm_year, moment.tm_mon, moment.tm_mday, moment.tm_hour, moment.tm_min, moment.tm_sec)
    raw = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as made, zipfile.ZipFile(raw, "w") as archive:
        for name in sorted(made.namelist(), key=_records_last):
            entry = zipfile.ZipInfo(name, date)
            entry.create_system, entry.compress_type = 3, zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, made.read(name))
    return raw.getvalue()


def normalize_tar(data: bytes, seconds: int) -> bytes:
    """Return a tar.gz file with the same contents, of which nothing else depends on this machine."""
    raw = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as made,
        tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for member in sorted(made.getmembers(), key=lambda each: each.name):
            entry = tarfile.TarInfo(member.name)
            entry.type, entry.mtime = tarfile.DIRTYPE if member.isdir() else tarfile.REGTYPE, seconds
            entry.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            # A link within the archive becomes the file: which of two is the link is chance.
            content = None if member.isdir() else made.extractfile(member)
            body = content.read() if content else b""
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return gzip.compress(raw.getvalue(), compresslevel=9, mtime=seconds)


def _records_last(name: str) -> tuple[bool, str]:
    """Sort what describes the wheel behind its files, as the format advises (PEP 427)."""
    return ".dist-info/" in name, name


@contextmanager
def _empty_folder() -> Iterator[None]:
    """Have setuptools build outside the source tree, where files lie that have been removed since."""
    kept = os.environ.get("DIST_EXTRA_CONFIG")
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.cfg"
        settings.write_text(f"[build]\nbuild_base = {folder}/build\n[egg_info]\negg_base = {folder}\n")
        os.environ["DIST_EXTRA_CONFIG"] = str(settings)
        try:
            yield
        finally:
            del os.environ["DIST_EXTRA_CONFIG"]
            if kept is not None:
                os.environ["DIST_EXTRA_CONFIG"] = kept
