"""The search space of --tune: the options that the user left open, each around its default value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

from ..edge.errors import MissingPackageError, OptionError
from ..edge.extras import pip_install
from .hyperparameters import choose_hyperparameters, is_scratch
from .options import DEFAULT_HEAD_UNITS, TrainOptions

SEARCHED = ("learning_rate", "weight_decay", "dropout", "label_smoothing", "batch_size", "head_units")
_HEAD_WIDTHS = (0, 64, 256)

Values = Mapping[str, float | int]


def load_optuna() -> ModuleType:
    """Return Optuna, with its messages turned off; raises MissingPackageError, which names the extra."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise MissingPackageError(str(error.name), "--tune", pip_install("tune")) from None
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
                f"--tune has nothing to vary for {model}, because all its values are given. Leave out one of "
                f"{given}"
            )
        if not is_scratch(model, options.weights) and options.epochs and not options.epochs[0]:
            epochs = ",".join(map(str, options.epochs))
            raise OptionError(
                f"--tune tries values in phase 1 of {model}, which has no epochs. Give it at least 1 epoch. "
                f"Received: --epochs {epochs}"
            )


def open_options(model: str, options: TrainOptions) -> tuple[str, ...]:
    """Return the names in SEARCHED that apply to `model` and that the user gave no value for."""
    return tuple(name for name in _of_model(model) if getattr(options, name) is None)


def default_values(model: str, options: TrainOptions, counts: Sequence[int]) -> dict[str, float | int]:
    """Return the default of each open option, given the training images of each class."""
    chosen = choose_hyperparameters(model, options, counts)
    values: dict[str, float | int] = {
        "learning_rate": chosen.learning_rate[0],
        "weight_decay": chosen.weight_decay,
        "dropout": chosen.dropout,
        "label_smoothing": chosen.label_smoothing,
        "batch_size": chosen.batch_size,
        "head_units": DEFAULT_HEAD_UNITS,
    }
    return {name: values[name] for name in open_options(model, options)}


def search_space(defaults: Values) -> dict[str, Any]:
    """Return an Optuna distribution for each of `defaults`, which it contains.

    Rates vary by a factor of 10 in both directions, on a logarithmic scale. Weight decay may fall further,
    because too little costs less than too much; like the command line, the space has no decay above 1.
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

    The optimizer stays the one that is chosen without `values`. Phase 2 keeps its own rate, which depends on
    the batch size, because a search only sees phase 1.
    """
    given: dict[str, Any] = dict(values)
    rate = given.pop("learning_rate", None)
    completed = replace(options, optimizer=choose_hyperparameters(model, options, counts).optimizer, **given)
    if rate is None:
        return completed
    _, second = choose_hyperparameters(model, completed, counts).learning_rate
    return replace(completed, learning_rate=(rate, second))


def _of_model(model: str) -> tuple[str, ...]:
    return tuple(name for name in SEARCHED if model != "cnn" or name != "head_units")
