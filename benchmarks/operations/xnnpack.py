"""Which operators XNNPACK and a delegate take on this machine: asked of the runtime, in a process of its own.

The runtime applies XNNPACK when it loads a model: it puts a DELEGATE node for each group of operators that
XNNPACK takes, whose inputs and outputs are all that goes in and comes out of the group, weights included.
Walking from the outputs back to the inputs gives the group. Loading runs native code on a file that may be
damaged; if that crashes or never ends, only the child does.

The child runs `main` with the file and how it is run as arguments, and prints one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...edge.delegates import load_delegate
from ...edge.errors import EdgeClassifyError, error_text
from ...edge.quiet import silenced
from ...edge.runtime import REFUSALS, Execution, find_runtime
from ...edge.tflite.graph import Subgraph

_TIMEOUT_S = 60
_NODE = "DELEGATE"
_MEMORY = 4 << 30  # Bytes of address space, and eight times the file: a shape may ask for any amount.
# Without the working folder on the path: a user's numpy.py there is not ours to import.
_START = f"import sys; sys.path[:] = filter(None, sys.path); from {__name__} import main; main()"


@dataclass(frozen=True)
class Delegation:
    """What XNNPACK takes of the first subgraph.

    `taken` holds the operators' indices and `groups` is the number of its nodes. Both are None where it can't
    be known, and `reason` says why. `runtime` is the package's name and version. `delegated` are the indices
    of what an external delegate takes, which comes first.
    """

    runtime: str | None
    taken: tuple[int, ...] | None
    groups: int | None
    reason: str | None
    delegated: tuple[int, ...] = ()


def find_delegation(path: Path, graph: Subgraph, execution: Execution | None = None) -> Delegation:
    """Return what XNNPACK takes of the model on this machine; a model that cannot be loaded is `reason`."""
    how = execution or Execution()
    settings = {"runtime": how.runtime, "delegate": how.delegate, "options": how.delegate_options}
    command = [sys.executable, "-c", _START, str(path.resolve()), json.dumps(settings)]
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
    taken, delegated = (
        {index for group in answer[key] for index in _members(graph, *group)}
        for key in ("groups", "delegated")
    )
    return Delegation(
        answer["runtime"], tuple(sorted(taken)), len(answer["groups"]), None, tuple(sorted(delegated))
    )


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


def _ask_runtime(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    runtime = find_runtime(settings["runtime"])
    name = f"{runtime.name} {runtime.version}"
    library, options = settings["delegate"], {}
    try:
        if library is not None:
            loaded = load_delegate(runtime.module.load_delegate, library, settings["options"])
            options = {"experimental_delegates": [loaded]}
        with silenced():
            interpreter = runtime.create(path, 1, **options)
            before = _groups(interpreter._get_ops_details())
            interpreter.allocate_tensors()  # Now the runtime applies XNNPACK to what is left.
        nodes = interpreter._get_ops_details()
    except REFUSALS as error:  # Of the model, or of a name that is not UTF-8.
        return {
            "runtime": name,
            "error": f"{name} cannot run it ({error_text(error)})",
        }
    except EdgeClassifyError as error:
        return {"runtime": name, "error": str(error).removeprefix(f"{path}: ")}
    except AttributeError:  # No public function tells it.
        return {"runtime": name, "error": f"{name} does not tell its operators"}
    names = [node["op_name"] for node in nodes if node["op_name"] != _NODE]
    groups = [group for group in _groups(nodes) if group not in before]
    return {"runtime": name, "names": names, "groups": groups, "delegated": before}


def _groups(nodes: Sequence[dict[str, Any]]) -> list[list[list[int]]]:
    """Return inputs and outputs, as indices of tensors, of each node that a delegate made of operators."""
    return [
        [[int(t) for t in node[side]] for side in ("inputs", "outputs")]
        for node in nodes
        if node["op_name"] == _NODE
    ]


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
        answer = _ask_runtime(path, json.loads(sys.argv[2]))
    except (EdgeClassifyError, RuntimeError, MemoryError) as error:
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    sys.stdout.write(json.dumps(answer))
