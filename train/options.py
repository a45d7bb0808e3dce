"""What one training run was asked to do; None is what the preset and the data will decide."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..edge.file_name_labels import Place
from ..edge.image_labels.columns import Columns
from ..edge.image_labels.source import LabelSource
from .backbones import BACKBONES

MODELS = ("cnn", *BACKBONES)
AUTO = "auto"  # In place of a model: see starting_point_choice.
DEFAULT_MODELS = ("cnn", "mobilenet_v2")
ALL_LAYERS = 10_000  # More than any network has.
PRESETS = ("fast", "balanced", "best")
GEOMETRY = ("rotation", "shift", "shear", "zoom", "flip")
DEGRADATIONS = ("resampling", "camera")
DEFAULT_AUGMENTATIONS = GEOMETRY  # Less what the images do not allow: see augmentation_choice.
AUGMENTATIONS = (*GEOMETRY, *DEGRADATIONS, "erase")
# Where nobody has measured whether mirroring keeps the labels.
UNMEASURED_AUGMENTATIONS = tuple(name for name in DEFAULT_AUGMENTATIONS if name != "flip")
DUPLICATES = ("near", "exact")
OPTIMIZERS = ("adamw", "sgd")
BATCH_NORMS = ("frozen", "trained")
COMPUTE = ("auto", "float32")
DEFAULT_DROPOUT = 0.2
DEFAULT_HEAD_UNITS = 0
MIXES = ("none", "mixup", "cutmix")


@dataclass(frozen=True)
class TrainOptions:
    """The options of edge-train, after parsing; pairs hold a value for each of the two phases.

    `image_size` is the side of the square input in pixels, for each model. Fields that may be None are
    completed by choose_hyperparameters, `augment` before by choose_augmentation, from the training images.
    `image_labels` are paths, `label_columns` is what Columns.parse reads, and `budget` what Budget.parse
    reads. `teacher` is one of `models`, which is trained first, or the path of a model; `unlabelled` is a
    folder.
    """

    models: tuple[str, ...]
    image_size: dict[str, int]
    preset: str
    epochs: tuple[int, int] | None
    learning_rate: tuple[float, float] | None
    optimizer: str | None
    warmup: float
    schedule: str
    weight_decay: float | None
    label_smoothing: float | None
    batch_size: int | None
    alpha: float
    fine_tune_layers: int | None
    batch_norm: str | None
    head_units: int | None
    dropout: float | None
    weights: str
    augment: tuple[str, ...] | None
    mix: str
    views: int | None
    imbalance: str
    patience: int | None
    refit: bool | None
    tune: int
    compute: str
    validation_split: float | None
    test_split: float
    folds: int | None
    answer_precision: float
    duplicates: str
    resize: str
    seed: int
    cache: str
    note: str
    image_labels: tuple[str, ...] = ()
    label_columns: str | None = None
    labels_from_names: Place | None = None
    budget: str | None = None
    teacher: str | None = None
    unlabelled: str | None = None

    @property
    def is_auto(self) -> bool:
        """Whether the network is still to be chosen, by `budget`."""
        return self.models == (AUTO,)

    @property
    def teacher_file(self) -> Path | None:
        """The path of a teacher that an earlier run has trained; None without one."""
        return None if self.teacher is None or self.teacher in MODELS else Path(self.teacher)

    def for_teacher(self) -> TrainOptions:
        """Return the options by which a teacher is trained that is one of the models."""
        return replace(self, teacher=None, unlabelled=None)

    @property
    def label_source(self) -> LabelSource:
        """Where the classes of the images are named."""
        columns = Columns.parse(self.label_columns) if self.label_columns else Columns()
        return LabelSource(tuple(map(Path, self.image_labels)), columns, self.labels_from_names)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as the request of a run keeps them."""
        return asdict(self)
