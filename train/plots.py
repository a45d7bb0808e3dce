"""The plots of a trained model: learning curves, confusion matrix, and reliability diagram."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from PIL import Image

from ..benchmarks.scoring.confidence import ReliabilityBin
from ..benchmarks.scoring.statistics import Metrics
from ..edge.printable import one_line

# A file matplotlibrc in the working folder is somebody's: it may have LaTeX set the labels.
mpl.rcdefaults()

MAX_NUMBERED_CLASSES = 20
_TRAIN, _VALIDATION, _KEPT = "#9a6700", "#0550ae", "#1a7f37"
_MAX_LABEL = 30
_GUIDE = 5  # Above MAX_NUMBERED_CLASSES, a line after this many classes leads the eye to the labels.
_COLOURS = 128
_DPI = 130


def curves_png(title: str, rows: Sequence[Mapping[str, Any]], kept: int) -> bytes:
    """Return a PNG of loss and accuracy by epoch, which marks the starts of later phases and the kept epoch.

    A row has phase, loss, accuracy, val_loss and val_accuracy; a missing value or None leaves a hole.
    `kept` counts the rows from 1.
    """
    figure = Figure(figsize=(5.2, 5), layout="constrained")
    steps = np.arange(1, len(rows) + 1)
    for axes, key in zip(figure.subplots(2, 1, sharex=True), ("loss", "accuracy"), strict=True):
        for column, colour, name in ((key, _TRAIN, "training"), (f"val_{key}", _VALIDATION, "validation")):
            values = np.array([row.get(column) for row in rows], float)
            axes.plot(steps, values, "o-", color=colour, ms=3, label=name)
        axes.axvline(kept, color=_KEPT, ls=":", label=f"kept: epoch {kept}")
        for number in range(1, len(rows)):
            if rows[number]["phase"] != rows[number - 1]["phase"]:
                text = f"phase {rows[number]['phase']} begins"
                axes.axvline(number + 0.5, color="grey", ls="--", lw=1, label=text)
        axes.set_ylabel(key)
        axes.grid(alpha=0.25)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(_short(title, 60), fontsize=11, parse_math=False)
    return _png(figure)


def confusion_png(title: str, metrics: Metrics) -> bytes:
    """Return a PNG of the confusion matrix; shades are shares of the true class.

    Up to MAX_NUMBERED_CLASSES, the numbers of images are shown too. Above, small shares are darker than in
    proportion, so that rare confusions are visible.
    """
    labels = [_short(row.label, _MAX_LABEL) for row in metrics.classes]
    counts = np.array(metrics.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    numbered = len(labels) <= MAX_NUMBERED_CLASSES
    side = 2.6 + (0.36 * len(labels) if numbered else 0.105 * len(labels))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", norm=PowerNorm(1 if numbered else 0.5, 0, 1), interpolation="nearest")
    fontsize = 9 if numbered else 5.5
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=90, fontsize=fontsize, parse_math=False)
    axes.set_yticks(ticks, labels, fontsize=fontsize, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if numbered:
        _write_counts(axes, counts, shares)
    else:
        for place in np.arange(_GUIDE, len(labels), _GUIDE) - 0.5:
            axes.axhline(place, color="#888", lw=0.3)
            axes.axvline(place, color="#888", lw=0.3)
    axes.set_title(_short(title, int(side * 9)), fontsize=10, parse_math=False)
    return _png(figure)


def reliability_png(before: Sequence[ReliabilityBin], after: Sequence[ReliabilityBin]) -> bytes:
    """Return a PNG of accuracy by confidence, before and after temperature, with histograms below."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1))
    for column, (bins, name) in enumerate(((before, "before"), (after, "after"))):
        upper, lower = panels[:, column]
        filled = [b for b in bins if b.images]
        edges = [*(b.low for b in bins), bins[-1].high]
        upper.stairs([b.accuracy for b in bins], edges, fill=True, color="#54aeff")
        upper.plot([0, 1], [0, 1], ls="--", color="grey", lw=1)
        upper.plot([b.confidence for b in filled], [b.accuracy for b in filled], "o", ms=3, color=_TRAIN)
        upper.set_title(f"{name} temperature", fontsize=10)
        upper.set_xlim(0, 1)
        upper.set_ylim(0, 1)
        lower.stairs([b.images for b in bins], edges, fill=True, color="#8c959f")
        lower.set_xlabel("confidence")
    panels[0, 0].set_ylabel("accuracy")
    panels[1, 0].set_ylabel("images")
    return _png(figure)


def _write_counts(axes: Any, counts: Any, shares: Any) -> None:
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{counts[row, column]}"
        size = 8 if len(text) < 5 else 6
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _short(text: str, width: int) -> str:
    """Shorten a text to one line of `width` letters; controls and right-to-left marks become codes."""
    line = one_line(" ".join(text.split()))
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _png(figure: Any) -> bytes:
    """Use few colours, for a third of the bytes, and no software version, for equal bytes of equal plots."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    with mpl.rc_context({"text.usetex": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # The font has no glyph for some label.
        figure.savefig(drawn, format="png", dpi=_DPI, metadata={"Software": None})
    picture = Image.open(drawn).convert("RGB")
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
    return packed.getvalue()
