"""The options of edge-convert, by what they are about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..benchmarks.budget import Budget
from ..edge.card import RESIZE_RULES
from ..edge.cli_types import ParsedType
from ..edge.console import foreign_model_options
from .recipes import DEFAULT_VARIANTS, RECIPES
from .tflite.compatibility import OLDER_RUNTIMES

_FOLDER = click.Path(path_type=Path)

WHAT = (
    click.option("--inspect", is_flag=True,
                 help="Show all that a .tflite file of anyone's holds; nothing is converted."),
    click.option("--doctor", is_flag=True,
                 help="Only find out which layers int8 spoils, and what repairs it."),
    click.option("--variant", "variants", multiple=True, type=click.Choice(list(RECIPES)),
                 default=DEFAULT_VARIANTS, show_default=", ".join(DEFAULT_VARIANTS),
                 help="Make only this one; may be repeated."),
    click.option("--compatible", type=click.Choice(list(OLDER_RUNTIMES)),
                 help="Make files that this older runtime runs, as 32-bit Pis have it."),
)  # fmt: skip
IMAGES = (
    click.option("--data", type=_FOLDER, metavar="DIR",
                 help="Labelled images to score on. For a run: where its images are now, if they moved."),
    click.option("--calibration", type=_FOLDER, metavar="FOLDER",
                 help="Images to calibrate int8 with, labelled or not, in place of a run's training images."),
    click.option("--calibration-images", type=click.IntRange(1), default=100, show_default=True,
                 help="How many, taken from all classes in turn. Each costs one run of the float model."),
)  # fmt: skip
FOREIGN = (
    click.option("--image-size", type=click.IntRange(1, 8192), metavar="N",
                 help="For a model that takes pictures of any size: which it was trained with."),
    click.option("--resize", type=click.Choice(RESIZE_RULES), show_default="stretch",
                 help="How pictures were fitted into its input when it was trained."),
    click.option("--trust", is_flag=True,
                 help="Load a SavedModel, which is a program and may do anything."),
)  # fmt: skip
LIMITS = (
    click.option("--max-drop", type=click.FloatRange(0, 100), default=1.0, show_default=True,
                 metavar="POINTS",
                 help="Top-1 that int8 may lose. If it loses more, a repair is made: the variant mixed."),
    click.option("--budget", type=ParsedType("LIMITS", Budget.parse),
                 help="Limits for the file to recommend, of size, ram, median, p99 and drop: "
                 "size=4MB,p99=20ms,drop=1."),
)  # fmt: skip
OUTPUT = (
    click.option("--output", "-o", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
                 help="The folder for the .tflite files; with --doctor, for its plot.  "
                 "[default: the current one, with --doctor only]"),
    click.option("--force", is_flag=True, help="Replace files of the same names."),
    click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file."),
)  # fmt: skip


def convert_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options, in the order in which --help shows them."""
    for option in reversed((*FOREIGN, *LIMITS, *OUTPUT)):
        command = option(command)
    command = foreign_model_options(command)
    for option in reversed((*WHAT, *IMAGES)):
        command = option(command)
    return command
