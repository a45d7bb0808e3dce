from __future__ import annotations

import numpy as np
import pytest
from edge_classify.convert.repair.answers import answer, divergence, lost_to, store_pixels
from edge_classify.convert.repair.sensitivity import rank_layers
from edge_classify.convert.tflite.flatgraph import read_layers, unpack
from edge_classify.convert.tflite.ranges import observe
from edge_classify.edge.errors import ConversionError
from hypothesis import given
from hypothesis import strategies as st

from .support.tiny_tflite import PLANTED, RELU6, colours, tiny_classifier

IMAGES, TRUTH = colours(40, 1)


@pytest.mark.parametrize("activation", [0, RELU6])
def test_layers_around_a_planted_tensor_are_named_first(activation: int) -> None:
    model = tiny_classifier(PLANTED, activation)
    errors = rank_layers(model, observe(model, IMAGES), IMAGES)
    assert {error.name for error in errors[:2]} == {"project", "expand"}
    assert all(error.harmful and error.changed > 0.3 for error in errors[:2])
    assert not any(error.harmful for error in errors[2:])
    assert {error.name: error.side for error in errors[:2]} == {"project": "output", "expand": "input"}


@pytest.mark.parametrize(
    ("tiny", "sentence"),
    [
        (5, "one channel reaches 678 times as far as the median one at its output"),
        (4, "2 of 6 channels reach"),
        (3, "3 of 6 channels reach less than a tenth of the widest's range at its output"),
    ],
)
def test_sentence_says_how_uneven_the_channels_are(tiny: int, sentence: str) -> None:
    model = tiny_classifier(PLANTED, tiny=tiny)
    errors = rank_layers(model, observe(model, IMAGES), IMAGES)
    seen = {error.name: error.seen for error in errors}
    assert sentence in seen["project"] and "of the 256 levels" in seen["project"]


def test_healthy_layers_are_called_harmless_in_network_order_of_equal_errors() -> None:
    model = tiny_classifier()
    errors = rank_layers(model, observe(model, IMAGES), IMAGES)
    assert {error.seen for error in errors} == {"8 bits suffice"}
    assert len(errors) == len(read_layers(unpack(model)))
    assert [e.divergence for e in errors] == sorted((e.divergence for e in errors), reverse=True)


def test_ranking_is_the_same_each_time() -> None:
    model = tiny_classifier(PLANTED)
    ranges = observe(model, IMAGES)
    assert rank_layers(model, ranges, IMAGES) == rank_layers(model, ranges, IMAGES)


def test_answers_of_more_threads_than_images_are_in_order() -> None:
    model = tiny_classifier()
    one_by_one = np.concatenate([answer(model, IMAGES[i : i + 1]) for i in range(5)])
    assert (answer(model, IMAGES[:5]) == one_by_one).all()


distributions = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(
    lambda row: np.array([row]) / sum(row)
)


@given(distributions, distributions)
def test_divergence_is_zero_only_for_the_same_answers(one: np.ndarray, other: np.ndarray) -> None:
    assert divergence(one, one) == 0
    assert divergence(one, other) >= -1e-12
    assert divergence(one, other) > 0 or np.allclose(one, other, atol=1e-6)


def test_drop_is_of_accuracy_with_classes_and_of_expected_accuracy_without() -> None:
    truth = np.array([0, 0, 1, 1])
    right, other = np.eye(2)[truth], np.eye(2)[[0, 1, 1, 0]]
    assert lost_to(right, other, truth).fraction == 0.5
    assert lost_to(other, right, truth).fraction == -0.5
    assert lost_to(right, other, None).fraction == 0.5
    torn = np.array([[0.51, 0.49], [0.9, 0.1]])  # Where two are as likely, another answer costs little.
    found = lost_to(torn, np.array([[0.4, 0.6], [0.8, 0.2]]), None)
    assert found.fraction == pytest.approx(0.01)


def test_drop_of_exactly_the_limit_is_not_above_it() -> None:
    truth = np.zeros(1000, np.int64)
    reference, other = np.eye(2)[[0] * 900 + [1] * 100], np.eye(2)[[0] * 890 + [1] * 110]
    assert lost_to(reference, other, truth).fraction == 0.01


def test_stored_pixels_are_the_images_up_to_the_limit() -> None:
    assert (store_pixels(iter(IMAGES)) == IMAGES).all()
    assert len(store_pixels(iter(IMAGES), 7)) == 7
    with pytest.raises(ConversionError, match="No images"):
        store_pixels(iter(()))
