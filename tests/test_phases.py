from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.train.hyperparameters import Hyperparameters, choose_hyperparameters
from edge_classify.train.models import SCRATCH_MOMENTUM, Built, build
from edge_classify.train.phases import Phase, plan_phases, prepare_phase, trainable_parameters
from edge_classify.train.weights import batch_norms

from .support.tiny_network import SIZE, TINY_LAYERS, tiny_built
from .support.train_options import make_architecture, make_options

PIXELS = np.random.default_rng(0).integers(0, 256, (8, SIZE, SIZE, 3)).astype(np.float32)
NORMS = {"norm", "norm_2"}


@pytest.fixture
def tiny() -> Built:
    return tiny_built()


def _choose(model: str = "mobilenet_v2", **changes: Any) -> Hyperparameters:
    return choose_hyperparameters(model, make_options(weights="imagenet", **changes), [100, 100])


def _changed_by_training(built: Built) -> set[str]:
    """Return the layers of the base that one step of training changes, statistics included."""
    assert built.base is not None
    before = {layer.name: layer.get_weights() for layer in built.base.layers if layer.weights}
    built.model.compile("sgd", "sparse_categorical_crossentropy")
    built.model.train_on_batch(PIXELS, np.arange(8) % 3)
    return {
        name
        for name, arrays in before.items()
        for old, new in zip(arrays, built.base.get_layer(name).get_weights(), strict=True)
        if not np.array_equal(old, new)
    }


def test_model_from_random_weights_is_trained_whole_in_one_phase_of_all_epochs(tiny: Built) -> None:
    chosen = _choose(epochs=(4, 3), learning_rate=(0.1, 0.2))
    whole = Phase(1, 7, 0.1, 0, normalizing=True)
    assert plan_phases(replace(tiny, pretrained=False), chosen) == [whole]
    assert plan_phases(
        build(make_architecture("cnn")), _choose("cnn", epochs=(4, 3), learning_rate=(0.1, 0.2))
    ) == [whole]


def test_base_with_weights_is_frozen_first_and_then_its_last_layers_are_trained(tiny: Built) -> None:
    chosen = _choose(epochs=(4, 3), learning_rate=(0.1, 0.2), fine_tune_layers=4)
    layers = len(TINY_LAYERS)
    assert plan_phases(tiny, chosen) == [
        Phase(1, 4, 0.1, layers, normalizing=False),
        Phase(2, 3, 0.2, layers - 4, normalizing=False),
    ]


def test_refit_goes_on_with_what_the_last_phase_trained_at_the_same_rate(tiny: Built) -> None:
    chosen = _choose(epochs=(4, 3), learning_rate=(0.1, 0.2), fine_tune_layers=4, refit=True)
    first, second, refit = plan_phases(tiny, chosen)
    assert not first.refit and not second.refit
    assert refit == replace(second, number=3, epochs=3, refit=True)
    whole, gentle = plan_phases(replace(tiny, pretrained=False), chosen)
    assert gentle == replace(whole, number=2, epochs=3, learning_rate=0.1 * 0.1, refit=True)


@pytest.mark.parametrize(("fine_tune_layers", "first"), [(0, 10), (10, 0), (10_000, 0)])
def test_fine_tuned_layers_are_counted_from_the_end_and_may_be_all(
    tiny: Built, fine_tune_layers: int, first: int
) -> None:
    phases = plan_phases(tiny, _choose(fine_tune_layers=fine_tune_layers, batch_norm="trained"))
    assert [phase.first_trained for phase in phases] == [10, first]
    assert [phase.normalizing for phase in phases] == [False, True]


def test_phases_of_no_epochs_are_left_out(tiny: Built) -> None:
    assert [phase.number for phase in plan_phases(tiny, _choose(epochs=(0, 2)))] == [2]
    assert [phase.number for phase in plan_phases(tiny, _choose(epochs=(2, 0)))] == [1]


def test_frozen_base_is_not_changed_by_training_the_head(tiny: Built) -> None:
    prepare_phase(tiny, Phase(1, 1, 0.1, len(TINY_LAYERS), normalizing=False))
    paths = [weight.path for weight in tiny.model.trainable_weights]
    assert paths == ["probabilities/kernel", "probabilities/bias"]
    assert trainable_parameters(tiny.model) == 12 * 3 + 3  # By tiny_built: 12 features, 3 classes.
    assert _changed_by_training(tiny) == set()


@pytest.mark.parametrize(("normalizing", "changed"), [(False, {"conv_2"}), (True, {"conv_2", "norm_2"})])
def test_last_layers_are_trained_with_batch_norm_or_without(
    tiny: Built, normalizing: bool, changed: set[str]
) -> None:
    prepare_phase(tiny, Phase(2, 1, 0.1, TINY_LAYERS.index("conv_2"), normalizing))
    assert _changed_by_training(tiny) == changed


def test_whole_base_is_trained_with_statistics_that_follow_fast(tiny: Built) -> None:
    prepare_phase(tiny, Phase(1, 1, 0.1, 0, normalizing=True))
    assert {norm.momentum for norm in batch_norms(tiny.base)} == {SCRATCH_MOMENTUM}
    assert _changed_by_training(tiny) == {"conv", "norm", "depthwise", "conv_2", "norm_2"}


def test_frozen_batch_norm_uses_its_statistics_in_training(tiny: Built) -> None:
    assert tiny.base is not None
    prepare_phase(tiny, Phase(2, 1, 0.1, 0, normalizing=False))
    assert np.allclose(tiny.base(PIXELS, training=True), tiny.base(PIXELS, training=False))
    prepare_phase(tiny, Phase(2, 1, 0.1, 0, normalizing=True))
    assert not np.allclose(tiny.base(PIXELS, training=True), tiny.base(PIXELS, training=False), rtol=0.1)


def test_phase_after_another_leaves_nothing_of_that(tiny: Built) -> None:
    prepare_phase(tiny, Phase(2, 1, 0.1, 0, normalizing=True))
    prepare_phase(tiny, Phase(1, 1, 0.1, len(TINY_LAYERS), normalizing=False))
    assert trainable_parameters(tiny.model) == 39


def test_cnn_is_trained_whole_in_any_phase() -> None:
    built = build(make_architecture("cnn"))
    every = trainable_parameters(built.model)
    prepare_phase(built, Phase(1, 1, 1e-3, 0, normalizing=True))
    assert trainable_parameters(built.model) == every > 0


def test_last_layers_of_mobilenet_are_those_of_its_architecture() -> None:
    keras.utils.set_random_seed(0)
    built = build(make_architecture("mobilenet_v2"))
    assert built.base is not None
    prepare_phase(built, Phase(2, 1, 1e-4, len(built.base.layers) - 20, normalizing=False))
    # The last 20 of 154 layers and the pooling begin inside block 15.
    blocks = {f"block_16_{part}" for part in ("expand", "depthwise", "project")}
    trained = {layer.name for layer in built.base.layers if layer.trainable_weights}
    assert trained == {"block_15_depthwise", "block_15_project", *blocks, "Conv_1"}
    prepare_phase(built, Phase(2, 1, 1e-4, 0, normalizing=False))
    # MobileNetV2 has 52 convolutions before its classifier, none with a bias.
    assert len(built.base.trainable_weights) == 52
