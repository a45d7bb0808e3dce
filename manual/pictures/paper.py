"""The paper that the manual's pictures are drawn on: its size, its colours, and how a picture is saved.

A picture is 5 inches wide, which is 360 points: on a phone of 390 pixels its text has as many pixels as it
has points here, and none has less than 11. The paper is white in light and dark mode.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from edge_classify.edge.console import say

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH = 5.0  # Inches.
SMALLEST = 11.0  # Points.
# Blue, orange, green and vermilion of M. Okabe and K. Ito, which the colour-blind tell apart; ink and grey.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
INK, GREY, PALE = "#222222", "#767676", "#d9d9d9"

_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "font.family": "DejaVu Sans",  # matplotlib brings it along: the same everywhere.
    "font.size": SMALLEST,
    "legend.frameon": False,
    "legend.fontsize": SMALLEST,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "edge-classify",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": SMALLEST,
    "ytick.color": INK,
    "ytick.labelsize": SMALLEST,
}


def new_figure(height: float, rows: int = 1, **options: Any) -> tuple[Any, Any]:
    """Return a figure of WIDTH by `height` inches, and its axes, in `rows` below each other.

        figure, axes = new_figure(2.5)

    `options` are those of matplotlib's `subplots`. Constrained layout keeps texts apart.
    """
    matplotlib.use("Agg")
    matplotlib.rcParams.update(_STYLE)
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, figsize=(WIDTH, height), layout="constrained", **options)
    return figure, axes


def save(figure: Any, name: str) -> None:
    """Write docs/pictures/`name`.svg, without date, so that the same program gives the same bytes.

    Raises ValueError for a text that is smaller than SMALLEST.
    """
    from matplotlib.text import Text

    small = {
        text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_size() < SMALLEST
    }
    if small:
        raise ValueError(f"{name}: smaller than {SMALLEST} points: {sorted(small)}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    say(f"{path.relative_to(PICTURES.parents[1])}: {path.stat().st_size / 1000:.0f} kB")
