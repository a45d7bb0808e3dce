"""The options of edge-convert, by what they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..benchmarks.budget import Budget
from ..edge.card import RESIZE_RULES
from ..edge.cli_types import FiniteRange, ParsedType, section
from ..edge.data_options import DATA_OPTION_NAMES, image_label_options, read_label_source
from ..edge.interrupts import loading
from ..edge.labels import read_label_file
from ..edge.model_options import foreign_model_options
from ..edge.option_rules import Given, When
from ..edge.signature import MOST_VERSIONS
from .recipes import DEFAULT_VARIANTS, RECIPES, find_recipe
from .signing_key import PASSWORD_VARIABLE
from .tflite.compatibility import OLDER_RUNTIMES, find_older_runtime

if TYPE_CHECKING:  # --help does without them.
    from .job_tools import ConversionSettings
    from .signatures import ModelSigner
    from .sources.job import ModelSource

_FOLDER = click.Path(path_type=Path)


def _calibrates(given: Mapping[str, Any]) -> bool:
    return given["doctor"] or any(RECIPES[name].calibrated for name in given["variants"])


def _is_run(path: Path) -> bool:
    return path.is_dir() and not (path / "saved_model.pb").is_file()


_INT8 = When("an int8 variant", _calibrates)
# Labelled ones of them are what temperature and threshold of a foreign model are fitted on.
_IMAGES_USED = When("an int8 variant", lambda given: _calibrates(given) or not _is_run(given["path"]))
_OF_A_RUN = When("a run of edge-train", lambda given: _is_run(given["path"]))

_SIGNING = ("signing_key", "key_password", "model_version")
SIGNING_ALONE = ("path", "output", "force", "as_json", *_SIGNING)
SEALING = (
    *SIGNING_ALONE, "labels", "normalization", "color", "outputs", "output_index", "resize",
)  # fmt: skip
_option = section("What is made")
WHAT = (
    _option("--inspect", first=True, is_flag=True, takes=("path", "as_json"),
            help="Show all that anyone's .tflite file holds; nothing is converted."),
    _option("--doctor", first=True, is_flag=True,
            takes=("path", "supersample", "compatible", "data", "calibration", "calibration_images", "labels",
                   "normalization", "color", "outputs", "output_index", "image_size", "resize", "trust",
                   "max_drop", "output", "force", "as_json", "details", *DATA_OPTION_NAMES),
            help="Only find out which layers int8 spoils, and what repairs it."),
    _option("--without-photos", is_flag=True, takes=("path", "output", "force", *_SIGNING),
            help="Copy a finished file of edge-convert, with drawn patterns in place of its golden photos."),
    _option("--seal", "sealed", is_flag=True, takes=SEALING,
            help="Copy anyone's finished .tflite, quantized or not, with labels, metadata, card and "
                 "checksum; its graph stays as it is."),
    _option("--variant", "variants", first=True, multiple=True, type=click.Choice(list(RECIPES)),
            default=DEFAULT_VARIANTS, metavar="NAME", show_default=", ".join(DEFAULT_VARIANTS),
            help=f"Make only this one; may be repeated. One of {', '.join(RECIPES)}."),
    _option("--supersample", type=click.IntRange(1, 4), default=1, show_default=True, metavar="N",
            help="For apps that skip pixels of large photos, as MediaPipe does: an input N times the model's "
                 "size, whose pixels the file averages."),
    _option("--unknown", is_flag=True, useless_without=_OF_A_RUN,
            help="Give the files one more output, for pictures that show none of the classes: any program "
                 'then answers "unknown".'),
    _option("--compatible", type=click.Choice(list(OLDER_RUNTIMES)),
            help="Make files that this older runtime runs, which 32-bit Pis have."),
)  # fmt: skip
_option = section("Images")
IMAGES = (
    _option("--data", first=True, type=_FOLDER, metavar="DIR",
            help="Labelled images to score on. For a run: where its images are now, if they moved."),
    *image_label_options(_option, (Given("data"),)),
    _option("--calibration", first=True, type=_FOLDER, metavar="FOLDER", useless_without=_IMAGES_USED,
            help="Images to calibrate int8 with, labelled or not, in place of a run's training images."),
    _option("--calibration-images", type=click.IntRange(1), show_default="100, or two of each class",
            useless_without=_INT8,
            help="How many, taken from all classes in turn. Each costs two runs of the float model."),
)  # fmt: skip
_option = section("About somebody else's model")
FOREIGN = (
    *foreign_model_options(_option),
    _option("--image-size", type=click.IntRange(1, 8192), metavar="N",
            help="For a model that takes pictures of any size: the size of its training."),
    _option("--resize", type=click.Choice(RESIZE_RULES), show_default="stretch",
            help="How pictures were fitted into its input when it was trained."),
    _option("--trust", is_flag=True,
            help="Load a SavedModel, which is a program and may do anything."),
)  # fmt: skip
_option = section("Which file to recommend, and when to repair")
LIMITS = (
    _option("--max-drop", type=FiniteRange(0, 100), default=1.0, show_default=True, metavar="POINTS",
            help="Top-1 that int8 may lose. Where images show that it loses more, a repair is made: "
                 "the variant mixed."),
    _option("--budget", first=True, type=ParsedType("LIMITS", Budget.parse),
            help="Limits for the file to recommend, of size, ram, median, p99 and drop: "
                 "size=4MB,p99=20ms,drop=1."),
)  # fmt: skip
_option = section("Signing")
SIGNING = (
    _option("--sign", "signing_key", type=click.Path(path_type=Path), metavar="KEY",
            help="Sign the files with an Ed25519 private key, of ssh-keygen or openssl; a file that "
                 "edge-convert has finished is only signed."),
    _option("--model-version", type=click.IntRange(0, MOST_VERSIONS - 1), default=0, metavar="N",
            requires=Given("signing_key"), show_default="0, none",
            help="The number that is signed too, by which devices refuse older files."),
    _option("--key-password", type=click.Path(path_type=Path), metavar="FILE", requires=Given("signing_key"),
            show_default=f"{PASSWORD_VARIABLE}, or asked for",
            help="The file whose first line is the password of an encrypted KEY."),
)  # fmt: skip
_option = section("Where files go")
OUTPUT = (
    _option("--golden", type=click.Choice(["patterns", "photos"]), default="patterns", show_default=True,
            help="What --self-check compares on devices: drawn patterns, or two of your photos. It lies in "
                 "every file."),
    _option("--output", "-o", first=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
            help="The folder for the .tflite files; with --doctor, for its plot.  "
                 "[default: the current one, with --doctor only]"),
    _option("--force", first=True, is_flag=True, help="Replace files of the same names."),
    _option("--json", "as_json", is_flag=True, help="Print a JSON object for each file."),
    _option("--details", first=True, is_flag=True, excludes=Given("as_json"),
            help="Print all tables: what each file lost and needs, why int8 fails and what was tried."),
)  # fmt: skip
OPTIONS = (*WHAT, *IMAGES, *FOREIGN, *LIMITS, *SIGNING, *OUTPUT)


def read_source(path: Path, options: Mapping[str, Any]) -> ModelSource:
    """Return what the options say about the model and its images; raises LabelError."""
    with loading():
        from .sources.job import ModelSource

    labels: Path | None = options["labels"]
    return ModelSource(
        path,
        data=options["data"],
        label_source=read_label_source(options),
        calibration=options["calibration"],
        labels=read_label_file(labels) if labels else None,
        normalization=options["normalization"],
        color=options["color"],
        outputs=options["outputs"],
        output_index=options["output_index"],
        image_size=options["image_size"],
        resize=options["resize"],
        trust=options["trust"],
        supersample=options["supersample"],
    )


def without_calibrated(variants: Sequence[str]) -> tuple[str, ...]:
    """Return the variants that need no calibration images."""
    return tuple(name for name in variants if not RECIPES[name].calibrated)


def read_settings(options: Mapping[str, Any], signer: ModelSigner | None) -> ConversionSettings:
    """Return what the options say about the files to make."""
    from .job_tools import ConversionSettings

    return ConversionSettings(
        recipes=tuple(find_recipe(name) for name in dict.fromkeys(options["variants"])),
        output=options["output"] or Path(),
        calibration_images=options["calibration_images"],
        max_drop=options["max_drop"] / 100,
        golden_photos=options["golden"] == "photos",
        target=find_older_runtime(options["compatible"]) if options["compatible"] else None,
        force=options["force"],
        unknown=options["unknown"],
        signer=signer,
    )
