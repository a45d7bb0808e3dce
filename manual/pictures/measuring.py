"""Pictures of measuring: warm-up, turns beside a neighbour, fresh processes, and the yardstick.

The times are simulated; the rules are the benchmark's own. Run: python -m manual.pictures.measuring
"""

from __future__ import annotations

import numpy as np
from edge_classify.benchmarks.measuring.distribution import median_interval
from edge_classify.benchmarks.measuring.steadiness import warm_up

from .paper import BLUE, GREY, INK, ORANGE, PALE, RED, new_figure, save

_RUN_MS = 5.0


def draw_warm_up() -> None:
    """Show the times of a cold model's first runs, and where the benchmark's rule calls them steady."""
    rng = np.random.default_rng(0)
    now = 0.0
    times: list[float] = []

    def run() -> None:
        nonlocal now
        slow = 1.8 * np.exp(-len(times) / 14) + (1.5 if not times else 0)
        times.append(_RUN_MS * (1 + slow) * rng.gamma(200, 1 / 200))
        now += times[-1] / 1000

    found = warm_up(run, 1.0, lambda: now)
    while len(times) < found.runs + 40:
        run()
    figure, axes = new_figure(2.9)
    axes.axvspan(0, found.runs, color=PALE)
    axes.plot(range(1, len(times) + 1), times, "o", markersize=3, color=BLUE)
    axes.text(found.runs / 2, 19, f"warm-up: {found.runs} runs", ha="center")
    axes.text(found.runs + 2, 19, "counted")
    axes.set_ylim(0, 22)
    axes.set_xlim(0, len(times) + 1)
    axes.set_xlabel("run")
    axes.set_ylabel("ms")
    save(figure, "measuring-warm-up")


def draw_turns() -> None:
    """Show two equal models while a neighbour is busy: one after the other, and in turn."""
    rng = np.random.default_rng(3)
    blocks = 24
    busy = np.arange(blocks) >= blocks * 0.55
    times = _RUN_MS * np.where(busy, 1.5, 1.0) * rng.gamma(900, 1 / 900, blocks)
    one_after_other = np.arange(blocks) >= blocks // 2
    in_turn = np.arange(blocks) % 2 == 1
    figure, axes = new_figure(4.2, 2, sharex=True)
    titles = ("one after the other", "in turn, each pair a ratio")
    for own, is_second, title in zip(axes, (one_after_other, in_turn), titles, strict=True):
        first, second = times[~is_second], times[is_second]
        ratio = np.median(second) / np.median(first) if own is axes[0] else np.median(second / first)
        own.axvspan(blocks * 0.55 - 0.5, blocks - 0.5, color=PALE)
        own.plot(np.flatnonzero(~is_second), first, "o", color=BLUE, markersize=5, label="model A")
        own.plot(np.flatnonzero(is_second), second, "s", color=ORANGE, markersize=5, label="model B")
        own.set_ylim(3.5, 9.8)
        own.set_ylabel("ms")
        own.set_title(f"{title}: B takes {ratio:.2f} times A")
        own.set_xticks([])
        own.text(blocks - 0.7, 9.6, "a neighbour is busy", ha="right", va="top")
    axes[0].legend(loc="upper left", ncols=1)
    axes[1].set_xlabel("time")
    save(figure, "measuring-turns")


def draw_processes() -> None:
    """Show blocks of five processes, whose level differs, and what one or all of them say."""
    rng = np.random.default_rng(5)
    levels = _RUN_MS * rng.normal(1, 0.025, 5)
    blocks = [[level * rng.gamma(4000, 1 / 4000, 30) for _ in range(8)] for level in levels]
    figure, axes = new_figure(3.1)
    for number, process in enumerate(blocks):
        medians = [float(np.median(block)) for block in process]
        axes.plot(
            np.linspace(number + 0.7, number + 1.3, len(medians)), medians, "o", color=BLUE, markersize=4
        )
    for place, (shown, color) in enumerate(((blocks[:1], RED), (blocks, INK))):
        low, high = median_interval(shown)
        axes.plot([6.2 + place, 6.2 + place], [low, high], color=color, linewidth=4, solid_capstyle="butt")
    axes.set_xticks([1, 2, 3, 4, 5, 6.2, 7.2], ["1", "2", "3", "4", "5", "only\nthe first", "all\nfive"])
    axes.set_xlim(0.4, 7.7)
    axes.axvline(5.65, color=GREY, linewidth=0.8)
    axes.set_ylabel("ms")
    axes.set_title("blocks of five processes, and the 95 % interval")
    save(figure, "measuring-processes")


def draw_yardstick() -> None:
    """Show one model on two days, the second of a slower machine, in ms and as multiples of the yardstick."""
    model, yardstick = np.array([6.0, 7.5]), np.array([4.0, 5.0])
    figure, axes = new_figure(2.7, 1, ncols=2)
    places = np.arange(2)
    axes[0].bar(places - 0.2, model, width=0.36, color=BLUE, label="your model")
    axes[0].bar(places + 0.2, yardstick, width=0.36, color=PALE, label="yardstick")
    axes[0].set_title(f"ms: {100 * (model[1] / model[0] - 1):+.0f} %")
    axes[0].set_ylim(0, 13)
    axes[0].legend(loc="upper left", borderaxespad=0)
    ratios = model / yardstick
    axes[1].bar(places, ratios, width=0.4, color=BLUE)
    axes[1].set_ylim(0, 2)
    axes[1].set_title(f"yardsticks: {100 * (ratios[1] / ratios[0] - 1):+.0f} %")
    for own in axes:
        own.set_xticks(places, ["Monday", "Tuesday"])
    save(figure, "measuring-yardstick")


if __name__ == "__main__":
    draw_warm_up()
    draw_turns()
    draw_processes()
    draw_yardstick()
