"""Pictures of the two calibrations: the range of an activation, and the temperature of probabilities.

Run: python -m manual.pictures.calibration
"""

from __future__ import annotations

import numpy as np
from edge_classify.benchmarks.scoring.confidence import apply_temperature, fit_temperature, reliability_bins
from edge_classify.convert.tflite.flatgraph import Layer
from edge_classify.convert.tflite.ranges import LEVELS, RangeCollector
from numpy.typing import NDArray

from .paper import BLUE, GREY, INK, ORANGE, PALE, RED, new_figure, save

_CLASSES, _IMAGES = 4, 6000
_SHARPNESS = 2.2  # What the answers' logits are multiplied by: too sure by this factor.


def draw_ranges() -> None:
    """Show values of a layer, and the range that each rule gives 8 bits."""
    rng = np.random.default_rng(1)
    values = np.maximum(rng.normal(0.4, 1.0, (100, 400, 8)), 0).astype(np.float32)
    values[3, :3, 2] = (11.0, 12.5, 14.0)
    collector = RangeCollector(Layer(0, "CONV_2D", "activations", "activations", (), 0))
    for image in values:
        collector.add(image)
    found = collector.result()
    figure, axes = new_figure(3.7)
    axes.hist(values[values > 0], bins=np.linspace(0, 15, 90).tolist(), color=PALE)
    axes.set_yscale("log")
    axes.set_ylim(0.5, 1e9)
    rules = (
        ("all values", "none", RED),
        ("without 0.01 %", "percentile", ORANGE),
        ("least squared error", "mse", BLUE),
    )
    for place, (name, clip, color) in enumerate(rules):
        low, high = found.bounds(clip)  # type: ignore[arg-type]
        height = 10 ** (5.2 + 1.3 * place)
        axes.plot([low, high], [height, height], color=color, linewidth=3, solid_capstyle="butt")
        axes.plot([high, high], [0.5, height], color=color, linewidth=1)
        axes.text(0.1, 1.25 * height, f"{name}: steps of {(high - min(low, 0)) / LEVELS:.3f}", va="bottom")
    axes.set_xlim(0, 15)
    axes.set_yticks([1, 100, 10000], ["1", "100", "10,000"])
    axes.minorticks_off()
    axes.set_xlabel("value of an activation")
    axes.set_ylabel("how often")
    save(figure, "calibration-ranges")


def _answers() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return probabilities of a model that is too sure of itself, and the true classes."""
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 1.6, (_IMAGES, _CLASSES))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([rng.choice(_CLASSES, p=row) for row in honest])
    sharp = np.exp(_SHARPNESS * logits)
    return (sharp / sharp.sum(1, keepdims=True)).astype(np.float32), truth


def draw_temperature() -> None:
    """Show how often answers are right at each confidence, before and after the temperature."""
    probabilities, truth = _answers()
    half = _IMAGES // 2
    temperature = fit_temperature(probabilities[:half], truth[:half])
    after = apply_temperature(probabilities[half:], temperature)
    figure, axes = new_figure(2.9, 1, ncols=2, sharey=True)
    shown = (("as trained", probabilities[half:], RED), (f"temperature {temperature:.2f}", after, BLUE))
    for own, (title, given, color) in zip(axes, shown, strict=True):
        own.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle="--")
        for each in reliability_bins(given, truth[half:], 10):
            if each.images > 20:
                own.bar(
                    100 * (each.low + each.high) / 2, 100 * each.accuracy, width=8.5, color=color, alpha=0.85
                )
        own.set_xlim(20, 100)
        own.set_ylim(0, 100)
        own.set_xticks([25, 50, 75, 100])
        own.set_title(title)
        own.set_xlabel("confidence, %")
    axes[0].set_ylabel("right answers, %")
    axes[1].annotate(
        "as it should be", (50, 50), xytext=(24, 84), color=INK, arrowprops={"arrowstyle": "-", "color": GREY}
    )
    save(figure, "calibration-temperature")


if __name__ == "__main__":
    draw_ranges()
    draw_temperature()
