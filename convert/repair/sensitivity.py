"""Ranks layers by the harm of 8 bits: each is quantized alone, and the model's answers are compared.

The error of a layer's own values says little: channels a hundred times as large as the others dominate any
mean, while the small channels are lost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...edge.progress import progress
from ..tflite.flatgraph import Layer
from ..tflite.quantizer import LayerQuantizer
from ..tflite.ranges import LEVELS, Ranges, TensorRange
from .answers import answer, divergence

_UNEVEN = 10.0  # Largest over median channel; batch-normalised networks have 2 to 6.
_HARMLESS = 0.01  # Nats. Below, next to no top-1 changes.


@dataclass(frozen=True)
class LayerError:
    """The change of the model's answers when one layer, and no other, is quantized.

    `divergence` is the mean Kullback-Leibler divergence in nats, `changed` the share of images whose top-1
    class changes. `uneven` is the largest channel's range over the median channel's, and `levels` the number
    of the 256 levels that the median channel gets, both on the layer's worse `side`, "input" or "output".
    `seen` describes the cause.
    """

    index: int
    name: str
    operation: str
    tensor: str
    divergence: float
    changed: float
    side: str
    minimum: float
    maximum: float
    uneven: float
    levels: float
    seen: str

    @property
    def harmful(self) -> bool:
        """Whether answers change noticeably."""
        return self.divergence >= _HARMLESS

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def rank_layers(float_model: bytes, ranges: Ranges, images: NDArray[np.uint8]) -> list[LayerError]:
    """Return the errors of all layers that can be quantized, the worst first.

    `images` is uint8 [images, height, width, 3]. Raises ConversionError as LayerQuantizer does.
    """
    quantizer = LayerQuantizer(float_model, ranges)
    reference = answer(float_model, images)
    skipped = {layer.index for layer in quantizer.unsupported}
    layers = [
        layer for layer in quantizer.layers if layer.index not in skipped and layer.output in ranges.tensors
    ]
    errors = []
    with progress("Quantizing each layer alone", len(layers), "layers") as advance:
        for layer in layers:
            alone = answer(quantizer.quantize([layer.index]), images)
            errors.append(_describe(layer, ranges, reference, alone))
            advance()
    return sorted(errors, key=lambda error: (-error.divergence, -error.changed, error.index))


def worst_side(layer: Layer, ranges: Ranges) -> tuple[str, TensorRange]:
    """Return "input" or "output" and the range of that tensor: the one with the most uneven channels."""
    sides = [("output", layer.output), *(("input", tensor) for tensor in layer.inputs)]
    known = [(side, ranges.tensors[tensor]) for side, tensor in sides if tensor in ranges.tensors]
    return max(known, key=lambda pair: pair[1].imbalance)


def _describe(
    layer: Layer, ranges: Ranges, reference: NDArray[np.float64], alone: NDArray[np.float64]
) -> LayerError:
    side, values = worst_side(layer, ranges)
    error = divergence(reference, alone)
    return LayerError(
        index=layer.index,
        name=layer.name,
        operation=layer.operation,
        tensor=layer.tensor,
        divergence=error,
        changed=float((reference.argmax(1) != alone.argmax(1)).mean()),
        side=side,
        minimum=values.minimum,
        maximum=values.maximum,
        uneven=values.imbalance,
        levels=values.median_levels,
        seen=_sentence(side, values, error),
    )


def _sentence(side: str, values: TensorRange, error: float) -> str:
    if error < _HARMLESS:
        return "8 bits suffice"
    reach = f"{values.minimum:.4g} to {values.maximum:.4g}"
    widest = values.channel_ranges.max() / _UNEVEN
    narrow = int(((values.channel_ranges > 0) & (values.channel_ranges < widest)).sum())
    if not narrow:
        return f"its channels are alike, and 256 levels from {reach} at its {side} are too coarse"
    if values.imbalance < _UNEVEN:
        few = (
            f"{narrow} of {len(values.channel_ranges)} channels reach less than a tenth of the widest's range"
        )
        levels = f"fewer than {LEVELS / _UNEVEN:.0f} of the 256 levels"
        return f"{few} at its {side} ({reach}), and are left with {levels}"
    wide = int((values.channel_ranges >= widest).sum())
    few = f"{wide} of {len(values.channel_ranges)} channels reach" if wide > 1 else "one channel reaches"
    return (
        f"{few} {values.imbalance:.0f} times as far as the median one at its {side} ({reach}), which is left "
        f"with {values.median_levels:.0f} of the 256 levels"
    )
