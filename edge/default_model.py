"""The model that is used where none is named, so that the runner works right after installation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# Made by `make default-model`; its card names the training data and the accuracy.
DEFAULT_MODEL = Path(__file__).parent / "default_model.tflite"


def describe_default(labels: Sequence[str]) -> str:
    """Return the remark that lists the default model's classes."""
    return (
        f"No --model: the default one only knows {', '.join(labels[:-1])} and {labels[-1]}. "
        "Make your own with edge-train and edge-convert"
    )
