"""What each method reaches where a class has few images; figures are kept, so that a study goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from edge_classify.benchmarks.scoring.confidence import apply_temperature, fit_temperature
from edge_classify.benchmarks.scoring.statistics import (
    count_answers,
    cross_entropy,
    expected_calibration_error,
)
from numpy.typing import NDArray

from studies.small_classes.features import SetFeatures
from studies.small_classes.head import Floats
from studies.small_classes.methods import Method
from studies.small_classes.synthesis import Material


@dataclass(frozen=True)
class Case:
    """A class of a set that is reduced to `images`, which the seed chooses."""

    set_name: str
    label: str
    images: int
    seed: int


@dataclass(frozen=True)
class Figures:
    """What a head reaches on the photos held out; fractions of 1, and the log loss in nats.

    `others` is the share of the photos of other classes that are answered right. Log loss and calibration
    error (ECE) are at the temperature that is best on the same photos: one number, fitted for every method.
    """

    f1: float
    recall: float
    macro_f1: float
    others: float
    log_loss: float
    calibration: float


Results = dict[tuple[Case, str], Figures]
"""Figures by case and name of the method."""


def run_cases(
    features: SetFeatures,
    images: Sequence[int],
    seeds: int,
    methods: Sequence[Method],
    place: Path,
) -> Iterator[Results]:
    """Yield the figures of each class of a set, of which those in `place` are read, and the others appended.

    Numbers of images that a class does not exceed are left out for this class.
    """
    for small, label in enumerate(features.labels):
        path = place.with_name(f"{place.name}-{label}.jsonl")
        known = _read(path)
        most = int((features.truth == small).sum())
        with path.open("a", encoding="utf-8") as lines:
            cases = [Case(features.name, label, n, seed) for n in images if n < most for seed in range(seeds)]
            for case in cases:
                material = reduced(features, small, case)
                for method in methods:
                    if (case, method.name) in known:
                        continue
                    head = method.train(material, len(features.labels), case.seed)
                    figures = measure(head.logits(features.held_out), features.held_truth, small)
                    known[case, method.name] = figures
                    lines.write(json.dumps([asdict(case), method.name, asdict(figures)]) + "\n")
                    lines.flush()
        yield {(case, method.name): known[case, method.name] for case in cases for method in methods}


def reduced(features: SetFeatures, small: int, case: Case) -> Material:
    """Return what is left to train on: all images of the other classes, and those of the small one drawn."""
    own = np.flatnonzero(features.truth == small)
    kept = np.random.default_rng([case.seed, small]).permutation(own)[: case.images]
    rows = np.sort(np.concatenate([np.flatnonzero(features.truth != small), kept]))
    return Material(features.views[:, rows], features.truth[rows], small)


def measure(logits: Floats, truth: NDArray[np.int64], small: int) -> Figures:
    """Return the figures of logits [photos, classes]."""
    raw = _softmax(logits)
    probabilities = apply_temperature(raw, fit_temperature(raw, truth))
    guess = logits.argmax(axis=1)
    counts = count_answers(truth, guess, logits.shape[1])
    return Figures(
        f1=float(counts.f1[small]),
        recall=float(counts.recall[small]),
        macro_f1=float(counts.f1.mean()),
        others=float((guess == truth)[truth != small].mean()),
        log_loss=cross_entropy(probabilities, truth),
        calibration=expected_calibration_error(probabilities, truth),
    )


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _read(path: Path) -> Results:
    """Return the figures of a file; a last line that was cut off is deleted."""
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    records = [json.loads(line) for line in whole.splitlines()]
    return {(Case(**case), method): Figures(**figures) for case, method, figures in records}
