"""The options about models that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .cli_types import ParsedType
from .option_rules import Condition, Given, Option

OptionMaker = Callable[..., Option]


def _parse_normalization(text: str) -> Any:
    from .modelfile import Normalization  # It loads numpy, which --help does without.

    return Normalization.parse(text)


def foreign_model_options(option: OptionMaker, requires: Condition | tuple[()] = ()) -> tuple[Option, ...]:
    """Return --labels and --normalization: what a model without a card does not say about itself."""
    return (
        option("--labels", type=click.Path(path_type=Path), metavar="FILE", requires=requires,
               help="For a model without labels: one label a line; the line number is the class."),
        option("--normalization", requires=requires,
               type=ParsedType("RANGE|MEAN,STD", _parse_normalization, lambda value: value.to_text()),
               help="For a float model that does not say it: 0..255, 0..1, -1..1, or MEAN,STD: 2 numbers, or "
                    "3 and 3."),
    )  # fmt: skip


def delegate_options(option: OptionMaker, excludes: Condition | tuple[()] = ()) -> tuple[Option, ...]:
    """Return --delegate, with the options that belong to it."""
    return (
        option("--delegate", metavar="LIBRARY", excludes=excludes,
               help="An accelerator's library, such as libedgetpu.so.1."),
        option("--delegate-option", "delegate_options", multiple=True, metavar="KEY=VALUE",
               requires=Given("delegate"), help="A setting of the delegate; may be repeated."),
        option("--delegate-fallback", is_flag=True, requires=Given("delegate"),
               help="Where the delegate fails, use the processor and say so."),
    )  # fmt: skip
