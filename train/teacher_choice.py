"""Who teaches the models of a run: a model of an earlier run, or one that this run trains first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..benchmarks.scoring.split import Split
from ..edge.console import say
from ..edge.errors import OptionError
from .cache import Cache
from .dataset import AuditedData, PreparedData
from .teacher import Teacher, load_teacher
from .teaching import Teaching
from .unlabelled import Unlabelled, read_unlabelled


@dataclass(frozen=True)
class TeacherChoice:
    """The teacher of a run, and the images without labels that it answers.

    `option` is the value of --teacher, None without one. `loaded` is the teacher of an earlier run; None
    where `option` names a model of this run.
    """

    option: str | None
    labels: tuple[str, ...]
    loaded: Teacher | None = None
    unlabelled: Unlabelled | None = None

    def teaching(self, model: str, folder_of: Callable[[str], Path | None]) -> Teaching | None:
        """Return who teaches `model`; None for the teacher itself, and without one.

        `folder_of` returns the folder of a model of this run that is trained. Raises OptionError and others
        as load_teacher does.
        """
        if self.option is None or model == self.option:
            return None
        if self.loaded is not None:
            return Teaching(self.loaded, self.unlabelled)
        folder = folder_of(self.option)
        if folder is None:
            raise OptionError(f"--teacher {self.option} was not trained: {model} has nobody to learn from")
        return Teaching(load_teacher(folder, self.labels), self.unlabelled)

    @property
    def sha256(self) -> str:
        """A hash of the files that the run depends on."""
        parts = [self.loaded.sha256 if self.loaded else "", self.unlabelled.sha256 if self.unlabelled else ""]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def require_teacher(file: Path | None, unlabelled: str | None) -> None:
    """Raise OptionError, before long work, where nothing lies at the path of a teacher or of images."""
    if file is not None and not file.exists():
        raise OptionError(
            f"--teacher {file}: no such file, and no network has this name. Give the model.keras of an "
            "earlier run of edge-train, or one of the networks of --model"
        )
    if unlabelled is not None and not Path(unlabelled).is_dir():
        raise OptionError(f"--unlabelled {unlabelled}: no such folder")


def choose_teacher(audited: AuditedData, data: PreparedData, cache: Cache) -> TeacherChoice:
    """Load the teacher that the options name, and the images without labels.

    Raises OptionError for a teacher that has learned what this run measures by; DatasetError, ConversionError
    and others as load_teacher and read_unlabelled do.
    """
    options, labels = audited.options, data.split.labels
    teacher = load_teacher(options.teacher_file, labels) if options.teacher_file else None
    if teacher is not None:
        _require_same_pictures(teacher, options.resize)
        _require_apart(teacher, data.split)
    unlabelled = None
    if options.unlabelled is not None:
        sides = {*options.image_size.values(), *([teacher.side] if teacher else [])}
        near = options.duplicates == "near"
        unlabelled = read_unlabelled(Path(options.unlabelled), data, sides, options.resize, near, cache)
    return TeacherChoice(options.teacher, labels, teacher, unlabelled)


def _require_same_pictures(teacher: Teacher, resize: str) -> None:
    """Raise OptionError for a teacher whose pictures became square in another way."""
    if teacher.resize != resize:
        raise OptionError(
            f"--teacher {teacher.name} was trained with --resize {teacher.resize}, and would see other "
            f"pictures with --resize {resize}. Give --resize {teacher.resize}"
        )


def _require_apart(teacher: Teacher, split: Split) -> None:
    """Raise OptionError for a teacher that has learned images that the student is measured or chosen by."""
    if teacher.split is None:
        say(
            f"Teacher {teacher.name}: there is no split.json of its run, so that nobody can tell what it has "
            "learned. If these are images that the student is tested with, the figures will be too good",
            "warning",
        )
        return
    trained = {image.sha256 for image in teacher.split.images if image.subset == "train"}
    chosen_by = {image.sha256 for image in teacher.split.images if image.subset == "validation"}
    for subset, known in (("test", trained | chosen_by), ("validation", trained)):
        measured = [image for image in split.images if image.subset == subset]
        shared = [image for image in measured if image.sha256 in known]
        if shared:
            raise OptionError(
                f"--teacher {teacher.name} has learned {len(shared)} of the {len(measured)} {subset} images, "
                f"such as {shared[0].path}: the student would be measured by what its teacher knows. Train "
                "the teacher on the same DATA with the same --seed, --validation-split and --test-split"
            )
