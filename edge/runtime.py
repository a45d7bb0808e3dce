"""The only place that imports a TFLite interpreter."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import MissingPackageError, ModelFileError
from .quiet import silenced

MAX_THREADS = 256  # Far more make runtimes crash.
# Module and distribution, in order of preference.
_RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite.python.interpreter", "tensorflow"),
)


@dataclass(frozen=True)
class Runtime:
    """An interpreter's class, and the name and version of the package that it comes from."""

    interpreter: Any
    name: str
    version: str


def find_runtime() -> Runtime:
    """Return the first runtime that is installed and can be loaded; raises MissingPackageError."""
    for module, distribution in _RUNTIMES:
        try:
            interpreter = importlib.import_module(module).Interpreter
        except ImportError:
            continue
        return Runtime(interpreter, distribution, _version(distribution))
    raise MissingPackageError("a TFLite runtime", "Running a model", "ai-edge-litert")


def load_interpreter(model: Path | bytes, threads: int, keep_all: bool = False) -> Any:
    """Return an interpreter with allocated tensors for a .tflite file or its bytes.

    With `keep_all`, what every layer gives can be read afterwards; it then runs without a delegate, which
    would fuse layers, and slowly. Raises ModelFileError when the runtime refuses the model.
    """
    runtime = find_runtime()
    source: dict[str, Any] = (
        {"model_content": model} if isinstance(model, bytes) else {"model_path": str(model)}
    )
    if keep_all:
        resolver = importlib.import_module(runtime.interpreter.__module__).OpResolverType
        source["experimental_preserve_all_tensors"] = True
        source["experimental_op_resolver_type"] = resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    name = "the model" if isinstance(model, bytes) else str(model)
    try:
        with silenced():  # The runtime announces its delegate on stderr.
            interpreter = runtime.interpreter(**source, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, TypeError) as error:  # TypeError: the name is not text.
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{name}: {runtime.name} {runtime.version} cannot run it ({reason})") from None
    return interpreter


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
