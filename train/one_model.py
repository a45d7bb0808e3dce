"""Trains, measures and writes one model of a run."""

from __future__ import annotations

import csv
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..edge.card import Accuracy, InputSpec, ModelCard, OutputSpec, Preprocess, TrainingInfo
from ..edge.console import say
from .cache import Cache
from .checkpoint import History
from .dataset import PreparedData
from .evaluation import Evaluation, evaluate
from .fitting import Task, fit
from .gradcam import picture_mistakes
from .hyperparameters import Hyperparameters, choose_hyperparameters, describe, is_scratch
from .models import Built, build, build_to_train, head_units
from .options import TrainOptions
from .output import TRIALS, checkpoint_of, trials_of, unfinished_folder
from .plots import confusion_png, curves_png
from .report import ModelReport

MODEL_NAME, CARD_NAME, METRICS_NAME, HISTORY_NAME = "model.keras", "card.json", "metrics.json", "history.csv"


def train_model(
    name: str, data: PreparedData, work: Path, options: TrainOptions, cache: Cache
) -> ModelReport:
    """Train the model `name`, and write its folder into `work` under its final name when it is whole.

    Goes on from a checkpoint in `work`. Raises OptionError when the training diverges, DatasetError when
    the disk is full, KeyboardInterrupt when there is nothing to keep yet.
    """
    recipe = choose_hyperparameters(name, options, training_counts(data))
    if options.tune:
        from .tuning import tune  # Optuna is needed for nothing else.

        options = tune(name, data, work, options, training_counts(data), cache)
        recipe = choose_hyperparameters(name, options, training_counts(data))
    keras.backend.clear_session()
    built = build_to_train(name, len(data.split.labels), options, recipe)
    size = options.image_size[name]
    say(f"{name}: {built.model.count_params():,} parameters, input {size}x{size}")
    say(f"{name}: {describe(recipe, is_scratch(name, options))}")
    history = fit(
        Task(
            built=built,
            train=data.examples("train", size),
            validation=data.examples("validation", size),
            classes=len(data.split.labels),
            recipe=recipe,
            seed=options.seed,
            cache=cache,
            checkpoint=checkpoint_of(work, name),
        )
    )
    model = _in_float32(name, built, data, options, recipe)
    folder = unfinished_folder(work, name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model.save(folder / MODEL_NAME)
    report = _report(name, model, history, data, options, folder)
    _write_folder(folder, report, history, _card(report, data, options, recipe))
    if options.tune:
        shutil.copyfile(trials_of(work, name), folder / TRIALS)
    shutil.rmtree(work / name, ignore_errors=True)
    folder.rename(work / name)
    if not history.interrupted:
        checkpoint_of(work, name).unlink(missing_ok=True)
    return report


def measure_again(name: str, folder: Path, data: PreparedData, options: TrainOptions) -> ModelReport:
    """Return the report on a model that an earlier part of the run has trained."""
    metrics = json.loads((folder / METRICS_NAME).read_text(encoding="utf-8"))
    with (folder / HISTORY_NAME).open(encoding="utf-8") as file:
        rows = [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]
    history = History(rows, metrics["seconds"], metrics["trainable_parameters_by_phase"])
    model = keras.models.load_model(folder / MODEL_NAME, compile=False)
    return _report(name, model, history, data, options, folder)


def training_counts(data: PreparedData) -> list[int]:
    """Return the number of training images of each class."""
    return list(data.split.counts()["train"].values())


def library_versions() -> dict[str, str]:
    """Return the versions of this program and of what shaped the result."""
    names = ("edge-classify", "tensorflow", "keras", "ai-edge-litert", "numpy", "pillow")
    return {name: version(name) for name in names}


def _in_float32(
    name: str, built: Built, data: PreparedData, options: TrainOptions, recipe: Hyperparameters
) -> Any:
    """Return the trained model, computing in float32 as every device does."""
    if recipe.compute == "float32":
        return built.model
    model = build(name, len(data.split.labels), options).model
    model.set_weights(built.model.get_weights())
    return model


def _report(
    name: str, model: Any, history: History, data: PreparedData, options: TrainOptions, folder: Path
) -> ModelReport:
    size = options.image_size[name]
    say(f"{name}: measuring")
    subset = data.split.evaluation_subset
    evaluation = evaluate(
        _predictor(model),
        data.examples("train", size),
        data.examples("validation", size),
        data.examples(subset, size),
        data.split.labels,
        [data.paths[row] for row in data.rows[subset]],
        options.answer_precision,
        options.seed,
    )
    metrics = evaluation.metrics
    kept = history.rows.index(history.best) + 1
    return ModelReport(
        name=name,
        image_size=size,
        evaluation=evaluation,
        parameters=model.count_params(),
        trainable_parameters=history.trainable_parameters,
        file_bytes=(folder / MODEL_NAME).stat().st_size,
        seconds=history.seconds,
        epochs=len(history.rows),
        interrupted=history.interrupted,
        weights="from scratch" if is_scratch(name, options) else options.weights,
        curves=curves_png(f"{name} on {data.name}", history.rows, kept),
        confusion=confusion_png(f"{name} on {data.name}: {metrics.accuracy:.1%} right", metrics),
        mistakes=picture_mistakes(model, evaluation.mistakes, data.pixels[size]),
    )


def _predictor(model: Any) -> Any:
    call = tf.function(lambda images: model(images, training=False), reduce_retracing=True)

    def predict(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(call(pixels.astype(np.float32)), np.float32)

    return predict


def _write_folder(folder: Path, report: ModelReport, history: History, card: ModelCard) -> None:
    metrics = {
        "model": report.name,
        "subset": card.accuracy.dataset.rpartition(" ")[2] if card.accuracy else "",
        **report.evaluation.to_json(),
        "parameters": report.parameters,
        "trainable_parameters": max(report.trainable_parameters),
        "trainable_parameters_by_phase": report.trainable_parameters,
        "epochs": report.epochs,
        "interrupted": report.interrupted,
        "seconds": round(report.seconds, 1),
    }
    (folder / METRICS_NAME).write_text(json.dumps(metrics, indent=1) + "\n")
    (folder / HISTORY_NAME).write_text(history.to_csv())
    (folder / CARD_NAME).write_text(card.to_json(), encoding="utf-8")
    (folder / "curves.png").write_bytes(report.curves)
    (folder / "confusion.png").write_bytes(report.confusion)


def _card(
    report: ModelReport, data: PreparedData, options: TrainOptions, recipe: Hyperparameters
) -> ModelCard:
    evaluation: Evaluation = report.evaluation
    metrics = evaluation.metrics
    weights = options.weights if options.weights in ("imagenet", "none") else "file"
    return ModelCard(
        name=f"{data.name} {report.name}",
        labels=data.split.labels,
        input=InputSpec(report.image_size, report.image_size, "float32"),
        preprocess=Preprocess(options.resize),
        output=OutputSpec(
            temperature=evaluation.temperature,
            threshold=evaluation.threshold.value if evaluation.threshold else None,
            threshold_precision=evaluation.stated_precision,
        ),
        accuracy=Accuracy(
            f"{data.name} {data.split.evaluation_subset}",
            metrics.images,
            metrics.accuracy,
            metrics.accuracy_ci95,
            metrics.macro_f1,
            metrics.ece,
            ece_uncalibrated=evaluation.ece_before,
            coverage=evaluation.answered.coverage if evaluation.answered else None,
            selective_accuracy=evaluation.answered.precision if evaluation.answered else None,
        ),
        training=TrainingInfo(
            report.name,
            "none" if report.name == "cnn" else weights,
            data.name,
            options.seed,
            data.split.sha256,
            {**recipe.to_json(), **_shape(report.name, options)},
            library_versions(),
            options.note,
        ),
    )


def _shape(name: str, options: TrainOptions) -> dict[str, Any]:
    """Return the options that shaped the model beside its recipe."""
    shape: dict[str, Any] = {"preset": options.preset, "image_size": options.image_size[name]}
    if options.tune:
        shape["tune"] = options.tune
    return shape if name == "cnn" else {**shape, "alpha": options.alpha, "head_units": head_units(options)}


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and "." not in text else value
