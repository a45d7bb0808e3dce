"""Labels in another order than a model's outputs: which label stands for which output, by its answers."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray


def match_labels(answers: NDArray[np.int64], truth: NDArray[np.int64]) -> dict[int, int]:
    """Return for each class of `truth` the output that stands for it; both index the same labels, [images].

    The most frequent pair of class and answer is matched first, then the most frequent of the others. A class
    is missing whose images are all answered with outputs that stand for others. An answer of -1 is none.
    """
    pairs = Counter(zip(truth.tolist(), answers.tolist(), strict=True))
    # Of equally frequent pairs those that rename nothing come first.
    ordered = sorted(pairs, key=lambda pair: (-pairs[pair], pair[0] != pair[1], pair))
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for index, answer in ordered:
        if answer >= 0 and index not in matched and answer not in taken:
            matched[index] = answer
            taken.add(answer)
    return matched


def right_in_other_order(answers: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which answers are right under matched labels, bool [images].

    Every second image of a class is judged by the labels that were matched on the others, so that chance
    makes no answer right more often.
    """
    second = np.zeros(truth.size, np.bool_)
    for index in set(truth.tolist()):
        second[np.flatnonzero(truth == index)[1::2]] = True
    right = np.zeros(truth.size, np.bool_)
    for judged in (second, ~second):
        matched = match_labels(answers[~judged], truth[~judged])
        wanted = np.array([matched.get(index, -2) for index in truth[judged].tolist()], np.int64)
        right[judged] = answers[judged] == wanted
    return right


def reorder(labels: tuple[str, ...], matched: dict[int, int]) -> tuple[str | None, ...]:
    """Return the label of each output; None where no image tells it."""
    found: list[str | None] = [None] * len(labels)
    for index, answer in matched.items():
        found[answer] = labels[index]
    left = [label for label in labels if label not in found]
    if len(left) == 1:
        found[found.index(None)] = left[0]
    return tuple(found)
