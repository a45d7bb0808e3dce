"""Trains one model in its phases, and keeps the best of all epochs."""

from __future__ import annotations

import math

from ..edge.console import say
from ..edge.errors import OptionError
from .checkpoint import Checkpoint
from .history import History
from .phase_run import PhaseRun
from .phases import plan_phases, prepare_phase
from .task import Task


class Diverged(OptionError):
    """No epoch ended with a finite validation loss."""


def fit(task: Task) -> History:
    """Train `task.built.model` and leave the best epoch's weights in it.

    Goes on from the checkpoint if there is one, to the result that one go would have given: every epoch
    depends on the weights before it, the optimizer's state, the seed and its number alone. Ctrl-C ends the
    training and keeps the best epoch so far; KeyboardInterrupt is raised while there is none, or that of an
    earlier go is not in the model yet. Raises Diverged when no epoch ended with a finite loss.
    """
    checkpoint = Checkpoint(task.checkpoint)
    state = checkpoint.load()
    restored = interrupted = False
    for phase in plan_phases(task.built, task.recipe):
        if phase.number < state.phase or interrupted:
            continue
        prepare_phase(task.built, phase)
        try:
            run = PhaseRun(task, phase, state, checkpoint)
            restored = True
            run.fit()
        except KeyboardInterrupt:
            if not (state.rows and restored) or task.on_epoch:
                raise
            interrupted = True
            say(f"Interrupted: keeping the best of {len(state.rows)} epochs of {task.name}")
        if not math.isfinite(state.best_loss):
            task.checkpoint.unlink(missing_ok=True)  # Whoever goes on from it diverges again.
            raise Diverged(
                f"The training of {task.name} diverged: its loss is {state.rows[-1]['val_loss']}. "
                f"Lower --learning-rate, which is {','.join(map(str, task.recipe.learning_rate))}"
            )
    return History(state.rows, state.seconds, state.trainable_parameters, interrupted)
