"""The network that Keras fits: it ends in logits with a prior instead of in softmax."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from .hyperparameters import Hyperparameters


class LogitsOf(keras.layers.Layer):  # type: ignore[misc]
    """The logits of the softmax layer `dense`, plus `offsets` while training.

    `offsets` are log priors for logit adjustment (Menon et al., ICLR 2021, eq. 10): the network learns the
    rest of the logits, and without the offsets answers as if all classes were equally frequent.
    """

    def __init__(self, dense: Any, offsets: NDArray[np.float32]) -> None:
        """Take a built Dense layer, whose weights are shared, and float32 [classes]."""
        super().__init__(name="logits", dtype="float32")
        self._dense, self._offsets = dense, offsets

    def call(self, features: Any, training: bool = False) -> Any:
        """Return float32 [n, classes]."""
        logits = ops.matmul(features, self._dense.kernel) + self._dense.bias
        return logits + self._offsets if training else logits


def through_head(model: Any, base: Any | None, offsets: NDArray[np.float32]) -> Any:
    """Return a function from the output of the base (or the input, without a base) to adjusted logits."""
    names = [layer.name for layer in model.layers]
    start = names.index(base.name) + 1 if base is not None else 0
    *inner, last = model.layers[start:]
    logits = LogitsOf(last, offsets)
    if base is None:
        body = keras.Model(model.input, last.input)
        return lambda x: logits(body(x))

    def call(x: Any) -> Any:
        for layer in inner:
            x = layer(x)
        return logits(x)

    return call


def compile_trainer(trainer: Any, hyperparameters: Hyperparameters, rate: float, steps: int) -> None:
    """Compile for a phase of `steps` batches; the rate warms up to `rate` and then falls by a cosine.

    Loshchilov and Hutter, ICLR 2017 (schedule) and 2019 (AdamW). Norms and biases are not decayed.
    """
    chosen = hyperparameters
    schedule = _schedule(chosen, rate, steps)
    if chosen.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(
            schedule, momentum=0.9, nesterov=True, weight_decay=chosen.weight_decay
        )
    else:
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=chosen.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    trainer.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=chosen.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )


def _schedule(chosen: Hyperparameters, rate: float, steps: int) -> Any:
    warmup = round(chosen.warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        rate / 100 if warmup else rate,
        max(1, steps - warmup),
        alpha=1.0 if chosen.schedule == "constant" else 0.0,  # The final share of the rate.
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
