"""Pictures of intervals: one model on many sets of 36 images, their width, and the paired test.

Run: python -m manual.pictures.intervals
"""

from __future__ import annotations

import numpy as np
from edge_classify.edge.statistics.paired import SIGNIFICANT, mcnemar_p
from edge_classify.edge.statistics.proportions import wilson_interval

from .paper import BLUE, INK, PALE, RED, new_figure, save

_TRUTH = 0.9
_IMAGES = 36
_SETS = 30


def draw_again_and_again() -> None:
    """Show what 30 sets of 36 test images say of one model that is right on 90 % of all images."""
    right = np.random.default_rng(1).binomial(_IMAGES, _TRUTH, _SETS)
    figure, axes = new_figure(4.6)
    axes.axvline(100 * _TRUTH, color=INK, linewidth=1.2)
    missed = 0
    for row, count in enumerate(right):
        low, high = wilson_interval(int(count), _IMAGES)
        holds = low <= _TRUTH <= high
        missed += not holds
        color = BLUE if holds else RED
        axes.plot([100 * low, 100 * high], [row, row], color=color, linewidth=2)
        axes.plot(100 * count / _IMAGES, row, "o", color=color, markersize=4.5)
    axes.text(100 * _TRUTH - 0.6, _SETS + 0.1, "the truth: 90 %", ha="right", va="bottom")
    axes.set_ylim(-1, _SETS + 2.5)
    axes.set_yticks([])
    axes.set_xlim(58, 101)
    axes.set_xlabel(f"right answers of {_IMAGES} images, per cent")
    best, worst = 100 * right.max() / _IMAGES, 100 * right.min() / _IMAGES
    axes.set_title(
        f"one model, {_SETS} sets of test images: {worst:.0f} to {best:.0f} %\n"
        f"{missed} of the {_SETS} intervals does not hold the truth"
    )
    axes.spines["left"].set_visible(False)
    save(figure, "intervals-36-images")


def draw_width() -> None:
    """Show how the interval of a model that is right on nine of ten images shrinks with their number."""
    counts = np.array([20, 36, 50, 100, 180, 360, 500, 1000, 2000, 5000, 10000])
    ends = np.array([wilson_interval(_TRUTH * count, count) for count in counts]) * 100
    figure, axes = new_figure(2.9)
    axes.fill_between(counts, ends[:, 0], ends[:, 1], color=PALE)
    axes.axhline(100 * _TRUTH, color=INK, linewidth=1.2)
    for count in (36, 360, 5000):
        low, high = (100 * end for end in wilson_interval(_TRUTH * count, count))
        axes.plot([count, count], [low, high], color=BLUE, linewidth=2)
        axes.annotate(
            f"{high - low:.0f} points", (count, low), xytext=(0, -4), textcoords="offset points",
            ha="center", va="top", color=BLUE,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks([20, 100, 1000, 10000], ["20", "100", "1,000", "10,000"])
    axes.minorticks_off()
    axes.set_ylim(66, 101)
    axes.set_xlabel("test images")
    axes.set_ylabel("right answers, %")
    save(figure, "intervals-width")


def draw_paired() -> None:
    """Show the p-value where one model alone has 1 to 10 images right, and the other alone has none."""
    counts = np.arange(1, 11)
    values = [mcnemar_p(int(count), 0) for count in counts]
    figure, axes = new_figure(2.9)
    axes.bar(counts, values, color=[BLUE if value < SIGNIFICANT else PALE for value in values], width=0.7)
    axes.axhline(SIGNIFICANT, color=RED, linewidth=1.2)
    for count, value in zip(counts[:7], values, strict=False):
        axes.text(count, max(float(value), SIGNIFICANT) + 0.02, f"{value:.2f}", ha="center")
    axes.set_xticks(counts)
    axes.set_ylim(0, 1.12)
    axes.set_xlabel("images that only model A has right (only B: none)")
    axes.set_ylabel("p-value")
    axes.set_title(f"below {SIGNIFICANT:.2f}, a difference is shown")
    save(figure, "intervals-paired")


if __name__ == "__main__":
    draw_again_and_again()
    draw_width()
    draw_paired()
