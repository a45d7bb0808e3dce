"""The pictures of a trained model: curves of both phases, and the confusion matrix."""

from __future__ import annotations

import io
import textwrap
import warnings
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from ..benchmarks.statistics import Metrics
from .fitting import History

_TRAIN, _VALIDATION = "#9a6700", "#0550ae"
_MAX_CELL_TEXT = 20
_MAX_LABEL = 40


def curves_png(title: str, history: History) -> bytes:
    """Return a PNG of loss and accuracy by epoch, with the start of phase 2 and the best epoch marked."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    steps = np.arange(1, len(history.rows) + 1)
    best = history.rows.index(history.best) + 1
    boundary = sum(row["phase"] == 1 for row in history.rows)
    for axes, key in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column, color, name in (
            (key, _TRAIN, "training (augmented)"),
            (f"val_{key}", _VALIDATION, "validation"),
        ):
            axes.plot(steps, [row[column] for row in history.rows], "o-", color=color, ms=3, label=name)
        axes.axvline(best, color="#1a7f37", ls=":", label=f"kept: epoch {best}")
        if 0 < boundary < len(history.rows):
            axes.axvline(boundary + 0.5, color="grey", ls="--", lw=1, label="phase 2 begins")
        axes.set_xlabel("epoch")
        axes.set_ylabel(key)
        axes.grid(alpha=0.25)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend(fontsize=8)
    figure.suptitle(title, parse_math=False)
    return _png(figure)


def confusion_png(title: str, metrics: Metrics) -> bytes:
    """Return a PNG of the confusion matrix; shades are shares of the true class, numbers count images."""
    labels = [textwrap.shorten(row.label, _MAX_LABEL, placeholder="…") for row in metrics.classes]
    counts = np.array(metrics.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(14.0, 3.5 + 0.38 * len(labels))
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=90, parse_math=False)
    axes.set_yticks(ticks, labels, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(labels) <= _MAX_CELL_TEXT:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=color, fontsize=8)
    axes.set_title(title, parse_math=False)
    return _png(figure)


def _png(figure: Any) -> bytes:
    # The software's version in the file would make equal pictures differ.
    buffer = io.BytesIO()
    with mpl.rc_context({"text.usetex": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # The font has no glyph for some label.
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
