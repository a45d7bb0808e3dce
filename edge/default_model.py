"""The model that answers where none is named, so that the runner can be tried right after installation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

# Made by `make default-model`; its card says from what, and how good it is.
DEFAULT_MODEL = Path(__file__).parent / "default_model.tflite"


def describe_default(labels: Sequence[str]) -> str:
    """Return the sentence that says what the default model can tell apart, and nothing else."""
    return (
        f"No --model: the default one only knows {', '.join(labels[:-1])} and {labels[-1]}. "
        "Make your own with edge-train and edge-convert"
    )
