"""Programs of the system that some tests need. Debian has them all, and CI installs them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

# Debian keeps servers out of the users' PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def require(program: str, *others: str) -> str:
    """Return the program's path. Without it, or one of the others, the test is skipped; in CI it fails.

    A test asks for all that it needs before it starts anything, so that it is skipped as a whole.
    """
    found = [_find(name) for name in (program, *others)]
    return found[0]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a size such as "1m" on a folder; where that is not permitted, the test is skipped."""
    mount, umount = require("mount"), require("umount")
    command = [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        yield folder
    finally:
        # -l: a program that is still in the folder is no reason to fail.
        subprocess.run([umount, "-l", str(folder)], check=True)


@contextmanager
def fat_disk(folder: Path) -> Iterator[Path]:
    """Mount an empty FAT disk on a new folder; where that is not permitted, the test is skipped."""
    maker = require("mkfs.vfat", "mount", "umount")
    with _mounted_image(folder, [maker], 4) as mounted:
        yield mounted


@contextmanager
def power_cut(folder: Path) -> Iterator[tuple[Path, Callable[[], Path]]]:
    """Yield an empty ext4 disk, and what cuts its power and returns the folder where it is mounted again.

    All that the system still keeps in memory at that moment is missing then. Where mounting is not permitted,
    the test is skipped.
    """
    maker = require("mkfs.ext4", "mount", "umount")
    with ExitStack() as stack:
        disk = stack.enter_context(_mounted_image(folder / "disk", [maker, "-q", "-F"], 16))

        def cut() -> Path:
            copy = folder / "copy.img"
            shutil.copyfile(folder / "disk.img", copy)
            return stack.enter_context(_mounted(copy, folder / "after"))

        yield disk, cut


@contextmanager
def _mounted_image(folder: Path, make: list[str], megabytes: int) -> Iterator[Path]:
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(megabytes * 2**20)
    subprocess.run([*make, str(image)], check=True, capture_output=True)
    with _mounted(image, folder) as mounted:
        yield mounted


@contextmanager
def _mounted(image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    command = [require("mount"), "-o", "loop", str(image), str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting such a disk is not permitted, or not known, here")
    try:
        yield folder
    finally:
        subprocess.run([require("umount"), "-l", str(folder)], check=True)


def _find(program: str) -> str:
    found = shutil.which(program, path=_PATH)
    if found is not None:
        return found
    if os.environ.get("EDGE_CLASSIFY_REQUIRE_SYSTEM"):
        pytest.fail(f"{program} is not installed, and EDGE_CLASSIFY_REQUIRE_SYSTEM is set")
    pytest.skip(f"{program} is not installed")
