"""edge-train: a folder of images becomes two trained models and a report."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from ..convert.quiet import import_tensorflow
from ..edge.console import CONTEXT, Command, print_json, printable, say, version_option
from .options import AUGMENTATIONS, MODELS, TrainOptions

_MOBILENET_ONLY = ("weights", "alpha", "fine_tune_layers", "head_units")
_SIZE = click.IntRange(32, 1024)


class PairType(click.ParamType):
    """Two numbers with a comma between them: a value for each phase."""

    name = "A,B"

    def __init__(self, number: type[int] | type[float]) -> None:
        """Take the type of the two numbers."""
        self._number = number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse the option's text."""
        if isinstance(value, tuple):
            return value
        try:
            first, second = (self._number(part) for part in value.split(","))
        except ValueError:
            self.fail(f"must be two numbers, one a phase, such as 10,5. Received: {value}", param, ctx)
        if first < 0 or second < 0 or first + second <= 0:
            self.fail(f"must not be negative, nor both 0. Received: {value}", param, ctx)
        return first, second


class ImageSizeType(click.ParamType):
    """A size for all models, or model=size pairs."""

    name = "N|MODEL=N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, int]:
        """Parse the option's text into a size for each model that is named."""
        if isinstance(value, dict):
            return value
        if re.fullmatch(r"\d+", value):
            return dict.fromkeys(MODELS, _SIZE.convert(value, param, ctx))
        sizes = {}
        for part in value.split(","):
            model, _, size = part.partition("=")
            if model not in MODELS or not size.isdecimal():
                self.fail(f"must be a number or such as cnn=32,mobilenet_v2=96. Received: {value}", param, ctx)
            sizes[model] = _SIZE.convert(size, param, ctx)
        return sizes


class AugmentType(click.ParamType):
    """Names with commas between them, or none."""

    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse the option's text."""
        if isinstance(value, tuple):
            return value
        names = () if value == "none" else tuple(dict.fromkeys(value.split(",")))
        for name in names:
            if name not in AUGMENTATIONS:
                valid = ", ".join((*AUGMENTATIONS, "none"))
                self.fail(f"knows {valid}. Received: {name!r}", param, ctx)
        return names


@click.command(cls=Command, context_settings=CONTEXT)
@click.argument("data")
@click.option(
    "--output", "-o", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="RUN",
    help="The folder to write.",
)  # fmt: skip
@click.option(
    "--model", "models", multiple=True, type=click.Choice(MODELS), default=MODELS, show_default="both",
    help="Train only this model; may be repeated.",
)  # fmt: skip
@click.option("--epochs", type=PairType(int), default=(20, 10), show_default="20,10", help="Most epochs of phase 1 and 2.")
@click.option(
    "--learning-rate", type=PairType(float), default=(1e-3, 1e-4), show_default="0.001,0.0001",
    help="Adam's rate in phase 1 and 2.",
)  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images a step.")
@click.option(
    "--image-size", type=ImageSizeType(), default=dict, show_default="from the pictures",
    help="Side of the input in pixels.",
)  # fmt: skip
@click.option("--weights", default="imagenet", show_default=True, metavar="imagenet|none|FILE",
              help="What MobileNetV2 starts from.")  # fmt: skip
@click.option("--alpha", type=click.FloatRange(0.1, 2.0), default=1.0, show_default=True, help="Width of MobileNetV2.")
@click.option("--fine-tune-layers", type=click.IntRange(0), default=20, show_default=True,
              help="Layers of MobileNetV2 to train in phase 2, from the end; 154 and more are all.")  # fmt: skip
@click.option("--head-units", type=click.IntRange(0), default=0, show_default=True,
              help="Width of an extra dense layer on MobileNetV2; 0 for none.")  # fmt: skip
@click.option("--dropout", type=click.FloatRange(0, 1, max_open=True), default=0.2, show_default=True, help="Dropout before the last layer.")
@click.option("--augment", type=AugmentType(), help=f"Of {','.join(AUGMENTATIONS)}; or none.  "
              "[default: all; no flip for digits]")  # fmt: skip
@click.option("--class-weights", type=click.Choice(["balanced", "none"]), default="balanced", show_default=True,
              help="Whether rare classes count more.")  # fmt: skip
@click.option("--patience", type=click.IntRange(1), default=5, show_default=True, help="Epochs without improvement before a phase ends.")
@click.option("--validation-split", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.2,
              show_default=True, help="Share of the images that are not for testing.")  # fmt: skip
@click.option("--test-split", type=click.FloatRange(0, 1, max_open=True), default=0.2, show_default=True,
              help="Share of all images, 0 for none; a test/ folder takes its place.")  # fmt: skip
@click.option("--resize", type=click.Choice(["stretch", "crop"]), default="stretch", show_default=True,
              help="How pictures become square.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same machine, same result.")
@click.option("--force", is_flag=True, help="Replace an earlier run in RUN.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each model.")
@version_option()
@click.pass_context
def main(ctx: click.Context, data: str, output: Path, force: bool, as_json: bool, **values: Any) -> None:
    """Train a small CNN and MobileNetV2 on DATA, and compare them.

    \b
    DATA is one of:
      a folder with one sub-folder of images a class
      a folder that holds train/ and test/ (and perhaps val/) with such sub-folders
      digits   1,797 handwritten digits; needs no network
      cifar10  60,000 small photos; downloaded once

    Images that cannot be read are skipped and named; then the exit status is 1.
    """
    options = _options(ctx, data, values)
    import_tensorflow("Training", "train")
    from .run import train

    command = shlex.join(["edge-train", *sys.argv[1:]])
    result = train(data, output, options, force, command)
    for model in result.models:
        metrics = model.metrics
        if as_json:
            print_json({
                "model": model.name, "folder": str(output / model.name), "subset": result.split.evaluation_subset,
                "accuracy": metrics.accuracy, "accuracy_ci95": metrics.accuracy_ci95,
                "macro_f1": metrics.macro_f1, "train_accuracy": model.train_accuracy,
                "parameters": model.parameters, "seconds": round(model.seconds, 1),
            })  # fmt: skip
        else:
            low, high = metrics.accuracy_ci95
            click.echo(
                f"{model.name}: {metrics.accuracy:.1%} of {metrics.images:,} {result.split.evaluation_subset} "
                f"images right (95 % interval {low:.1%} to {high:.1%}), trained in {model.seconds:.0f} s"
            )
    say(f"Report: {printable(str(output / 'report.html'))}")
    if result.interrupted:
        raise click.exceptions.Exit(130)
    if result.split.skipped:
        say(f"{len(result.split.skipped)} files could not be read and were skipped; the rest was used")
        raise click.exceptions.Exit(1)


def _options(ctx: click.Context, data: str, values: dict[str, Any]) -> TrainOptions:
    models = tuple(dict.fromkeys(values["models"]))
    if "mobilenet_v2" not in models:
        for name in _MOBILENET_ONLY:
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} goes with --model mobilenet_v2.")
    if unused := [name for name in values["image_size"] if name not in models]:
        if len(values["image_size"]) < len(MODELS) or len(set(values["image_size"].values())) > 1:
            raise click.UsageError(f"--image-size names {unused[0]}, which is not trained.")
    if values["augment"] is None:
        # Mirrored digits are other signs.
        values["augment"] = tuple(n for n in AUGMENTATIONS if data != "digits" or n != "flip")
    return TrainOptions(**{**values, "models": models})
