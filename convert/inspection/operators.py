"""Each operator of a .tflite with its weights and costs, and sums by kind and by type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...benchmarks.operations.macs import count_macs
from ...benchmarks.operations.xnnpack import Delegation
from ...edge.tflite.graph import Graph, Operator, Tensor


@dataclass(frozen=True)
class InspectedOperator:
    """An operator, with the facts that follow from its tensors.

    `output` is the first output, `weights` the first constant of two sides or more that it uses.
    `weight_bytes` counts a constant that several operators use with the first of them. `macs` are
    multiply-accumulates, and `xnnpack` is whether XNNPACK takes the operator; both are None where they are
    not known.
    """

    operator: Operator
    output: Tensor | None
    weights: Tensor | None
    weight_bytes: int
    macs: int | None
    xnnpack: bool | None


@dataclass(frozen=True)
class Operation:
    """All operators of one kind and version; `weight_share` is of all operators' weights, 0..1."""

    name: str
    version: int
    custom: bool
    count: int
    weight_bytes: int
    weight_share: float
    macs: int | None
    xnnpack: int | None


@dataclass(frozen=True)
class StoredValues:
    """The constants of one type: the number of tensors, and bytes."""

    dtype: str
    tensors: int
    bytes: int


def look_at_operators(graph: Graph, delegation: Delegation) -> tuple[InspectedOperator, ...]:
    """Return the operators of all subgraphs; XNNPACK is known for the first subgraph only."""
    counted: set[int] = set()
    taken = None if delegation.taken is None else set(delegation.taken)
    found = []
    for number, subgraph in enumerate(graph.subgraphs):
        stored = subgraph.weights_of()
        for operator in subgraph.operators:
            unpacks = operator.inputs[:1] and operator.outputs[:1] and operator.outputs[0] in stored
            uses = [] if unpacks else [stored[index] for index in operator.inputs if index in stored]
            fresh = {tensor.buffer: tensor.constant_bytes for tensor in uses if tensor.buffer not in counted}
            counted |= fresh.keys()
            known = number == 0 and taken is not None
            found.append(
                InspectedOperator(
                    operator=operator,
                    output=subgraph.tensors[operator.outputs[0]] if operator.outputs else None,
                    weights=next((tensor for tensor in uses if len(tensor.shape) > 1), None),
                    weight_bytes=sum(fresh.values()),
                    macs=count_macs(operator, subgraph),
                    xnnpack=operator.index in (taken or ()) if known else None,
                )
            )
    return tuple(found)


def _operation(key: tuple[str, int, bool], items: list[InspectedOperator], total: int) -> Operation:
    size = sum(item.weight_bytes for item in items)
    macs = [item.macs for item in items]
    flags = [item.xnnpack for item in items]
    return Operation(
        *key,
        count=len(items),
        weight_bytes=size,
        weight_share=size / total if total else 0.0,
        macs=None if None in macs else sum(filter(None, macs)),
        xnnpack=None if None in flags else sum(map(bool, flags)),
    )


def group_by_kind(operators: Sequence[InspectedOperator]) -> tuple[Operation, ...]:
    """Return sums by name and version, the kind with the most weights first."""
    groups: dict[tuple[str, int, bool], list[InspectedOperator]] = {}
    for item in operators:
        key = (item.operator.name, item.operator.version, item.operator.custom)
        groups.setdefault(key, []).append(item)
    total = sum(item.weight_bytes for item in operators)
    found = [_operation(key, items, total) for key, items in groups.items()]
    return tuple(sorted(found, key=lambda item: (-item.weight_bytes, -item.count, item.name)))


def group_by_type(graph: Graph) -> tuple[StoredValues, ...]:
    """Return the sums of constants by type, the largest first; a constant that tensors share counts once."""
    tensors = {t.buffer: t for g in graph.subgraphs for t in g.tensors if t.constant_bytes}
    counts = Counter(tensor.dtype for tensor in tensors.values())
    sizes: Counter[str] = Counter()
    for tensor in tensors.values():
        sizes[tensor.dtype] += tensor.constant_bytes
    return tuple(StoredValues(dtype, counts[dtype], size) for dtype, size in sizes.most_common())
