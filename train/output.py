"""The folder of a run: made in a temporary folder, moved into place, and never over files of the user."""

from __future__ import annotations

import errno
import shlex
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from ..benchmarks.scoring.split import FILE_NAME, Split
from ..convert.sources.job import BEFORE_REFIT_NAME, KERAS_NAME
from ..edge.durable import make_folders, sync_tree
from ..edge.errors import DatasetError, OptionError, OutputExistsError
from ..edge.files import refuse_to_overwrite
from ..edge.inner_files import find_links
from ..edge.modelfile import CARD_NAME
from .options import MODELS

UNFINISHED = ".unfinished"  # Inside the folder of the run, so that it is on the same disk and moves with it.
REQUEST, _LOCK = "request.json", "lock"
REPORT = "report.html"
TRIALS = "tuning.csv"
AUDIT = "audit.json"
STARTING_POINTS = "starting_points.json"  # Only --model auto writes it.
IMAGES = "images"  # Of the built-in data sets.
BEFORE_REFIT = BEFORE_REFIT_NAME
MODEL, CARD, METRICS, HISTORY = KERAS_NAME, CARD_NAME, "metrics.json", "history.csv"
CURVES, CONFUSION = "curves.png", "confusion.png"
MODEL_FILES = (MODEL, BEFORE_REFIT, CARD, METRICS, HISTORY, TRIALS, CURVES, CONFUSION)
_OF_SOME = (BEFORE_REFIT, TRIALS)  # A refit writes the one, --tune the other.


def check_output(output: Path, force: bool) -> None:
    """Raise OutputExistsError unless `output` is free, or an earlier run that `force` allows to replace."""
    refuse_links(output)
    has_request = (output / UNFINISHED / REQUEST).is_file()
    if has_request and not force:
        with _locked(output):  # Otherwise another process is finishing it.
            raise OutputExistsError(
                f"{output} holds a training that was not finished. Continue it with: "
                f"{resume_command(output)}; or start again with --force"
            )
    refuse_to_overwrite(output, force)
    if output.exists() and not output.is_dir():
        raise OutputExistsError(f"{output} is a file, and a run is a folder. Name another --output")
    in_the_way = [name for name in (FILE_NAME, REPORT, IMAGES, *MODELS) if (output / name).exists()]
    if not in_the_way or (output / AUDIT).is_file() or has_request:
        return
    try:
        Split.read(output)
    except DatasetError:
        raise OutputExistsError(
            f"{output / in_the_way[0]} exists, and {output} is not an earlier run that --force can replace. "
            "Name another --output"
        ) from None


def refuse_links(output: Path) -> None:
    """Raise OutputExistsError for a link in those parts of a run that edge-train writes and deletes.

    A run may come from an archive: what a link leads to is nothing that edge-train wrote.
    """
    for name in (UNFINISHED, FILE_NAME, REPORT, AUDIT, STARTING_POINTS, IMAGES, *MODELS):
        if link := next(find_links(output / name), None):
            raise OutputExistsError(
                f"{link} is a link, and nothing behind a link is read, replaced or deleted. Remove it, or "
                "name another folder"
            )
    lock = output / UNFINISHED / _LOCK
    if lock.is_file() and lock.stat().st_nlink > 1:  # Some locks empty the file that they lock.
        raise OutputExistsError(f"{lock} is a second name of another file. Remove it, or name another folder")


def require_apart(root: Path, output: Path) -> None:
    """Raise OptionError if `output` lies in the data set `root`, or the data set in a replaced folder."""
    data, run = root.resolve(), output.resolve()
    if run.is_relative_to(data):
        raise OptionError(
            f"--output {output} lies in the data set {root}, where its pictures would become a class. "
            "Name a folder outside"
        )
    if any(data.is_relative_to(run / name) for name in (IMAGES, UNFINISHED, *MODELS)):
        raise OptionError(
            f"{root} is a part of the run {output}, which would be replaced. Name another --output"
        )


def require_place(output: Path) -> None:
    """Raise OptionError unless the folder `output` can be made or written to: a check before long work."""
    nearest = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryDirectory(dir=nearest, prefix=".edge-train-"):
            pass
    except OSError as error:
        raise OptionError(f"--output {output} cannot be written: {nearest}: {error.strerror}") from None


@contextmanager
def unfinished(output: Path, resume: bool) -> Iterator[Path]:
    """Yield RUN/.unfinished, the folder in which everything is made.

    It stays, for --resume, if it holds a request at the end, and if the process is killed. Raises OptionError
    if nothing can be written there, or another process is writing; OutputExistsError for a link in the run.
    """
    refuse_links(output)
    created = [folder for folder in (output, *output.parents) if not folder.exists()]
    folder = output / UNFINISHED
    try:
        make_folders(folder)
    except OSError as error:
        raise OptionError(
            f"--output {output} cannot be written: {error.filename}: {error.strerror}"
        ) from None
    with _locked(output):
        _clean(folder, resume)
        try:
            with _full_disk_named(output):
                yield folder
        finally:
            if not (folder / REQUEST).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                for parent in created:
                    with suppress(OSError):  # It is not empty.
                        parent.rmdir()


def publish(folder: Path, output: Path, earlier: Collection[str] = ()) -> None:
    """Move the results in `folder` into the run, and delete the other files of an earlier run.

    Files of the user in `output` stay, and so do the models named `earlier`, and checkpoints in `folder`. If
    the process is killed meanwhile, `finish_move` and another call complete the move.
    """
    results = (FILE_NAME, REPORT, AUDIT, STARTING_POINTS, IMAGES, *MODELS)
    made = [path for path in folder.iterdir() if path.name in results]
    sync_tree(folder)
    old = _files_of_run(output)
    new = {file.relative_to(folder) for path in made for file in (path, *path.rglob("*")) if file.is_file()}
    stale = {name for name in old - new if name.parts[0] not in earlier}
    for name in stale:
        (output / name).unlink(missing_ok=True)
    parents = {parent for name in stale for parent in name.parents[:-1]}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):  # It holds files of the user.
            (output / parent).rmdir()
    # The split comes last, because the earlier one lists the files of the earlier run.
    for path in sorted(made, key=lambda path: path.name == FILE_NAME):
        _move(path, output / path.name)
    # Before anybody deletes the request: after a power cut the run is either complete or can be continued.
    sync_tree(output)


def finish_move(folder: Path, output: Path, model: str) -> Path | None:
    """Return the folder of a finished model, which is moved from `folder` to `output`; None if it is gone.

    If a killed process has moved only a part of the model, the rest is moved too.
    """
    if _is_whole(folder / model):
        return folder / model
    if (folder / model).is_dir():
        _move(folder / model, output / model)
    return output / model if _is_whole(output / model) else None


def resume_command(output: Path) -> str:
    """Return the command that continues the training in `output`."""
    return f"edge-train --resume {shlex.quote(str(output))}"


def unfinished_folder(work: Path, name: str) -> Path:
    """Return the folder of a model that is not complete yet."""
    return work / f"{name}.partial"


def checkpoint_of(work: Path, name: str) -> Path:
    """Return the file from which the training of a model continues."""
    return work / f"{name}.checkpoint.npz"


def trials_of(work: Path, name: str) -> Path:
    """Return the file with the finished trials of the search for a model."""
    return work / f"{name}.{TRIALS}"


def folds_of(work: Path, name: str) -> Path:
    """Return the folder with what the folds of a model have answered, and with their checkpoints."""
    return work / f"{name}.folds"


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Hold the lock of the run; the system lifts it when the process ends, however it ends.

    Raises OptionError if another process holds it.
    """
    path = output / UNFINISHED / _LOCK
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OptionError(
            f"Another edge-train is writing {output}. Wait for it, or name another --output"
        ) from None
    except NotImplementedError:
        raise OptionError(
            f"{path} cannot be locked on this kind of disk. Name a folder on another disk"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _full_disk_named(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OptionError(
            f"The disk of {output} is full. Free some space, or name another --output"
        ) from None


def _clean(folder: Path, resume: bool) -> None:
    """Delete the remains of an earlier process; with `resume` only those that cannot be continued."""
    for path in folder.iterdir():
        whole = path.suffix not in (".part", ".partial") and not path.name.startswith("cache-")
        if path.name == _LOCK or (resume and whole):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_whole(model: Path) -> bool:
    """Return whether a model has all its files; one that is empty was left by a power cut."""
    found = [name for name in MODEL_FILES if (model / name).is_file()]
    return set(MODEL_FILES) - {*found, *_OF_SOME} == set() and all(
        (model / name).stat().st_size for name in found
    )


def _files_of_run(output: Path) -> set[Path]:
    """Return the files that edge-train wrote into the run `output`, relative to it; none if it is no run."""
    try:
        split = Split.read(output)
    except DatasetError:
        return set()
    names = [FILE_NAME, REPORT, AUDIT, STARTING_POINTS]
    names += [f"{model}/{file}" for model in MODELS for file in MODEL_FILES]
    if split.root == IMAGES:
        names += [f"{IMAGES}/{i.path}" for i in split.images if ".." not in PurePosixPath(i.path).parts]
    return {Path(name) for name in names}


def _move(source: Path, target: Path) -> None:
    """Rename a file or folder; a folder that exists as `target` keeps its other files."""
    if source.is_dir() and target.is_dir():
        for path in list(source.iterdir()):
            _move(path, target / path.name)
        source.rmdir()
    else:
        source.replace(target)
