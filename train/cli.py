"""edge-train: a folder of images becomes two trained models and a report."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..convert.quiet import import_tensorflow
from ..edge.console import CONTEXT, Command, print_json, printable, say, version_option
from .option_types import AugmentType, FiniteRange, ImageSizeType, PairType
from .options import AUGMENTATIONS, MODELS, TrainOptions

if TYPE_CHECKING:
    from .run import RunResult

_MOBILENET_ONLY = ("weights", "alpha", "fine_tune_layers", "head_units")


@click.command(cls=Command, context_settings=CONTEXT)
@click.argument("data")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="RUN",
    help="The folder to write.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    type=click.Choice(MODELS),
    default=MODELS,
    show_default="both",
    help="Train only this model; may be repeated.",
)
@click.option(
    "--epochs",
    type=PairType(int),
    default=(20, 10),
    show_default="20,10",
    help="Most epochs of phase 1 and 2.",
)
@click.option(
    "--learning-rate",
    type=PairType(float),
    default=(1e-3, 1e-4),
    show_default="0.001,0.0001",
    help="Adam's rate in phase 1 and 2.",
)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images a step.")
@click.option(
    "--image-size",
    type=ImageSizeType(),
    default=dict,
    show_default="from the pictures",
    help="Side of the input in pixels.",
)
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    metavar="imagenet|none|FILE",
    help="What MobileNetV2 starts from.",
)
@click.option(
    "--alpha", type=FiniteRange(0.1, 2.0), default=1.0, show_default=True, help="Width of MobileNetV2."
)
@click.option(
    "--fine-tune-layers",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Layers of MobileNetV2 to train in phase 2, from the end; 154 and more are all.",
)
@click.option(
    "--head-units",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Width of an extra dense layer on MobileNetV2; 0 for none.",
)
@click.option(
    "--dropout",
    type=FiniteRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Dropout before the last layer.",
)
@click.option(
    "--augment",
    type=AugmentType(),
    help=f"Of {','.join(AUGMENTATIONS)}; or none.  [default: all; no flip for digits]",
)
@click.option(
    "--class-weights",
    type=click.Choice(["balanced", "none"]),
    default="balanced",
    show_default=True,
    help="Whether rare classes count more.",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Epochs without improvement before a phase ends.",
)
@click.option(
    "--validation-split",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share for validation, of the images that are not for testing.",
)
@click.option(
    "--test-split",
    type=FiniteRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of all images, 0 for none; a test/ folder takes its place.",
)
@click.option(
    "--resize",
    type=click.Choice(["stretch", "crop"]),
    default="stretch",
    show_default=True,
    help="How pictures become square.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Same seed, same machine, same result.",
)
@click.option("--force", is_flag=True, help="Replace an earlier run in RUN.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each model.")
@version_option()
@click.pass_context
def main(ctx: click.Context, /, data: str, output: Path, force: bool, as_json: bool, **values: Any) -> None:
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
    from .run import Ending, train

    command = shlex.join(["edge-train", *sys.argv[1:]])
    result = train(data, output, options, force, command)
    _print_models(result, output, as_json)
    say(f"Report: {printable(str(output / 'report.html'))}")
    if result.ending is Ending.INTERRUPTED:
        raise click.exceptions.Exit(130)
    if result.ending is Ending.FAILED:
        raise click.exceptions.Exit(1)
    if result.split.skipped:
        say(f"Skipped, since they could not be read: {len(result.split.skipped)}; the rest was used")
        raise click.exceptions.Exit(1)


def _print_models(result: RunResult, output: Path, as_json: bool) -> None:
    subset = result.split.evaluation_subset
    for model in result.models:
        metrics = model.metrics
        if as_json:
            print_json(
                {
                    "model": model.name,
                    "folder": str(output / model.name),
                    "subset": subset,
                    "accuracy": metrics.accuracy,
                    "accuracy_ci95": metrics.accuracy_ci95,
                    "macro_f1": metrics.macro_f1,
                    "train_accuracy": model.train_accuracy,
                    "parameters": model.parameters,
                    "seconds": round(model.seconds, 1),
                }
            )
        else:
            low, high = metrics.accuracy_ci95
            click.echo(
                f"{model.name}: {metrics.accuracy:.1%} of {metrics.images:,} {subset} "
                f"images right (95 % interval {low:.1%} to {high:.1%}), trained in {model.seconds:.0f} s"
            )


def _options(ctx: click.Context, data: str, values: dict[str, Any]) -> TrainOptions:
    if not data:
        raise click.UsageError("DATA is empty. Is a variable of the shell not set?")
    models = tuple(dict.fromkeys(values["models"]))
    if "mobilenet_v2" not in models:
        for name in _MOBILENET_ONLY:
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                raise click.UsageError(f"--{name.replace('_', '-')} goes with --model mobilenet_v2.")
    sizes = values["image_size"]
    for_all = set(sizes) == set(MODELS) and len(set(sizes.values())) == 1
    if not for_all and (unused := [name for name in sizes if name not in models]):
        raise click.UsageError(f"--image-size names {unused[0]}, which is not trained.")
    if values["weights"] == "none" and values["epochs"][0] == 0 and "mobilenet_v2" in models:
        raise click.UsageError(
            "--weights none needs phase 1 to train what starts at random: raise --epochs A,B."
        )
    if values["augment"] is None:
        # Mirrored digits are other signs.
        values["augment"] = tuple(n for n in AUGMENTATIONS if data != "digits" or n != "flip")
    return TrainOptions(**{**values, "models": models})
