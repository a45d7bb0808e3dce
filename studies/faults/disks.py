"""Small disks that root can mount: one that fills up, and one whose power is cut."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IMAGE_MB = 48


def can_mount() -> bool:
    """Return whether this process may mount disks, and make ext4 ones."""
    return os.geteuid() == 0 and all(shutil.which(name) for name in ("mount", "umount", "mkfs.ext4"))


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """Mount a disk of a size in memory on an empty folder."""
    _run("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder))
    try:
        yield
    finally:
        _run("umount", "-l", str(folder))


def enlarge(folder: Path) -> None:
    """Make room on a small disk, as a person would."""
    _run("mount", "-o", "remount,size=64m", str(folder))


def make_image(image: Path) -> None:
    """Write the image of an empty ext4 disk, with its journal and the options that Debian gives it."""
    with image.open("wb") as file:
        file.truncate(_IMAGE_MB * 2**20)
    _run("mkfs.ext4", "-q", "-F", str(image))


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[None]:
    """Mount an image on an empty folder."""
    _run("mount", "-o", "loop", str(image), str(folder))
    try:
        yield
    finally:
        _run("umount", "-l", str(folder))


def cut_power(image: Path, copy: Path) -> None:
    """Copy what is on the disk at this moment: all that the system still keeps in memory is missing."""
    _run("cp", "--sparse=always", str(image), str(copy))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
