"""The plot of a repair report: which layers 8 bits harm, and why."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ...edge.errors import MissingPackageError
from ...edge.extras import pip_install
from ...edge.printable import one_line
from .report import RepairReport
from .sensitivity import LayerError

_HARMLESS, _GUILTY, _KEPT, _MEDIAN = "#8c959f", "#cf222e", "#0550ae", "#1a7f37"
_FLOOR = 1e-5  # Nats; smaller values are drawn as this, since a logarithmic axis has no zero.
_MAX_NAMED = 16
_MAX_NAME = 24
_HEADROOM = 3e4  # Room above the highest bar for a name of that length.
_DPI = 130


def plot_errors(report: RepairReport) -> bytes:
    """Return a PNG of the error that each layer causes, in network order, and of the worst one's channels.

    Harmful layers are named, and layers that the chosen repair keeps in float are marked. Raises
    MissingPackageError without matplotlib, ValueError when no layer was diagnosed.
    """
    if not report.diagnosis:
        raise ValueError("no layer was diagnosed")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackageError("matplotlib", "Drawing the doctor's plot", pip_install("convert")) from None
    mpl.rcdefaults()  # A file matplotlibrc in the working folder is somebody's: it may call LaTeX.
    figure = Figure(figsize=(10, 8), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(3, 2))
    _draw_layers(top, report)
    _draw_channels(bottom, report)
    figure.suptitle(_short(f"{report.name}: what 8 bits do to each layer", 80), fontsize=12, parse_math=False)
    return _png(figure)


def _draw_layers(axes: Any, report: RepairReport) -> None:
    layers = sorted(report.diagnosis, key=lambda error: error.index)
    heights = np.maximum([error.divergence for error in layers], _FLOOR)
    colours = [_GUILTY if error.harmful else _HARMLESS for error in layers]
    axes.bar(range(len(layers)), heights, color=colours, width=0.8)
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR, max(float(heights.max()), 1.0) * _HEADROOM)
    named = {error.index for error in report.harmful[:_MAX_NAMED]}
    for place, (error, height) in enumerate(zip(layers, heights, strict=True)):
        if error.index in named:
            _name(axes, place, height, error)
    _mark_kept(axes, report, layers)
    axes.set_xlim(-1, len(layers))
    axes.set_ylabel("change of the answers, nats\n(Kullback-Leibler, layer alone in 8 bits)")
    axes.set_xlabel("layers in the order in which they run")
    axes.set_yticks([10.0**power for power in range(-5, 2)])
    axes.minorticks_off()
    axes.grid(axis="y", alpha=0.25)
    _legend(axes, report)


def _name(axes: Any, place: int, height: float, error: LayerError) -> None:
    axes.annotate(
        _short(error.name, _MAX_NAME),
        (place, height),
        xytext=(0, 4),
        textcoords="offset points",
        rotation=90,
        ha="center",
        va="bottom",
        fontsize=7,
        color=_GUILTY,
        parse_math=False,
    )


def _mark_kept(axes: Any, report: RepairReport, layers: Sequence[LayerError]) -> None:
    kept = set(report.chosen.kept_indices) if report.chosen else set()
    places = [place for place, error in enumerate(layers) if error.index in kept]
    axes.plot(places, [_FLOOR * 1.6] * len(places), "^", color=_KEPT, ms=5, ls="none")


def _legend(axes: Any, report: RepairReport) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=_HARMLESS, label="8 bits suffice")]
    if report.harmful:
        handles.insert(0, Patch(color=_GUILTY, label="8 bits do harm"))
    if report.chosen and report.chosen.kept_indices:
        label = "stays float in the repaired file"
        handles.append(Line2D([], [], color=_KEPT, marker="^", ls="none", label=label))
    axes.legend(handles=handles, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False)


def _draw_channels(axes: Any, report: RepairReport) -> None:
    worst = report.diagnosis[0]
    ranges = np.array(report.worst_channels)
    used = ranges[ranges > 0]
    if used.size:
        median = float(np.median(used))
        colours = [_GUILTY if reach > 10 * median else _HARMLESS for reach in ranges]
        axes.bar(range(len(ranges)), np.maximum(ranges, used.min() / 2), color=colours, width=0.8)
        axes.set_yscale("log")
        label = f"median channel: {worst.levels:.0f} of the 256 levels"
        axes.axhline(median, color=_MEDIAN, lw=1.2, label=label)
        axes.axhline(median * 10, color=_GUILTY, lw=1.2, ls="--", label="ten times the median")
        axes.legend(fontsize=8, loc="upper right")
        axes.set_ylim(top=float(used.max()) * 8)
    axes.set_xlim(-1, len(ranges))
    axes.set_ylabel("highest minus lowest value")
    axes.set_xlabel("channels")
    axes.set_title(
        _short(f"Channels at the {worst.side} of the worst layer, {worst.name}", 90),
        fontsize=10,
        parse_math=False,
    )


def _short(text: str, length: int) -> str:
    text = one_line(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # A letter that the font lacks is drawn as a box.
        # Without matplotlib's version inside: the same input gives the same bytes.
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    with Image.open(buffer) as image:
        smaller = io.BytesIO()
        image.convert("RGB").quantize(128).save(smaller, "PNG", optimize=True)
    return smaller.getvalue()
