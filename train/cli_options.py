"""The options of edge-train: what each is called, which values it takes, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..benchmarks.budget import Budget
from ..edge.cli_types import FiniteRange, ParsedType, section
from ..edge.data_options import DATA_OPTION_NAMES, image_label_options
from ..edge.errors import error_text
from ..edge.json_files import JsonError
from ..edge.option_rules import Given, When, shown
from .backbones import BACKBONES
from .imbalance import IMBALANCE
from .option_types import AugmentType, ImageSizeType, LayersType, PairType
from .options import (
    ALL_LAYERS,
    AUGMENTATIONS,
    AUTO,
    BATCH_NORMS,
    COMPUTE,
    DEFAULT_DROPOUT,
    DEFAULT_HEAD_UNITS,
    DEFAULT_MODELS,
    DUPLICATES,
    MIXES,
    MODELS,
    OPTIMIZERS,
    PRESETS,
    TrainOptions,
)  # fmt: skip

_AUTO = "by preset and data"


def _fine_tunes(given: Mapping[str, Any]) -> bool:
    """Return whether a backbone gets a phase 2; see hyperparameters.choose_hyperparameters."""
    epochs: tuple[int, int] | None = given["epochs"]
    if epochs is not None:
        return epochs[1] > 0
    return given["preset"] != "fast" or bool(given["fine_tune_layers"])


def _read_budget(text: str) -> str:
    """Return limits as they were typed; raises ValueError where they cannot be used here."""
    if Budget.parse(text).drop is not None:
        raise ValueError(f"drop is a limit of edge-convert, which scores the files. Received: {text!r}")
    return text


_AUTO_MODEL = When("--model auto", lambda given: AUTO in given["models"])
_BACKBONE = When(
    "a backbone among --model",
    lambda given: any(name == AUTO or name in BACKBONES for name in given["models"]),
)
_PRETRAINED = When("pretrained --weights", lambda given: given["weights"] != "none")
_PHASE_2 = When("epochs of phase 2", _fine_tunes)
_FROZEN = When("a --mix other than cutmix", lambda given: given["mix"] != "cutmix")
_FOLDS = When("--folds", lambda given: (given["folds"] or 0) > 1)
_CNN = When("cnn among --model", lambda given: "cnn" in given["models"])

_option = section("The run")
RUN = (
    _option("--output", "-o", first=True, type=click.Path(file_okay=False, path_type=Path), metavar="RUN",
            help="The folder to write."),
    _option("--resume", first=True, type=click.Path(file_okay=False, path_type=Path), metavar="RUN",
            takes=("as_json", "details"),
            help="Go on with an interrupted training; takes no DATA, and of the options only --json and "
                 "--details."),
    _option("--audit-only", first=True, is_flag=True, lenient=True,
            takes=("data", "output", "cache", "duplicates", "force", "as_json", *DATA_OPTION_NAMES),
            help="Only look for faults in the images."),
    _option("--cache", default="", metavar="DIR|none", show_default="the user's cache folder",
            envvar="EDGE_CLASSIFY_CACHE", help="Keeps decoded images and activations; safe to delete."),
    _option("--force", first=True, is_flag=True, requires=Given("output"),
            help="Replace an earlier run in RUN."),
    _option("--json", "as_json", is_flag=True, help="Print a JSON object for each model."),
    _option("--details", first=True, is_flag=True, excludes=Given("as_json"),
            help="Print tables of all figures, by model and class."),
)  # fmt: skip

_option = section("How models are trained")
TRAINING = (
    _option("--model", "models", first=True, multiple=True, type=click.Choice((*MODELS, AUTO)),
            default=DEFAULT_MODELS, metavar="NAME", show_default=" and ".join(DEFAULT_MODELS),
            help=f"Train this model; may be repeated. One of {', '.join(MODELS)}; or {AUTO}, with --budget."),
    _option("--budget", type=ParsedType("LIMITS", _read_budget), requires=_AUTO_MODEL,
            help="Limits of size, ram, median and p99 of the int8 file on this machine: median=5ms,size=4MB. "
                 "The networks that keep them are compared on the training images, and one is trained."),
    _option("--preset", first=True, type=click.Choice(PRESETS), default="balanced", show_default=True,
            help="How much time to spend."),
    _option("--epochs", type=PairType(int), show_default=_AUTO,
            help="Most epochs of phase 1 and 2; with random weights, their sum in one phase."),
    _option("--learning-rate", type=PairType(float), show_default=_AUTO,
            help="Highest rate in phase 1 and 2; with random weights, only the first."),
    _option("--optimizer", type=click.Choice(OPTIMIZERS), show_default=_AUTO,
            help="sgd has Nesterov momentum 0.9."),
    _option("--schedule", type=click.Choice(["cosine", "constant"]), default="cosine", show_default=True,
            help="The rate after the warm-up."),
    _option("--warmup", type=FiniteRange(0, 0.5), default=0.1, show_default=True,
            help="Share of a phase in which the rate grows to its highest."),
    _option("--weight-decay", type=FiniteRange(0, 1), show_default=_AUTO,
            help="Decay of the weights, not of biases and norms."),
    _option("--label-smoothing", type=FiniteRange(0, 1, max_open=True), show_default=_AUTO,
            help="Share of the target that all classes get alike."),
    _option("--batch-size", type=click.IntRange(1), show_default=_AUTO, help="Images a step."),
    _option("--patience", type=click.IntRange(1), show_default="half of the phase, at least 5",
            help="Epochs without improvement before a phase ends."),
    _option("--refit/--no-refit", default=None,
            show_default="with trained weights and test images, below 5,000 others",
            help="In the end, learn from the validation images as well; confidence is fitted before."),
    _option("--imbalance", type=click.Choice(IMBALANCE), default="auto", show_default=True,
            excludes=Given("class_weights"),
            help="Help for small classes; auto chooses by their counts and says so."),
    _option("--class-weights", type=click.Choice(["balanced", "none"]),
            help="The same as --imbalance balanced or none."),
    _option("--augment", type=AugmentType(),
            help=f"Of {','.join(AUGMENTATIONS)}; or none.  [default: the first five; flip only where "
                 "the training images show that it keeps the labels]"),
    _option("--mix", type=click.Choice(MIXES), default="none", show_default=True,
            help="Blend pairs of training images, and their labels."),
    _option("--views", type=click.IntRange(1), show_default=_AUTO,
            requires=_BACKBONE, useless_without=(_PRETRAINED, _FROZEN),
            help="Augmented views of each image that go through a frozen network, once."),
    _option("--teacher", metavar="NAME|FILE", excludes=(_AUTO_MODEL, _FOLDS),
            help="Learn from the answers of another model too: of the network NAME, which is trained first, "
                 "or of the model.keras of an earlier run."),
    _option("--unlabelled", type=click.Path(file_okay=False), metavar="FOLDER", requires=Given("teacher"),
            help="Learn what the teacher answers to these images, too."),
    _option("--tune", type=click.IntRange(0), default=0, metavar="N", show_default=True,
            help="Try N sets of values for learning rate, weight decay, dropout, label smoothing, batch "
                 "size and head units first; given values stay."),
    _option("--dropout", type=FiniteRange(0, 1, max_open=True), show_default=str(DEFAULT_DROPOUT),
            help="Dropout before the last layer."),
    _option("--compute", type=click.Choice(COMPUTE), default="auto", show_default=True,
            useless_without=_CNN,
            help="auto trains the cnn in bfloat16 on processors with instructions for it."),
)  # fmt: skip

_option = section("Pretrained networks")
BACKBONE_OPTIONS = (
    _option("--weights", first=True, default="imagenet", show_default=True, metavar="imagenet|none|FILE",
            requires=_BACKBONE, excludes=_AUTO_MODEL, help="Initial weights."),
    _option("--alpha", requires=_BACKBONE, excludes=_AUTO_MODEL, type=FiniteRange(0.1, 2.0), default=1.0,
            show_default=True, help="Width of a MobileNet."),
    _option("--fine-tune-layers", type=LayersType(), show_default=_AUTO,
            requires=_BACKBONE, useless_without=(_PRETRAINED, _PHASE_2),
            help="Layers of a backbone to train in phase 2, from the end."),
    _option("--batch-norm", type=click.Choice(BATCH_NORMS), show_default=_AUTO,
            requires=_BACKBONE, useless_without=(_PRETRAINED, _PHASE_2),
            help="Whether batch norm learns in phase 2."),
    _option("--head-units", requires=_BACKBONE, type=click.IntRange(0), show_default=str(DEFAULT_HEAD_UNITS),
            help="Width of an extra dense layer on a backbone; 0 for none."),
)  # fmt: skip

_option = section("The images")
DATA_OPTIONS = (
    *image_label_options(_option, first=True),
    _option("--image-size", first=True, type=ImageSizeType(), default=dict, show_default="from the pictures",
            excludes=_AUTO_MODEL, help="Side of the input in pixels."),
    _option("--validation-split", type=FiniteRange(0, 1, min_open=True, max_open=True),
            show_default="0.2, and 0.1 of 5,000 images and more",
            help="Share for validation, of the images that are not for testing."),
    _option("--test-split", type=FiniteRange(0, 1, max_open=True), default=0.2, show_default=True,
            help="Share of all images, 0 for none; a test/ folder takes its place."),
    _option("--folds", type=click.IntRange(0), metavar="K",
            show_default="5 below 500 images and 100 test images, without a test/ folder; else 0",
            help="Also train K models, each on the images outside of one of K parts, so that every image is "
                 "tested once; K + 1 times the time. 0 or 1: none."),
    _option("--answer-precision", type=FiniteRange(0, 1, min_open=True), default=0.95, show_default=True,
            help="Share of answers to be right; the threshold for unsure is chosen for it."),
    _option("--duplicates", type=click.Choice(DUPLICATES), default="near", show_default=True,
            help="Which pictures count as the same: those that look alike, or only equal files."),
    _option("--resize", type=click.Choice(["stretch", "crop"]), default="stretch", show_default=True,
            help="How pictures become square."),
    _option("--note", default="", help="A text for the model's card, such as where the images come from."),
    _option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
            help="Same seed, same machine, same result."),
)  # fmt: skip
OPTIONS = (*RUN, *TRAINING, *BACKBONE_OPTIONS, *DATA_OPTIONS)


def check_values(options: TrainOptions) -> None:
    """Raise JsonError, which names the option, for a value that the command line would not have taken."""
    for option in (*TRAINING, *BACKBONE_OPTIONS, *DATA_OPTIONS):
        value = getattr(options, str(option.name), None)
        if value in (None, (0, 0), {}) or isinstance(option.type, click.Path):  # Left open.
            continue
        for each in value if option.multiple else (value,):
            try:
                option.type.convert(_as_typed(each, option.type), None, None)
            except (click.UsageError, ValueError) as error:
                text = error.message if isinstance(error, click.UsageError) else error_text(error)
                raise JsonError(f"{shown(option)}: {' '.join(text.split())}") from None


def _as_typed(value: Any, kind: click.ParamType) -> str:  # type: ignore[type-arg]
    """Return the text on a command line that an option of this type reads as this value."""
    if isinstance(value, dict):
        return ",".join(f"{model}={size}" for model, size in value.items())
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return "all" if value == ALL_LAYERS and isinstance(kind, LayersType) else str(value)
