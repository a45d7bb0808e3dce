"""What explains wrong answers: the readings of input and labels under which a model is right more often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .feeding import FeedTrial, Way, compare, describe_rate
from .label_order import match_labels, reorder, right_in_other_order

# The probability with which chance alone may lead to an explanation, of all that are tried together.
LEVEL = 0.01
_ALIKE = 0.05  # Explanations are as good as the best unless McNemar's test says otherwise.
_MOST = 3
_LABELS = "--labels"
_LABELS_SHOWN = 20


@dataclass(frozen=True)
class Explanation:
    """A reading under which a model is right significantly more often than as it is read.

    `order` holds the label of each output, None where no image tells it; it is None where labels stay as they
    are. `right` is bool [images], and `p_value` that of McNemar's test, times the number of readings that
    were tried (Bonferroni's correction).
    """

    way: Way
    order: tuple[str | None, ...] | None
    right: NDArray[np.bool_]
    p_value: float

    @property
    def changes(self) -> frozenset[str]:
        """The options that differ from the ones in use."""
        return frozenset((*self.way.options, *((_LABELS,) if self.order is not None else ())))

    @property
    def rate(self) -> str:
        """How often the answers are right, as describe_rate says it."""
        return describe_rate(int(self.right.sum()), self.right.size)

    @property
    def options(self) -> str:
        """What to type: "--color BGR and --labels with these lines, in this order: cat, dog"."""
        words = [" ".join(self.way.options)] if self.way.options else []
        if self.order is not None:
            words.append(f"{_LABELS} {describe_order(self.order)}")
        return " and ".join(words)


def explain(trial: FeedTrial, used: int = 0) -> list[Explanation]:
    """Return the readings that explain wrong answers, the best first, at most three; often none.

    All ways are tried with the labels as they are and in another order. Of those that are significantly
    better than the way in use, number `used`, the best stays, with those that the images cannot tell from it.
    A reading that changes more than another, and is right no more often, is left out.
    """
    if trial.truth.size == 0:
        return []
    readings = 2 * len(trial.ways) - 1
    stated = trial.right[used]
    found: list[Explanation] = []
    for place, way in enumerate(trial.ways):
        if not trial.finished(place):
            continue
        for right, order in _as_labelled(trial, place):
            p_value = min(1.0, readings * compare(stated, right))
            if right.sum() > stated.sum() and p_value < LEVEL:
                found.append(Explanation(way, order, right, p_value))
    if not found:
        return []
    found.sort(key=lambda one: (-int(one.right.sum()), len(one.changes), one.order is not None))
    alike = [one for one in found if compare(one.right, found[0].right) >= _ALIKE]
    return [one for one in alike if not _is_covered(one, alike)][:_MOST]


def _as_labelled(
    trial: FeedTrial, place: int
) -> list[tuple[NDArray[np.bool_], tuple[str | None, ...] | None]]:
    """Return which answers of a way are right with the labels as they are, and in the best other order."""
    answers, truth = trial.answers[place], trial.truth
    matched = match_labels(answers, truth)
    readings: list[tuple[NDArray[np.bool_], tuple[str | None, ...] | None]] = [(trial.right[place], None)]
    if any(index != answer for index, answer in matched.items()):
        readings.append((right_in_other_order(answers, truth), reorder(trial.labels, matched)))
    return readings


def _is_covered(one: Explanation, others: list[Explanation]) -> bool:
    """Return whether another explanation is right as often, and changes only a part of what this one does."""
    return any(other.changes < one.changes and other.right.sum() >= one.right.sum() for other in others)


def describe_order(order: tuple[str | None, ...]) -> str:
    """Return "with these lines, in this order: cat, dog"; of many labels only which are known to move."""
    if len(order) <= _LABELS_SHOWN and None not in order:
        hint = " (the alphabetical one)" if list(order) == sorted(map(str, order)) else ""
        return f"with these lines, in this order{hint}: {', '.join(map(str, order))}"
    known = [f"line {line} {label}" for line, label in enumerate(order, 1) if label is not None]
    more = ", and so on" if len(known) > _LABELS_SHOWN else ""
    return f"in another order: {', '.join(known[:_LABELS_SHOWN])}{more}"
