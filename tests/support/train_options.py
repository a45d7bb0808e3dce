"""The options of a training run, for tests that call its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_classify.train.options import DEFAULT_AUGMENTATIONS, MODELS, TrainOptions
from edge_classify.train.search_space import SEARCHED

if TYPE_CHECKING:
    from edge_classify.train.models import Architecture

COUNTS = (30, 30, 10)  # Training images of each class.
LEFT_OPEN: dict[str, Any] = dict.fromkeys(SEARCHED)  # The options that a search varies.


def make_architecture(name: str, classes: int = 3, **changes: Any) -> Architecture:
    """Return the architecture of a model with the options of `make_options`."""
    from edge_classify.train.models import Architecture  # Imports Keras, which options do not need.

    return Architecture.of(name, classes, make_options(**changes))


def make_options(**changes: Any) -> TrainOptions:
    """Return options of a small run without downloads, with some of them changed."""
    values: dict[str, Any] = {
        "models": MODELS,
        "image_size": dict.fromkeys(MODELS, 32),
        "preset": "fast",
        "epochs": (2, 1),
        "learning_rate": (1e-3, 1e-4),
        "optimizer": None,
        "warmup": 0.1,
        "schedule": "cosine",
        "weight_decay": None,
        "label_smoothing": None,
        "batch_size": 16,
        "alpha": 0.35,
        "fine_tune_layers": 20,
        "batch_norm": None,
        "head_units": 0,
        "dropout": 0.2,
        "weights": "none",
        "augment": DEFAULT_AUGMENTATIONS,
        "mix": "none",
        "views": None,
        "imbalance": "auto",
        "patience": None,
        "refit": False,
        "tune": 0,
        "compute": "float32",
        "validation_split": 0.2,
        "test_split": 0.2,
        "folds": 0,
        "answer_precision": 0.95,
        "duplicates": "near",
        "resize": "stretch",
        "seed": 0,
        "cache": "none",
        "note": "",
    }
    return TrainOptions(**{**values, **changes})
