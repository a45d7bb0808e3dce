"""The comparison as Markdown: a table for each set, and the differences over all sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from studies.image_units import UnitRule, image_units
from studies.pooled_difference import Difference, PooledDifference, SetAnswers, pooled_difference
from studies.rivals.answers import EntryAnswers, paired
from studies.rivals.inference_time import InferenceTime


@dataclass(frozen=True)
class TableRow:
    """The answers of a recipe on a set, one for each seed, and the time of one of its files."""

    title: str
    answers: tuple[EntryAnswers, ...]
    time: InferenceTime

    def top1(self, rules: Mapping[str, UnitRule]) -> Difference:
        """Return the share of right answers with its interval: the difference from never being right."""
        first = self.answers[0]
        right = paired(self.answers, first.images)
        units = image_units(rules, first.set_name, first.images)
        never = np.zeros((1, right.shape[1]), np.bool_)
        return pooled_difference([SetAnswers(first.set_name, right, never, units)]).pooled


def to_markdown(rows: Mapping[str, Sequence[TableRow]], rules: Mapping[str, UnitRule]) -> str:
    """Return the tables; `rows` are those of each set, ours first."""
    lines: list[str] = []
    for name, own in rows.items():
        images = len(own[0].answers[0].images)
        lines += [
            f"**{name}**, {images} test images",
            "",
            _line(["recipe", "file", "top-1", "macro F1", "inference", "size", "training"]),
            _line(["---", "---", *["---:"] * 5]),
            *(_line(_cells(row, rules)) for row in own),
            "",
        ]
    titles = [row.title for row in next(iter(rows.values()))]
    lines += [
        _line(["better than", "points over all sets", *rows]),
        _line(["---", *["---:"] * (len(rows) + 1)]),
        *(_line(_difference_cells(title, differences(rows, title, rules))) for title in titles[1:]),
        "",
    ]
    return "\n".join([*lines, *_notes(rows)]) + "\n"


def differences(
    rows: Mapping[str, Sequence[TableRow]], title: str, rules: Mapping[str, UnitRule]
) -> PooledDifference:
    """Return how much more often ours, the first row of each set, is right than the recipe `title`."""
    sets = []
    for name, own in rows.items():
        ours, other = own[0].answers, next(row for row in own if row.title == title).answers
        images = ours[0].images
        units = image_units(rules, name, images)
        sets.append(SetAnswers(name, paired(ours, images), paired(other, images), units))
    return pooled_difference(sets)


def _cells(row: TableRow, rules: Mapping[str, UnitRule]) -> list[str]:
    top1, first = row.top1(rules), row.answers[0]
    seconds = [one.seconds for one in row.answers if one.seconds is not None]
    return [
        row.title,
        first.variant,
        f"{top1.mean:.1%} ({top1.interval[0] * 100:.1f} to {top1.interval[1] * 100:.1f})",
        f"{mean(one.macro_f1() for one in row.answers):.1%}",
        f"{row.time.median_ms:.2f} ms",
        f"{first.size_bytes / 1e6:.1f} MB",
        f"{mean(seconds):.0f} s" if seconds else "-",
    ]


def _difference_cells(title: str, found: PooledDifference) -> list[str]:
    each = [f"{one.mean * 100:+.1f} ({_points(one)})" for one in found.sets.values()]
    return [title, f"{found.pooled.mean * 100:+.1f} ({_points(found.pooled)})", *each]


def _points(difference: Difference) -> str:
    low, high = (end * 100 for end in difference.interval)
    return f"{low:+.1f} to {high:+.1f}"


def _notes(rows: Mapping[str, Sequence[TableRow]]) -> list[str]:
    answers = [row.answers for own in rows.values() for row in own]
    machines = sorted({row.time.machine for own in rows.values() for row in own})
    seeds = sorted({len(each) for each in answers})
    weights = sorted({one.weights for each in answers for one in each})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return [
        f"- {'; '.join(machines)}; seeds of each: {count}; weights: {', '.join(weights)}.",
        "- top-1, macro F1 and training: means over the seeds. In parentheses: 95 % intervals, by a "
        "bootstrap of what was photographed together.",
        "- inference: median of one thread, all files of a set in turn.",
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
