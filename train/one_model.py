"""One model of a run: trained, measured, and written into a folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import Threshold
from ..convert.sources.keras_model import load_keras
from ..edge.card import Accuracy, InputSpec, ModelCard, OutputSpec, Preprocess, TrainingInfo
from ..edge.console import say
from ..edge.durable import publish_folder
from ..edge.errors import OptionError, error_text
from ..edge.files import write_atomically
from ..edge.json_files import JsonError, read_json, structured
from .backbones import WEIGHT_KINDS
from .cache import Cache
from .checkpoint import EpochRow, History, read_history
from .dataset import MANY_IMAGES, PreparedData
from .evaluation import Confidence, Predict, evaluate, predict_examples
from .fitting import fit
from .gradcam import picture_mistakes
from .hyperparameters import Hyperparameters, choose_hyperparameters, describe, is_scratch
from .models import Architecture, build, build_to_train, in_float32
from .options import TrainOptions
from .output import (
    BEFORE_REFIT,
    CARD,
    CONFUSION,
    CURVES,
    HISTORY,
    METRICS,
    MODEL,
    TRIALS,
    checkpoint_of,
    trials_of,
    unfinished_folder,
)
from .plots import confusion_png, curves_png
from .pooled import PooledEvaluation
from .report import ModelReport
from .task import Task
from .teaching import Teaching


@dataclass(frozen=True)
class _TrainedBefore:
    """What metrics.json says of the training itself."""

    seconds: float
    trainable_parameters_by_phase: tuple[int, ...]
    temperature: float
    threshold: Threshold | None
    learned_validation: bool


@dataclass(frozen=True)
class TrainedModel:
    """A trained Keras model, which computes in float32, and everything that shaped it.

    `before_refit` is the model from before it learned from the validation images; None where it has not.
    """

    model: Any
    history: History
    architecture: Architecture
    hyperparameters: Hyperparameters
    options: TrainOptions
    before_refit: Any | None = None

    def fit_confidence(self, data: PreparedData) -> Confidence:
        """Fit temperature and threshold to the answers of the model that has not learned from validation."""
        validation = data.examples("validation", self.architecture.size)
        raw = predict_examples(predictor(self.before_refit or self.model), validation)
        return Confidence.fit(raw, validation.truth, self.options.answer_precision)


def train_on(
    name: str,
    data: PreparedData,
    work: Path,
    options: TrainOptions,
    cache: Cache,
    note: str = "",
    teaching: Teaching | None = None,
) -> TrainedModel:
    """Search hyperparameters, if that was asked for, and train: all that learns from `data`.

    It sees only training and validation images, and those without labels of `teaching`. Files to continue
    from are kept in `work`. With a `note`, which follows the name in progress bars, epochs are not reported,
    and Ctrl-C always raises KeyboardInterrupt. Raises OptionError when the training diverges, DatasetError
    when the disk is full.
    """
    counts = training_counts(data)
    if data.augment is not None:
        options = replace(options, augment=data.augment)
    if options.refit is None:
        options = replace(options, refit=refits(name, data, options))
    if options.tune:
        from .tuning import tune  # The only user of Optuna.

        options = tune(name, data, work, options, counts, cache, teaching)
    chosen = choose_hyperparameters(name, options, counts)
    architecture = Architecture.of(name, len(data.split.labels), options)
    checkpoint = checkpoint_of(work, name)
    model, history = _train(architecture, chosen, data, options.seed, cache, checkpoint, note, teaching)
    before = None
    if history.before is not None:
        before = build(architecture).model
        before.set_weights(history.before)
    return TrainedModel(model, history, architecture, chosen, options, before)


def train_model(
    name: str,
    data: PreparedData,
    work: Path,
    options: TrainOptions,
    cache: Cache,
    teaching: Teaching | None = None,
) -> ModelReport:
    """Train the model `name`, and write its folder into `work`, under its final name once it is complete.

    Continues from a checkpoint in `work`. Raises OptionError when the training diverges, DatasetError when
    the disk is full, KeyboardInterrupt when there is nothing to keep yet.
    """
    trained = train_on(name, data, work, options, cache, teaching=teaching)
    model, history, options = trained.model, trained.history, trained.options
    folder = unfinished_folder(work, name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model.save(folder / MODEL)
    if trained.before_refit is not None:
        trained.before_refit.save(folder / BEFORE_REFIT)
    report = _report(name, model, history, trained.fit_confidence(data), data, options, folder)
    values = {
        **trained.hyperparameters.to_json(),
        **_shape(trained.architecture, options),
        **(teaching.to_json() if teaching else {}),
        "label_keeping": [each.to_json() for each in data.keeping],
    }
    card = _card(report, data, options, values, history.refitted)
    _write_folder(folder, report, history, card, data.split.evaluation_subset)
    if options.tune:
        shutil.copyfile(trials_of(work, name), folder / TRIALS)
    shutil.rmtree(work / name, ignore_errors=True)
    publish_folder(folder, work / name)
    if not history.interrupted:
        checkpoint_of(work, name).unlink(missing_ok=True)
    return report


def measure_again(name: str, folder: Path, data: PreparedData, options: TrainOptions) -> ModelReport:
    """Return the report on a model that an earlier process of the same run has trained."""
    trained, _ = _read_metrics(folder)
    rows = read_history(folder / HISTORY)
    history = History(
        rows,
        trained.seconds,
        list(trained.trainable_parameters_by_phase),
        refitted=trained.learned_validation,
    )
    model = load_keras(folder / MODEL)  # Not Keras's own: the run may be anybody's.
    confidence = Confidence(trained.temperature, trained.threshold)
    return _report(name, model, history, confidence, data, options, folder)


def refits(name: str, data: PreparedData, options: TrainOptions) -> bool:
    """Return whether the model `name` learns from the validation images too, where nobody has said so.

    Only where it is shown to gain: with trained weights. Not without test images: nothing would be left to
    measure with. Nor of many images, of which a tenth is for validation: that adds little, and takes long.
    """
    learned = len(data.rows["train"]) + len(data.rows["validation"])
    return not is_scratch(name, options.weights) and len(data.rows["test"]) > 0 and learned < MANY_IMAGES


def check_refit(data: PreparedData, options: TrainOptions) -> None:
    """Raise OptionError where --refit would leave no images to measure with."""
    if options.refit and not len(data.rows["test"]):
        raise OptionError(
            "--refit learns from the validation images too, and there are no test images: nothing would be "
            "left to measure the model with. Give --test-split a share, or leave --refit out"
        )


def add_cross_validation(
    report: ModelReport, pooled: PooledEvaluation, dataset: str, folder: Path
) -> ModelReport:
    """Return the report with the cross-validation, which is added to the metrics and the card in `folder`."""
    _, metrics = _read_metrics(folder)
    metrics["cross_validation"] = pooled.to_json()
    write_atomically(folder / METRICS, json.dumps(metrics, indent=1) + "\n")
    card = ModelCard.from_json((folder / CARD).read_bytes())
    if card.training is not None:
        training = replace(card.training, cross_validation=pooled.to_card())
        write_atomically(folder / CARD, replace(card, training=training).to_json())
    title = f"{report.name} on {dataset}, {len(pooled.folds)} folds: {pooled.metrics.accuracy:.1%} right"
    return replace(report, pooled=pooled, pooled_confusion=confusion_png(title, pooled.metrics))


def _read_metrics(folder: Path) -> tuple[_TrainedBefore, dict[str, Any]]:
    """Return what is needed of metrics.json, and all of it; raises OptionError where it cannot be used."""
    try:
        metrics = read_json(folder, METRICS, finite=False)  # Rates of classes without images are NaN.
        return structured(_TrainedBefore, metrics), metrics
    except (OSError, JsonError) as error:
        raise OptionError(
            f"{folder / METRICS} cannot be used ({error_text(error)}). Start again with --force"
        ) from None


def training_counts(data: PreparedData) -> list[int]:
    """Return the number of training images of each class."""
    return list(data.split.counts()["train"].values())


def library_versions() -> dict[str, str]:
    """Return the versions of this program and of the libraries that shape the result."""
    names = ("edge-classify", "tensorflow", "keras", "ai-edge-litert", "numpy", "pillow")
    return {name: version(name) for name in names}


def _train(
    architecture: Architecture,
    chosen: Hyperparameters,
    data: PreparedData,
    seed: int,
    cache: Cache,
    checkpoint: Path,
    note: str,
    teaching: Teaching | None,
) -> tuple[Any, History]:
    """Return the trained Keras model, which computes in float32, and its history."""
    name, size = architecture.name, architecture.size
    keras.backend.clear_session()
    built = build_to_train(architecture, chosen.compute, seed)
    if not note:
        say(f"{name}: {built.model.count_params():,} parameters, input {size}x{size}")
        say(f"{name}: {describe(chosen, architecture.from_scratch)}")
    task = Task(
        built=built,
        train=data.examples("train", size),
        validation=data.examples("validation", size),
        classes=architecture.classes,
        hyperparameters=chosen,
        seed=seed,
        cache=cache,
        checkpoint=checkpoint,
        on_epoch=_go_on if note else None,
        note=note,
        pool=data.pooled(size),
    )
    if teaching is not None:
        taught = teaching.taught(data, size, chosen.answer_share, cache)
        say(f"{name}: {taught.describe()}")
        task = task.learning_from(taught)
    history = fit(task)
    return in_float32(built, architecture, chosen.compute), history


def _go_on(_: EpochRow) -> bool:
    return False


def _report(
    name: str,
    model: Any,
    history: History,
    confidence: Confidence,
    data: PreparedData,
    options: TrainOptions,
    folder: Path,
) -> ModelReport:
    architecture = Architecture.of(name, len(data.split.labels), options)
    size = architecture.size
    say(f"{name}: measuring")
    subset = data.split.evaluation_subset
    evaluation = evaluate(
        predictor(model),
        data.examples("train", size),
        data.examples(subset, size),
        data.split.labels,
        [data.paths[row] for row in data.rows[subset]],
        confidence,
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
        file_bytes=(folder / MODEL).stat().st_size,
        seconds=history.seconds,
        epochs=len(history.rows),
        interrupted=history.interrupted,
        refitted=history.refitted,
        weights="from scratch" if architecture.from_scratch else options.weights,
        curves=curves_png(f"{name} on {data.name}", history.rows, kept),
        confusion=confusion_png(f"{name} on {data.name}: {metrics.accuracy:.1%} right", metrics),
        mistakes=picture_mistakes(model, evaluation.mistakes, data.pixels[size]),
    )


def predictor(model: Any) -> Predict:
    """Return the function from pixels to the probabilities of a Keras model."""
    call = tf.function(lambda images: model(images, training=False), reduce_retracing=True)

    def predict(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(call(pixels.astype(np.float32)), np.float32)

    return predict


def _write_folder(folder: Path, report: ModelReport, history: History, card: ModelCard, subset: str) -> None:
    metrics = {
        "model": report.name,
        "subset": subset,
        **report.evaluation.to_json(),
        "parameters": report.parameters,
        "trainable_parameters": max(report.trainable_parameters),
        "trainable_parameters_by_phase": report.trainable_parameters,
        "cross_validation": None,
        "epochs": report.epochs,
        "interrupted": report.interrupted,
        "learned_validation": history.refitted,
        "seconds": round(report.seconds, 1),
    }
    (folder / METRICS).write_text(json.dumps(metrics, indent=1) + "\n")
    (folder / HISTORY).write_text(history.to_csv())
    (folder / CARD).write_text(card.to_json(), encoding="utf-8")
    (folder / CURVES).write_bytes(report.curves)
    (folder / CONFUSION).write_bytes(report.confusion)


def _card(
    report: ModelReport,
    data: PreparedData,
    options: TrainOptions,
    training_options: dict[str, Any],
    learned_validation: bool,
) -> ModelCard:
    evaluation, metrics = report.evaluation, report.evaluation.metrics
    weights = options.weights if options.weights in WEIGHT_KINDS else "file"
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
            chance=metrics.chance,
            above_chance_p=metrics.above_chance_p,
        ),
        training=TrainingInfo(
            report.name,
            "none" if report.name == "cnn" else weights,
            data.name,
            options.seed,
            data.split.sha256,
            training_options,
            library_versions(),
            options.note,
            learned_validation=learned_validation,
        ),
    )


def _shape(architecture: Architecture, options: TrainOptions) -> dict[str, Any]:
    """Return the options, beside the hyperparameters, that shaped the model."""
    shape: dict[str, Any] = {"preset": options.preset, "image_size": architecture.size}
    if options.tune:
        shape["tune"] = options.tune
    if architecture.name == "cnn":
        return shape
    if options.budget:
        shape["budget"] = options.budget
    return {**shape, "alpha": architecture.alpha, "head_units": architecture.head_units}
