"""How the runtime runs a model file on this machine: in a child process, since a bad file may crash it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ..child_loop import answer_questions
from ..children import ask
from ..errors import EdgeClassifyError, MissingPackageError, ModelFileError, RuntimeLoadError, error_text
from ..runtime import Execution, find_runtime, open_interpreter

_SECONDS = 30  # To load and time a model on a slow board.
_WARM_UP, _RUNS = 2, 30
_BUDGET_SECONDS = 1.0
_START = f"from {__name__} import main; main()"


@dataclass(frozen=True)
class Probe:
    """How a model ran: the `dtype` of its input, and the median of `runs` inferences in milliseconds.

    `operators` is the number of the model's operators, and `taken` how many of them a delegate computes
    (XNNPACK where no other was asked for); both are None where the runtime does not list them. `remarks` are
    sentences for the user.
    """

    runtime: str
    dtype: str
    infer_ms: float
    runs: int
    operators: int | None
    taken: int | None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotRun:
    """Why a model could not be run, in a sentence; `no_runtime` where no model at all can be."""

    reason: str
    no_runtime: bool = False


def probe(path: Path, execution: Execution, checked: bytes | None = None) -> Probe | NotRun:
    """Load the model and run it on noise; with `checked`, only where the file has these bytes."""
    digest = None if checked is None else hashlib.sha256(checked).hexdigest()
    question = {"path": str(path.resolve()), "execution": asdict(execution), "sha256": digest}
    reply = ask(_START, question=question, timeout=_SECONDS)
    if reply.answer is None:
        return NotRun(f"loading or running it in the runtime {reply.reason}")
    if "error" in reply.answer:
        reason = str(reply.answer["error"]).removeprefix(f"{path.resolve()}: ")
        return NotRun(reason, reply.answer["no_runtime"])
    return Probe(**{**reply.answer, "remarks": tuple(reply.answer["remarks"])})


def main() -> None:
    """Serve `probe` in the child process."""
    answer_questions(_answer)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    settings = question["execution"]
    options = tuple((key, value) for key, value in settings.pop("delegate_options"))
    try:
        model = _read(Path(question["path"]), question["sha256"])
        return asdict(_run(model, Execution(**settings, delegate_options=options)))
    except (EdgeClassifyError, RuntimeError, ValueError, MemoryError, OSError) as error:
        no_runtime = isinstance(error, (MissingPackageError, RuntimeLoadError))
        return {"error": error_text(error), "no_runtime": no_runtime}


def _read(path: Path, sha256: str | None) -> Path | bytes:
    """Return a file to run, or its bytes where they must have a checksum; raises ModelFileError."""
    if sha256 is None:
        return path
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelFileError("it was replaced after its signature had been checked")
    return data


def _run(model: Path | bytes, execution: Execution) -> Probe:
    runtime = find_runtime(execution.runtime)
    opened = open_interpreter(model, replace(execution, untrusted=False))
    loaded = opened.interpreter
    given = loaded.get_input_details()[0]
    dtype = np.dtype(given["dtype"])
    noise = np.random.default_rng(0).integers(0, 128, given["shape"]).astype(dtype)
    loaded.set_tensor(given["index"], noise)
    times: list[float] = []
    end = time.perf_counter() + _BUDGET_SECONDS
    while len(times) < _WARM_UP + _RUNS and (len(times) <= _WARM_UP or time.perf_counter() < end):
        started = time.perf_counter()
        loaded.invoke()
        times.append(time.perf_counter() - started)
    timed = times[_WARM_UP:]
    operators, taken = _delegated(loaded)
    name = f"{runtime.name} {runtime.version}"
    return Probe(name, dtype.name, median(timed) * 1000, len(timed), operators, taken, opened.remarks)


def _delegated(loaded: Any) -> tuple[int | None, int | None]:
    """Return how many operators there are, and how many of them a delegate takes.

    For each group of operators that a delegate takes, the runtime adds a node DELEGATE with the inputs and
    outputs of the group; the operators between them were taken.
    """
    try:
        nodes = loaded._get_ops_details()
    except (AttributeError, ValueError):  # No public function lists them; a name is not UTF-8.
        return None, None
    groups = [node for node in nodes if node["op_name"] == "DELEGATE"]
    operators = [node for node in nodes if node["op_name"] != "DELEGATE"]
    taken: set[int] = set()
    for group in groups:
        taken |= _between(operators, group["inputs"], group["outputs"])
    return len(operators), len(taken)


def _between(operators: Sequence[dict[str, Any]], inputs: Any, outputs: Any) -> set[int]:
    """Return the positions of the operators on the way from the tensors `outputs` back to `inputs`."""
    makers = {int(tensor): place for place, node in enumerate(operators) for tensor in node["outputs"]}
    stop, pending = {int(t) for t in inputs}, [int(t) for t in outputs]
    members: set[int] = set()
    while pending:
        tensor = pending.pop()
        place = makers.get(tensor)
        if place is None or tensor in stop or place in members:
            continue
        members.add(place)
        pending += [int(t) for t in operators[place]["inputs"]]
    return members
