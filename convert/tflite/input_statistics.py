"""Mean and covariance of what each layer of a float model multiplies by its weights, on real images.

The error of a layer's output follows from them: where weights change by d, the output changes by d * mean on
average, and around that by a variance of d * covariance * d.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...edge.cores import cores
from ...edge.errors import ConversionError
from ...edge.runtime import load_interpreter
from .layer_weights import WeightedLayer

# Places of an image at which a convolution's inputs are read; neighbours say nearly the same.
_PLACES = 64
_CHUNK = 16  # Images whose products are summed at once, which is faster than one by one.
_SAME = 0  # tflite::Padding_SAME
# A covariance of more inputs takes too much memory: 32 MB at this number.
_MOST_INPUTS = 2048


@dataclass(frozen=True)
class InputStatistics:
    """Sums over `count` places. For a depthwise layer there is one set of statistics for each channel.

    `total` is float64 [inputs] or [channels, inputs]; `products` [..., inputs, inputs], or None where a
    layer reads more than 2,048 values, or only means were asked for.
    """

    count: int
    total: NDArray[np.float64]
    products: NDArray[np.float64] | None

    def plus(self, other: InputStatistics) -> InputStatistics:
        """Return the statistics of both."""
        products = None
        if self.products is not None and other.products is not None:
            products = self.products + other.products
        return InputStatistics(self.count + other.count, self.total + other.total, products)

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of each input."""
        return self.total / self.count

    @property
    def covariance(self) -> NDArray[np.float64] | None:
        """The covariance of the inputs; None where it is not known."""
        if self.products is None:
            return None
        mean = self.mean
        return self.products / self.count - mean[..., :, None] * mean[..., None, :]


def observe_inputs(
    float_model: bytes,
    layers: Sequence[WeightedLayer],
    images: Iterable[NDArray[np.uint8]],
    *,
    covariance: bool,
) -> list[InputStatistics]:
    """Run a float .tflite over images, uint8 [height, width, 3], and return the statistics of each layer.

    Without `covariance` only means are found. The places are drawn by the number of the image, and sums are
    taken in the order of the images: the same images give the same statistics on any number of cores.
    Raises ConversionError where there are no images.
    """
    local = threading.local()

    def read(numbered: tuple[int, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        number, pixels = numbered
        if not hasattr(local, "interpreter"):
            local.interpreter = load_interpreter(float_model, 1, keep_all=True)
        interpreter = local.interpreter
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None].astype(np.float32))
        interpreter.invoke()
        rng = np.random.default_rng(number)
        return [_inputs_of(layer, interpreter.get_tensor(layer.given), rng) for layer in layers]

    found: list[InputStatistics] = []
    with ThreadPoolExecutor(cores()) as pool:
        numbered = enumerate(images)
        while chunk := list(islice(numbered, _CHUNK)):
            rows = zip(*pool.map(read, chunk), strict=True)
            sums = [_sums(np.concatenate(values, axis=-2), covariance) for values in rows]
            found = [known.plus(more) for known, more in zip(found, sums, strict=True)] if found else sums
    if not found:
        raise ConversionError("No images were given to find out what the layers of the model read")
    return found


def _sums(values: NDArray[np.float32], covariance: bool) -> InputStatistics:
    """Return the sums over values [..., places, inputs]."""
    products = None
    if covariance and values.shape[-1] <= _MOST_INPUTS:
        products = (np.swapaxes(values, -1, -2) @ values).astype(np.float64)
    return InputStatistics(values.shape[-2], values.sum(-2, dtype=np.float64), products)


def _inputs_of(
    layer: WeightedLayer, given: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return what a layer's weights are multiplied by, [places, inputs] or [channels, places, inputs]."""
    if layer.operation == "FULLY_CONNECTED":
        return given.reshape(1, -1)
    patches = _patches(given[0], layer.source.builtinOptions, layer.shape[1:3], rng)
    if layer.depthwise:
        return patches.reshape(len(patches), -1, patches.shape[-1]).transpose(2, 0, 1)
    return patches.reshape(len(patches), -1)


def _patches(
    given: NDArray[np.float32], options: Any, kernel: tuple[int, ...], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return parts of an input [height, width, channels] under a kernel, [places, height, width, channels].

    Edges are padded with zeros as tensorflow/lite/kernels/padding.h does.
    """
    strides = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    starts, padding = [], []
    for side, taps, stride, dilation in zip(given.shape[:2], kernel, strides, dilations, strict=True):
        reach = (taps - 1) * dilation + 1
        same = options.padding == _SAME
        outputs = -(-side // stride) if same else -(-(side - reach + 1) // stride)
        needed = max((outputs - 1) * stride + reach - side, 0) if same else 0
        starts.append(np.arange(outputs) * stride)
        padding.append((needed // 2, needed - needed // 2))
    places = np.arange(len(starts[0]) * len(starts[1]))
    if len(places) > _PLACES:
        places = rng.choice(places, _PLACES, replace=False)
    tops, lefts = starts[0][places // len(starts[1])], starts[1][places % len(starts[1])]
    padded = np.pad(given, (*padding, (0, 0))) if any(map(any, padding)) else given
    rows = tops[:, None, None] + (np.arange(kernel[0]) * dilations[0])[:, None]
    columns = lefts[:, None, None] + (np.arange(kernel[1]) * dilations[1])[None, :]
    return np.asarray(padded[rows, columns])
