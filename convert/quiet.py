"""Importing and using TensorFlow without the hundreds of lines that it prints."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..edge.errors import MissingPackageError

_TAIL = 2000


@contextmanager
def silenced() -> Iterator[None]:
    """Send what is written to stdout and stderr, by native code too, into a file for the time being.

    When the block raises, the end of it is shown on stderr, since it may say why.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, original in zip((1, 2), kept, strict=True):
                os.dup2(original, target)
                os.close(original)
            if failed:
                _show_tail(file)


def import_tensorflow(purpose: str, extra: str) -> tuple[Any, Any]:
    """Load tensorflow and keras silently, and return the two modules.

    The modules of this project that import keras at their top are imported after this. Raises MissingPackageError, naming the `extra` to install, when TensorFlow is not there.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    try:
        with silenced_import():
            import keras
            import tensorflow
    except ModuleNotFoundError as error:
        raise MissingPackageError(str(error.name), purpose, f"edge-classify[{extra}]") from None
    tensorflow.get_logger().setLevel("ERROR")
    return tensorflow, keras


@contextmanager
def silenced_import() -> Iterator[None]:
    """Like `silenced`, but a missing module is not worth a log."""
    missing: ModuleNotFoundError | None = None
    with silenced():
        try:
            yield
        except ModuleNotFoundError as error:
            missing = error
    if missing is not None:
        raise missing


def _show_tail(file: Any) -> None:
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - _TAIL))
    sys.stderr.write(file.read().decode(errors="replace"))
