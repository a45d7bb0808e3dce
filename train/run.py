"""One run of edge-train: data set in, run folder out. Imported only after TensorFlow was loaded."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..benchmarks.labelled import is_text, scan_class_folders
from ..benchmarks.split import Split
from ..benchmarks.statistics import Metrics, measure
from ..edge.card import Accuracy, InputSpec, ModelCard, Preprocess, TrainingInfo
from ..edge.console import say
from ..edge.errors import DatasetError
from ..edge.files import write_atomically
from .datasets import BUILT_IN, write_built_in
from .fitting import Batches, Examples, History, fit
from .models import build
from .options import TrainOptions
from .output import IMAGES, REPORT, check_output, require_apart, staging
from .pixels import choose_image_size, decode_images, typical_side
from .plots import confusion_png, curves_png
from .report import ModelReport, render_report
from .splitting import list_images, make_split
from .weights import build_base

_MAX_TRAIN_MEASURED = 10_000
_PREDICT_BATCH = 128


@dataclass(frozen=True)
class RunResult:
    """What was trained; `interrupted` when Ctrl-C ended it early."""

    split: Split
    models: list[ModelReport]
    interrupted: bool


@dataclass(frozen=True)
class _Data:
    """A split data set and its pixels by input size; `rows[subset]` index both pixels and `truth`."""

    name: str
    split: Split
    pixels: Mapping[int, NDArray[np.uint8]]
    rows: dict[str, NDArray[np.int64]]
    truth: NDArray[np.int64]

    def examples(self, subset: str, size: int) -> Examples:
        rows = self.rows[subset]
        return Examples(self.pixels[size], rows, self.truth[rows])


def train(data: str, output: Path, options: TrainOptions, force: bool, command: str) -> RunResult:
    """Train every model of `options` on `data`, a folder or the name of a built-in set.

    Everything is made in a temporary folder beside `output` and moved there at the end. Raises
    DatasetError, WeightsError, OptionError and OutputExistsError, leaving nothing behind.
    """
    check_output(output, force)
    if data not in BUILT_IN:
        require_apart(Path(data), output)
    tf.config.experimental.enable_op_determinism()
    with staging(output) as folder, tempfile.TemporaryDirectory(dir=folder, prefix="pixels-") as scratch:
        prepared, options = _prepare(data, folder, Path(scratch), options)
        reports: list[ModelReport] = []
        for name in options.models:
            try:
                reports.append(_train_model(name, prepared, folder, options))
            except KeyboardInterrupt:
                if not reports:
                    raise
                say(f"Interrupted before {name} was done: keeping the model before it")
                shutil.rmtree(_unfinished(folder, name), ignore_errors=True)
                break
            if reports[-1].interrupted:
                break
        prepared.split.write(folder)
        facts = {"Command": command, "Seed": options.seed, **_versions()}
        page = render_report(prepared.name, prepared.split, reports, facts)
        # A path in the command may hold bytes that are no text.
        write_atomically(folder / REPORT, page.encode("utf-8", "backslashreplace"))
    interrupted = len(reports) < len(options.models) or reports[-1].interrupted
    return RunResult(prepared.split, reports, interrupted)


def _prepare(data: str, staging: Path, scratch: Path, options: TrainOptions) -> tuple[_Data, TrainOptions]:
    if data in BUILT_IN:
        root, name = staging / IMAGES, data
        write_built_in(data, root)
    else:
        root, name = Path(data), Path(data).resolve().name
        if not is_text(f"{root}{name}"):
            raise DatasetError(f"The name of the folder {root} is not valid UTF-8. Rename it")
    found = scan_class_folders(root)
    images = list_images(found)
    paths = [path for path, _, _ in images]
    side = typical_side(paths)
    sizes = {m: options.image_size.get(m) or choose_image_size(m, side) for m in options.models}
    options = replace(options, image_size=sizes)
    if "mobilenet_v2" in sizes:  # Fail before the long work when the weights cannot be had.
        build_base(options.weights, sizes["mobilenet_v2"], options.alpha)
    decoded = decode_images(root, paths, set(sizes.values()), Preprocess(options.resize), scratch)
    for file in decoded.skipped:
        say(f"skipped {root / file.path}: {file.reason}")
    root_as_given = IMAGES if data in BUILT_IN else data
    fractions = options.validation_split, options.test_split
    split = make_split(found, images, decoded.sha256, decoded.skipped, root_as_given, fractions, options.seed)
    readable = np.flatnonzero([digest is not None for digest in decoded.sha256])
    subsets = np.array([image.subset for image in split.images])
    rows = {name: readable[subsets == name] for name in ("train", "validation", "test")}
    index = {label: i for i, label in enumerate(found.labels)}
    truth = np.array([index[label] for _, label, _ in images], np.int64)
    counts = ", ".join(f"{len(rows[name]):,} {name}" for name in rows)
    say(f"{name}: {len(split.images):,} images in {len(found.labels)} classes ({counts})")
    if split.evaluation_subset == "validation":
        say("No untouched test set exists: accuracy will be measured on the validation images")
    measured = split.counts()[split.evaluation_subset]
    if absent := [label for label, count in measured.items() if count == 0]:
        say(
            f"The {split.evaluation_subset} images show nothing of {', '.join(absent)}: not measured on these"
        )
    return _Data(name, split, decoded.pixels, rows, truth), options


def _train_model(name: str, data: _Data, staging: Path, options: TrainOptions) -> ModelReport:
    keras.backend.clear_session()
    keras.utils.set_random_seed(options.seed)
    size = options.image_size[name]
    labels = data.split.labels
    built = build(name, len(labels), options)
    say(f"{name}: {built.model.count_params():,} parameters, input {size}x{size}")
    folder = _unfinished(staging, name)
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


def _card(report: ModelReport, data: _Data, options: TrainOptions) -> ModelCard:
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
            _versions(),
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


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("edge-classify", "tensorflow", "keras", "numpy", "pillow")}


def _unfinished(staging: Path, name: str) -> Path:
    return staging / f"{name}.partial"
