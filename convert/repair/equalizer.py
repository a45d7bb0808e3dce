"""Makes the ranges of a float model's channels alike, with the same answers, so that 8 bits suffice for all.

Where a layer is linear, one of its output channels can be divided by a number that the next layers' weights
for it are multiplied by (cross-layer equalization: Nagel et al., Data-free quantization through weight
equalization and bias correction, ICCV 2019, section 4.1). The numbers balance activations as observed against
weights, as s = sqrt(max |x| / max |w|) does (Xiao et al., SmoothQuant, ICML 2023, equation 4, alpha 0.5).
They are rounded to powers of two: floating point then gives the very same answers.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ..tflite.flatgraph import is_constant, operation_of, pack, unpack
from ..tflite.ranges import Ranges

_NONE, _RELU = schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU
# Axis of the output channels and of the input channels in the weights.
_AXES = {"CONV_2D": (0, 3), "DEPTHWISE_CONV_2D": (3, 3), "FULLY_CONNECTED": (0, 1)}
_PASSING = ("ADD", "AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "PAD", "RELU")
_LARGEST_STEP = 20  # Powers of two: a channel a million times smaller is dead.


@dataclass
class _Group:
    """Tensors whose channels must share their factors, since additions or pooling join them."""

    tensors: set[int] = field(default_factory=set)
    producers: list[Any] = field(default_factory=list)
    consumers: list[Any] = field(default_factory=list)
    blocked: bool = False


def equalize(float_model: bytes, ranges: Ranges) -> bytes | None:
    """Return the model with channels of like range, or None where there is nothing to change.

    Its answers and the indices of its tensors are the same; the ranges must be observed again.
    """
    model = unpack(float_model)
    changed = False
    for group in _find_groups(model):
        exponents = _exponents(model, group, ranges)
        if exponents is None or not exponents.any():
            continue
        for operator in group.producers:
            _scale_outputs(model, operator, np.ldexp(np.float32(1), -exponents))
        for operator in group.consumers:
            axis = _AXES[operation_of(model, operator)][1]
            _scale(model, operator, 1, np.ldexp(np.float32(1), exponents), axis)
        changed = True
    return pack(model) if changed else None


def _find_groups(model: Any) -> list[_Group]:
    graph = model.subgraphs[0]
    leader = list(range(len(graph.tensors)))

    def find(tensor: int) -> int:
        while leader[tensor] != tensor:
            tensor = leader[tensor]
        return tensor

    for operator in graph.operators:
        if _passes(model, operator):
            for tensor in _computed(model, operator):
                leader[find(tensor)] = find(int(operator.outputs[0]))
    groups: dict[int, _Group] = {}
    for operator in graph.operators:
        output = groups.setdefault(find(int(operator.outputs[0])), _Group())
        output.tensors.add(int(operator.outputs[0]))
        if _passes(model, operator):
            continue
        _join(model, operator, output.producers, output, producing=True)
        for tensor in _computed(model, operator):
            group = groups.setdefault(find(tensor), _Group())
            _join(model, operator, group.consumers, group, producing=False)
    for tensor in (*graph.inputs, *graph.outputs):
        groups.setdefault(find(int(tensor)), _Group()).blocked = True
    return [group for group in groups.values() if not group.blocked and group.producers and group.consumers]


def _join(model: Any, operator: Any, members: list[Any], group: _Group, producing: bool) -> None:
    weights = [int(tensor) for tensor in operator.inputs[1:] if tensor >= 0]
    fits = _axes(model, operator) is not None and all(is_constant(model, tensor) for tensor in weights)
    if fits and producing:
        fits = operator.builtinOptions.fusedActivationFunction in (_NONE, _RELU)
    group.blocked |= not fits
    members.append(operator)


def _passes(model: Any, operator: Any) -> bool:
    """Return whether scaling a channel of all inputs scales that channel of the output alike."""
    if operation_of(model, operator) not in _PASSING:
        return False
    if getattr(operator.builtinOptions, "fusedActivationFunction", _NONE) not in (_NONE, _RELU):
        return False
    tensors = model.subgraphs[0].tensors
    computed = _computed(model, operator)
    if operation_of(model, operator) == "ADD" and len(computed) != 2:
        return False  # A constant that is added would have to be scaled too.
    channels = {int(tensors[tensor].shape[-1]) for tensor in (*computed, int(operator.outputs[0]))}
    ranks = {len(tensors[tensor].shape) for tensor in computed}
    return len(channels) == 1 and len(ranks) == 1


def _computed(model: Any, operator: Any) -> list[int]:
    return [int(tensor) for tensor in operator.inputs if tensor >= 0 and not is_constant(model, int(tensor))]


def _axes(model: Any, operator: Any) -> tuple[int, int] | None:
    operation = operation_of(model, operator)
    if operation == "DEPTHWISE_CONV_2D" and operator.builtinOptions.depthMultiplier != 1:
        return None
    if operation not in _AXES or len(_computed(model, operator)) != 1:
        return None
    tensors = model.subgraphs[0].tensors
    axes = _AXES[operation]
    given, weights = tensors[operator.inputs[0]], tensors[operator.inputs[1]]
    # A dense layer after a flattening reads several values a channel, and a grouped one shares weights.
    return axes if given.shape[-1] == weights.shape[axes[1]] else None


def _exponents(model: Any, group: _Group, ranges: Ranges) -> NDArray[np.int64] | None:
    """Return log2 of the divisor of each channel of the group, int64 [channels]."""
    seen = [ranges.tensors[tensor] for tensor in sorted(group.tensors) if tensor in ranges.tensors]
    if not seen:
        return None
    reach = np.max([np.maximum(np.abs(r.channel_minimum), np.abs(r.channel_maximum)) for r in seen], axis=0)
    weights = np.max([_reach_of_inputs(model, operator) for operator in group.consumers], axis=0)
    alive = (reach > 0) & (weights > 0)
    if not alive.any():
        return None
    steps = np.zeros(len(reach))
    steps[alive] = 0.5 * np.log2(reach[alive].astype(np.float64) / weights[alive])
    steps[alive] -= np.median(steps[alive])
    limited: NDArray[np.int64] = np.clip(np.rint(steps), -_LARGEST_STEP, _LARGEST_STEP).astype(np.int64)
    return limited


def _reach_of_inputs(model: Any, operator: Any) -> NDArray[np.float32]:
    values = _values(model, int(operator.inputs[1]))
    axis = _AXES[operation_of(model, operator)][1]
    others = tuple(number for number in range(values.ndim) if number != axis)
    return np.asarray(np.abs(values).max(axis=others))


def _scale_outputs(model: Any, operator: Any, factors: NDArray[np.float32]) -> None:
    _scale(model, operator, 1, factors, _AXES[operation_of(model, operator)][0])
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
        _scale(model, operator, 2, factors, 0)


def _scale(model: Any, operator: Any, which: int, factors: NDArray[np.float32], axis: int) -> None:
    """Multiply one constant input of an operator along an axis."""
    graph = model.subgraphs[0]
    values = _values(model, int(operator.inputs[which]))
    shape = [1] * values.ndim
    shape[axis] = -1
    scaled = (values * factors.reshape(shape)).astype(np.float32)
    tensor = graph.tensors[operator.inputs[which]]
    # The converter lets layers of equal weights share tensors, and tensors buffers.
    if sum(int(operator.inputs[which]) in map(int, other.inputs) for other in graph.operators) > 1:
        tensor = copy.copy(tensor)
        operator.inputs = [*operator.inputs[:which], len(graph.tensors), *operator.inputs[which + 1 :]]
        graph.tensors.append(tensor)
    model.buffers.append(schema.BufferT(data=scaled.reshape(-1).view(np.uint8)))
    tensor.buffer = len(model.buffers) - 1


def _values(model: Any, tensor: int) -> NDArray[np.float32]:
    found = model.subgraphs[0].tensors[tensor]
    return np.asarray(model.buffers[found.buffer].data, np.uint8).view(np.float32).reshape(found.shape)
