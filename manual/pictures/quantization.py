"""Pictures of quantization: rounding to levels, a channel that spoils its layer, a scale for each channel.

Run: python -m manual.pictures.quantization
"""

from __future__ import annotations

import numpy as np
from edge_classify.convert.tflite.ranges import TensorRange
from edge_classify.edge.appended import read_directory
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.tflite.model import EditableModel
from numpy.typing import NDArray

from .paper import BLUE, GREEN, GREY, INK, ORANGE, PALE, RED, new_figure, save

_BITS = 4  # 256 levels would be a smooth line.
_LAYER = 4  # The first depthwise convolution of the default model.


def draw_rounding() -> None:
    """Show a curve of floats, and the same values with the 16 levels of 4 bits."""
    levels = 2**_BITS
    low, high = -1.0, 3.0
    scale = (high - low) / (levels - 1)
    zero_point = round(-low / scale)
    x = np.linspace(0, 1, 400)
    real = 1 + 2 * np.sin(5 * x + 0.3) * np.exp(-0.7 * x)
    stored = np.clip(np.round(real / scale) + zero_point, 0, levels - 1)
    figure, axes = new_figure(3.3)
    for level in range(levels):
        axes.axhline((level - zero_point) * scale, color=PALE, linewidth=0.7)
    axes.plot(x, real, color=GREY, linewidth=2, label="as float32")
    axes.step(x, (stored - zero_point) * scale, color=BLUE, linewidth=1.6, label=f"as {_BITS} bits")
    axes.axhline(0, color=INK, linewidth=0.8)
    right = axes.twinx()
    right.set_ylim(low - scale, high + scale)
    axes.set_ylim(low - scale, high + scale)
    numbers = [0, zero_point, levels - 1]
    right.set_yticks(
        [(number - zero_point) * scale for number in numbers], [str(number) for number in numbers]
    )
    right.set_ylabel("stored number")
    axes.set_ylabel("value")
    axes.set_xticks([])
    axes.legend(loc="upper right")
    axes.set_title(f"scale {scale:.3f}, zero point {zero_point}")
    save(figure, "quantization-rounding")


def _range_of(lows: NDArray[np.float32], highs: NDArray[np.float32]) -> TensorRange:
    return TensorRange(float(lows.min()), float(highs.max()), lows, highs, np.zeros(1, np.int64), 1.0)


def draw_wide_channel() -> None:
    """Show eight channels, and what the median one is left with when the last one is 64 times as wide."""
    rng = np.random.default_rng(0)
    highs = rng.uniform(0.7, 1.0, 8).astype(np.float32)
    lows = -rng.uniform(0.7, 1.0, 8).astype(np.float32)
    wide_highs, wide_lows = highs.copy(), lows.copy()
    wide_highs[5] *= 64
    wide_lows[5] *= 64
    figure, axes = new_figure(4.2, 2)
    for own, (low, high) in zip(axes, ((lows, highs), (wide_lows, wide_highs)), strict=True):
        found = _range_of(low, high)
        colors = [RED if each > 5 else BLUE for each in high]
        own.bar(range(1, 9), high - low, bottom=low, color=colors, width=0.6)
        edge = max(found.maximum, -found.minimum) * 1.1
        own.set_ylim(-edge, edge)
        own.axhline(0, color=INK, linewidth=0.8)
        own.set_ylabel("values")
        own.set_title(f"the median channel has {found.median_levels:.0f} of 256 levels")
    axes[1].set_xlabel("channel of one layer's output")
    save(figure, "quantization-channels")


def draw_per_channel() -> None:
    """Show the levels that each channel of a real layer uses, with one scale or one for each."""
    data = DEFAULT_MODEL.read_bytes()
    model = EditableModel(data[: read_directory(data).start])
    layer = model.graph.operators[_LAYER]
    weights = model.graph.tensors[layer.inputs[1]]
    values = model.constant(weights).reshape(-1, weights.shape[-1]).astype(np.float32)
    scales = model.scales(weights)
    largest = np.abs(values).max(axis=0)
    own = np.sort(2 * largest + 1)
    shared = np.sort(2 * np.round(largest * scales / scales.max()) + 1)
    figure, axes = new_figure(3.2)
    channels = np.arange(1, len(own) + 1)
    axes.bar(channels, own, color=PALE, width=0.8, label="a scale for each channel")
    axes.bar(channels, shared, color=ORANGE, width=0.8, label="one scale for the layer")
    axes.axhline(float(np.median(shared)), color=GREEN, linewidth=1.5)
    axes.annotate(
        f"median {np.median(shared):.0f}", (1, float(np.median(shared))), xytext=(0, 4),
        textcoords="offset points", color=GREEN,
    )  # fmt: skip
    axes.set_ylim(0, 330)
    axes.set_yticks([0, 64, 128, 192, 255])
    axes.set_xlabel(f"the {len(own)} channels, in order")
    axes.set_ylabel("levels in use")
    axes.legend(loc="upper left", ncols=1, borderaxespad=0)
    save(figure, "quantization-per-channel")


if __name__ == "__main__":
    draw_rounding()
    draw_wide_channel()
    draw_per_channel()
