"""What one training run was asked to do; None is what the preset and the data will decide."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .backbones import BACKBONES

MODELS = ("cnn", *BACKBONES)
DEFAULT_MODELS = ("cnn", "mobilenet_v2")
ALL_LAYERS = 10_000  # More than any network has.
PRESETS = ("fast", "balanced", "best")
AUGMENTATIONS = ("rotation", "shift", "shear", "zoom", "flip", "erase")
DEFAULT_AUGMENTATIONS = AUGMENTATIONS[:5]
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
    completed by choose_hyperparameters.
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
    augment: tuple[str, ...]
    mix: str
    views: int | None
    imbalance: str
    patience: int | None
    tune: int
    compute: str
    validation_split: float | None
    test_split: float
    answer_precision: float
    duplicates: str
    resize: str
    seed: int
    cache: str
    note: str

    def to_json(self) -> dict[str, Any]:
        """Return what from_json takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainOptions:
        """Return the options that to_json gave, whose tuples JSON made lists of."""
        restored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**restored)
