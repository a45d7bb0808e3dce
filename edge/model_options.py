"""The options about models that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .channels import ORDERS, RGB
from .cli_types import ParsedType
from .meanings import MEANINGS
from .option_rules import Condition, Given, Option

if TYPE_CHECKING:  # It loads numpy, which --help does without.
    from .foreign import ForeignFacts

OptionMaker = Callable[..., Option]


def _parse_normalization(text: str) -> Any:
    from .modelfile import Normalization  # It loads numpy, which --help does without.

    return Normalization.parse(text)


def foreign_model_options(option: OptionMaker, requires: Condition | tuple[()] = ()) -> tuple[Option, ...]:
    """Return --labels, --normalization, --color, --outputs and --output-index: what a model's card says."""
    return (
        option("--labels", type=click.Path(path_type=Path), metavar="FILE", requires=requires,
               help="For a model without labels: one label a line; the line number is the class."),
        option("--normalization", requires=requires,
               type=ParsedType("RANGE|MEAN,STD", _parse_normalization, lambda value: value.to_text()),
               help="For a float model that does not say it: 0..255, 0..1, -1..1, or MEAN,STD: 2 numbers, or "
                    "3 and 3."),
        option("--color", type=click.Choice(ORDERS, case_sensitive=False), requires=requires,
               show_default=RGB,
               help="The order of the colours that the model was trained on: BGR is that of cv2.imread."),
        option("--outputs", type=click.Choice(MEANINGS), requires=requires,
               help="What the model's outputs are, where its graph does not tell. Several sigmoids are "
                    "divided by their sum: exactly one label is right."),
        option("--output-index", type=click.IntRange(0), metavar="N", requires=requires,
               help="The output that has the classes, where a model has several; the first is 0."),
    )  # fmt: skip


def read_facts(options: Mapping[str, Any]) -> ForeignFacts:
    """Return what the options of `foreign_model_options` say, without the labels, which are in a file."""
    from .foreign import ForeignFacts

    return ForeignFacts(
        normalization=options["normalization"],
        color=options["color"],
        outputs=options["outputs"],
        output_index=options["output_index"],
    )


def delegate_options(option: OptionMaker, excludes: Condition | tuple[()] = ()) -> tuple[Option, ...]:
    """Return --delegate, with the options that belong to it."""
    return (
        option("--delegate", metavar="LIBRARY", excludes=excludes,
               help="An accelerator's library, such as libedgetpu.so.1. Not tried with a real one."),
        option("--delegate-option", "delegate_options", multiple=True, metavar="KEY=VALUE",
               requires=Given("delegate"), help="A setting of the delegate; may be repeated."),
        option("--delegate-fallback", is_flag=True, requires=Given("delegate"),
               help="Where the delegate fails, use the processor and say so."),
    )  # fmt: skip
