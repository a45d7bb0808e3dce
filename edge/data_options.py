"""The options of several commands that say where the classes of images are named, if not by folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .cli_types import ParsedType
from .model_options import OptionMaker
from .option_rules import Condition, Given, Option

if TYPE_CHECKING:  # --help does without it.
    from .image_labels.source import LabelSource

_PLACES = ("start", "end")  # As file_name_labels has them, which a single photo does not need.
DATA_OPTION_NAMES = ("image_labels", "label_columns", "labels_from_names")


def _parse_columns(text: str) -> Any:
    from .image_labels.columns import Columns  # --help does without it.

    return Columns.parse(text)


def image_label_options(
    option: OptionMaker, requires: Sequence[Condition] = (), first: bool = False
) -> tuple[Option, ...]:
    """Return --image-labels, --label-columns and --labels-from-names; --help shows the first by `first`."""
    return (
        option("--image-labels", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
               requires=requires, excludes=Given("labels_from_names"), first=first,
               help="A file that names the class of each picture, where folders do not: CSV, JSON, COCO, "
                    "Label Studio; may be repeated. Looked for here, and in the folder of the "
                    "pictures."),
        option("--label-columns", type=ParsedType("image=A,label=B", _parse_columns, lambda c: c.to_text()),
               requires=(*requires, Given("image_labels")),
               help="Its columns of pictures and classes, by name or number, where they are not clear; and "
                    "split=C."),
        option("--labels-from-names", type=click.Choice(_PLACES), requires=requires,
               help="The file names hold the classes: cat.0.jpg at the start, 0001_cat.jpg at the end."),
    )  # fmt: skip


def read_label_source(options: Mapping[str, Any]) -> LabelSource:
    """Return what these options say."""
    from .image_labels.columns import Columns
    from .image_labels.source import LabelSource

    return LabelSource(
        options["image_labels"], options["label_columns"] or Columns(), options["labels_from_names"]
    )
