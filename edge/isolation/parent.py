"""Runs the interpreter in a child process, for models that are not trusted.

A damaged or hostile model can crash the runtime, never end, ask for any amount of memory, or take the runtime
over. Then only the child dies, or is taken over, which has given up what it can (sandbox.py), and the parent
raises ModelFileError.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import DelegateError, EdgeClassifyError, ModelFileError, RuntimeLoadError, model_name
from ..runtime import Execution, Loaded
from .messages import MAX_JSON_BYTES, MODEL, READY, RESULT, parse_ready
from .process import ChildEndedError, IsolatedProcess, ReportedError

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
    return Loaded(isolated, isolated.remarks, isolated.missing)


class IsolatedModel:
    """A child process with an interpreter, used like an interpreter with one input and one output.

    After an error the child has ended, and every later `invoke` raises the same error. `missing` is what the
    child could not give up: sentences as sandbox.enter returns them. Not thread-safe.
    """

    def __init__(
        self,
        model: Path | bytes,
        execution: Execution,
        limits: Limits = DEFAULT_LIMITS,
        name: str | None = None,
    ) -> None:
        """Start the child and load the model; see open_isolated."""
        self._limits = limits
        self._memory = limits.memory(model, execution.threads)
        self._failure: str | None = None
        self._process = IsolatedProcess("child", "interpreter", self._memory, name or model_name(model))
        try:
            self._load(model, execution)
        except BaseException:
            self.close()
            raise

    def _load(self, model: Path | bytes, execution: Execution) -> None:
        sent = model if isinstance(model, bytes) else b""
        request = {
            "path": None if isinstance(model, bytes) else str(model),
            "name": self._process.subject,
            "size": len(sent),
            "execution": asdict(execution) | {"untrusted": False},
            "memory": self._memory,
            "load_s": self._limits.load_s,
            "invoke_s": self._limits.invoke_s,
        }
        with self._failing(), self._process.time_limit(self._limits.load_s, "to load"):
            self._process.send_json(request)
            if isinstance(model, bytes):
                self._process.send(MODEL, sent)
            ready = parse_ready(self._process.receive(READY, MAX_JSON_BYTES))
        self.remarks, self.missing = tuple(ready.remarks), tuple(ready.missing)
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
        with self._failing(), self._process.time_limit(self._limits.invoke_s, "for an inference"):
            self._process.send(RESULT, self._input.tobytes())
            for tensor in self._outputs:
                raw = self._process.receive_exactly(RESULT, tensor.size_bytes)
                results[tensor.index] = np.frombuffer(raw, tensor.dtype).reshape(tensor.shape)
        self._results = results

    def get_tensor(self, index: int) -> NDArray[Any]:
        """Return the output of the last `invoke`."""
        return self._results[index]

    def close(self) -> None:
        """End the child; a second call does nothing."""
        self._process.close()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Raise failures in the block as our errors, from now on."""
        try:
            yield
        except ReportedError as error:
            self._fail(error.failure.text, error.failure.name)
        except ChildEndedError as error:
            self._fail(str(error))

    def _fail(self, message: str, name: str = ModelFileError.__name__) -> NoReturn:
        self.close()
        self._failure = message
        raise _ERRORS.get(name, EdgeClassifyError)(message) from None
