"""What a model file answers for images: the measure by which files are compared while one is repaired."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...edge.cores import cores
from ...edge.errors import ConversionError
from ...edge.runtime import load_interpreter

# Probabilities below it count as equal: what an 8-bit output, of multiples of 1/256, gives as 0. Without
# that, the softmax of a thousand classes would always look like the worst layer.
_FLOOR = 1 / 512
_ROUNDS, _PER_ROUND = 60, 3


def store_pixels(images: Iterable[NDArray[np.uint8]], limit: int | None = None) -> NDArray[np.uint8]:
    """Return images, each uint8 [height, width, 3], as one array [images, height, width, 3].

    A file lies behind it: it takes no memory that the system cannot have back, and is read many times without
    decoding again. Raises ConversionError when there are none.
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
    """Return what a model gives for uint8 [images, height, width, 3]: probabilities, [images, classes].

    Logits are turned into probabilities. All cores work, each with an interpreter of its own. Raises
    ModelFileError when the runtime refuses the file.
    """
    parts = [part for part in np.array_split(np.arange(len(pixels)), cores()) if part.size]
    with ThreadPoolExecutor(len(parts)) as pool:
        rows = pool.map(lambda part: _answer_part(flatbuffer, pixels, part), parts)
        return as_probabilities(np.concatenate(list(rows)))


def _answer_part(
    flatbuffer: bytes, pixels: NDArray[np.uint8], part: NDArray[np.int64]
) -> NDArray[np.float64]:
    interpreter = load_interpreter(flatbuffer, 1)
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for index in part:
        interpreter.set_tensor(given["index"], _as_input(pixels[index], given))
        interpreter.invoke()
        stored = interpreter.get_tensor(result["index"])[0].astype(np.float64)
        scale, zero_point = result["quantization"]
        rows.append((stored - zero_point) * scale if scale else stored)
    return np.stack(rows)


def _as_input(pixels: NDArray[np.uint8], given: dict[str, Any]) -> NDArray[Any]:
    scale, zero_point = given["quantization"]
    if not scale or (scale == 1 and zero_point == 0):
        return np.asarray(pixels[None], given["dtype"])
    info = np.iinfo(given["dtype"])
    stored = np.clip(np.rint(pixels[None] / scale) + zero_point, info.min, info.max)
    return np.asarray(stored, given["dtype"])


def as_probabilities(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows [images, classes] unchanged if they are probabilities, and through softmax if logits."""
    # 8-bit probabilities are multiples of 1/256, so that many small ones add up to something else than 1.
    if rows.min() >= 0 and rows.max() <= 1.01 and np.abs(np.median(rows.sum(1)) - 1) < 0.25:
        return rows
    powers = np.exp(rows - rows.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def divergence(reference: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Mean Kullback-Leibler divergence of `other` from `reference`, in nats; both [images, classes].

    Probabilities below 1/512 count as 1/512.
    """
    p, q = (np.maximum(rows, _FLOOR) for rows in (reference, other))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    return float((p * np.log(p / q)).sum(1).mean())


def drop(
    reference: NDArray[np.float64], other: NDArray[np.float64], truth: NDArray[np.int64] | None
) -> float:
    """What `other` loses against `reference`, as a fraction of the images.

    With the true classes [images]: how much lower its top-1 accuracy is (negative if higher). Without: how
    much lower the mean probability is that `reference` gives to the answers, which is the accuracy to be
    expected if it is as sure as it should be. Another answer where two are about as likely costs little.
    """
    if truth is None:
        chosen = np.take_along_axis(reference, other.argmax(1)[:, None], axis=1)[:, 0]
        return float((reference.max(1) - chosen).mean())
    # A quotient of counts, so that a loss of exactly the limit is not above it by a rounding error.
    return int((reference.argmax(1) == truth).sum() - (other.argmax(1) == truth).sum()) / len(truth)


def latency_ratios(flatbuffers: Sequence[bytes], pixels: NDArray[np.uint8]) -> list[float]:
    """Return each model's latency on one thread over the first one's.

    The models take turns in one run, so that a change of the machine's speed hits all; the ratio is the
    median over 60 turns, of the fastest of three calls each.
    """
    calls = [_call(flatbuffer, pixels[0]) for flatbuffer in flatbuffers]
    turns = np.array([[_fastest(call) for call in calls] for _ in range(_ROUNDS)])
    return [float(ratio) for ratio in np.median(turns / turns[:, :1], axis=0)]


def _call(flatbuffer: bytes, pixels: NDArray[np.uint8]) -> Callable[[], None]:
    interpreter = load_interpreter(flatbuffer, 1)
    given = interpreter.get_input_details()[0]
    interpreter.set_tensor(given["index"], _as_input(pixels, given))
    interpreter.invoke()
    invoke: Callable[[], None] = interpreter.invoke
    return invoke


def _fastest(call: Callable[[], None]) -> float:
    seconds = []
    for _ in range(_PER_ROUND):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
