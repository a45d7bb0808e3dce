"""Runs the interpreter in a child process, for models that are not trusted.

A damaged or hostile model can crash the runtime, never end, or ask for any amount of memory. Then only the
child dies, and the parent raises ModelFileError. The child is trusted no more than the model: its messages
have a fixed form and a limited size (messages.py). It is no sandbox: a model that takes over the runtime has
the rights of the user, but neither the environment nor the open files.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import DelegateError, EdgeClassifyError, ModelFileError, RuntimeLoadError, model_name
from ..runtime import Execution, Loaded
from .messages import (
    ERROR,
    MAX_JSON_BYTES,
    MODEL,
    READY,
    RESULT,
    BrokenMessageError,
    ChildFailure,
    parse_failure,
    parse_ready,
    read_message,
    write_message,
)

# -I: neither the working folder nor the environment decides what is imported. The child gets this process's
# import path, so that it finds this package however it was installed.
_START = f"import sys; sys.path[:] = sys.argv[1:]; from {__package__}.child import main; main()"
# For the dynamic linker, and for Python on Windows. The child gets no other variable.
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_STDERR_BYTES = 64 * 1024
_STACK_BYTES = 8 * 1024 * 1024
# The errors that a child may report; another name becomes EdgeClassifyError.
_ERRORS = {kind.__name__: kind for kind in (DelegateError, ModelFileError, RuntimeLoadError)}


@dataclass(frozen=True)
class Limits:
    """A child's limits: seconds to start and load, seconds for an inference, and bytes of memory.

    A Raspberry Pi Zero takes ten seconds to import a runtime. The memory counts from after that import: 1 GiB
    for activations, 8 MiB for each thread's stack, and eight times the file's size, since runtimes unpack and
    reorder weights (8 bits to 32 is four times, and a copy).
    """

    load_s: float = 60.0
    invoke_s: float = 30.0
    memory_base: int = 1 << 30

    def memory(self, model: Path | bytes, threads: int) -> int:
        """Return the bytes that a child may ask for to run this model."""
        size = len(model) if isinstance(model, bytes) else model.stat().st_size
        return self.memory_base + _STACK_BYTES * threads + 8 * size


DEFAULT_LIMITS = Limits()


def open_isolated(
    model: Path | bytes, execution: Execution, limits: Limits = DEFAULT_LIMITS, name: str | None = None
) -> Loaded:
    """Load a .tflite file, or its bytes, in a child process; bytes are sent to it.

    The interpreter returned has those methods that Classifier uses. Errors call the model `name`, by default
    its path or "the model". Raises as open_interpreter does, and ModelFileError when the model crashes the
    interpreter or exceeds `limits`.
    """
    isolated = IsolatedModel(model, execution, limits, name)
    return Loaded(isolated, isolated.remarks)


class IsolatedModel:
    """A child process with an interpreter, used like an interpreter with one input and one output.

    After an error the child has ended, and every later `invoke` raises the same error. Not thread-safe.
    """

    def __init__(
        self,
        model: Path | bytes,
        execution: Execution,
        limits: Limits = DEFAULT_LIMITS,
        name: str | None = None,
    ) -> None:
        """Start the child and load the model; see open_isolated."""
        self._name, self._limits = name or model_name(model), limits
        self._memory = limits.memory(model, execution.threads)
        self._failure: str | None = None
        self._timed_out = False
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        # numpy's linear algebra is not used: its threads would only take memory.
        environment["OPENBLAS_NUM_THREADS"] = "1"
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, *filter(None, sys.path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        )  # fmt: skip
        try:
            self._load(model, execution)
        except BaseException:
            self.close()
            raise

    def _load(self, model: Path | bytes, execution: Execution) -> None:
        sent = model if isinstance(model, bytes) else b""
        request = {
            "path": None if isinstance(model, bytes) else str(model),
            "name": self._name,
            "size": len(sent),
            "execution": asdict(execution) | {"untrusted": False},
            "memory": self._memory,
            "load_s": self._limits.load_s,
            "invoke_s": self._limits.invoke_s,
        }
        with self._time_limit(self._limits.load_s, "to load"):
            write_message(self._child.stdin, READY, json.dumps(request).encode())
            if sent:
                write_message(self._child.stdin, MODEL, sent)
            ready = parse_ready(self._receive(READY, MAX_JSON_BYTES))
        self.remarks = tuple(ready.remarks)
        self._inputs, self._outputs = ready.inputs, ready.outputs
        self._input: NDArray[Any] | None = None
        self._results: dict[int, NDArray[Any]] = {}

    def get_input_details(self) -> list[dict[str, Any]]:
        """Return the details of the inputs, as an interpreter does, without names."""
        return [tensor.to_details() for tensor in self._inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """Return the details of the outputs, as an interpreter does, without names."""
        return [tensor.to_details() for tensor in self._outputs]

    def set_tensor(self, index: int, values: NDArray[Any]) -> None:
        """Keep the input's values for `invoke`; raises ValueError for another tensor, shape or dtype."""
        (tensor,) = self._inputs
        if (index, values.shape, values.dtype.name) != (tensor.index, tuple(tensor.shape), tensor.dtype):
            raise ValueError(f"tensor {index} does not take {values.dtype} of {list(values.shape)}")
        self._input = np.ascontiguousarray(values)

    def invoke(self) -> None:
        """Run the model; raises ModelFileError when the child crashes, hangs or breaks the format."""
        if self._failure is not None:
            raise ModelFileError(self._failure)
        if self._input is None:
            raise ValueError("set_tensor was not called")
        results = {}
        with self._time_limit(self._limits.invoke_s, "for an inference"):
            write_message(self._child.stdin, RESULT, self._input.tobytes())
            for tensor in self._outputs:
                raw = self._receive(RESULT, tensor.size_bytes)
                if len(raw) != tensor.size_bytes:
                    raise BrokenMessageError(f"{len(raw)} bytes of {tensor.size_bytes}")
                results[tensor.index] = np.frombuffer(raw, tensor.dtype).reshape(tensor.shape)
        self._results = results

    def get_tensor(self, index: int) -> NDArray[Any]:
        """Return the output of the last `invoke`."""
        return self._results[index]

    def close(self) -> None:
        """End the child; a second call does nothing."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                with suppress(OSError):  # Bytes that were not written before the child died.
                    stream.close()

    def __del__(self) -> None:
        if hasattr(self, "_child"):  # There is none where it could not be started.
            self.close()

    def _receive(self, kind: bytes, limit: int) -> bytes:
        found, raw = read_message(self._child.stdout, max(limit, MAX_JSON_BYTES))
        if found == ERROR:
            raise _ReportedError(parse_failure(raw))
        if found != kind or len(raw) > limit:
            raise BrokenMessageError(f"message {found!r} of {len(raw)} bytes")
        return raw

    @contextmanager
    def _time_limit(self, seconds: float, purpose: str) -> Iterator[None]:
        """Kill the child unless the block ends in time, and raise failures in the block as our errors."""
        timer = threading.Timer(seconds, self._kill_late)
        timer.daemon = True
        timer.start()
        try:
            yield
        except _ReportedError as error:
            self._fail(error.failure.text, error.failure.name)
        except (EOFError, OSError):
            self._fail(self._why_it_died(seconds, purpose))
        except BrokenMessageError as error:
            self._fail(f"{self._name} made the interpreter's process send a broken message ({error})")
        finally:
            timer.cancel()

    def _kill_late(self) -> None:
        self._timed_out = True
        self._child.kill()

    def _fail(self, message: str, name: str = ModelFileError.__name__) -> NoReturn:
        self.close()
        self._failure = message
        raise _ERRORS.get(name, EdgeClassifyError)(message) from None

    def _why_it_died(self, seconds: float, purpose: str) -> str:
        status = self._child.wait()
        if self._timed_out or status == -getattr(signal, "SIGALRM", 0):
            return f"{self._name} was stopped: it took longer than {seconds:g} seconds {purpose}"
        output = self._read_stderr()
        if "bad_alloc" in output or "MemoryError" in output:
            return f"{self._name} was stopped: it asked for more than {self._memory // 2**20} MiB of memory"
        if status >= 0:
            reason = (output.splitlines() or ["it printed nothing"])[-1][:200]
            return f"{self._name}: the interpreter's process ended with exit status {status} ({reason})"
        name = signal.Signals(-status).name
        hint = ", perhaps for lack of memory" if name == "SIGKILL" else ""
        return f"{self._name} crashed the interpreter ({name}{hint}). It is damaged or hostile: do not use it"

    def _read_stderr(self) -> str:
        if self._child.stderr is None:
            return ""
        return os.read(self._child.stderr.fileno(), _STDERR_BYTES).decode(errors="replace")


class _ReportedError(Exception):
    """The child reported an error."""

    def __init__(self, failure: ChildFailure) -> None:
        super().__init__(failure.text)
        self.failure = failure
