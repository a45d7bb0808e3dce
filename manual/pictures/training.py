"""A picture of training: which images a single split and five folds test.

Run: python -m manual.pictures.training
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from edge_classify.edge.statistics.proportions import wilson_interval
from edge_classify.train.splitting import DatasetImage, split_into_folds
from matplotlib.colors import ListedColormap

from .paper import BLUE, ORANGE, PALE, new_figure, save

_IMAGES, _FOLDS, _RATE = 180, 5, 0.8


def draw_folds() -> None:
    """Show the images that each of five models is tested on, and the intervals of a fifth and of all."""
    images = [DatasetImage(Path(f"{n}.jpg"), "abc"[n % 3], "all") for n in range(_IMAGES)]
    place = split_into_folds(images, np.arange(_IMAGES), _FOLDS, 0)
    tested = np.array([place == fold for fold in range(_FOLDS)])
    figure, axes = new_figure(3.6, 2, height_ratios=(2.4, 1))
    axes[0].imshow(
        tested, cmap=ListedColormap([PALE, BLUE]), aspect="auto", interpolation="nearest",
        extent=(0, _IMAGES, 0, _FOLDS),
    )  # fmt: skip
    axes[0].set_yticks(np.arange(_FOLDS) + 0.5, [f"model {number}" for number in range(_FOLDS, 0, -1)])
    axes[0].set_xlabel(f"{_IMAGES} photos; blue: this model is tested on it")
    for row, (count, text, color) in enumerate(
        ((_IMAGES // _FOLDS, "one split", ORANGE), (_IMAGES, "five folds", BLUE))
    ):
        low, high = wilson_interval(_RATE * count, count)
        axes[1].plot([100 * low, 100 * high], [-row, -row], color=color, linewidth=4, solid_capstyle="butt")
        axes[1].text(100 * high + 1, -row, f"{text}: {count} images", va="center")
    axes[1].set_xlim(60, 112)
    axes[1].set_xticks([60, 70, 80, 90])
    axes[1].set_ylim(-1.6, 0.6)
    axes[1].set_yticks([])
    axes[1].spines["left"].set_visible(False)
    axes[1].set_xlabel("right answers, %, of a model that has 80 % right")
    save(figure, "training-folds")


if __name__ == "__main__":
    draw_folds()
