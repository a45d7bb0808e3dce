"""Markdown tables of what each score tells apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import click
import numpy as np

from studies.unknown.comparison import FileAnswers, Scored, mean_difference
from studies.unknown.metrics import LOST, RECALL
from studies.unknown.prototypes import COUNTS, INT8_PROTOTYPES, layer_cost, name_of
from studies.unknown.runs import FAR, MADE_UP, NEAR

_FIRST = "softmax"
_NEIGHBOURS = "10th neighbour"

Figure = Callable[[Scored], float]


@dataclass(frozen=True)
class FileCost:
    """What an int8 file takes: bytes, multiply-accumulates, and features before the last dense layer.

    `images` are the training images of each class.
    """

    set_name: str
    size: int
    macs: int
    features: int
    images: tuple[int, ...]

    def rows(self, count: int) -> int:
        """Return how many prototypes there are, with `count` a class or as many as it has images."""
        return sum(min(count, images) for images in self.images)


def print_tables(scored: Sequence[Scored], answers: Sequence[FileAnswers], costs: Sequence[FileCost]) -> None:
    """Print all tables to stdout."""
    _print_files(answers)
    for kind, title in ((FAR, "Far images"), (NEAR, "Near images")):
        if not any(item.names(kind) for item in scored):
            continue
        told = [item for item in scored if item.names(kind)]
        _print_by_set(f"{title}: AUROC", told, partial(Scored.auroc, kind=kind))
        _print_by_set(
            f"{title}: false positives at {RECALL:.0%} recall",
            told,
            partial(Scored.false_positives, kind=kind),
        )
        _print_differences(f"{title}: AUROC above that of {_FIRST}", told, kind)
    _print_operating_points(scored)
    if made_up := [item for item in scored if item.names(MADE_UP)]:
        _print_made_up(made_up)
    if far := [item for item in scored if item.names(FAR)]:
        _print_by_folder(far)
        _print_prototypes(far)
    _print_costs(costs)


def mean_over_sets(scored: Sequence[Scored], method: str, variant: str, figure: Figure) -> float:
    """Return the mean of a figure: first over the runs of a set, then over sets."""
    found = [_mean_of_set(scored, name, method, variant, figure) for name in _sets(scored)]
    known = [value for value in found if not math.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def gain_share(scored: Sequence[Scored], method: str, variant: str, figure: Figure) -> float:
    """Return how much of what the 10th neighbour gains on class means a method gains; NaN for no gain.

    A higher `figure` is better.
    """
    first, best, own = (
        mean_over_sets(scored, name, variant, figure) for name in (name_of(1), _NEIGHBOURS, method)
    )
    return (own - first) / (best - first) if best > first else float("nan")


def _print_files(answers: Sequence[FileAnswers]) -> None:
    rows = [
        [
            item.set_name,
            item.variant,
            str(len(item.training.classes)),
            str(len(item.training.truth)),
            str(len(item.chooser[1].truth)),
            str(len(item.test.truth)),
            f"{item.test.right.mean():.3f}",
            ", ".join(f"{name} {len(outputs.logits)}" for name, outputs in item.unknown.items()),
        ]
        for item in answers
    ]
    header = ["set", "file", "classes", "training", "validation", "test", "top-1", "unknown images"]
    _print("Files", header, rows)


def _print_by_set(title: str, scored: Sequence[Scored], figure: Figure) -> None:
    sets, variants = _sets(scored), _variants(scored)
    header = ["score", *(f"{name} {v}" for name in sets for v in variants), *(f"mean {v}" for v in variants)]
    rows = []
    for method in _methods(scored):
        each = [_mean_of_set(scored, name, method, v, figure) for name in sets for v in variants]
        means = [mean_over_sets(scored, method, v, figure) for v in variants]
        rows.append([method, *map(_shown, (*each, *means))])
    _print(title, header, rows)


def _print_differences(title: str, scored: Sequence[Scored], kind: str) -> None:
    """Print for each method the difference to softmax in each variant, and that of int8 to float32."""
    variants = _variants(scored)
    header = ["score", *(f"{v} less {_FIRST}" for v in variants), "int8 less float32"]
    rows = []
    for method in _methods(scored):
        cells = [mean_difference(_pairs(scored, (method, v), (_FIRST, v)), kind) for v in variants]
        cells.append(mean_difference(_pairs(scored, (method, "int8"), (method, "float32")), kind))
        rows.append([method, *map(_shown_difference, cells)])
    _print(title, header, rows)


def _print_by_folder(scored: Sequence[Scored]) -> None:
    int8 = [item for item in scored if item.variant == "int8"]
    places = [(name, far) for name in _sets(int8) for far in _names_of(int8, name)]
    rows = []
    for method in _methods(int8):
        figures = [
            _mean_of_set(int8, name, method, "int8", partial(Scored.false_positives_of, name=far))
            for name, far in places
        ]
        rows.append([method, *map(_shown, figures)])
    header = ["score", *(f"{name} / {far.removeprefix('far: ')}" for name, far in places)]
    _print(f"Far images by folder: false positives at {RECALL:.0%} recall, int8", header, rows)


def _print_operating_points(scored: Sequence[Scored]) -> None:
    sets = _sets(scored)
    passes = [f"{kind} let through" for kind in (FAR, NEAR, MADE_UP)]
    header = ["score", *(f"{name}: lost" for name in sets), "mean lost", *passes]
    rows = []
    for method in _methods(scored):
        lost = [_mean_of_set(scored, name, method, "int8", lambda item: item.lost) for name in sets]
        passed = [
            mean_over_sets(scored, method, "int8", partial(Scored.let_through, kind=kind))
            for kind in (FAR, NEAR, MADE_UP)
        ]
        rows.append([method, *map(_shown, (*lost, float(np.nanmean(lost)), *passed))])
    _print(f"Operating point of {LOST:.0%} lost on validation images, int8", header, rows)


def _print_made_up(scored: Sequence[Scored]) -> None:
    names = list(dict.fromkeys(name for item in scored for name in item.names(MADE_UP)))
    header = ["score", *(name.removeprefix(f"{MADE_UP}: ") for name in names)]
    rows = []
    for method in _methods(scored):
        figures = [
            mean_over_sets(scored, method, "int8", partial(Scored.let_through_of, name=name))
            for name in names
        ]
        rows.append([method, *map(_shown, figures)])
    _print("Made-up outliers let through at the operating point, int8", header, rows)


def _print_prototypes(scored: Sequence[Scored]) -> None:
    """Print how much of the neighbours' gain prototypes hold."""
    rows = []
    for name in (*map(name_of, COUNTS), *INT8_PROTOTYPES, _NEIGHBOURS):
        area, kept_out = (mean_over_sets(scored, name, "int8", figure) for figure in (_area, _kept_out))
        shares = [gain_share(scored, name, "int8", figure) for figure in (_area, _kept_out)]
        rows.append([name, _shown(area), _shown(1 - kept_out), *map(_shown_share, shares)])
    header = ["score", "AUROC", "false positives", "share of the gain in AUROC", "in false positives"]
    _print("Prototypes on far images, int8", header, rows)


def _print_costs(costs: Sequence[FileCost]) -> None:
    rows = []
    for cost in costs:
        for count in COUNTS:
            size, macs = layer_cost(cost.rows(count), cost.features)
            rows.append([cost.set_name, name_of(count), str(cost.rows(count)), f"{size:,}",
                         f"{size / cost.size:.2%}", f"{macs:,}", f"{macs / cost.macs:.3%}"])  # fmt: skip
    header = ["set", "prototypes", "rows", "bytes", "of the file", "multiply-accumulates", "of the file's"]
    _print("What a layer of int8 prototypes adds", header, rows)


def _area(item: Scored) -> float:
    return item.auroc(FAR)


def _kept_out(item: Scored) -> float:
    return 1 - item.false_positives(FAR)


def _pairs(
    scored: Sequence[Scored], one: tuple[str, str], other: tuple[str, str]
) -> list[tuple[Scored, Scored]]:
    """Return the scores of the same run by one method and variant and by the others."""
    firsts, seconds = (
        [item for item in scored if (item.method, item.variant) == wanted] for wanted in (one, other)
    )
    return list(zip(firsts, seconds, strict=True)) if firsts and seconds else []


def _mean_of_set(scored: Sequence[Scored], name: str, method: str, variant: str, figure: Figure) -> float:
    found = [
        figure(item)
        for item in scored
        if (item.set_name, item.method, item.variant) == (name, method, variant)
    ]
    return float(np.mean(found)) if found else float("nan")


def _sets(scored: Sequence[Scored]) -> list[str]:
    return list(dict.fromkeys(item.set_name for item in scored))


def _variants(scored: Sequence[Scored]) -> list[str]:
    return list(dict.fromkeys(item.variant for item in scored))


def _methods(scored: Sequence[Scored]) -> list[str]:
    return list(dict.fromkeys(item.method for item in scored))


def _names_of(scored: Sequence[Scored], set_name: str) -> list[str]:
    return list(dict.fromkeys(n for item in scored if item.set_name == set_name for n in item.names(FAR)))


def _shown(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _shown_share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.0%}"


def _shown_difference(found: tuple[float, tuple[float, float]] | None) -> str:
    if found is None:
        return ""
    mean, (low, high) = found
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def _print(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = ["", f"### {title}", "", _row(header), _row(["---"] * len(header)), *map(_row, rows)]
    click.echo("\n".join(lines))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
