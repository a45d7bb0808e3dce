"""The options of a training run, for tests that call its parts."""

from __future__ import annotations

from typing import Any

from edge_classify.train.options import AUGMENTATIONS, MODELS, TrainOptions


def make_options(**changes: Any) -> TrainOptions:
    """Return small options that need no network, with some of them changed."""
    values: dict[str, Any] = {
        "models": MODELS,
        "image_size": {"cnn": 32, "mobilenet_v2": 32},
        "epochs": (2, 1),
        "learning_rate": (1e-3, 1e-4),
        "batch_size": 16,
        "alpha": 0.35,
        "fine_tune_layers": 20,
        "head_units": 0,
        "dropout": 0.2,
        "weights": "none",
        "augment": AUGMENTATIONS,
        "class_weights": "balanced",
        "patience": 5,
        "validation_split": 0.2,
        "test_split": 0.2,
        "resize": "stretch",
        "seed": 0,
    }
    return TrainOptions(**{**values, **changes})
