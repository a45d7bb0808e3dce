"""What --tune varies: the options that the user left open, each around the recipe's own value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

from ..edge.errors import MissingPackageError, OptionError
from .hyperparameters import choose_hyperparameters, is_scratch
from .options import DEFAULT_HEAD_UNITS, TrainOptions

SEARCHED = ("learning_rate", "weight_decay", "dropout", "label_smoothing", "batch_size", "head_units")
_HEAD_WIDTHS = (0, 64, 256)

Values = Mapping[str, float | int]


def load_optuna() -> ModuleType:
    """Return Optuna, with its own messages turned off; raises MissingPackageError, naming the extra."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingPackageError(str(error.name), "--tune", "edge-classify[tune]") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def check_tuning(options: TrainOptions) -> None:
    """Raise OptionError when --tune contradicts other options, MissingPackageError without Optuna."""
    if not options.tune:
        return
    load_optuna()
    for model in options.models:
        if not open_options(model, options):
            given = ", ".join(f"--{name.replace('_', '-')}" for name in _of_model(model))
            raise OptionError(
                f"--tune has nothing to vary for {model}, since its values are all given. Leave out one of "
                f"{given}"
            )
        if not is_scratch(model, options) and options.epochs and not options.epochs[0]:
            epochs = ",".join(map(str, options.epochs))
            raise OptionError(
                f"--tune tries values in phase 1 of {model}, which --epochs leaves out. Give it at least 1 "
                f"epoch. Received: --epochs {epochs}"
            )


def open_options(model: str, options: TrainOptions) -> tuple[str, ...]:
    """Return the names in SEARCHED that the user gave no value for, and that `model` has."""
    return tuple(name for name in _of_model(model) if getattr(options, name) is None)


def default_values(model: str, options: TrainOptions, counts: Sequence[int]) -> dict[str, float | int]:
    """Return what the recipe says for each open option, given the training images of each class."""
    recipe = choose_hyperparameters(model, options, counts)
    values: dict[str, float | int] = {
        "learning_rate": recipe.learning_rate[0],
        "weight_decay": recipe.weight_decay,
        "dropout": recipe.dropout,
        "label_smoothing": recipe.label_smoothing,
        "batch_size": recipe.batch_size,
        "head_units": DEFAULT_HEAD_UNITS,
    }
    return {name: values[name] for name in open_options(model, options)}


def search_space(defaults: Values) -> dict[str, Any]:
    """Return an Optuna distribution for each of `defaults`, which it contains.

    Rates go a factor of 10 both ways, on a logarithmic scale. Weight decay may fall further, since too
    little of it costs less than too much; above 1 the command line refuses it too.
    """
    kinds = load_optuna().distributions
    space = {}
    for name, value in defaults.items():
        if name == "learning_rate":
            space[name] = kinds.FloatDistribution(value / 10, value * 10, log=True)
        elif name == "weight_decay":
            space[name] = kinds.FloatDistribution(value / 100, min(1.0, value * 10), log=True)
        elif name == "batch_size":
            sizes = sorted({max(1, int(value) // 2), int(value), 2 * int(value)})
            space[name] = kinds.CategoricalDistribution(sizes)
        elif name == "head_units":
            space[name] = kinds.CategoricalDistribution(_HEAD_WIDTHS)
        else:
            space[name] = kinds.FloatDistribution(0.0, {"dropout": 0.6, "label_smoothing": 0.2}[name])
    return space


def with_values(model: str, options: TrainOptions, counts: Sequence[int], values: Values) -> TrainOptions:
    """Return `options` as if the user had given `values` too.

    The optimizer stays the one that the recipe chose without them, and phase 2 keeps its own rate, which
    follows the batch size: a search sees phase 1 alone.
    """
    changes: dict[str, Any] = {
        "optimizer": choose_hyperparameters(model, options, counts).optimizer,
        **values,
    }
    rate = changes.pop("learning_rate", None)
    completed = replace(options, **changes)
    if rate is None:
        return completed
    return replace(
        completed, learning_rate=(rate, choose_hyperparameters(model, completed, counts).learning_rate[1])
    )


def _of_model(model: str) -> tuple[str, ...]:
    return tuple(name for name in SEARCHED if model != "cnn" or name != "head_units")
