"""Where a model's time goes: the time of each operator, who runs it, and what the machine could reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ...edge.errors import BenchmarkError
from ...edge.flatbuffer import FlatTable
from ...edge.modelfile import mapped, tables_of
from ...edge.runtime import Execution, Runtime, find_runtime
from ...edge.tflite.graph import Operator, Subgraph, read_graph
from ..results.result import Operations, OperatorTime
from . import profiler
from .best_rate import best_rate
from .macs import count_macs
from .profiler import Event, match_events
from .xnnpack import Delegation, find_delegation

_LITERT = "ai-edge-litert"
_MULTIPLIERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def measure_operations(path: Path, execution: Execution, median_ms: float) -> Operations:
    """Profile a model whose measured time is `median_ms`, with the same runtime, threads and delegate.

    Takes some seconds. Raises ModelFileError where the file cannot be read, BenchmarkError where it is empty.
    """
    with mapped(path) as data, tables_of(path):
        graph = read_graph(FlatTable.root(data)).subgraphs[0]
    if not graph.operators:
        raise BenchmarkError(f"{path} holds no operators")
    runtime = find_runtime(execution.runtime)
    delegation = find_delegation(path, graph, execution)
    events, text = _profile(path, execution, runtime)
    operators = _operations(graph, delegation, events, execution)
    counted = [operation.macs for operation in operators if operation.macs is not None]
    uncounted = tuple(dict.fromkeys(o.name for o in operators if o.macs is None and o.index is not None))
    macs = sum(counted)
    rate = macs / median_ms / 1e6 if macs else None
    best = best_rate(runtime.name, execution.threads, _compute_type(graph)) if macs else None
    bound = best.gmacs_per_s if best else None
    known = delegation.taken is not None
    return Operations(
        profiler=text,
        operators=operators,
        outside=tuple(o.name for o in operators if o.by == "the runtime") if known else None,
        macs=macs,
        uncounted=uncounted,
        gmacs_per_s=rate,
        best_gmacs_per_s=bound,
        of_best=rate / bound if rate and bound else None,
        best_shape=best.shape if best else None,
    )


def _profile(path: Path, execution: Execution, runtime: Runtime) -> tuple[list[Event] | None, str]:
    """Return the events of LiteRT's profiler and a sentence about it; None where there are none, and why."""
    name = f"{runtime.name} {runtime.version}"
    if runtime.name != _LITERT:  # The only runtime whose profiler can be reached from Python.
        return None, f"{name} has no profiler for Python; ai-edge-litert has one"
    if execution.delegate is not None:
        return None, f"{name}'s profiler cannot be used together with an external delegate"
    library = profiler.find_library(Path(runtime.module.__file__).parent)
    if library is None:
        return None, f"{name} comes without the library that holds its profiler"
    try:
        found = profiler.profile(library, path, execution.threads)
    except profiler.ProfilerError as error:
        return None, f"{name}'s profiler cannot be used: {error}"
    times = f"{found.profiled_ms:.2f} ms an inference with it, {found.plain_ms:.2f} ms without"
    return found.events, f"{name}'s own profiler ({times})"


def _operations(
    graph: Subgraph, delegation: Delegation, events: Sequence[Event] | None, execution: Execution
) -> tuple[OperatorTime, ...]:
    """Return all operators in their order, then the profiler's events that belong to none of them."""
    times: dict[int, float] = {}
    extra: list[Event] = []
    if events is not None:
        matches = match_events(events, graph.operators)
        times = {operator: events[event].ms for event, operator in matches.items()}
        extra = [event for place, event in enumerate(events) if place not in matches and event.ms > 0]
    whole = sum(event.ms for event in events or ())
    found = [
        OperatorTime(
            index=operator.index,
            name=operator.name,
            output=_shape(graph, operator),
            by=_runner(operator, delegation, execution),
            ms=times.get(operator.index),
            share=times[operator.index] / whole if whole and operator.index in times else None,
            macs=count_macs(operator, graph),
            bytes=_bytes(operator, graph),
        )
        for operator in graph.operators
    ]
    found += [
        OperatorTime(
            None, e.name, "", "XNNPACK" if e.delegated else "the runtime", e.ms, e.ms / whole, None, None
        )
        for e in extra
    ]
    return tuple(found)


def _runner(operator: Operator, delegation: Delegation, execution: Execution) -> str | None:
    if delegation.taken is None:
        return None
    if operator.index in delegation.delegated:
        return execution.delegate
    return "XNNPACK" if operator.index in delegation.taken else "the runtime"


def _shape(graph: Subgraph, operator: Operator) -> str:
    shape = graph.tensors[operator.outputs[0]].shape if operator.outputs else ()
    return "x".join(map(str, shape[1:] if len(shape) > 1 else shape))


def _bytes(operator: Operator, graph: Subgraph) -> int | None:
    """Return the bytes of inputs, weights and outputs; None for types without a fixed size."""
    total = 0
    for index in (*operator.inputs, *operator.outputs):
        tensor = graph.tensors[index]
        if tensor.constant_bytes:
            total += tensor.constant_bytes
        elif tensor.bits is None:
            return None
        else:
            total += math.prod(tensor.shape) * tensor.bits // 8
    return total


def _compute_type(graph: Subgraph) -> str:
    """Return "int8" where most multiplications have such weights, else "float32"."""
    stored = graph.weights_of()
    macs = {"int8": 0, "float32": 0}
    for operator in graph.operators:
        if operator.name in _MULTIPLIERS and len(operator.inputs) > 1:
            weights = stored.get(operator.inputs[1])
            kind = "int8" if weights is not None and (weights.bits or 32) <= 8 else "float32"
            macs[kind] += count_macs(operator, graph) or 0
    return "int8" if macs["int8"] > macs["float32"] else "float32"
