"""Where a run is written: made beside its place, moved there when whole, and never over a user's files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from ..benchmarks.split import FILE_NAME, Split
from ..edge.errors import DatasetError, OptionError, OutputExistsError
from ..edge.files import refuse_to_overwrite
from .options import MODELS

REPORT = "report.html"
IMAGES = "images"  # Of the built-in data sets.
MODEL_FILES = ("model.keras", "card.json", "metrics.json", "history.csv", "curves.png", "confusion.png")


def check_output(output: Path, force: bool) -> None:
    """Raise OutputExistsError unless `output` is free, or an earlier run that `force` allows to replace."""
    refuse_to_overwrite(output, force)
    if output.exists() and not output.is_dir():
        raise OutputExistsError(f"{output} is a file, and a run is a folder. Name another --output")
    in_the_way = [name for name in (FILE_NAME, REPORT, IMAGES, *MODELS) if (output / name).exists()]
    if not in_the_way:
        return
    try:
        Split.read(output)
    except DatasetError:
        raise OutputExistsError(
            f"{output / in_the_way[0]} is in the way, and {output} is not an earlier run that --force could "
            "replace. Name another --output"
        ) from None


def require_apart(root: Path, output: Path) -> None:
    """Raise OptionError when `output` lies in the data set `root`, or the data set in what it replaces."""
    data, run = root.resolve(), output.resolve()
    if run.is_relative_to(data):
        raise OptionError(
            f"--output {output} lies in the data set {root}, where its pictures would become a class. "
            "Name a folder outside"
        )
    if any(data.is_relative_to(run / name) for name in (IMAGES, *MODELS)):
        raise OptionError(
            f"{root} is a part of the run {output}, which would be replaced. Name another --output"
        )


@contextmanager
def staging(output: Path) -> Iterator[Path]:
    """Yield a temporary folder; on success what is in it replaces the earlier run in `output`.

    Other files in `output` stay. After an exception nothing is left. Raises OptionError when nothing can
    be written there.
    """
    created = [folder for folder in (output.parent, *output.parent.parents) if not folder.exists()]
    # An existing folder may be on another disk than its parent, or the only place one may write to.
    place = output if output.is_dir() else output.parent
    try:
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.partial-", dir=place))
    except OSError as error:
        raise OptionError(f"--output {output} cannot be written: {place}: {error.strerror}") from None
    try:
        yield folder
        _replace(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in created:
            with suppress(OSError):  # It is not empty, then.
                parent.rmdir()


def _replace(folder: Path, output: Path) -> None:
    old = _files_of_run(output)
    new = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    output.mkdir(exist_ok=True)
    for path in list(folder.iterdir()):
        _move(path, output / path.name)
    stale = old - new
    for name in stale:
        (output / name).unlink(missing_ok=True)
    parents = {parent for name in stale for parent in name.parents[:-1]}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # It holds files of the user's.
            (output / parent).rmdir()


def _files_of_run(output: Path) -> set[Path]:
    """Return what edge-train wrote into the run `output`, relative to it; nothing if it is no run."""
    try:
        split = Split.read(output)
    except DatasetError:
        return set()
    names = [FILE_NAME, REPORT, *(f"{model}/{file}" for model in MODELS for file in MODEL_FILES)]
    if split.root == IMAGES:
        names += [f"{IMAGES}/{i.path}" for i in split.images if ".." not in PurePosixPath(i.path).parts]
    return {Path(name) for name in names}


def _move(source: Path, target: Path) -> None:
    """Rename a file or folder; a folder that exists as `target` keeps its other files."""
    if source.is_dir() and target.is_dir():
        for path in list(source.iterdir()):
            _move(path, target / path.name)
    else:
        source.replace(target)
