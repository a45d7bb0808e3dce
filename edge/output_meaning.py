"""The meaning of a classifier's output values: probabilities, logits or sigmoids. All commands ask here.

What the user says with --outputs holds. Otherwise the card, the graph, the quantization of the output and the
metadata state a meaning, and values that the model gave must agree with it. Where nothing states a meaning,
or the values contradict it, it is asked for, and not guessed.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import ModelFileError
from .flatbuffer import INT8, FlatTable
from .meanings import MEANINGS, OutputMeaning, Statement

_Float = TypeVar("_Float", bound=np.floating[Any])
PROBABILITIES, LOGITS, SIGMOIDS = OutputMeaning
_OPTION = f"--outputs {', '.join(MEANINGS[:-1])} or {MEANINGS[-1]}"
_BY_THEIR_SUM = ". Where just one is right for each picture, --outputs sigmoids divides each by their sum"
_MOST_OUTPUTS = 64
_SUM_TOLERANCE = 0.01
_MOST_ABOVE = 0.5
# Of 8-bit numbers: TFLite fixes them so for softmax and sigmoid. Type in schema.fbs: scale and zero point.
_ZERO_TO_ONE = {3: (1 / 256, 0), 9: (1 / 256, -128)}  # UINT8, INT8.


def meanings_of_tflite(model: FlatTable, metadata: FlatTable | None = None) -> tuple[Statement, ...]:
    """Return what a .tflite without a card states about each output, of the first 64.

    `model` is the root table, and `metadata` that of the TFLite metadata. Where the graph does not tell, as
    that of a model compiled for an accelerator, which is one operation, the quantization tells: multiples of
    1/256 from 0 on; or else the range that the metadata states. Raises one of flatbuffer.MALFORMED.
    """
    from .output_graph import CUSTOM, OutputGraph, state_meaning  # A file with a card does without.

    graph, found = OutputGraph(model), []
    for output in range(min(graph.outputs, _MOST_OUTPUTS)):
        last = graph.last_operation(output)
        statement = state_meaning(last)
        if statement.meaning is None and _is_zero_to_one(graph.tensor(output)):
            reason = "its 8-bit outputs are multiples of 1/256 from 0 on"
            statement = Statement(PROBABILITIES, False, reason)
        elif statement.meaning is None and metadata is not None and _range(metadata, output) == (0.0, 1.0):
            statement = Statement(PROBABILITIES, False, "its metadata says that outputs are 0 to 1")
        elif last.kind == CUSTOM:
            statement = Statement(None, False, "its graph ends in a custom operation")
        found.append(statement)
    return tuple(found)


def settle_meaning(
    name: str,
    stated: Statement,
    values: NDArray[np.floating[Any]],
    said: str | None = None,
    scale: float = 0.0,
) -> OutputMeaning:
    """Return the meaning of `values`, [pictures, outputs] or [outputs], that a model gave for pictures.

    `name` is the model's, `said` one of MEANINGS from the user, or None, and `scale` that of the output's
    quantization, or 0. Raises ModelFileError, which says what to give, where signs disagree or there are
    none, where values contradict what was said, and for several sigmoids that nobody called such.
    """
    meaning = OutputMeaning(said) if said is not None else _agreed(name, stated, values, scale)
    _require_classes(name, meaning, said, values.shape[-1])
    shares = _within(values) and values.shape[-1] > 1 and sum_to_one(values, scale)
    if meaning is LOGITS and stated.meaning is PROBABILITIES and stated.exact and shares:
        raise ModelFileError(
            f"{name}: --outputs says that they are logits, but {stated.reason}, and they sum to 1: they are "
            "probabilities already. Leave --outputs out"
        )
    if meaning is PROBABILITIES and values.shape[-1] > 1 and not sum_to_one(values, scale):
        sums = values.sum(-1)
        claim = "--outputs says that they are probabilities" if said is not None else stated.reason
        raise ModelFileError(
            f"{name}: {claim}, and its {values.shape[-1]} outputs sum to {sums.min():.3g}"
            f"{'' if np.ptp(sums) < 0.01 else f' to {sums.max():.3g}'} instead of 1: it is no classifier of "
            "whole images, or its outputs mean something else"
            f"{_BY_THEIR_SUM if not stated.exact and values.min() >= 0 else ''}"
        )
    return meaning


def accept_meaning(name: str, stated: Statement, said: str | None, outputs: int) -> OutputMeaning:
    """Return the meaning of a model that cannot be run here: what was said, or else what it states.

    Raises ModelFileError as `settle_meaning` does, for all that needs no values.
    """
    meaning = OutputMeaning(said) if said is not None else stated.meaning
    if meaning is None:
        raise ModelFileError(
            f"{name}: {stated.reason}, which does not tell what its outputs mean. Give {_OPTION}, as the "
            "model was trained"
        )
    _require_classes(name, meaning, said, outputs)
    return meaning


def _require_classes(name: str, meaning: OutputMeaning, said: str | None, outputs: int) -> None:
    """Raise ModelFileError for a meaning that chooses no one class, unless the user said it."""
    if said is not None:
        return
    if meaning is SIGMOIDS and outputs > 1:
        raise ModelFileError(
            f"{name} gives {outputs} sigmoids, each of which says of its own label whether it "
            "applies, so that several labels may. If just one is right for each picture, give --outputs "
            "sigmoids: each is then divided by their sum"
        )
    if meaning is PROBABILITIES and outputs == 1:
        raise ModelFileError(
            f"{name} has one output with softmax, which is always 1: it distinguishes nothing"
        )


def _within(values: NDArray[np.floating[Any]]) -> bool:
    return bool(((values >= -1e-6) & (values <= 1 + 1e-3)).all())


def _agreed(name: str, stated: Statement, values: NDArray[np.floating[Any]], scale: float) -> OutputMeaning:
    """Return the meaning that the statement and the values agree on; raises ModelFileError otherwise."""
    within = _within(values)
    shares = within and values.shape[-1] > 1 and sum_to_one(values, scale)
    meaning = stated.meaning
    if meaning is not None and stated.exact and not (meaning is LOGITS and shares):
        return meaning
    if shares and meaning is not LOGITS:
        return PROBABILITIES  # Also of sigmoids: s and 1 - s, for example.
    if (meaning is SIGMOIDS and within) or (meaning is LOGITS and not within):
        return meaning
    seen = "sum to 1" if shares else "don't sum to 1" if within else "are not all in 0..1"
    raise ModelFileError(
        f"{name}: {stated.reason}, and the outputs for a picture {seen}, which does not tell what they mean. "
        f"Give {_OPTION}, as the model was trained"
    )


class Meaning:
    """The meaning of one model's outputs, settled by the first picture; its clones share it."""

    def __init__(self, name: str, stated: Statement, said: str | None) -> None:
        """Take what the model called `name` states, and what the user says: one of MEANINGS, or None."""
        self._name, self._stated, self._said, self._lock = name, stated, said, Lock()
        self._settled: OutputMeaning | None = None

    def of(self, values: NDArray[np.floating[Any]], scale: float) -> OutputMeaning:
        """Return the meaning of output values, [outputs]; raises ModelFileError as `settle_meaning`."""
        with self._lock:
            if self._settled is None:
                self._settled = settle_meaning(self._name, self._stated, values, self._said, scale)
            return self._settled


def sum_to_one(outputs: NDArray[np.floating[Any]], scale: float = 0.0) -> bool:
    """Return whether [outputs], or every row of [pictures, outputs], sums to 1 as probabilities do.

    `scale` is that of 8-bit outputs, or 0: each is rounded by up to half of it, small ones to 0, so that the
    sum of many may be far below 1, and somewhat above.
    """
    rounding = _SUM_TOLERANCE + outputs.shape[-1] * scale / 2
    sums = outputs.sum(axis=-1)
    return bool((sums >= 1 - rounding).all() and (sums <= 1 + min(rounding, _MOST_ABOVE)).all())


def to_probabilities(values: NDArray[np.float32], meaning: OutputMeaning) -> NDArray[np.float32]:
    """Return output values, float32 [..., outputs], as the probabilities of the classes.

    Two classes come from a single output, which is the second's, as Keras has it for two folders. Several
    sigmoids are divided by their sum.
    """
    if values.shape[-1] == 1:
        if meaning is not LOGITS:
            return np.concatenate([1 - values, values], -1)
        values = np.concatenate([np.zeros_like(values), values], -1)  # Softmax of a logit and 0: its sigmoid.
    elif meaning is SIGMOIDS:
        return np.asarray(values / np.maximum(values.sum(-1, keepdims=True), np.float32(1e-7)), np.float32)
    elif meaning is PROBABILITIES:
        return values
    return np.asarray(softmax(values), np.float32)


def softmax(logits: NDArray[_Float]) -> NDArray[_Float]:
    """Return the softmax along the last axis, in the dtype of `logits`."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _is_zero_to_one(tensor: FlatTable) -> bool:
    """Return whether a tensor's quantization covers exactly 0 to 1, in steps of 1/256."""
    expected, quantization = _ZERO_TO_ONE.get(tensor.scalar(1, INT8)), tensor.table(4)
    if expected is None or quantization is None:
        return False
    scales, zeros = quantization.numbers(2, "<f4"), quantization.numbers(3, "<i8")
    return len(scales) == len(zeros) == 1 and (float(scales[0]), int(zeros[0])) == expected


def _range(metadata: FlatTable, output: int) -> tuple[float, float] | None:
    """Return the smallest and the largest value of an output by the metadata; None where it says none."""
    subgraphs = metadata.tables(3)
    tensors = subgraphs[0].tables(3) if subgraphs else []
    stats = tensors[output].table(5) if output < len(tensors) else None
    if stats is None:
        return None
    largest, smallest = stats.numbers(0, "<f4"), stats.numbers(1, "<f4")
    return (float(smallest.min()), float(largest.max())) if len(smallest) and len(largest) else None
