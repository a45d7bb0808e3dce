"""Made-up evaluations and reports of any number of classes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from edge_classify.benchmarks.scoring.split import SUBSETS, SkippedImage, Split, SplitImage
from edge_classify.benchmarks.scoring.statistics import Metrics
from edge_classify.train.checkpoint import EpochRow
from edge_classify.train.dataset import Examples
from edge_classify.train.evaluation import (
    Confidence,
    Evaluation,
    PicturedMistake,
    Predict,
    evaluate,
    predict_examples,
)
from edge_classify.train.plots import confusion_png, curves_png
from edge_classify.train.report import ModelReport

SIDE = 16


def make_examples(classes: int, images: int, seed: int) -> Examples:
    """Return plain grey pictures whose shade shows their class; `rows` are in random order."""
    rng = np.random.default_rng(seed)
    truth = np.sort(np.concatenate([np.arange(classes), rng.integers(0, classes, images - classes)]))
    shades = (truth + 0.5) * 256 / classes + rng.normal(0, 40 / classes, images)
    pixels = (
        np.zeros((images, SIDE, SIDE, 3), np.uint8)
        + shades.clip(0, 255).astype(np.uint8)[:, None, None, None]
    )
    rows = rng.permutation(images)
    return Examples(pixels, rows, truth[rows])


def shade_reader(classes: int, seed: int, sureness: float = 3.0, skill: float = 1.0) -> Predict:
    """Return a classifier by the mean shade: its errors depend on `skill`, its confidence on `sureness`."""

    def predict(pixels: np.ndarray) -> np.ndarray:
        place = pixels.mean(axis=(1, 2, 3)) * classes / 256 - 0.5
        noise = [np.random.default_rng([seed, int(p * 1e6) % 2**31]).normal(0, 0.4 / skill) for p in place]
        logits = -sureness * (np.arange(classes) - (place + noise)[:, None]) ** 2
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)

    return predict


def make_labels(classes: int) -> tuple[str, ...]:
    return tuple(f"class {number:03d}" for number in range(classes))


@lru_cache
def make_evaluation(labels: tuple[str, ...], images: int = 300, seed: int = 0, **reader: float) -> Evaluation:
    """Evaluate a `shade_reader` on made-up sets of this size."""
    classes = len(labels)
    training, validation, test = (make_examples(classes, images, 100 + number) for number in range(3))
    paths = [f"{labels[truth]}/{number}.jpg" for number, truth in enumerate(test.truth)]
    predict = shade_reader(classes, seed, **reader)
    return evaluate_with(predict, training, validation, test, labels, paths, 0.8, 0)


def evaluate_with(
    predict: Predict,
    training: Examples,
    validation: Examples,
    evaluation: Examples,
    labels: tuple[str, ...],
    paths: list[str],
    precision: float,
    seed: int,
) -> Evaluation:
    """Fit the confidence to the answers to the validation images, and evaluate."""
    confidence = Confidence.fit(predict_examples(predict, validation), validation.truth, precision)
    return evaluate(predict, training, evaluation, labels, paths, confidence, precision, seed)


def make_split(labels: tuple[str, ...], subsets: tuple[str, ...] = SUBSETS, skipped: int = 0) -> Split:
    """Return a split of one image for each class and subset, with skipped files that have hostile names."""
    images = tuple(
        SplitImage(f"{label}/{subset}.png", "0" * 64, label, subset) for label in labels for subset in subsets
    )
    files = tuple(SkippedImage(f"<b>{i}</b>.jpg", "is <i>damaged</i>") for i in range(skipped))
    return Split("root", labels, images, files)


def epoch_row(phase: int = 1, epoch: int = 1, val_loss: float = 1.0) -> EpochRow:
    """Return a row of the history; its other values do not matter."""
    return EpochRow(
        phase=phase, epoch=epoch, learning_rate=0.001, loss=1.0, accuracy=0.5, val_loss=val_loss,
        val_accuracy=0.5,
    )  # fmt: skip


def make_history(epochs: tuple[int, ...] = (6, 4)) -> list[EpochRow]:
    """Return rows as training writes them, with a loss that falls."""
    rows: list[EpochRow] = []
    for phase, count in enumerate(epochs, 1):
        for epoch in range(1, count + 1):
            loss = 2 / (len(rows) + 2)
            rows.append(
                {"phase": phase, "epoch": epoch, "learning_rate": 0.001, "loss": loss,
                 "accuracy": 1 - loss / 2, "val_loss": loss * 1.2, "val_accuracy": 1 - loss * 0.6}
            )  # fmt: skip
    return rows


@lru_cache
def _plots(name: str, metrics: Metrics) -> tuple[bytes, bytes]:
    return curves_png(name, make_history(), 9), confusion_png(name, metrics)


def make_report(name: str, evaluation: Evaluation, **changes: Any) -> ModelReport:
    """Return a model's part of the report; its mistakes have small pictures."""
    curves, confusion = _plots(name, evaluation.metrics)
    picture = b"\xff\xd8\xff picture"
    values: dict[str, Any] = {
        "name": name, "image_size": SIDE, "evaluation": evaluation, "parameters": 305251,
        "trainable_parameters": [1000, 305251], "file_bytes": 1_300_000, "seconds": 72.3, "epochs": 10,
        "interrupted": False, "weights": "from scratch",
        "curves": curves, "confusion": confusion,
        "mistakes": tuple(PicturedMistake(mistake, picture, picture) for mistake in evaluation.mistakes),
    }  # fmt: skip
    return ModelReport(**{**values, **changes})
