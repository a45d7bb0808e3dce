"""The phases of a training: which part of a model is trained in each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras

from .hyperparameters import Hyperparameters
from .models import SCRATCH_MOMENTUM, Built

SCRATCH_REFIT_RATE = 0.1  # Of the highest rate of the training from random weights.


@dataclass(frozen=True)
class Phase:
    """One stage of a training: `first_trained` is an index of base.layers; 0 trains everything.

    `normalizing` says whether batch norm learns: its statistics then follow the batches. A `refit` learns
    from the validation images as well, so that nothing is left to choose an epoch by: its last one is kept.
    """

    number: int
    epochs: int
    learning_rate: float
    first_trained: int
    normalizing: bool
    refit: bool = False


def plan_phases(built: Built, hyperparameters: Hyperparameters) -> list[Phase]:
    """Return the phases that have epochs.

    A model from random weights has nothing to preserve, and is trained whole in one phase. A base with
    trained weights is frozen in phase 1, while the new head learns; phase 2 trains the last layers of the
    base too. A refit goes on with what the last phase trained, at the same rate; from random weights at a
    tenth of it, since the rate of a beginning would undo what was learned.
    """
    chosen = hyperparameters
    if built.base is None or not built.pretrained:
        phases = [Phase(1, sum(chosen.epochs), chosen.learning_rate[0], 0, True)]
    else:
        layers = len(built.base.layers)
        first = max(0, layers - chosen.fine_tune_layers)
        phases = [
            Phase(1, chosen.epochs[0], chosen.learning_rate[0], layers, False),
            Phase(2, chosen.epochs[1], chosen.learning_rate[1], first, chosen.batch_norm == "trained"),
        ]
    phases = [phase for phase in phases if phase.epochs]
    if not chosen.refit_epochs:
        return phases
    last = phases[-1]
    rate = last.learning_rate * (1.0 if built.pretrained else SCRATCH_REFIT_RATE)
    again = replace(last, number=last.number + 1, epochs=chosen.refit_epochs, learning_rate=rate, refit=True)
    return [*phases, again]


def prepare_phase(built: Built, phase: Phase) -> None:
    """Set which layers are trained. In Keras, a frozen batch norm runs in inference mode."""
    if built.base is None:
        return
    built.base.trainable = True
    for number, layer in enumerate(built.base.layers):
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = number >= phase.first_trained and (phase.normalizing or not is_norm)
        if is_norm:
            layer.momentum = SCRATCH_MOMENTUM  # 0.99 and more are too slow for a short training.


def trainable_parameters(model: Any) -> int:
    """Return the number of values that the optimizer changes."""
    return sum(int(keras.ops.size(weight)) for weight in model.trainable_weights)
