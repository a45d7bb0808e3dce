"""The options of edge-train: what each is called, which values it takes, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .imbalance import IMBALANCE
from .option_types import AugmentType, FiniteRange, ImageSizeType, LayersType, PairType
from .options import (
    AUGMENTATIONS,
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
)  # fmt: skip

_AUTO = "by preset and data"

RUN = (
    click.option("--output", "-o", type=click.Path(file_okay=False, path_type=Path), metavar="RUN",
                 help="The folder to write."),
    click.option("--resume", type=click.Path(file_okay=False, path_type=Path), metavar="RUN",
                 help="Go on with a training that was interrupted; takes no DATA and no other options."),
    click.option("--audit-only", is_flag=True, help="Look through the images, and stop there."),
    click.option("--cache", default="", metavar="DIR|none", show_default="the user's cache folder",
                 envvar="EDGE_CLASSIFY_CACHE", help="Keeps decoded images and activations; safe to delete."),
    click.option("--force", is_flag=True, help="Replace an earlier run in RUN."),
    click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each model."),
)  # fmt: skip

TRAINING = (
    click.option("--model", "models", multiple=True, type=click.Choice(MODELS), default=DEFAULT_MODELS,
                 show_default=" and ".join(DEFAULT_MODELS), help="Train this model; may be repeated."),
    click.option("--preset", type=click.Choice(PRESETS), default="balanced", show_default=True,
                 help="How much time to spend; the options below refine it."),
    click.option("--epochs", type=PairType(int), show_default=_AUTO,
                 help="Most epochs of phase 1 and 2; from random weights, their sum in one phase."),
    click.option("--learning-rate", type=PairType(float), show_default=_AUTO,
                 help="Highest rate in phase 1 and 2; from random weights, the first."),
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), show_default=_AUTO,
                 help="sgd is with Nesterov momentum 0.9."),
    click.option("--schedule", type=click.Choice(["cosine", "constant"]), default="cosine", show_default=True,
                 help="How the rate goes on after the warm-up."),
    click.option("--warmup", type=FiniteRange(0, 0.5), default=0.1, show_default=True,
                 help="Share of a phase in which the rate grows to its highest."),
    click.option("--weight-decay", type=FiniteRange(0, 1), show_default=_AUTO,
                 help="Decay of the weights, not of biases and norms."),
    click.option("--label-smoothing", type=FiniteRange(0, 1, max_open=True), show_default=_AUTO,
                 help="Share of the target that goes to all classes alike."),
    click.option("--batch-size", type=click.IntRange(1), show_default=_AUTO, help="Images a step."),
    click.option("--patience", type=click.IntRange(1), show_default="half of the phase, at least 5",
                 help="Epochs without improvement before a phase ends."),
    click.option("--imbalance", type=click.Choice(IMBALANCE), default="auto", show_default=True,
                 help="What is done for small classes; auto chooses by their counts and says so."),
    click.option("--class-weights", type=click.Choice(["balanced", "none"]),
                 help="The same as --imbalance balanced or none."),
    click.option("--augment", type=AugmentType(),
                 help=f"Of {','.join(AUGMENTATIONS)}; or none.  [default: all but erase]"),
    click.option("--mix", type=click.Choice(MIXES), default="none", show_default=True,
                 help="Blend pairs of training images, and their labels."),
    click.option("--views", type=click.IntRange(1), show_default=_AUTO,
                 help="Augmented views of each image that go through a frozen network, once."),
    click.option("--tune", type=click.IntRange(0), default=0, metavar="N", show_default=True,
                 help="Try N sets of values for learning rate, weight decay, dropout, label smoothing, batch "
                      "size and head units first, of which those given are left alone."),
    click.option("--dropout", type=FiniteRange(0, 1, max_open=True), show_default=str(DEFAULT_DROPOUT),
                 help="Dropout before the last layer."),
    click.option("--compute", type=click.Choice(COMPUTE), default="auto", show_default=True,
                 help="auto trains the cnn in bfloat16 on processors that have instructions for it."),
)  # fmt: skip

BACKBONE_OPTIONS = (
    click.option("--weights", default="imagenet", show_default=True, metavar="imagenet|none|FILE",
                 help="What a backbone starts from."),
    click.option("--alpha", type=FiniteRange(0.1, 2.0), default=1.0, show_default=True,
                 help="Width of a MobileNet."),
    click.option("--fine-tune-layers", type=LayersType(), show_default=_AUTO,
                 help="Layers of a backbone to train in phase 2, from the end."),
    click.option("--batch-norm", type=click.Choice(BATCH_NORMS), show_default=_AUTO,
                 help="Whether batch norm learns in phase 2."),
    click.option("--head-units", type=click.IntRange(0), show_default=str(DEFAULT_HEAD_UNITS),
                 help="Width of an extra dense layer on a backbone; 0 for none."),
)  # fmt: skip

DATA_OPTIONS = (
    click.option("--image-size", type=ImageSizeType(), default=dict, show_default="from the pictures",
                 help="Side of the input in pixels."),
    click.option("--validation-split", type=FiniteRange(0, 1, min_open=True, max_open=True),
                 show_default="0.2, and 0.1 of 5,000 images and more",
                 help="Share for validation, of the images that are not for testing."),
    click.option("--test-split", type=FiniteRange(0, 1, max_open=True), default=0.2, show_default=True,
                 help="Share of all images, 0 for none; a test/ folder takes its place."),
    click.option("--answer-precision", type=FiniteRange(0, 1, min_open=True), default=0.95, show_default=True,
                 help="Share of answers that shall be right; below a confidence chosen for it: unknown."),
    click.option("--duplicates", type=click.Choice(DUPLICATES), default="near", show_default=True,
                 help="What counts as the same picture: what looks the same, or only equal files."),
    click.option("--resize", type=click.Choice(["stretch", "crop"]), default="stretch", show_default=True,
                 help="How pictures become square."),
    click.option("--note", default="", help="A text for the model's card: where the images come from, say."),
    click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
                 help="Same seed, same machine, same result."),
)  # fmt: skip


def options(*groups: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    """Return a decorator that adds all options of `groups`, in their order in --help."""

    def decorate(function: Any) -> Any:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate
