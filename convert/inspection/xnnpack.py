"""Which operators XNNPACK takes on this machine: asked of the runtime, in a process of its own.

The runtime applies XNNPACK when it loads a model: it puts a DELEGATE node for each group of operators that
XNNPACK takes, whose inputs and outputs are all that goes in and comes out of the group, weights included.
Walking from the outputs back to the inputs gives the group. Loading runs native code on a file that may be
damaged; if that crashes or never ends, only the child does.

The child runs `main` with the file as its argument, and prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...edge.errors import EdgeClassifyError
from ...edge.runtime import find_runtime, load_interpreter
from .graph import Subgraph

_TIMEOUT_S = 60
_MEMORY = 4 << 30  # Bytes of address space, and eight times the file: a shape may ask for any amount.
# Without the working folder on the path: a user's numpy.py there is not ours to import.
_START = f"import sys; sys.path[:] = filter(None, sys.path); from {__name__} import main; main()"


@dataclass(frozen=True)
class Delegation:
    """What XNNPACK takes of the first subgraph.

    `taken` holds the operators' indices and `groups` is the number of DELEGATE nodes. Both are None where it
    can't be known, and `reason` says why. `runtime` is the package's name and version.
    """

    runtime: str | None
    taken: tuple[int, ...] | None
    groups: int | None
    reason: str | None


def find_delegation(path: Path, graph: Subgraph) -> Delegation:
    """Return what XNNPACK takes of the model on this machine; a model that cannot be loaded is `reason`."""
    command = [sys.executable, "-c", _START, str(path.resolve())]
    try:
        result = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Delegation(None, None, None, f"the runtime did not load it within {_TIMEOUT_S} seconds")
    try:
        answer = json.loads(result.stdout)
    except ValueError:
        return Delegation(None, None, None, f"the runtime crashed on it (exit status {result.returncode})")
    if "error" in answer:
        return Delegation(answer.get("runtime"), None, None, answer["error"])
    if answer["names"] != [operator.name for operator in graph.operators]:
        return Delegation(answer["runtime"], None, None, "the runtime lists other operators than the file")
    taken = {index for group in answer["groups"] for index in _members(graph, *group)}
    return Delegation(answer["runtime"], tuple(sorted(taken)), len(answer["groups"]), None)


def _members(graph: Subgraph, inputs: list[int], outputs: list[int]) -> set[int]:
    """Return the operators between a group's `inputs` and `outputs`, which are indices of tensors."""
    makers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    members: set[int] = set()
    stop, pending = set(inputs), list(outputs)
    while pending:
        operator = makers.get(tensor := pending.pop())
        if operator is None or tensor in stop or operator.index in members:
            continue
        members.add(operator.index)
        pending += operator.inputs
    return members


def _ask_runtime(path: Path) -> dict[str, Any]:
    runtime = find_runtime()
    name = f"{runtime.name} {runtime.version}"
    try:
        interpreter = load_interpreter(path, 1)
        nodes = interpreter._get_ops_details()
    except ValueError as error:  # A name that is not UTF-8.
        return {"runtime": name, "error": f"{name} cannot list its operators ({error})"}
    except EdgeClassifyError as error:
        return {"runtime": name, "error": str(error).removeprefix(f"{path}: ")}
    except AttributeError:  # No public function tells it.
        return {"runtime": name, "error": f"{name} does not tell its operators"}
    groups = [
        [[int(t) for t in node[side]] for side in ("inputs", "outputs")]
        for node in nodes
        if node["op_name"] == "DELEGATE"
    ]
    names = [node["op_name"] for node in nodes if node["op_name"] != "DELEGATE"]
    return {"runtime": name, "names": names, "groups": groups}


def _limit_memory(path: Path) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return
    size = _MEMORY + 8 * path.stat().st_size
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size if hard < 0 else min(size, hard), hard))


def main() -> None:
    """Load the model that the command line names, and print its operators and groups as JSON."""
    path = Path(sys.argv[1])
    _limit_memory(path)
    try:
        answer = _ask_runtime(path)
    except (EdgeClassifyError, RuntimeError, MemoryError) as error:
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    sys.stdout.write(json.dumps(answer))
