"""The meaning of a classifier's output values: probabilities, logits or sigmoids.

The runner, the conversion and its search for repairs ask here. The evidence differs: a card, the last
operations of a .tflite, the activation of a Keras layer, or values that a model gave for a few pictures.
Values are judged by three rules, one for each task that has only values. The rules disagree on some values,
and each says where.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .flatbuffer import INT8, INT32, UINT32, FlatTable

_Float = TypeVar("_Float", bound=np.floating[Any])
# Codes of BuiltinOperator in TFLite's schema.fbs.
_DEQUANTIZE, _LOGISTIC, _RESHAPE, _SOFTMAX, _QUANTIZE = 6, 14, 22, 25, 114
_SUM_TOLERANCE = 0.01
# Of 8-bit probabilities: multiples of 1/256, so that many small ones add up to something else than 1.
_COARSE_SUM_TOLERANCE = 0.25


class OutputMeaning(Enum):
    """The meaning of a model's outputs.

    PROBABILITIES are one for each class, and sum to 1. LOGITS become probabilities by softmax; a single logit
    by sigmoid. SIGMOIDS are one probability for each output by itself: of several labels at once, or, where
    there is only one, of the second of two classes.
    """

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    SIGMOIDS = "sigmoids"


# By the name of a Keras activation.
ACTIVATIONS = {
    "softmax": OutputMeaning.PROBABILITIES,
    "sigmoid": OutputMeaning.SIGMOIDS,
    "linear": OutputMeaning.LOGITS,
}
_OPERATIONS = {_SOFTMAX: OutputMeaning.PROBABILITIES, _LOGISTIC: OutputMeaning.SIGMOIDS}


def meaning_of_tflite(model: FlatTable, has_card: bool) -> OutputMeaning:
    """Return the meaning of a .tflite's first output; raises one of flatbuffer.MALFORMED.

    A model with a card gives probabilities, whatever its operations are. Without one, the output is followed
    back through operations that only change its form, to the operation that computed it: other ones than
    softmax and sigmoid give logits.
    """
    if has_card:
        return OutputMeaning.PROBABILITIES
    codes = [
        max(code.scalar(0, INT8), code.scalar(3, INT32))  # The old field holds what fits into a byte.
        for code in model.tables(1)
    ]
    graph = model.tables(2)[0]
    makers = {int(t): op for op in graph.tables(3) for t in op.numbers(2, "<i4")}
    tensor = int(graph.numbers(2, "<i4")[0])
    for _ in range(len(makers)):
        if tensor not in makers:
            return OutputMeaning.LOGITS
        code = codes[makers[tensor].scalar(0, UINT32)]
        if code not in (_DEQUANTIZE, _QUANTIZE, _RESHAPE):
            return _OPERATIONS.get(code, OutputMeaning.LOGITS)
        tensor = int(makers[tensor].numbers(1, "<i4")[0])
    return OutputMeaning.LOGITS


def meaning_of_network_values(outputs: NDArray[np.floating[Any]]) -> OutputMeaning:
    """Return the meaning of a Keras model's or SavedModel's values, [pictures, outputs], for noise.

    For networks whose last layer does not state it. Only this rule knows SIGMOIDS.
    """
    if (outputs < 0).any() or (outputs > 1).any():
        return OutputMeaning.LOGITS
    return (
        OutputMeaning.PROBABILITIES
        if outputs.shape[1] > 1 and sum_to_one(outputs)
        else OutputMeaning.SIGMOIDS
    )


def meaning_of_tflite_values(outputs: NDArray[np.floating[Any]]) -> OutputMeaning:
    """Return the meaning of a float .tflite's values, [pictures, outputs], for noise, when it is converted.

    For graphs that end in neither softmax nor sigmoid. Values of 0 to 1 that do not sum to 1 are LOGITS here,
    and SIGMOIDS for `meaning_of_network_values`; the runner takes all values of such graphs for LOGITS.
    """
    return (
        OutputMeaning.PROBABILITIES if (outputs >= 0).all() and sum_to_one(outputs) else OutputMeaning.LOGITS
    )


def meaning_of_quantized_values(outputs: NDArray[np.floating[Any]]) -> OutputMeaning:
    """Return the meaning of a variant's values, [pictures, outputs], for real pictures.

    For comparing the variants of one model, some of 8 bits. The tolerance is wider than that of the other
    rules, and values of 0 to 1 that do not sum to 1 are LOGITS.
    """
    near = outputs.min() >= 0 and outputs.max() <= 1.01
    return (
        OutputMeaning.PROBABILITIES
        if near and np.abs(np.median(outputs.sum(1)) - 1) < _COARSE_SUM_TOLERANCE
        else OutputMeaning.LOGITS
    )


def sum_to_one(outputs: NDArray[np.floating[Any]]) -> bool:
    """Return whether every row of [pictures, outputs] sums to 1, within 0.01."""
    return bool(np.abs(outputs.sum(axis=1) - 1).max() <= _SUM_TOLERANCE)


def to_probabilities(values: NDArray[np.float32], meaning: OutputMeaning) -> NDArray[np.float32]:
    """Return one picture's output values, float32 [outputs], as the probabilities of its classes.

    Two classes come from a single output, which is the second's, as Keras has it for two folders.
    """
    if values.size == 1:
        if meaning is not OutputMeaning.LOGITS:
            return np.array([1 - values[0], values[0]], np.float32)
        values = np.array([0, values[0]], np.float32)  # Softmax of a logit and 0 is its sigmoid.
    elif meaning is not OutputMeaning.LOGITS:
        return values
    return np.asarray(softmax(values), np.float32)


def softmax(logits: NDArray[_Float]) -> NDArray[_Float]:
    """Return the softmax along the last axis, in the dtype of `logits`."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))
