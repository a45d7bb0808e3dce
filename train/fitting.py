"""Trains one model in its phases, and keeps the best of all epochs."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import apply_temperature, fit_temperature
from ..edge.console import say
from ..edge.errors import OptionError
from ..edge.progress import progress
from .activations import Cut, cut_activations, refit_activations
from .augmentation import Mixer, make_augmentation, reseed
from .checkpoint import Checkpoint, EpochRow, History, State
from .feeds import ExampleTable, Feed, with_strong_views
from .imbalance import class_weights, logit_offsets, sample_order, validation_weights
from .models import Built
from .phases import Phase, plan_phases, prepare_phase, trainable_parameters
from .task import Task
from .trainer import compile_trainer, through_head

_VALIDATION_BATCH = 128
_LEAST_PATIENCE = 5  # Epochs.


class Diverged(OptionError):
    """No epoch ended with a finite validation loss."""


def fit(task: Task) -> History:
    """Train `task.built.model` and leave the weights of the best epoch in it, or those of a refit.

    A checkpoint, if there is one, is continued, with the result of an uninterrupted training: every epoch
    depends only on the weights before it, the optimizer's state, the seed and its number. Ctrl-C ends the
    training and keeps the best epoch so far, without a refit that has not ended; KeyboardInterrupt is raised
    while there is none, or while the one from the checkpoint is not yet in the model. Raises Diverged when no
    epoch ended with a finite loss.
    """
    checkpoint = Checkpoint(task.checkpoint)
    state = checkpoint.load()
    restored = interrupted = False
    phases = plan_phases(task.built, task.hyperparameters)
    for phase, following in zip(phases, [*phases[1:], None], strict=True):
        if phase.number < state.phase or interrupted:
            continue
        prepare_phase(task.built, phase)
        try:
            run = PhaseRun(task, phase, state, checkpoint)
            restored = True
            run.fit()
            if following is not None and following.refit:
                state.before = task.built.model.get_weights()
        except KeyboardInterrupt:
            if not (state.rows and restored) or task.on_epoch:
                raise
            interrupted = True
            say(f"Interrupted: keeping the best of {len(state.rows)} epochs of {task.name}")
        if not math.isfinite(state.best_loss):
            task.checkpoint.unlink(missing_ok=True)  # A continued training would diverge again.
            raise Diverged(
                f"The training of {task.name} diverged: its loss is {state.rows[-1]['val_loss']}. "
                f"Lower --learning-rate, which is {','.join(map(str, task.hyperparameters.learning_rate))}"
            )
    before = state.before if state.refitted else None
    return History(state.rows, state.seconds, state.trainable_parameters, interrupted, state.refitted, before)


class PhaseRun:
    """One phase of a training: the network that Keras fits, its feeds, and the state after each epoch."""

    def __init__(self, task: Task, phase: Phase, state: State, checkpoint: Checkpoint) -> None:
        """Build the network, with the weights of `state` if that is in the middle of this phase."""
        self.task, self.phase, self._state, self._checkpoint = task, phase, state, checkpoint
        self._began = time.monotonic()
        self._seconds_before = state.seconds
        keras.utils.set_random_seed(task.seed)
        chosen = task.hyperparameters
        both = task.train.joined(task.validation)
        self._learned, held = (
            (both, task.validation.first(0)) if phase.refit else (task.train, task.validation)
        )
        cut = self._cut()
        self._trainer = self._build(cut)
        self._train = self._feed(cut, state.epochs(phase.number))
        validation = cut.validation if cut else ExampleTable.of_pixels(held)
        self._validation = Feed(validation, task.classes, _VALIDATION_BATCH)
        compile_trainer(self._trainer, chosen, phase.learning_rate, len(self._train) * phase.epochs)
        self._trainer.optimizer.build(self._trainer.trainable_variables)
        if state.phase == phase.number:
            self._restore()
        else:
            self._begin()

    def fit(self) -> None:
        """Run the remaining epochs, and leave the best weights in the model, also after Ctrl-C."""
        done = self._state.epochs(self.phase.number)
        try:
            if done < self.phase.epochs and not self._exhausted():
                with ExitStack() as bars:
                    self._trainer.fit(
                        self._train,
                        initial_epoch=done,
                        epochs=self.phase.epochs,
                        callbacks=[_Epochs(self, bars)],
                        verbose=0,
                        shuffle=False,
                    )
        finally:
            self._trainer.set_weights(self._state.best)
            if self._state.rows:
                self._checkpoint.save(self._state, at_once=True)

    def validate(self) -> tuple[float, float]:
        """Return the loss and the accuracy on the validation images now; NaN in a refit: it learns them."""
        if self.phase.refit:
            return math.nan, math.nan
        imbalance, truth = self.task.hyperparameters.imbalance, self.task.validation.truth
        return validate(
            self._trainer.predict(self._validation, verbose=0),
            truth,
            logit_offsets(imbalance, self._counts),
            validation_weights(imbalance, _count(truth, self.task.classes)),
        )

    def record(self, row: EpochRow) -> bool:
        """Add a finished epoch; return whether to stop, because no epoch has been better for long."""
        state = self._state
        weights, optimizer = self._trainer.get_weights(), self._optimizer()
        # Close together, so that Ctrl-C hardly comes between them.
        state.rows.append(row)
        state.last, state.optimizer = weights, optimizer
        state.seconds = self._seconds_before + time.monotonic() - self._began
        if self.phase.refit:
            self._keep_refit(row)
        elif row["val_loss"] < state.best_loss:  # False for NaN.
            state.best_loss, state.best = row["val_loss"], state.last
        self._checkpoint.save(state)
        return self._exhausted()

    def _keep_refit(self, row: EpochRow) -> None:
        """Keep the weights of the last epoch; none of an epoch whose loss or weights are not finite."""
        state = self._state
        if not (math.isfinite(row["loss"]) and all(np.isfinite(weights).all() for weights in state.last)):
            say(f"{self.task.name}: learning the validation images too diverged; the model before is kept")
        elif row["epoch"] == self.phase.epochs:
            state.best, state.refitted = state.last, True

    def _cut(self) -> Cut | None:
        if not self.phase.refit:
            return cut_activations(self.task, self.phase)
        phases = plan_phases(self.task.built, self.task.hyperparameters)
        before = [earlier for earlier in phases if not earlier.refit]
        return refit_activations(self.task, self.phase, before[-1].epochs)

    def _build(self, cut: Cut | None) -> Any:
        task = self.task
        offsets = logit_offsets(task.hyperparameters.imbalance, self._counts)
        head = through_head(task.built.model, task.built.base, offsets)
        if cut is not None:
            inputs = keras.Input(cut.table.values.shape[1:])
            x = cut.back(inputs) if cut.back is not None else inputs
            return keras.Model(inputs, head(x))
        size = task.built.model.input_shape[1]
        inputs = keras.Input((size, size, 3), dtype="uint8")
        x = make_augmentation(task.hyperparameters.augment, task.seed)(inputs)
        for layer in _until_base(task.built):
            x = layer(x)
        return keras.Model(inputs, head(x))

    def _feed(self, cut: Cut | None, epoch: int) -> Feed:
        task, chosen = self.task, self.task.hyperparameters
        table = cut.table if cut else self._pixels()
        if task.taught is not None:
            offsets = logit_offsets(chosen.imbalance, self._counts)
            table = task.taught.teach(table, self._learned, cut.viewed if cut else None, offsets)
        return Feed(
            table,
            task.classes,
            chosen.batch_size,
            class_weights(chosen.imbalance, self._counts),
            lambda number: sample_order(
                self._learned.truth, task.seed + self.phase.number, number, chosen.imbalance
            ),
            epoch,
            None if chosen.mix == "none" else Mixer(chosen.mix, task.seed),
        )

    @property
    def _counts(self) -> list[int]:
        """Images of each class that this phase learns from."""
        return _count(self._learned.truth, self.task.classes)

    def _pixels(self) -> ExampleTable:
        task = self.task
        if task.hyperparameters.imbalance == "oversample" and task.hyperparameters.augment:
            say(f"{task.name}: making stronger augmented views of the small classes")
            rotation = "rotation" in task.hyperparameters.augment
            return with_strong_views(self._learned, task.classes, rotation, task.seed)
        return ExampleTable.of_pixels(self._learned)

    def _begin(self) -> None:
        state = self._state
        state.phase = self.phase.number
        state.last = state.best = self._trainer.get_weights()
        state.optimizer = self._optimizer()
        state.trainable_parameters.append(trainable_parameters(self._trainer))

    def _restore(self) -> None:
        state, variables = self._state, self._trainer.optimizer.variables
        now = [array.shape for array in [*self._trainer.get_weights(), *self._optimizer()]]
        best = [array.shape for array in [*state.best, *state.optimizer]]
        if now != best or now != [array.shape for array in [*state.last, *state.optimizer]]:
            raise OptionError(
                f"{self.task.checkpoint} does not fit the current training: a library has changed, or the "
                "cache was deleted and the disk has less room than before. Start again with --force"
            )
        self._trainer.set_weights(state.last)
        for variable, value in zip(variables, state.optimizer, strict=True):
            variable.assign(value)

    def _optimizer(self) -> list[NDArray[Any]]:
        return [keras.ops.convert_to_numpy(variable) for variable in self._trainer.optimizer.variables]

    def _exhausted(self) -> bool:
        """Return whether the last epochs of this phase were no better than an earlier one.

        Also whether the loss has become NaN, because it then stays NaN. A refit has no better epoch.
        """
        patience = self.task.hyperparameters.patience or max(_LEAST_PATIENCE, self.phase.epochs // 2)
        rows = [row for row in self._state.rows if row["phase"] == self.phase.number]
        if any(math.isnan(row["loss"]) for row in rows):
            return True
        losses = [row["val_loss"] for row in rows]
        if self.phase.refit:
            return False
        return len(losses) > patience and not min(losses[-patience:]) < min(losses[:-patience])


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch: extends the history, prints a line, saves the state, and stops in time."""

    def __init__(self, run: PhaseRun, bars: ExitStack) -> None:
        super().__init__()
        self._run, self._bars = run, bars
        self._title = f"{run.task.name} phase {run.phase.number}"

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()
        reseed(self.model, self._run.task.seed, self._run.phase.number, epoch)
        title = f"{self._title} epoch {epoch + 1}/{self._run.phase.epochs}"
        self._advance = self._bars.enter_context(progress(title, self.params["steps"], "steps"))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._advance(note=f"loss {logs['loss']:.3f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._bars.close()
        loss, accuracy = self._run.validate()
        row = EpochRow(
            phase=self._run.phase.number,
            epoch=epoch + 1,
            learning_rate=float(f"{float(self.model.optimizer.learning_rate):.4g}"),
            loss=round(float(logs["loss"]), 6),
            accuracy=round(float(logs["accuracy"]), 6),
            val_loss=round(loss, 6),
            val_accuracy=round(accuracy, 6),
        )
        exhausted = self._run.record(row)
        if self._report(row) or exhausted:
            self.model.stop_training = True

    def _report(self, row: EpochRow) -> bool:
        """Give the row to the trial, or to the user; return whether the trial wants to stop."""
        if self._run.task.on_epoch is not None:
            return self._run.task.on_epoch(row)
        seconds = time.monotonic() - self._began
        held_out = f"validation {row['val_accuracy']:.1%} (loss {row['val_loss']:.3f})"
        say(
            f"{self._title}  epoch {row['epoch']}/{self._run.phase.epochs}  loss {row['loss']:.3f}  "
            f"accuracy {row['accuracy']:.1%}  "
            f"{'validation images learned too' if self._run.phase.refit else held_out}  {seconds:.1f} s"
        )
        return False


def validate(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    offsets: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
) -> tuple[float, float]:
    """Return (loss, accuracy) of logits [images, classes]; the loss is NaN if a logit is not finite.

    The loss is the cross-entropy of the training, with the `offsets` of adjusted logits and with a weight for
    each class if there are any, but at the best temperature. Temperature is fitted after the training anyway,
    so a network that gets more answers right while it becomes overconfident is the better one.
    """
    accuracy = float((logits.argmax(axis=1) == truth).mean())
    if not np.isfinite(logits).all():
        return math.nan, accuracy
    raw = _softmax(logits + offsets)
    probabilities = apply_temperature(raw, fit_temperature(raw, truth))
    chosen = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    losses = -np.log(np.clip(chosen, 1e-7, 1.0))  # The bounds of Keras.
    return float(np.average(losses, weights=None if weights is None else weights[truth])), accuracy


def _softmax(logits: NDArray[Any]) -> NDArray[np.float32]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _count(truth: NDArray[np.int64], classes: int) -> list[int]:
    return [int(n) for n in np.bincount(truth, minlength=classes)]


def _until_base(built: Built) -> list[Any]:
    """Return the layers between the input and the base, and the base itself; none without a base."""
    layers = built.model.layers[1:]
    return layers[: layers.index(built.base) + 1] if built.base is not None else []
