"""Imports TensorFlow without the lines that it prints."""

from __future__ import annotations

import os
from typing import Any

from ..edge.errors import MissingPackageError
from ..edge.quiet import silenced


def import_tensorflow(purpose: str, extra: str) -> tuple[Any, Any]:
    """Load tensorflow and keras silently, and return the two modules.

    Modules of this project that import keras at their top must be imported after this call. Raises
    MissingPackageError, which names the `extra` to install, when TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        with silenced():
            import keras
            import tensorflow
    except ModuleNotFoundError as error:
        raise MissingPackageError(str(error.name), purpose, f"edge-classify[{extra}]") from None
    tensorflow.get_logger().setLevel("ERROR")
    return tensorflow, keras
