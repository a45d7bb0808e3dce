from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.train.augmentation import make_augmentation, reseed
from edge_classify.train.hyperparameters import Hyperparameters, choose_hyperparameters
from edge_classify.train.models import Built, build
from edge_classify.train.options import AUGMENTATIONS
from edge_classify.train.trainer import LogitsOf, compile_trainer, through_head
from numpy.typing import NDArray

from .support.tiny_network import SIZE, tiny_built
from .support.train_options import make_architecture, make_options

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.float32)
OFFSETS = np.array([-0.5, -1.5, -3.0], np.float32)


def _choose(**changes: Any) -> Hyperparameters:
    return choose_hyperparameters("cnn", make_options(**changes), [20, 20, 20])


def _log_softmax(logits: Any) -> NDArray[np.float64]:
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return result


@pytest.fixture(scope="module")
def cnn() -> Built:
    keras.utils.set_random_seed(0)
    return build(make_architecture("cnn", dropout=0.0))


def test_logits_of_the_cnn_lead_to_its_probabilities(cnn: Built) -> None:
    logits = through_head(cnn.model, None, OFFSETS)(cnn.model.input)
    bare = keras.Model(cnn.model.input, logits)(PIXELS, training=False)
    assert np.allclose(np.exp(_log_softmax(bare)), cnn.model(PIXELS, training=False), atol=1e-5)


def test_offsets_are_added_to_logits_in_training_only() -> None:
    dense = keras.layers.Dense(3, activation="softmax")
    features = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    dense(features)
    layer = LogitsOf(dense, OFFSETS)
    bare = np.asarray(layer(features))
    assert np.allclose(np.exp(_log_softmax(bare)), dense(features), atol=1e-6)
    assert np.allclose(np.asarray(layer(features, training=True)) - bare, OFFSETS, atol=1e-6)


def test_logits_of_a_backbone_go_through_the_whole_head_behind_it() -> None:
    built = tiny_built(head_units=5)
    assert built.base is not None
    inputs = keras.Input(built.base.output.shape[1:])
    head = keras.Model(inputs, through_head(built.model, built.base, OFFSETS)(inputs))
    pixels = PIXELS[:, :SIZE, :SIZE]
    features = built.base(pixels / 127.5 - 1, training=False)
    expected = built.model(pixels, training=False)
    assert np.allclose(np.exp(_log_softmax(head(features, training=False))), expected, atol=1e-5)
    shared = {id(weight) for weight in built.model.trainable_weights}
    assert len(head.trainable_weights) == 4
    assert all(id(weight) in shared for weight in head.trainable_weights)


def _small() -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Dense(3)(inputs)))


def _rates(model: Any, steps: int) -> list[float]:
    rates = []
    for step in range(steps):
        model.optimizer.iterations.assign(step)
        rates.append(float(model.optimizer.learning_rate))
    return rates


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_learning_rate_warms_up_to_the_rate_and_falls_to_zero(optimizer: str) -> None:
    model = _small()
    compile_trainer(model, _choose(warmup=0.2, optimizer=optimizer), 0.01, 100)
    rates = _rates(model, 101)
    assert 0 < rates[0] < 0.001
    assert rates[:21] == sorted(rates[:21]) and rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[20] == pytest.approx(0.01)
    assert rates[60] == pytest.approx(0.005)  # Half of the cosine.
    assert rates[100] == pytest.approx(0, abs=1e-9)


def test_learning_rate_without_warm_up_begins_at_its_highest() -> None:
    model = _small()
    compile_trainer(model, _choose(warmup=0.0), 0.01, 100)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


def test_constant_schedule_warms_up_and_then_keeps_the_rate() -> None:
    model = _small()
    compile_trainer(model, _choose(schedule="constant", warmup=0.2), 0.01, 100)
    rates = _rates(model, 101)
    assert 0 < rates[0] < 0.001 and rates[:21] == sorted(rates[:21])
    assert rates[10] == pytest.approx(0.005, rel=0.02)  # Half-way, from a hundredth on.
    assert rates[20:] == pytest.approx([0.01] * 81)


def test_constant_schedule_without_warm_up_keeps_the_rate_from_the_first_step() -> None:
    model = _small()
    compile_trainer(model, _choose(schedule="constant", warmup=0.0), 0.01, 100)
    assert _rates(model, 101) == pytest.approx([0.01] * 101)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_shrinks_kernels_but_neither_biases_nor_norms(optimizer: str) -> None:
    model = _small()
    model.set_weights([np.ones_like(array) for array in model.get_weights()])
    chosen = _choose(optimizer=optimizer, weight_decay=0.5, schedule="constant")
    compile_trainer(model, chosen, 0.1, 1)
    optimizer_ = model.optimizer
    optimizer_.apply([np.zeros(weight.shape, np.float32) for weight in model.trainable_weights],
                     model.trainable_weights)  # fmt: skip
    means = {weight.path.split("/")[-1]: float(np.mean(weight)) for weight in model.trainable_weights}
    assert means == pytest.approx({"kernel": 0.95, "bias": 1, "gamma": 1, "beta": 1})


def test_draws_after_reseeding_depend_on_its_numbers_alone() -> None:
    inputs = keras.Input((32, 32, 3))
    augmented = make_augmentation(AUGMENTATIONS, 0)(inputs)
    model = keras.Model(inputs, keras.layers.Dropout(0.5)(augmented))

    def draw(*numbers: int) -> Any:
        reseed(model, *numbers)
        return np.asarray(model(PIXELS, training=True))

    first = draw(7, 1, 0)
    model(PIXELS, training=True)
    assert not np.array_equal(first, np.asarray(model(PIXELS, training=True)))
    assert np.array_equal(first, draw(7, 1, 0))
    for numbers in ((8, 1, 0), (7, 2, 0), (7, 1, 1)):
        assert not np.allclose(first, draw(*numbers))


def test_random_layers_are_reseeded_differently_from_each_other() -> None:
    inputs = keras.Input((50,))
    outputs = [keras.layers.Dropout(0.5)(inputs) for _ in range(2)]
    model = keras.Model(inputs, outputs)
    reseed(model, 0)
    one, other = model(np.ones((1, 50), np.float32), training=True)
    assert not np.array_equal(one, other)
