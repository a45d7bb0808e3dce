"""A picture of the time of one inference in other runtimes, from the tables of the page itself.

Run: python -m manual.pictures.against_others
"""

from __future__ import annotations

import re
from pathlib import Path

from .paper import BLUE, INK, PALE, new_figure, save

_PAGE = Path(__file__).parents[2] / "docs" / "understand" / "against-others.md"
_ROW = re.compile(r"^\| (?P<runtime>[^|]+) \| int8 \| (?P<ms>[\d.]+) ms \(", re.MULTILINE)


def draw_int8() -> None:
    """Show the median of an inference with int8 files, the fastest first."""
    found = _ROW.findall(_PAGE.read_text(encoding="utf-8"))
    rows = sorted((float(ms), runtime.strip()) for runtime, ms in found)
    figure, axes = new_figure(3.6)
    for place, (ms, runtime) in enumerate(rows):
        axes.barh(place, ms, color=BLUE if runtime == "edge-classify" else PALE, height=0.7)
        axes.text(ms + 0.15, place, f"{ms:.1f} ms", va="center", color=INK)
    axes.set_yticks(range(len(rows)), [runtime.replace(", ", ",\n") for _, runtime in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 17.5)
    axes.set_xticks([0, 5, 10, 15])
    axes.set_xlabel("ms for one inference, int8, 1 thread")
    save(figure, "against-others")


if __name__ == "__main__":
    draw_int8()
