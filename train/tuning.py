"""Searches for better values of the options that the user left open, before a model is trained."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..edge.console import say
from ..edge.errors import OptionError
from ..edge.files import write_atomically
from .cache import Cache
from .checkpoint import EpochRow
from .dataset import PreparedData
from .fitting import Diverged, fit
from .hyperparameters import choose_hyperparameters, is_scratch
from .models import Architecture, build_to_train
from .options import TrainOptions
from .output import trials_of
from .search_space import Values, default_values, load_optuna, search_space, with_values
from .task import Task
from .teaching import Teaching
from .trials import COMPLETE, DIVERGED, PRUNED, Trial, best_trial, describe_values, read_trials, to_csv

# A trial of a model from random weights has a part of its epochs, but at least this many.
_SHARE_OF_EPOCHS, _LEAST_EPOCHS = 4, 3
_TRIALS_BEFORE_PRUNING = 5


def tune(
    name: str,
    data: PreparedData,
    work: Path,
    options: TrainOptions,
    counts: Sequence[int],
    cache: Cache,
    teaching: Teaching | None = None,
) -> TrainOptions:
    """Return `options` for the model `name`, completed by the best values of options.tune trials.

    Every trial is saved in `work`, and trials that are already there count. The best trial has the lowest
    validation loss at its best epoch; the first trial has the default values. A backbone with trained weights
    is tried in phase 1, on the activations that are cached for the training itself; a model from random
    weights is tried for a part of its epochs. `counts` are the training images of each class,
    and `teaching` says who teaches the model, if anybody does. Raises
    OptionError when all trials diverge or the file of trials is damaged, DatasetError when the disk is full,
    MissingPackageError without Optuna.
    """
    search = _Search(name, data, work, options, counts, cache, teaching)
    path = trials_of(work, name)
    trials = read_trials(path)
    if any(set(trial.values) != set(search.names) for trial in trials):
        raise OptionError(f"{path} cannot be used (it has other values). Start again with --force")
    if trials:
        say(f"{name}: {len(trials)} of {options.tune} trials were done before the interruption")
    while len(trials) < options.tune:
        trials.append(search.run_next(trials))
        write_atomically(path, to_csv(trials))
        say(f"{name} trial {len(trials)}/{options.tune}: {_describe_last(trials)}")
    best = best_trial(trials)
    if best is None:
        raise OptionError(f"All {len(trials)} trials of {name} diverged. Give a lower --learning-rate")
    say(f"{name}: trained with the values of trial {best + 1}: {describe_values(trials[best].values)}")
    return with_values(name, options, counts, trials[best].values)


class _Search:
    """The search for one model: what all its trials have in common."""

    def __init__(
        self,
        name: str,
        data: PreparedData,
        work: Path,
        options: TrainOptions,
        counts: Sequence[int],
        cache: Cache,
        teaching: Teaching | None,
    ) -> None:
        self._name, self._data, self._work, self._cache = name, data, work, cache
        self._teaching = teaching
        self._options, self._counts = options, counts
        self._defaults = default_values(name, options, counts)
        epochs = choose_hyperparameters(name, options, counts).epochs[0]
        short = max(min(epochs, _LEAST_EPOCHS), epochs // _SHARE_OF_EPOCHS)
        self._epochs = short if is_scratch(name, options.weights) else epochs

    @property
    def names(self) -> Collection[str]:
        """The names of the values that it varies."""
        return self._defaults.keys()

    def run_next(self, trials: Sequence[Trial]) -> Trial:
        """Run the trial after `trials`, which decide its values and its end, together with the seed.

        So an interrupted search continues with the same result.
        """
        proposed = self._propose(trials)
        losses: list[float] = []
        state = COMPLETE

        def on_epoch(row: EpochRow) -> bool:
            nonlocal state
            losses.append(row["val_loss"])
            proposed.report(_or_infinite(row["val_loss"]), row["epoch"])
            if row["epoch"] < self._epochs and proposed.should_prune():
                state = PRUNED
            return state == PRUNED

        with tempfile.TemporaryDirectory(dir=self._work, prefix="trial-") as folder:
            task = self._task(proposed.params, Path(folder))
            note = f" trial {len(trials) + 1}/{self._options.tune}"
            try:
                fit(replace(task, on_epoch=on_epoch, note=note))
            except Diverged:
                state = DIVERGED
        return Trial(proposed.params, state, tuple(losses))

    def _task(self, values: Values, folder: Path) -> Task:
        name, data = self._name, self._data
        options = with_values(name, self._options, self._counts, values)
        chosen = replace(
            choose_hyperparameters(name, options, self._counts), epochs=(self._epochs, 0), refit_epochs=0
        )
        architecture = Architecture.of(name, len(data.split.labels), options)
        size = architecture.size
        keras.backend.clear_session()
        task = Task(
            built=build_to_train(architecture, chosen.compute, options.seed),
            train=data.examples("train", size),
            validation=data.examples("validation", size),
            classes=architecture.classes,
            hyperparameters=chosen,
            seed=options.seed,
            cache=self._cache,
            checkpoint=folder / "checkpoint.npz",
            pool=data.pooled(size),
        )
        if self._teaching is None:
            return task
        return task.learning_from(self._teaching.taught(data, size, chosen.answer_share, self._cache))

    def _propose(self, trials: Sequence[Trial]) -> Any:
        """Return an Optuna trial with the next values, in a study of all earlier trials.

        Optuna's own storage is no alternative: after it is loaded again, its samplers draw other numbers.
        """
        optuna = load_optuna()
        space = search_space(self._defaults)
        seed = int(np.random.SeedSequence([self._options.seed, len(trials)]).generate_state(1)[0])
        study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(_TRIALS_BEFORE_PRUNING, n_warmup_steps=self._epochs // 3),
        )
        try:
            study.add_trials([_as_optuna_has_it(trial, space) for trial in trials])
        except (ValueError, KeyError) as error:
            path = trials_of(self._work, self._name)
            raise OptionError(f"{path} cannot be used ({error}). Start again with --force") from None
        if not trials:
            study.enqueue_trial(self._defaults)
        return study.ask(space)


def _as_optuna_has_it(trial: Trial, space: dict[str, Any]) -> Any:
    optuna = load_optuna()
    done = trial.state == COMPLETE
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.COMPLETE if done else optuna.trial.TrialState.PRUNED,
        value=trial.loss if done else None,
        params=dict(trial.values),
        distributions=space,
        intermediate_values={epoch: _or_infinite(loss) for epoch, loss in enumerate(trial.losses, 1)},
    )


def _or_infinite(loss: float) -> float:
    """Return infinity for NaN, because Optuna warns of NaN and sorts infinity behind all other losses."""
    return math.inf if math.isnan(loss) else loss


def _describe_last(trials: Sequence[Trial]) -> str:
    trial, best = trials[-1], best_trial(trials)
    loss = {
        COMPLETE: f"loss {trial.loss:.3f}",
        PRUNED: f"stopped at loss {trial.loss:.3f}, which is above the median",
        DIVERGED: "diverged",
    }[trial.state]
    so_far = "" if best is None else f", best {trials[best].loss:.3f}"
    return f"{loss}{so_far} ({describe_values(trial.values)})"
