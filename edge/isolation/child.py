"""The child process of parent.py: loads one model and runs it until its standard input ends.

It limits itself before it opens the model, so that it ends even where the parent was killed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import EdgeClassifyError, error_text
from ..runtime import Execution, Runtime, find_runtime, open_interpreter
from .child_pipes import claim_stdout, ends_after, report
from .messages import (
    MAX_JSON_BYTES,
    MAX_TENSOR_BYTES,
    READY,
    RESULT,
    TensorDetails,
    read_message,
    write_message,
)
from .sandbox import enter, limit_resources


def main() -> None:
    """Serve the parent, which holds the other ends of the pipes."""
    answers = claim_stdout()
    try:
        _serve(sys.stdin.buffer, answers)
    except (EOFError, BrokenPipeError):  # The parent has ended, or closed the pipe.
        pass
    except EdgeClassifyError as error:
        report(answers, type(error).__name__, str(error))
    except (ValueError, RuntimeError, TypeError) as error:  # Runtimes raise them for damaged models.
        report(answers, "ModelFileError", f"the model cannot be run ({error_text(error)})")


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    _, raw = read_message(requests, MAX_JSON_BYTES)
    request = json.loads(raw)
    options = request["execution"]
    options["delegate_options"] = tuple(map(tuple, options["delegate_options"]))
    execution = Execution(**options)
    path = Path(request["path"]) if request["path"] is not None else None
    runtime = find_runtime(execution.runtime)  # The memory of the runtime itself does not count.
    missing = _give_up(path, execution, runtime, request["memory"])
    with ends_after(request["load_s"]):
        model = path or read_message(requests, request["size"])[1]
        loaded = open_interpreter(model, execution, request["name"])
    interpreter = loaded.interpreter
    inputs, outputs = (
        [TensorDetails.from_details(details) for details in side]
        for side in (interpreter.get_input_details(), interpreter.get_output_details())
    )
    tensors = {"inputs": [vars(t) for t in inputs], "outputs": [vars(t) for t in outputs]}
    said = {"remarks": loaded.remarks, "missing": missing}
    write_message(answers, READY, json.dumps(tensors | said).encode())
    while True:
        _, raw = read_message(requests, MAX_TENSOR_BYTES)
        values = np.frombuffer(raw, inputs[0].dtype).reshape(inputs[0].shape)
        with ends_after(request["invoke_s"]):
            interpreter.set_tensor(inputs[0].index, values)
            interpreter.invoke()
            results = [interpreter.get_tensor(output.index) for output in outputs]
        for result in results:
            write_message(answers, RESULT, np.ascontiguousarray(result).tobytes())


def _give_up(path: Path | None, execution: Execution, runtime: Runtime, memory: int) -> tuple[str, ...]:
    """Enter the sandbox; return what could not be had, as sandbox.enter does."""
    if execution.delegate is not None:  # Drivers of accelerators open devices and load code at any time.
        limit = f"the driver of {execution.delegate} needs devices, and may need anything else"
        return (*limit_resources(memory), f"its processes have all the rights of their user ({limit})")
    _ = runtime.version  # Errors name it; later its file could not be read.
    return enter([path] if path is not None else [], memory)
