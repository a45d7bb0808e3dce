"""Trains, measures and writes one model of a run."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..benchmarks.statistics import Metrics, measure
from ..edge.card import Accuracy, InputSpec, ModelCard, Preprocess, TrainingInfo
from ..edge.console import say
from .fitting import Batches, Examples, History, fit
from .models import build
from .options import TrainOptions
from .plots import confusion_png, curves_png
from .prepare import PreparedData
from .report import ModelReport

_MAX_TRAIN_MEASURED = 10_000
_PREDICT_BATCH = 128


def train_model(name: str, data: PreparedData, staging: Path, options: TrainOptions) -> ModelReport:
    """Train the model `name`, and write its folder into `staging` under its final name when it is whole.

    Raises OptionError when the training diverges, KeyboardInterrupt when there is nothing to keep yet.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(options.seed)
    size = options.image_size[name]
    labels = data.split.labels
    built = build(name, len(labels), options)
    say(f"{name}: {built.model.count_params():,} parameters, input {size}x{size}")
    folder = unfinished_folder(staging, name)
    folder.mkdir()
    history = fit(
        built, data.examples("train", size), data.examples("validation", size), len(labels), options, folder
    )
    (folder / "best.weights.h5").unlink()
    metrics = _measure(built.model, data.examples(data.split.evaluation_subset, size), labels)
    train_accuracy = _measure(
        built.model, _sample(data.examples("train", size), options.seed), labels
    ).accuracy
    report = ModelReport(
        name=name,
        image_size=size,
        metrics=metrics,
        train_accuracy=train_accuracy,
        parameters=built.model.count_params(),
        trainable_parameters=history.trainable_parameters,
        seconds=history.seconds,
        epochs=len(history.rows),
        interrupted=history.interrupted,
        weights="from scratch" if built.base is None or options.weights == "none" else options.weights,
        curves=curves_png(f"{name} on {data.name}", history),
        confusion=confusion_png(f"{name} on {data.name}: {metrics.accuracy:.1%} right", metrics),
    )
    built.model.save(folder / "model.keras")
    _write_folder(folder, report, history, _card(report, data, options))
    folder.rename(staging / name)
    return report


def _write_folder(folder: Path, report: ModelReport, history: History, card: ModelCard) -> None:
    metrics = {
        "model": report.name,
        "subset": card.accuracy.dataset.rpartition(" ")[2] if card.accuracy else "",
        **report.metrics.to_json(),
        "train_accuracy": report.train_accuracy,
        "gap": report.train_accuracy - report.metrics.accuracy,
        "parameters": report.parameters,
        "trainable_parameters": max(report.trainable_parameters),
        "trainable_parameters_by_phase": report.trainable_parameters,
        "epochs": report.epochs,
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 1),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    (folder / "history.csv").write_text(history.to_csv())
    (folder / "card.json").write_text(card.to_json(), encoding="utf-8")
    (folder / "curves.png").write_bytes(report.curves)
    (folder / "confusion.png").write_bytes(report.confusion)


def _card(report: ModelReport, data: PreparedData, options: TrainOptions) -> ModelCard:
    metrics = report.metrics
    weights = options.weights if options.weights in ("imagenet", "none") else "file"
    return ModelCard(
        name=f"{data.name} {report.name}",
        labels=data.split.labels,
        input=InputSpec(report.image_size, report.image_size, "float32"),
        preprocess=Preprocess(options.resize),
        accuracy=Accuracy(
            f"{data.name} {data.split.evaluation_subset}",
            metrics.images,
            metrics.accuracy,
            metrics.accuracy_ci95,
            metrics.macro_f1,
            metrics.ece,
        ),
        training=TrainingInfo(
            report.name,
            "none" if report.name == "cnn" else weights,
            data.name,
            options.seed,
            data.split.sha256,
            options.for_card(report.name),
            library_versions(),
        ),
    )


def _measure(model: Any, examples: Examples, labels: tuple[str, ...]) -> Metrics:
    probabilities = model.predict(Batches(examples, _PREDICT_BATCH, None, None), verbose=0)
    return measure(probabilities, examples.truth, labels)


def _sample(examples: Examples, seed: int) -> Examples:
    """Bound the cost of measuring on training images."""
    if len(examples.rows) <= _MAX_TRAIN_MEASURED:
        return examples
    chosen = np.random.default_rng(seed).choice(len(examples.rows), _MAX_TRAIN_MEASURED, replace=False)
    return Examples(examples.pixels, examples.rows[chosen], examples.truth[chosen])


def library_versions() -> dict[str, str]:
    """Return the versions of this program and of what shaped the result."""
    return {name: version(name) for name in ("edge-classify", "tensorflow", "keras", "numpy", "pillow")}


def unfinished_folder(staging: Path, name: str) -> Path:
    """Return where a model is made before it is whole."""
    return staging / f"{name}.partial"
