"""Imports TensorFlow without the lines that it prints."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

from ..edge.errors import MissingPackageError, NoPackageError
from ..edge.extras import pip_install
from ..edge.interrupts import loading
from ..edge.quiet import silenced
from .heap import keep_freed_memory

# setup.cfg requires TensorFlow up to this Python: for 3.14 there is a release candidate (2.22.0rc0), which
# brings a nightly Keras into the same folder as Keras itself.
LAST_PYTHON_OF_TENSORFLOW = (3, 13)
# Their warnings are for people who program with them.
_LIBRARIES = ("keras", "tensorflow")


def import_tensorflow(purpose: str, extra: str) -> tuple[Any, Any]:
    """Load tensorflow and keras silently, and return the two modules.

    Modules of this project that import keras at their top must be imported after this call. Raises
    MissingPackageError, which names the `extra` to install, when TensorFlow is not installed, or the Python
    to use where TensorFlow has no release for this one.
    """
    keep_freed_memory()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        with loading(), silenced():
            import keras
            import tensorflow

            tensorflow.config.list_physical_devices()  # CUDA complains here, and not at the first training.
    except ModuleNotFoundError as error:
        raise _missing(str(error.name), purpose, extra, sys.version_info[:2]) from None
    tensorflow.get_logger().setLevel("ERROR")
    for module in _LIBRARIES:
        warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
    return tensorflow, keras


def _missing(module: str, purpose: str, extra: str, python: tuple[int, int]) -> MissingPackageError:
    if python <= LAST_PYTHON_OF_TENSORFLOW:
        return MissingPackageError(module, purpose, pip_install(extra))
    last = ".".join(map(str, LAST_PYTHON_OF_TENSORFLOW))
    return NoPackageError(
        "TensorFlow",
        purpose,
        f"there is no release of it for Python {python[0]}.{python[1]}. Use Python 3.10 to {last}: "
        f'python{last} -m venv venv && venv/bin/pip install ".[{extra}]" in the folder of edge-classify',
    )
