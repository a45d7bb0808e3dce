"""The child process of parent.py: loads one model and runs it until its standard input ends.

It limits itself before it opens the model, so that it ends even where the parent was killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import EdgeClassifyError, error_text
from ..runtime import Execution, find_runtime, open_interpreter
from .messages import (
    ERROR,
    MAX_JSON_BYTES,
    MAX_TENSOR_BYTES,
    MAX_TEXT,
    READY,
    RESULT,
    TensorDetails,
    read_message,
    write_message,
)


def main() -> None:
    """Serve the parent, which holds the other ends of the pipes."""
    answers = _claim_stdout()
    _ignore_signals()
    try:
        _serve(sys.stdin.buffer, answers)
    except (EOFError, BrokenPipeError):  # The parent has ended, or closed the pipe.
        pass
    except EdgeClassifyError as error:
        _report(answers, type(error).__name__, str(error))
    except (ValueError, RuntimeError, TypeError) as error:  # Runtimes raise them for damaged models.
        _report(answers, "ModelFileError", f"the model cannot be run ({error_text(error)})")


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    _, raw = read_message(requests, MAX_JSON_BYTES)
    request = json.loads(raw)
    options = request["execution"]
    options["delegate_options"] = tuple(map(tuple, options["delegate_options"]))
    execution = Execution(**options)
    find_runtime(execution.runtime)  # The memory of the runtime itself does not count.
    _limit_resources(request["memory"])
    with _ends_after(request["load_s"]):
        model = Path(request["path"]) if request["path"] else read_message(requests, request["size"])[1]
        loaded = open_interpreter(model, execution, request["name"])
    interpreter = loaded.interpreter
    inputs, outputs = (
        [TensorDetails.from_details(details) for details in side]
        for side in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    tensors = {"inputs": [vars(t) for t in inputs], "outputs": [vars(t) for t in outputs]}
    write_message(answers, READY, json.dumps({**tensors, "remarks": loaded.remarks}).encode())
    while True:
        _, raw = read_message(requests, MAX_TENSOR_BYTES)
        values = np.frombuffer(raw, inputs[0].dtype).reshape(inputs[0].shape)
        with _ends_after(request["invoke_s"]):
            interpreter.set_tensor(inputs[0].index, values)
            interpreter.invoke()
            results = [interpreter.get_tensor(output.index) for output in outputs]
        for result in results:
            write_message(answers, RESULT, np.ascontiguousarray(result).tobytes())


def _report(answers: IO[bytes], name: str, text: str) -> None:
    write_message(answers, ERROR, json.dumps({"name": name, "text": text[:MAX_TEXT]}).encode())


def _claim_stdout() -> IO[bytes]:
    """Return the pipe to the parent. Output of native code goes to stderr, without waiting for a reader."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if os.name == "posix":
        os.set_blocking(2, False)
    return pipe


def _ignore_signals() -> None:
    """Ignore Ctrl-C and the end of a service: the parent handles them, and its end closes the pipe."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


@contextmanager
def _ends_after(seconds: float) -> Iterator[None]:
    """Have the system end this process a second after the parent's limit, whatever native code does."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def _limit_resources(memory: int) -> None:
    """Forbid more than `memory` further bytes, writing files and core dumps, where the system has limits."""
    try:
        import resource
    except ImportError:  # Windows has none.
        return
    _lower(resource, resource.RLIMIT_CORE, 0)
    _lower(resource, resource.RLIMIT_FSIZE, 0)
    statistics = Path("/proc/self/statm")  # Pages: all, resident, shared, code, libraries, data (proc(5)).
    if statistics.exists():
        used = int(statistics.read_text().split()[5]) * resource.getpagesize()
        _lower(resource, resource.RLIMIT_DATA, used + memory)


def _lower(resource: Any, kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))
