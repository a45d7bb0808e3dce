"""External delegates: shared libraries that run a part of the model on an accelerator."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .errors import DelegateError, OptionError, error_text
from .inner_files import UnsafePathError, require_regular
from .quiet import silenced

# What the runtime calls, by tensorflow/lite/delegates/external/external_delegate_interface.h.
_SYMBOLS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")


def parse_delegate_options(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Split texts KEY=VALUE; raises OptionError for another form and for a key that is given twice."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not key or not separator:
            raise OptionError(f"--delegate-option must be KEY=VALUE. Received: {text}")
        if key in pairs:
            raise OptionError(f"--delegate-option {key} is given twice: {pairs[key]} and {value}")
        pairs[key] = value
    return tuple(pairs.items())


def load_delegate(load: Callable[..., Any], library: str, options: Iterable[tuple[str, str]]) -> Any:
    """Load a delegate from a shared library by the runtime's function `load`; raises DelegateError.

    `library` is a path, or a name that the system's loader finds.
    """
    _check_library(library)
    try:
        with silenced():
            return load(library, dict(options))
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).removeprefix(f"Failed to load delegate from {library}\n").split())
        given = " ".join(f"{key}={value}" for key, value in options)
        raise DelegateError(
            f"the delegate {library} cannot be started{' with ' if given else ''}{given} "
            f"({reason or 'it gives no reason'}){remedy(library)}"
        ) from None


def _check_library(library: str) -> None:
    """Open the library first: where opening fails, the runtime would leave a half-made object behind."""
    import ctypes

    try:
        if os.path.dirname(library):  # noqa: PTH120 - Else the loader looks for the name.
            require_regular(Path(library))  # The loader would wait for the writer of a pipe.
        opened = ctypes.CDLL(library)
    except UnsafePathError as error:
        raise DelegateError(f"the delegate {library} cannot be loaded: it {error}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name.
        raise DelegateError(
            f"the delegate {library} cannot be loaded ({error_text(error)}){_install_hint(library)}"
        ) from None
    for symbol in _SYMBOLS:
        if not hasattr(opened, symbol):
            raise DelegateError(f"the library {library} is no TFLite delegate: it has no function {symbol}")


def remedy(library: str, applied: bool = False) -> str:
    """Return a remedy for a delegate that does not start or, if `applied`, takes no part of the model."""
    if "edgetpu" not in library:
        return ""
    if applied:
        return ". Compile the model for the Edge TPU with edgetpu_compiler; only uint8 and int8 models can be"
    return (
        ". Is the accelerator plugged in, and may you use it? "
        "Join its group with: sudo usermod -aG plugdev $USER, log in again, and plug it in again"
    )


def _install_hint(library: str) -> str:
    if "edgetpu" in library:
        return (
            ". Add Coral's package source (https://coral.ai/docs/accelerator/get-started) and run: "
            "sudo apt install libedgetpu1-std"
        )
    return ". Install it, or give its full path"
