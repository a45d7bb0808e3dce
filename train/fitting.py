"""Trains one model in two phases, and keeps the best of all epochs."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..edge.console import say
from ..edge.errors import OptionError
from ..edge.progress import progress
from .augmentation import RandomAffine
from .models import Built, prepare_phase
from .options import TrainOptions

COLUMNS = ("phase", "epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Examples:
    """Rows of `pixels`, uint8 [n, size, size, 3], and their class indices `truth`, int64 [rows]."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    truth: NDArray[np.int64]


@dataclass
class History:
    """One row an epoch, with COLUMNS; `interrupted` when Ctrl-C ended the training."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    trainable_parameters: list[int] = field(default_factory=list)
    interrupted: bool = False

    def to_csv(self) -> str:
        """Return history.csv's text."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    @property
    def best(self) -> dict[str, Any]:
        """The epoch whose weights were kept: the lowest validation loss, if one is a number."""
        return min(self.rows, key=lambda row: (math.isnan(row["val_loss"]), row["val_loss"]))


def balanced_weights(truth: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return a weight a class, images / (classes * images of the class): scikit-learn's "balanced"."""
    counts = np.bincount(truth, minlength=classes)
    return (len(truth) / (classes * np.maximum(counts, 1))).astype(np.float32)


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Feeds Keras; with a `seed` the order changes every epoch, and is the same in every run."""

    def __init__(
        self, examples: Examples, batch_size: int, weights: NDArray[np.float32] | None, seed: int | None
    ) -> None:
        """Take the examples and, for training, a weight for each class."""
        super().__init__()
        self._examples, self._batch_size, self._weights, self._seed = examples, batch_size, weights, seed
        self._epoch = 0
        self._order = self._shuffled()

    def __len__(self) -> int:
        """Return the number of batches; the last may be smaller."""
        return math.ceil(len(self._examples.rows) / self._batch_size)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        """Return float32 pixels [batch, size, size, 3], class indices, and weights if there are any."""
        chosen = self._order[number * self._batch_size : (number + 1) * self._batch_size]
        pixels = self._examples.pixels[self._examples.rows[chosen]].astype(np.float32)
        truth = self._examples.truth[chosen]
        return (pixels, truth) if self._weights is None else (pixels, truth, self._weights[truth])

    def on_epoch_end(self) -> None:
        """Draw the next epoch's order."""
        self._epoch += 1
        self._order = self._shuffled()

    def _shuffled(self) -> NDArray[np.int64]:
        size = len(self._examples.rows)
        if self._seed is None:
            return np.arange(size)
        return np.random.default_rng([self._seed, self._epoch]).permutation(size)


def fit(
    built: Built, train: Examples, validation: Examples, classes: int, options: TrainOptions, folder: Path
) -> History:
    """Train `built.model` and leave the best epoch's weights in it; `folder` keeps the checkpoint.

    Ctrl-C ends the training and keeps the best epoch so far; before the first epoch has ended
    KeyboardInterrupt is raised. Raises OptionError when no epoch ended with a finite loss.
    """
    size = built.model.input_shape[1]
    inputs = keras.Input((size, size, 3))
    augmented = RandomAffine(options.augment, options.seed)(inputs)
    trainer = keras.Model(inputs, built.model(augmented))
    balanced = options.class_weights == "balanced"
    weights = balanced_weights(train.truth, classes) if balanced else None
    feeds = (
        Batches(train, options.batch_size, weights, options.seed),
        Batches(validation, options.batch_size, None, None),
    )
    history = History()
    checkpoint = folder / "best.weights.h5"
    started = time.monotonic()
    for phase in (1, 2):
        if options.epochs[phase - 1] == 0 or history.interrupted:
            continue
        prepare_phase(built, phase, options)
        history.trainable_parameters.append(sum(int(np.prod(w.shape)) for w in built.model.trainable_weights))
        try:
            _fit_phase(trainer, feeds, phase, options, checkpoint, history)
        except KeyboardInterrupt:
            if not history.rows:
                raise
            history.interrupted = True
            say(f"Interrupted: keeping the best of {len(history.rows)} epochs of {built.model.name}")
        if not math.isfinite(history.best["val_loss"]):
            raise OptionError(
                f"The training of {built.model.name} diverged: its loss is {history.best['val_loss']}. "
                f"Lower --learning-rate, which is {','.join(map(str, options.learning_rate))}"
            )
        trainer.load_weights(checkpoint)
    history.seconds = time.monotonic() - started
    return history


def _fit_phase(
    trainer: Any, feeds: Sequence[Any], phase: int, options: TrainOptions, checkpoint: Path, history: History
) -> None:
    trainer.compile(
        optimizer=keras.optimizers.Adam(options.learning_rate[phase - 1]),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    train, validation = feeds
    with ExitStack() as bars:
        callbacks = [
            _KeepBest(checkpoint, history.best["val_loss"] if history.rows else math.inf),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=options.patience),
            _Reporter(trainer.layers[-1].name, phase, options, history, bars),
        ]
        trainer.fit(
            train,
            validation_data=validation,
            epochs=options.epochs[phase - 1],
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        )


class _KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves the weights of the epoch with the lowest validation loss.

    Keras's ModelCheckpoint writes over the file that it replaces: Ctrl-C at that moment would leave no
    whole one.
    """

    def __init__(self, path: Path, best: float) -> None:
        super().__init__()
        self._path, self._best = path, best

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not logs["val_loss"] < self._best:  # Not when it is no number, either.
            return
        partial = self._path.with_name(f"partial-{self._path.name}")
        try:
            self.model.save_weights(partial)
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)
        self._best = logs["val_loss"]


class _Reporter(keras.callbacks.Callback):  # type: ignore[misc]
    """Draws a bar an epoch, prints a line an epoch, and fills the history."""

    def __init__(
        self, name: str, phase: int, options: TrainOptions, history: History, bars: ExitStack
    ) -> None:
        super().__init__()
        self._name, self._phase, self._history, self._bars = name, phase, history, bars
        self._epochs, self._rate = options.epochs[phase - 1], options.learning_rate[phase - 1]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()
        title = f"{self._name} phase {self._phase} epoch {epoch + 1}/{self._epochs}"
        self._advance = self._bars.enter_context(progress(title, self.params["steps"], "steps"))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._advance(note=f"loss {logs['loss']:.3f}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._bars.close()
        row = {"phase": self._phase, "epoch": epoch + 1, "learning_rate": self._rate}
        row |= {key: round(float(logs[key]), 6) for key in COLUMNS[3:]}
        self._history.rows.append(row)
        say(
            f"{self._name}  phase {self._phase}  epoch {epoch + 1}/{self._epochs}  loss {row['loss']:.3f}  "
            f"accuracy {row['accuracy']:.1%}  validation {row['val_accuracy']:.1%} "
            f"(loss {row['val_loss']:.3f})  {time.monotonic() - self._began:.0f} s"
        )
