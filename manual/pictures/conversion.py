"""A picture of conversion: what the images of a test leave open where no answer changed, and where some did.

Run: python -m manual.pictures.conversion
"""

from __future__ import annotations

import numpy as np
from edge_classify.edge.statistics.paired_loss import largest_loss, smallest_loss

from .paper import BLUE, INK, ORANGE, RED, new_figure, save

_LIMIT = 1.0


def draw_at_most() -> None:
    """Show the most points that a file can have lost, by the number of images, and what is shown at least."""
    counts = np.unique(np.geomspace(30, 3000, 40).astype(int))
    none = [100 * largest_loss(0, 0, int(count)) for count in counts]
    figure, axes = new_figure(3.3)
    axes.plot(counts, none, color=BLUE, linewidth=2, label="no image lost: at most")
    lost = np.maximum(1, np.round(counts * 0.05)).astype(int)
    least = [
        100 * max(0.0, smallest_loss(int(n), 0, int(count))) for n, count in zip(lost, counts, strict=True)
    ]
    axes.plot(counts, least, color=ORANGE, linewidth=2, label="1 image in 20 lost: at least")
    axes.axhline(_LIMIT, color=RED, linewidth=1.2)
    axes.text(3100, _LIMIT + 0.15, "--max-drop 1", ha="right", va="bottom", color=INK)
    axes.set_xscale("log")
    axes.set_xticks([36, 100, 360, 1000, 3000], ["36", "100", "360", "1,000", "3,000"])
    axes.minorticks_off()
    axes.set_ylim(0, 9)
    axes.set_xlabel("test images")
    axes.set_ylabel("points lost, 95 %")
    axes.legend(loc="upper right")
    save(figure, "conversion-at-most")


if __name__ == "__main__":
    draw_at_most()
