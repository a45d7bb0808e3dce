"""Takes out of a quantized model what rounding its weights did to the outputs of its layers.

Rounding shifts the mean of each output channel, since inputs behind a ReLU are all positive: a sum of
hundreds of rounding errors times positive numbers is not 0. The shift is taken out of the bias, which has 32
bits and room for it (Nagel et al., Data-free quantization through weight equalization and bias correction,
ICCV 2019, section 4.2). It follows from the weights and from the mean of the float model's inputs, so that
one pass over the images serves all layers: once a layer is corrected, the next one's inputs are on average
those of the float model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from .flatgraph import pack, unpack
from .input_statistics import InputStatistics, observe_inputs
from .layer_weights import LARGEST_BIAS, WeightedLayer, weighted_layers
from .rounding import learn_rounding

# Their places outnumber the inputs of any layer several times; more images say little more.
_MOST_IMAGES = 400


class Correction:
    """Corrects the 8-bit files of one float model, with statistics of what its layers read on images."""

    def __init__(
        self,
        float_model: bytes,
        images: Callable[[], Iterator[NDArray[np.uint8]]],
        *,
        rounding: bool = True,
    ) -> None:
        """Take a float .tflite, and `images`, which returns an iterator of uint8 [height, width, 3].

        Nothing should be scored on these images, of which the first 400 are used. With `rounding` not only
        biases are corrected, but each layer's weights are rounded anew as well.
        """
        self._float_model, self._images, self._rounding = float_model, images, rounding
        self._statistics: dict[int, InputStatistics] = {}
        self._learned: dict[tuple[int, bytes, bytes], NDArray[np.int8]] = {}

    def apply(self, quantized: bytes) -> bytes:
        """Return a quantized .tflite of the float model with other biases and weights.

        Its scales, operations and layers in float stay as they are. The same object comes back where its
        layers are not those of the float model, and where none has 8-bit weights with a bias. The same input
        gives the same bytes.
        """
        model = unpack(quantized)
        layers = weighted_layers(unpack(self._float_model), model)
        if not layers:
            return quantized
        self._observe([layer for layer in layers if layer.output not in self._statistics])
        for layer in layers:
            self._correct(layer, self._statistics[layer.output])
        return pack(model)

    def _observe(self, layers: list[WeightedLayer]) -> None:
        if layers:
            images = islice(self._images(), _MOST_IMAGES)
            found = observe_inputs(self._float_model, layers, images, covariance=self._rounding)
            self._statistics |= {layer.output: seen for layer, seen in zip(layers, found, strict=True)}

    def _correct(self, layer: WeightedLayer, seen: InputStatistics) -> None:
        weights, scales, stored = layer.float_weights, layer.scales, layer.stored_weights
        learned = self._round(layer, weights / scales[:, None], seen)
        shift = ((learned * scales[:, None] - weights) * seen.mean).sum(1)
        bias = np.rint((layer.float_bias - shift) / layer.bias_scales)
        fits = np.abs(bias) <= LARGEST_BIAS  # A channel of tiny weights has no room: it stays as it is.
        if not np.array_equal(learned, stored):
            layer.store_weights(np.where(fits[:, None], learned, stored))
        layer.store_bias(np.where(fits, bias, layer.stored_bias).astype(np.int32))

    def _round(
        self, layer: WeightedLayer, weights: NDArray[np.float64], seen: InputStatistics
    ) -> NDArray[np.int8]:
        """Return a layer's weights, rounded anew once for all files in which they have the same scales."""
        stored, covariance = layer.stored_weights, seen.covariance
        if covariance is None:
            return stored
        key = (layer.output, stored.tobytes(), layer.scales.tobytes())
        if key not in self._learned:
            self._learned[key] = learn_rounding(weights, stored, covariance)
        return self._learned[key]
