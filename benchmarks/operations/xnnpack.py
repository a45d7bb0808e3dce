"""Which operators XNNPACK and a delegate take on this machine, as the runtime reports it in a child process.

The runtime applies XNNPACK when it loads a model: it adds a DELEGATE node for each group of operators that
XNNPACK takes. The node's inputs and outputs are those of the group, weights included, so that walking from
the outputs back to the inputs gives the group. Loading runs native code on a file that may be damaged; if
that crashes or never ends, only the child process does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...edge.child_loop import answer_questions
from ...edge.children import ask
from ...edge.delegates import load_delegate
from ...edge.errors import EdgeClassifyError, error_text
from ...edge.quiet import silenced
from ...edge.runtime import REFUSALS, Execution, find_runtime
from ...edge.tflite.graph import Subgraph

_TIMEOUT_S = 60.0
_NODE = "DELEGATE"
_MEMORY = 4 << 30  # Bytes of address space, and eight times the file: a shape may ask for any amount.
_START = f"from {__name__} import main; main()"


@dataclass(frozen=True)
class Delegation:
    """Which operators of the first subgraph XNNPACK takes.

    `taken` holds the operators' indices and `groups` is the number of DELEGATE nodes. Both are None where
    they are not known, and `reason` says why. `runtime` is the package's name and version. `delegated` holds
    the indices of the operators that an external delegate takes before XNNPACK.
    """

    runtime: str | None
    taken: tuple[int, ...] | None
    groups: int | None
    reason: str | None
    delegated: tuple[int, ...] = ()


def find_delegation(path: Path, graph: Subgraph, execution: Execution | None = None) -> Delegation:
    """Return what XNNPACK takes of the model on this machine, or the reason why that is not known."""
    how = execution or Execution()
    question = {
        "path": str(path.resolve()),
        "runtime": how.runtime,
        "delegate": how.delegate,
        "options": how.delegate_options,
    }
    reply = ask(_START, question=question, timeout=_TIMEOUT_S)
    answer = reply.answer
    if answer is None:
        return Delegation(None, None, None, f"the runtime {reply.reason}")
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


def main() -> None:
    """Serve `find_delegation` in the child process."""
    answer_questions(_answer)


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    path = Path(question["path"])
    _limit_memory(path)
    try:
        return _load(path, question)
    except (EdgeClassifyError, RuntimeError, MemoryError) as error:
        return {"error": error_text(error)}


def _load(path: Path, question: dict[str, Any]) -> dict[str, Any]:
    """Return the names of the operators, and the groups that XNNPACK and the delegate take."""
    runtime = find_runtime(question["runtime"])
    name = f"{runtime.name} {runtime.version}"
    library, options = question["delegate"], {}
    try:
        if library is not None:
            loaded = load_delegate(runtime.module.load_delegate, library, question["options"])
            options = {"experimental_delegates": [loaded]}
        with silenced():
            interpreter = runtime.create(path, 1, **options)
            before = _groups(interpreter._get_ops_details())
            interpreter.allocate_tensors()  # Now the runtime applies XNNPACK to what is left.
        nodes = interpreter._get_ops_details()
    except REFUSALS as error:  # It refuses the model, or a name is not UTF-8.
        return {"runtime": name, "error": f"{name} cannot run it ({error_text(error)})"}
    except EdgeClassifyError as error:
        return {"runtime": name, "error": str(error).removeprefix(f"{path}: ")}
    except AttributeError:  # No public function lists them.
        return {"runtime": name, "error": f"{name} does not list its operators"}
    names = [node["op_name"] for node in nodes if node["op_name"] != _NODE]
    groups = [group for group in _groups(nodes) if group not in before]
    return {"runtime": name, "names": names, "groups": groups, "delegated": before}


def _groups(nodes: Sequence[dict[str, Any]]) -> list[list[list[int]]]:
    """Return the inputs and outputs, as indices of tensors, of each DELEGATE node."""
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
