"""TFLite runtimes: the only module that imports an interpreter."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .errors import (
    DelegateError,
    MissingPackageError,
    ModelFileError,
    NoPackageError,
    OptionError,
    RuntimeLoadError,
    error_text,
    model_name,
)
from .quiet import silenced
from .runtime_packages import PythonBuild, runtime_package, why_no_runtime, why_not

MAX_THREADS = 256  # Runtimes crash with far more.
# Distributions and their modules, in order of preference.
RUNTIMES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}
# Exceptions of runtimes for models that they refuse. TypeError: a name is not text.
REFUSALS = (ValueError, RuntimeError, TypeError)
# The operation that edgetpu_compiler puts in place of the operations that it compiled.
_EDGE_TPU_OPERATION = "edgetpu-custom-op"


@dataclass(frozen=True)
class Execution:
    """How a model is run.

        Execution(threads=4)
        Execution(delegate="libedgetpu.so.1", delegate_fallback=True)
        Execution(untrusted=True)  # A model file from a stranger.

    `runtime` is a key of RUNTIMES, None for the first that can be loaded. `delegate` is the shared library of
    an external delegate: a path, or a name that the system's loader finds. Where the delegate cannot be used,
    opening a model fails, or runs it on the CPU with `delegate_fallback`. With `untrusted` the interpreter
    runs in a child process, so that a model that crashes it is a ModelFileError.

    Raises OptionError on construction for values that can never work.
    """

    runtime: str | None = None
    threads: int = 1
    delegate: str | None = None
    delegate_options: tuple[tuple[str, str], ...] = ()
    delegate_fallback: bool = False
    untrusted: bool = False

    def __post_init__(self) -> None:
        if self.runtime is not None and self.runtime not in RUNTIMES:
            raise OptionError(f"runtime must be one of: {', '.join(RUNTIMES)}. Received: {self.runtime}")
        if not 1 <= self.threads <= MAX_THREADS:
            raise OptionError(f"threads must be 1 to {MAX_THREADS}. Received: {self.threads}")
        if self.delegate is None and (self.delegate_options or self.delegate_fallback):
            name = "delegate_options" if self.delegate_options else "delegate_fallback"
            raise OptionError(f"{name} goes with delegate, which is None")


class Runtime(NamedTuple):
    """A loaded runtime: its module, and the name of its distribution.

    `broken` holds a sentence for each preferred runtime that is installed and cannot be loaded.
    """

    module: Any
    name: str
    broken: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """The distribution's version, or "unknown"."""
        package = sys.modules.get(RUNTIMES[self.name].partition(".")[0])
        if isinstance(stated := getattr(package, "__version__", None), str):
            return stated
        import importlib.metadata  # Takes longer than loading the runtime.

        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return "unknown"

    def create(self, source: Path | bytes, threads: int, **options: Any) -> Any:
        """Return an interpreter whose tensors are not allocated; raises REFUSALS or RuntimeLoadError."""
        key = "model_content" if isinstance(source, bytes) else "model_path"
        value = source if isinstance(source, bytes) else str(source)
        try:
            return self.module.Interpreter(**{key: value}, num_threads=threads, **options)
        except SystemError as error:  # tflite-runtime 2.14 with numpy 2, under which it can be imported.
            raise RuntimeLoadError(_describe_broken(self.name, error)) from None


class Loaded(NamedTuple):
    """An interpreter with allocated tensors; `remarks` are sentences for its user to read.

    `missing` are sentences about what the process of an untrusted model can still do, though it should not.
    """

    interpreter: Any
    remarks: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def find_runtime(name: str | None = None) -> Runtime:
    """Return the runtime called `name`, or the first that is installed and can be loaded.

    Raises MissingPackageError where none is installed (NoPackageError where none can be), RuntimeLoadError
    where one is but cannot be loaded.
    """
    broken: list[str] = []
    for candidate in (name,) if name else RUNTIMES:
        module = RUNTIMES[candidate]
        try:
            with silenced():  # TensorFlow, and numpy 2 under an old runtime, write pages.
                return Runtime(importlib.import_module(module), candidate, tuple(broken))
        except Exception as error:  # Native code starts here, and may raise anything.
            absent = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
            if not absent:
                broken.append(_describe_broken(candidate, error))
    if broken:
        raise RuntimeLoadError(f"No TFLite runtime can be used: {'; '.join(broken)}")
    raise _missing(name, PythonBuild.here())


def open_interpreter(model: Path | bytes, execution: Execution, name: str | None = None) -> Loaded:
    """Load a .tflite file or its bytes in this process, and allocate its tensors as `execution` says.

    Errors call the model `name`, by default its path or "the model". Raises ModelFileError when the runtime
    refuses the model, DelegateError when the delegate cannot be used, MissingPackageError or RuntimeLoadError
    when there is no runtime, and ValueError for an untrusted model: isolation.parent.open_isolated opens
    those.
    """
    if execution.untrusted:
        raise ValueError("open_interpreter runs models in this process: use open_isolated for untrusted ones")
    name = name or model_name(model)
    runtime = find_runtime(execution.runtime)
    if execution.delegate is None:
        return Loaded(_allocated(runtime, model, execution.threads, name), runtime.broken)
    try:
        return Loaded(_delegated(runtime, model, execution, name), runtime.broken)
    except DelegateError as error:
        if not execution.delegate_fallback:
            raise DelegateError(f"{error}. To run it on the CPU instead, give --delegate-fallback") from None
        remark = f"{error}. It runs on the CPU instead"
    return Loaded(_allocated(runtime, model, execution.threads, name), (*runtime.broken, remark))


def load_interpreter(model: Path | bytes, threads: int, keep_all: bool = False) -> Any:
    """Return an interpreter with allocated tensors for a .tflite file or its bytes.

    With `keep_all` the output of every layer can be read after `invoke`. The model then runs without a
    delegate, which would fuse layers, and slowly. Raises ModelFileError when the runtime refuses the model.
    """
    runtime = find_runtime()
    options: dict[str, Any] = {}
    if keep_all:
        options["experimental_preserve_all_tensors"] = True
        resolvers = runtime.module.OpResolverType
        options["experimental_op_resolver_type"] = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return _allocated(runtime, model, threads, model_name(model), **options)


def _allocated(runtime: Runtime, model: Path | bytes, threads: int, name: str, **options: Any) -> Any:
    try:
        with silenced():  # The runtime announces its delegate on stderr.
            interpreter = runtime.create(model, threads, **options)
            interpreter.allocate_tensors()
    except REFUSALS as error:
        reason = error_text(error)
        hint = ""
        if _EDGE_TPU_OPERATION in reason:
            hint = ". It was compiled for the Edge TPU: give --delegate libedgetpu.so.1"
        raise ModelFileError(
            f"{name}: {runtime.name} {runtime.version} cannot run it ({reason}){hint}"
        ) from None
    return interpreter


def _delegated(runtime: Runtime, model: Path | bytes, execution: Execution, name: str) -> Any:
    """Return an interpreter with the delegate applied; raises DelegateError or ModelFileError."""
    from .delegates import load_delegate, remedy

    library = str(execution.delegate)
    delegate = load_delegate(runtime.module.load_delegate, library, execution.delegate_options)
    try:
        with silenced():
            # The interpreter keeps the delegate alive until it is freed itself: the other order crashes.
            interpreter = runtime.create(model, execution.threads, experimental_delegates=[delegate])
            taken = _count_delegate_nodes(interpreter)
            interpreter.allocate_tensors()
    except REFUSALS as error:
        reason = error_text(error)
        try:
            _allocated(runtime, model, execution.threads, name)
        except ModelFileError as refusal:
            if reason in str(refusal):  # The model fails with and without the delegate.
                raise
        raise DelegateError(
            f"the delegate {library} cannot be applied to {name} ({reason}){remedy(library, applied=True)}"
        ) from None
    if taken == 0:
        raise DelegateError(
            f"the delegate {library} takes no operation of {name}{remedy(library, applied=True)}"
        )
    return interpreter


def _count_delegate_nodes(interpreter: Any) -> int | None:
    """Return how many groups of operations the delegate runs; None where the runtime does not report it.

    Call it before tensors are allocated: then the runtime applies its own delegate to the other operations.
    """
    try:
        nodes: Sequence[dict[str, Any]] = interpreter._get_ops_details()
    except (AttributeError, *REFUSALS):  # The method is private, since no public one reports it.
        return None
    return [node["op_name"] for node in nodes].count("DELEGATE")


def _missing(name: str | None, python: PythonBuild) -> MissingPackageError:
    """Return the error for no runtime, or for that called `name`, where it is not installed."""
    package = f"the package {name}" if name else "a TFLite runtime"
    purpose = f"--runtime {name}" if name else "Running a model"
    reason = why_not(name, python) if name else why_no_runtime(python)
    if reason is not None:
        return NoPackageError(package, purpose, reason)
    from .extras import pip_command

    return MissingPackageError(package, purpose, pip_command((name or str(runtime_package(python)),)))


def _describe_broken(name: str, error: BaseException) -> str:
    reason = error_text(error.__cause__ or error)
    remedy = f"pip install --force-reinstall {name}"
    if name == "tflite-runtime" and "numpy" in reason:
        remedy = 'pip install "numpy<2", for which it was built'
    return f"{name} is installed and cannot be loaded ({reason}); try: {remedy}"
