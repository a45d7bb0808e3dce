"""A small network and small data, for tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from edge_classify.train.cache import Cache
from edge_classify.train.dataset import Examples
from edge_classify.train.hyperparameters import choose_hyperparameters
from edge_classify.train.models import Built
from edge_classify.train.task import Task
from keras import layers

from .train_options import make_options

SIZE = 16
# The layers of tiny_built's base, in their order.
TINY_LAYERS = ("input", "conv", "norm", "relu", "depthwise", "add", "conv_2", "norm_2", "relu_2", "pool")


def examples(counts: tuple[int, ...], seed: int, size: int = SIZE) -> Examples:
    """Return pictures whose class is their strongest colour, as rows of a larger array in another order."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(3), counts))
    rows = rng.permutation(len(truth) * 2)[: len(truth)]
    pixels = rng.integers(0, 190, (len(truth) * 2, size, size, 3)).astype(np.uint8)
    pixels[rows, :, :, truth] += 60
    return Examples(pixels, rows, truth)


def tiny_built(pretrained: bool = True, head_units: int = 0, dropout: float = 0.2) -> Built:
    """Return a residual network with batch norms in place of a backbone, always with the same weights."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((SIZE, SIZE, 3), name="input")
    x = layers.Conv2D(8, 3, 2, use_bias=False, name="conv")(x)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.Add(name="add")([x, layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)])
    x = layers.Conv2D(12, 3, use_bias=False, name="conv_2")(x)
    x = layers.ReLU(name="relu_2")(layers.BatchNormalization(name="norm_2")(x))
    base = keras.Model(inputs, layers.GlobalAveragePooling2D(name="pool")(x), name="tiny_base")
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = base(layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(image))
    if head_units:
        x = layers.Dense(head_units, activation="relu")(x)
    x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(3, activation="softmax", name="probabilities")(x)
    return Built(keras.Model(image, outputs, name="tiny"), base, pretrained)


def _of_one_array(one: Examples, other: Examples) -> tuple[Examples, Examples]:
    """Return the same pictures as rows of one array, as those of a data set are."""
    pixels = np.concatenate([one.pixels, other.pixels])
    return (
        Examples(pixels, one.rows, one.truth),
        Examples(pixels, other.rows + len(one.pixels), other.truth),
    )


def tiny_task(folder: Path, built: Built | None = None, **changes: Any) -> Task:
    """Return a task for `built`, by default a new tiny network; cache and checkpoint are in `folder`."""
    built = built or tiny_built()
    options = make_options(
        **{
            "weights": "imagenet" if built.pretrained else "none",
            "epochs": (3, 3),
            "learning_rate": (0.01, 0.003),
            "fine_tune_layers": 4,
            "batch_size": 8,
            "views": 2,
            "imbalance": "none",
            **changes,
        }
    )
    counts = (12, 10, 4)
    name = "mobilenet_v2" if built.base is not None else "cnn"
    size = int(built.model.input_shape[1])
    (folder / "cache").mkdir(exist_ok=True)
    train, validation = _of_one_array(examples(counts, 0, size), examples((6, 5, 2), 1, size))
    return Task(
        built=built,
        train=train,
        validation=validation,
        classes=3,
        hyperparameters=choose_hyperparameters(name, options, counts),
        seed=options.seed,
        cache=Cache(folder / "cache", 10**9),
        checkpoint=folder / "tiny.checkpoint.npz",
    )
