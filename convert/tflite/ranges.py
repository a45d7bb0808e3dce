"""The range of values of each tensor of a float model on real images, from which 8-bit scales follow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from ...edge.errors import ConversionError, ModelFileError
from ...edge.runtime import load_interpreter
from .flatgraph import Layer, read_layers, unpack

Clip = Literal["none", "percentile", "mse"]
LEVELS = 255  # Steps between the lowest and the highest value of 8 bits.
_BINS = 8192  # A range that is a hundred times too wide still leaves 80 bins for the values.
_SAMPLE = 8192  # Values per tensor and image that enter its histogram.
_TAIL = 1e-4
_MSE_STEPS = 64


@dataclass(frozen=True)
class TensorRange:
    """The observed values of one tensor.

    `channel_minimum` and `channel_maximum` are float32 [channels], along the last axis. `counts` is a
    histogram, int64 [8192], of a part of the values: bin i holds those from (i - 4096) * `bin_width` on.
    """

    minimum: float
    maximum: float
    channel_minimum: NDArray[np.float32]
    channel_maximum: NDArray[np.float32]
    counts: NDArray[np.int64]
    bin_width: float

    @property
    def channel_ranges(self) -> NDArray[np.float32]:
        """The difference between the highest and the lowest value of each channel, float32 [channels]."""
        return self.channel_maximum - self.channel_minimum

    @property
    def imbalance(self) -> float:
        """The largest channel's range over the median channel's; 1 where all are constant."""
        ranges = self.channel_ranges
        used = ranges[ranges > 0]
        return float(used.max() / np.median(used)) if used.size else 1.0

    @property
    def median_levels(self) -> float:
        """The number of the 256 levels that the values of the median channel use."""
        ranges = self.channel_ranges
        used = ranges[ranges > 0]
        whole = max(self.maximum, 0.0) - min(self.minimum, 0.0)
        return float(1 + LEVELS * np.median(used) / whole) if used.size and whole > 0 else 1.0

    def bounds(self, clip: Clip) -> tuple[float, float]:
        """Return the lowest and the highest value that 8 bits shall represent.

        "none" covers all observed values; "percentile" leaves out 0.01 % (Wu et al., Integer quantization for
        deep learning inference, 2020, arXiv:2004.09602, section 5); "mse" minimizes the mean squared error
        (Nagel et al., A white paper on neural network quantization, 2021, arXiv:2106.08295, section 3.1).
        """
        if clip == "none" or self.counts.sum() == 0:
            return self.minimum, self.maximum
        low, high = self._percentiles() if clip == "percentile" else self._least_error()
        return max(low, self.minimum), min(high, self.maximum)

    def _percentiles(self) -> tuple[float, float]:
        share = np.cumsum(self.counts) / self.counts.sum()
        first = int(np.searchsorted(share, _TAIL, side="right"))
        last = int(np.searchsorted(share, 1 - _TAIL))
        return (first - _BINS // 2) * self.bin_width, (last + 1 - _BINS // 2) * self.bin_width

    def _least_error(self) -> tuple[float, float]:
        used = np.flatnonzero(self.counts)
        centres: NDArray[np.float64] = (used - _BINS // 2 + 0.5) * np.float64(self.bin_width)
        weights = self.counts[used]
        factors = np.geomspace(1 / 64, 1, _MSE_STEPS)
        low, high = min(self.minimum, 0.0), max(self.maximum, 0.0)
        lows, highs = factors * low if low < 0 else np.zeros(1), factors * high if high > 0 else np.zeros(1)
        for _ in range(2):  # One end after the other: along each, the error has one minimum.
            low = min(lows, key=lambda value: (_mean_squared_error(centres, weights, value, high), value))
            high = min(highs, key=lambda value: (_mean_squared_error(centres, weights, low, value), -value))
        return float(low), float(high)


@dataclass(frozen=True)
class Ranges:
    """The ranges of all tensors that a float model computes, by the tensor's index, over `images` images.

    The input's is exactly 0..255, so that its 8-bit scale is 1: pixels go in as they are.
    """

    tensors: dict[int, TensorRange]
    images: int


def observe(float_model: bytes, images: Iterable[NDArray[np.uint8]]) -> Ranges:
    """Run a float .tflite over images, uint8 [height, width, 3], and return the range of every tensor.

    One image is in memory at a time. Raises ConversionError when the model does not take one picture as
    float32, when there are no images, or when a layer gives values that are not finite.
    """
    model = unpack(float_model)
    types = [tensor.type for tensor in model.subgraphs[0].tensors]
    layers = [layer for layer in read_layers(model) if types[layer.output] == schema.TensorType.FLOAT32]
    interpreter, given = _observed_model(float_model)
    collectors = {layer.output: RangeCollector(layer) for layer in layers}
    shape = tuple(map(int, given["shape"]))[1:]
    count = 0
    for pixels in images:
        if pixels.shape != shape:
            raise ConversionError(f"The model takes pictures of shape {shape}. Received: {pixels.shape}")
        interpreter.set_tensor(given["index"], pixels[None].astype(np.float32))
        interpreter.invoke()
        for tensor, collector in collectors.items():
            collector.add(interpreter.get_tensor(tensor))
        count += 1
    if count == 0:
        raise ConversionError("No images were given to find the ranges of the model's layers with")
    tensors = {tensor: collector.result() for tensor, collector in collectors.items()}
    return Ranges({given["index"]: _pixel_range(), **tensors}, count)


def _observed_model(float_model: bytes) -> tuple[Any, dict[str, Any]]:
    """Return an interpreter that keeps the output of every layer, and the details of its input."""
    try:
        interpreter = load_interpreter(float_model, 1, keep_all=True)
    except ModelFileError as error:
        raise ConversionError(f"The float model cannot be calibrated: {error}") from None
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    found = [(detail["dtype"].__name__, *map(int, detail["shape"])) for detail in (*inputs, *outputs)]
    fits = len(inputs) == len(outputs) == 1 and found[0][0] == found[1][0] == "float32"
    if not fits or len(found[0]) != 5 or found[0][1] != 1 or found[0][4] != 3:
        raise ConversionError(
            "Only a float32 model of one picture in, [1, height, width, 3], and one output can be quantized. "
            f"Received inputs and outputs: {found}"
        )
    return interpreter, inputs[0]


def _pixel_range() -> TensorRange:
    low, high = np.zeros(3, np.float32), np.full(3, 255, np.float32)
    return TensorRange(0.0, 255.0, low, high, np.zeros(_BINS, np.int64), 1.0)


class RangeCollector:
    """Collects the range of one layer's output, image by image."""

    def __init__(self, layer: Layer) -> None:
        """Take the layer, which errors name."""
        self._layer = layer
        self._seen = False
        self._low: NDArray[np.float32]
        self._high: NDArray[np.float32]
        self._counts = np.zeros(_BINS, np.int64)
        self._exponent = -126  # Bins are 2 to this power wide; they start with the smallest possible width.

    def add(self, values: NDArray[np.float32]) -> None:
        """Add one image's values, channels last; raises ConversionError unless all are finite."""
        rows = values.reshape(-1, values.shape[-1] if values.ndim else 1)
        low, high = rows.min(0), rows.max(0)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ConversionError(
                f"Layer {self._layer.name!r} ({self._layer.operation}) gives values that are not finite, "
                "which 8 bits cannot hold: the model itself is broken"
            )
        self._low, self._high = (
            (np.minimum(self._low, low), np.maximum(self._high, high)) if self._seen else (low, high)
        )
        self._seen = True
        self._count(rows)

    def _count(self, rows: NDArray[np.float32]) -> None:
        flat = rows.reshape(-1)
        step = max(1, flat.size // _SAMPLE)
        while math.gcd(step, rows.shape[1]) > 1:  # So that every channel is sampled.
            step += 1
        sample = flat[::step]
        self._widen(float(np.abs(sample).max()))
        bins = np.floor(np.ldexp(sample.astype(np.float64), -self._exponent)).astype(np.int64) + _BINS // 2
        self._counts += np.bincount(bins, minlength=_BINS)

    def _widen(self, largest: float) -> None:
        """Widen bins by powers of two until `largest` falls into one: pairs of bins then merge exactly."""
        while largest >= math.ldexp(_BINS // 2, self._exponent):
            if not self._counts.any():
                self._exponent = max(self._exponent, math.frexp(largest)[1] - int(math.log2(_BINS // 2)))
                continue
            merged = self._counts.reshape(-1, 2).sum(1)
            self._counts = np.zeros(_BINS, np.int64)
            self._counts[_BINS // 4 : _BINS // 4 + _BINS // 2] = merged
            self._exponent += 1

    def result(self) -> TensorRange:
        """Return the range of all values; at least one image must have been added."""
        low, high = float(self._low.min()), float(self._high.max())
        return TensorRange(low, high, self._low, self._high, self._counts, math.ldexp(1.0, self._exponent))


def _mean_squared_error(
    centres: NDArray[np.float64], weights: NDArray[np.int64], low: float, high: float
) -> float:
    """Return the error of rounding inside low..high, step squared over 12, and of clipping outside."""
    if high <= low:
        return math.inf
    step = (high - low) / LEVELS
    outside = centres - np.clip(centres, low, high)
    error = np.where(outside == 0, step**2 / 12, outside**2)
    return float((error * weights).sum() / weights.sum())
