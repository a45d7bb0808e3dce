"""The answers of variants to images, and the measures by which repairs are compared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...benchmarks.measuring.worker import time_runs
from ...benchmarks.scoring.loss import AnyLoss, EstimatedLoss, Loss
from ...benchmarks.scoring.predict import RAW_PIXELS, run_on_pixels
from ...edge.classifier import Classifier
from ...edge.errors import ConversionError
from ...edge.modelfile import ModelFile
from ...edge.output_meaning import to_probabilities

# Probabilities below it count as equal: an 8-bit output, of multiples of 1/256, gives them as 0. Otherwise
# the softmax of a thousand classes would always look like the worst layer.
_FLOOR = 1 / 512
_ROUNDS, _PER_ROUND = 60, 3


def store_pixels(images: Iterable[NDArray[np.uint8]], limit: int | None = None) -> NDArray[np.uint8]:
    """Return images, each uint8 [height, width, 3], as one array [images, height, width, 3].

    The array is a file mapped into memory, which the system can take back, and is read many times without
    decoding again. Raises ConversionError when there are no images.
    """
    with tempfile.TemporaryFile() as file:
        shape: tuple[int, ...] = ()
        count = 0
        for pixels in images:
            if count == limit:
                break
            shape = pixels.shape
            file.write(pixels.tobytes())
            count += 1
        if count == 0:
            raise ConversionError("No images were given to compare the float model and its 8-bit form on")
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=(count, *shape))


def answer(flatbuffer: bytes, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return a model's probabilities, [images, classes], for uint8 [images, height, width, 3].

    The model's graph must state what its outputs mean, as those of edge-convert do. Raises ModelFileError
    when the runtime refuses the file.
    """
    meaning = ModelFile.read(flatbuffer).statement(0).meaning
    if meaning is None:
        raise ValueError("a model whose graph does not state what its outputs mean")
    return to_probabilities(run_on_pixels(flatbuffer, pixels), meaning).astype(np.float64)


def divergence(reference: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the mean Kullback-Leibler divergence of `other` from `reference`, in nats.

    Both are [images, classes]. Probabilities below 1/512 count as 1/512.
    """
    p, q = (np.maximum(rows, _FLOOR) for rows in (reference, other))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    return float((p * np.log(p / q)).sum(1).mean())


def lost_to(
    reference: NDArray[np.float64], other: NDArray[np.float64], truth: NDArray[np.int64] | None
) -> AnyLoss:
    """Return the loss of `other` against `reference`, both probabilities, [images, classes].

    With the true classes, int64 [images], it is counted; without, it is estimated.
    """
    if truth is None:
        return EstimatedLoss.estimate(reference, other)
    return Loss.between(reference.argmax(1) == truth, other.argmax(1) == truth)


def latency_ratios(flatbuffers: Sequence[bytes], pixels: NDArray[np.uint8]) -> list[float]:
    """Return each model's latency on one thread over the first one's.

    The models take turns, so that a change of the machine's speed affects all of them; the ratio is the
    median over 60 turns, of the fastest of three runs each.
    """
    models = [Classifier.from_file(flatbuffer, normalization=RAW_PIXELS) for flatbuffer in flatbuffers]
    tensors = [model.prepare(pixels[0]) for model in models]
    calls = [partial(model.invoke, tensor) for model, tensor in zip(models, tensors, strict=True)]
    for call in calls:
        call()
    turns = np.array([[min(time_runs(call, _PER_ROUND)) for call in calls] for _ in range(_ROUNDS)])
    return [float(ratio) for ratio in np.median(turns / turns[:, :1], axis=0)]
