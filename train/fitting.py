"""Trains one model in its phases, and keeps the best of all epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import apply_temperature, fit_temperature
from ..edge.console import say
from ..edge.errors import OptionError
from ..edge.progress import progress
from .activations import Cut, cut_activations
from .augmentation import Mixer, make_augmentation, reseed
from .cache import Cache
from .checkpoint import Checkpoint, History, State
from .dataset import Examples
from .feeds import ExampleTable, Feed, with_strong_views
from .hyperparameters import Hyperparameters
from .imbalance import class_weights, logit_offsets, sample_order, validation_weights
from .models import Built
from .phases import Phase, plan_phases, prepare_phase, trainable_parameters
from .trainer import compile_trainer, through_head


def validate(
    logits: NDArray[np.float32],
    truth: NDArray[np.int64],
    offsets: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
) -> tuple[float, float]:
    """Return (loss, accuracy) of logits [images, classes]; the loss is NaN when a logit is no number.

    The loss is the cross-entropy as it is trained, with the `offsets` of adjusted logits and a weight for
    each class if there are any, but at the best temperature, since that is fitted after the training anyway:
    a network that gets more answers right while it grows too sure of them is the better one.
    """
    accuracy = float((logits.argmax(axis=1) == truth).mean())
    if not np.isfinite(logits).all():
        return math.nan, accuracy
    probabilities = _softmax(logits + offsets)
    calibrated = apply_temperature(probabilities, fit_temperature(probabilities, truth))
    chosen = calibrated[np.arange(len(truth)), truth].astype(np.float64)
    losses = -np.log(np.clip(chosen, 1e-7, 1.0))  # Bounded as Keras does.
    return float(np.average(losses, weights=None if weights is None else weights[truth])), accuracy


def _softmax(logits: NDArray[Any]) -> NDArray[np.float32]:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True)
class Task:
    """One model's training: what to fit, on what, how, and where the checkpoint and activations are kept.

    `on_epoch` makes it a trial: it takes each epoch's row of the history, instead of a line for the user, and
    returns whether to stop; Ctrl-C is raised then. `note` follows the model's name where people read it.
    """

    built: Built
    train: Examples
    validation: Examples
    classes: int
    recipe: Hyperparameters
    seed: int
    cache: Cache
    checkpoint: Path
    on_epoch: Callable[[dict[str, Any]], bool] | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """The model's name, for people."""
        return f"{self.built.model.name}{self.note}"


class PhaseRun:
    """One phase: the network that is fitted, its feeds, and how far it has come."""

    def __init__(self, task: Task, phase: Phase, state: State, checkpoint: Checkpoint) -> None:
        self.task, self.phase, self._state, self._checkpoint = task, phase, state, checkpoint
        self._began = time.monotonic()
        self._seconds_before = state.seconds
        keras.utils.set_random_seed(task.seed)
        cut = cut_activations(
            task.built, phase, task.train, task.validation, task.classes, task.recipe, task.seed, task.cache
        )
        self._trainer = self._build(cut)
        done = state.epochs(phase.number)
        self._train = self._feed(cut, done)
        self._validation = Feed(
            cut.validation if cut else ExampleTable.of_pixels(task.validation), task.classes, 128
        )
        compile_trainer(self._trainer, task.recipe, phase.learning_rate, len(self._train) * phase.epochs)
        self._trainer.optimizer.build(self._trainer.trainable_variables)
        if state.phase == phase.number:
            self._restore()
        else:
            self._begin()

    def fit(self) -> None:
        """Run the epochs that are left, and leave the best weights in the model, also after Ctrl-C."""
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

    def _build(self, cut: Cut | None) -> Any:
        task = self.task
        offsets = logit_offsets(task.recipe.imbalance, self._counts)
        if cut is not None:
            inputs = keras.Input(cut.table.values.shape[1:])
            x = cut.back(inputs) if cut.back is not None else inputs
            return keras.Model(inputs, through_head(task.built.model, task.built.base, offsets)(x))
        size = task.built.model.input_shape[1]
        inputs = keras.Input((size, size, 3), dtype="uint8")
        x = make_augmentation(task.recipe.augment, task.seed)(inputs)
        for layer in _until_base(task.built):
            x = layer(x)
        return keras.Model(inputs, through_head(task.built.model, task.built.base, offsets)(x))

    def _feed(self, cut: Cut | None, epoch: int) -> Feed:
        task, recipe = self.task, self.task.recipe
        return Feed(
            cut.table if cut else self._pixels(),
            task.classes,
            recipe.batch_size,
            class_weights(recipe.imbalance, self._counts),
            lambda number: sample_order(
                task.train.truth, task.seed + self.phase.number, number, recipe.imbalance
            ),
            epoch,
            None if recipe.mix == "none" else Mixer(recipe.mix, task.seed),
        )

    def validate(self) -> tuple[float, float]:
        """Return loss and accuracy of the validation images now."""
        recipe = self.task.recipe
        return validate(
            self._trainer.predict(self._validation, verbose=0),
            self.task.validation.truth,
            logit_offsets(recipe.imbalance, self._counts),
            validation_weights(recipe.imbalance, _count(self.task.validation.truth, self.task.classes)),
        )

    @property
    def _counts(self) -> list[int]:
        """Training images by class."""
        return _count(self.task.train.truth, self.task.classes)

    def _pixels(self) -> ExampleTable:
        task = self.task
        if task.recipe.imbalance == "oversample" and task.recipe.augment:
            say(f"{task.name}: making stronger augmented views of the small classes")
            return with_strong_views(task.train, task.classes, task.seed)
        return ExampleTable.of_pixels(task.train)

    def _begin(self) -> None:
        state = self._state
        state.phase = self.phase.number
        state.last = state.best = self._trainer.get_weights()
        state.optimizer = self._optimizer()
        state.trainable_parameters.append(trainable_parameters(self._trainer))

    def _restore(self) -> None:
        state, variables = self._state, self._trainer.optimizer.variables
        now = [array.shape for array in [*self._trainer.get_weights(), *self._optimizer()]]
        if now != [array.shape for array in [*state.last, *state.optimizer]]:
            raise OptionError(
                f"{self.task.checkpoint} does not fit what is trained now: a library has changed, or the "
                "cache was deleted and the disk has less room than before. Start anew with --force"
            )
        self._trainer.set_weights(state.last)
        for variable, value in zip(variables, state.optimizer, strict=True):
            variable.assign(value)

    def _optimizer(self) -> list[NDArray[Any]]:
        return [keras.ops.convert_to_numpy(variable) for variable in self._trainer.optimizer.variables]

    def record(self, row: dict[str, Any]) -> bool:
        """Take a finished epoch's row; return whether to stop, since no epoch has been better for long."""
        state = self._state
        weights, optimizer = self._trainer.get_weights(), self._optimizer()
        # Side by side, so that Ctrl-C hardly comes between them.
        state.rows.append(row)
        state.last, state.optimizer = weights, optimizer
        state.seconds = self._seconds_before + time.monotonic() - self._began
        if row["val_loss"] < state.best_loss:  # Not when it is no number, either.
            state.best_loss, state.best = row["val_loss"], state.last
        self._checkpoint.save(state)
        return self._exhausted()

    def _exhausted(self) -> bool:
        """Return whether the last epochs of this phase were no better than one before them.

        Or whether the loss has become NaN, which it then remains.
        """
        patience = self.task.recipe.patience or max(5, self.phase.epochs // 2)
        rows = [row for row in self._state.rows if row["phase"] == self.phase.number]
        if any(math.isnan(row["loss"]) for row in rows):
            return True
        losses = [row["val_loss"] for row in rows]
        return len(losses) > patience and not min(losses[-patience:]) < min(losses[:-patience])


def _count(truth: NDArray[np.int64], classes: int) -> list[int]:
    return [int(n) for n in np.bincount(truth, minlength=classes)]


def _until_base(built: Built) -> list[Any]:
    """Return the layers between the input and the base, and the base itself; none without a base."""
    layers = built.model.layers[1:]
    return layers[: layers.index(built.base) + 1] if built.base is not None else []


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """After each epoch: fills the history, prints a line, saves the state, and stops in time."""

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
        row = {
            "phase": self._run.phase.number,
            "epoch": epoch + 1,
            "learning_rate": float(f"{float(self.model.optimizer.learning_rate):.4g}"),
            "loss": round(float(logs["loss"]), 6),
            "accuracy": round(float(logs["accuracy"]), 6),
            "val_loss": round(loss, 6),
            "val_accuracy": round(accuracy, 6),
        }
        exhausted = self._run.record(row)
        if self._say_or_pass_on(row) or exhausted:
            self.model.stop_training = True

    def _say_or_pass_on(self, row: dict[str, Any]) -> bool:
        if self._run.task.on_epoch is not None:
            return self._run.task.on_epoch(row)
        seconds = time.monotonic() - self._began
        say(
            f"{self._title}  epoch {row['epoch']}/{self._run.phase.epochs}  loss {row['loss']:.3f}  "
            f"accuracy {row['accuracy']:.1%}  validation {row['val_accuracy']:.1%} "
            f"(loss {row['val_loss']:.3f})  {seconds:.1f} s"
        )
        return False


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
