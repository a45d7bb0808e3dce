"""What to type after a conversion: the file is tried here, and measured on the device."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..edge.next_step import quoted, suggest
from .sources.job import Job

_PHOTO = Path("photo.jpg")


def suggest_trying(file: Path, photo: Path = _PHOTO) -> None:
    """Say how to run a file on a photo, and how to measure it on the device that it is copied to."""
    suggest(f"edge-classify -m {quoted(file)} {quoted(photo)}")
    suggest(f"edge-benchmark {quoted(file.name)}", "on the device, with this one file")


def some_photo(jobs: Iterable[Job]) -> Path:
    """Return one of the images that the jobs were scored on, if it lies below the working folder."""
    here = Path.cwd()
    for job in jobs:
        for image in job.images.evaluation:
            if image.path.is_file() and image.path.absolute().is_relative_to(here):
                return image.path.absolute().relative_to(here)
    return _PHOTO
