"""edge-convert: trained models become .tflite files, each scored for what it lost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..edge.console import CONTEXT, Command, print_json, print_table, say, version_option
from .quiet import import_tensorflow
from .recipes import RECIPES, find_recipe

if TYPE_CHECKING:
    from .run import Converted


@click.command(cls=Command, context_settings=CONTEXT)
@click.argument("source", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder for the .tflite files.",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    type=click.Choice(list(RECIPES)),
    default=list(RECIPES),
    show_default="all",
    help="Make only this one; may be repeated.",
)
@click.option(
    "--calibration-images",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Training images that int8 is calibrated with, taken from all classes in turn, one at a time. "
    "Each costs one run of the float model.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the images are now, if they moved since the training.",
)
@click.option("--force", is_flag=True, help="Replace files of the same names.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file.")
@version_option()
def main(
    source: Path,
    output: Path,
    variants: tuple[str, ...],
    calibration_images: int,
    data: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Convert the models of RUN, made by edge-train, or of one model's folder in it.

    Every file is run on the test images of RUN with the interpreter that devices use, and carries its
    labels, preprocessing and measured accuracy inside. Its temperature, and the confidence below which it
    answers "unknown", are fitted to what it itself gives for the validation images.
    """
    import_tensorflow("Converting", "convert")
    from .run import convert

    recipes = [find_recipe(name) for name in dict.fromkeys(variants)]
    made, skipped = convert(source, output, recipes, calibration_images, data, force)
    if as_json:
        for item in made:
            print_json(asdict(item))
    else:
        _print_table(made, output)
    if skipped:
        say(f"Skipped, since they could not be read: {len(skipped)}; the rest was used")
        raise click.exceptions.Exit(1)


def _print_table(made: list[Converted], output: Path) -> None:
    columns = (
        "file",
        "MB",
        "top-1",
        "95 %\ninterval",
        "points\nlost",
        "same as\nKeras",
        "calib.\nerror",
        "unknown\nbelow",
    )
    rows = [
        (
            item.file,
            f"{item.size_bytes / 1e6:.2f}",
            f"{item.top1:.2%}",
            f"{item.top1_ci95[0] * 100:.1f} to {item.top1_ci95[1]:.1%}",
            f"{0 - item.keras_difference * 100:.2f}",
            f"{item.float_agreement:.2%}",
            f"{item.ece:.2%}",
            "-" if item.threshold is None else f"{item.threshold:.1%}",
        )
        for item in made
    ]
    print_table(f"Written to {output}, scored on {made[0].images:,} images", columns, rows)
