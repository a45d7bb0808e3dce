"""What a model's outputs mean: one place answers, by today's rules for each kind of evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.flatbuffer import FlatTable
from edge_classify.edge.output_meaning import (
    OutputMeaning,
    meaning_of_network_values,
    meaning_of_quantized_values,
    meaning_of_tflite,
    meaning_of_tflite_values,
    softmax,
    to_probabilities,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

PROBABILITIES, LOGITS, SIGMOIDS = OutputMeaning
SHARES = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])


def test_card_outweighs_the_graph(foreign_models: dict[str, Path]) -> None:
    model = FlatTable.root(foreign_models["logits"].read_bytes())
    assert meaning_of_tflite(model, has_card=True) is PROBABILITIES
    assert meaning_of_tflite(model, has_card=False) is LOGITS


@pytest.mark.parametrize("factor", [-1.0, 3.0])
def test_values_outside_0_to_1_are_logits_by_every_rule(factor: float) -> None:
    rules = (meaning_of_network_values, meaning_of_tflite_values, meaning_of_quantized_values)
    assert {rule(SHARES * factor) for rule in rules} == {LOGITS}
    assert {rule(SHARES) for rule in rules} == {PROBABILITIES}


def test_rules_differ_on_values_of_0_to_1_that_do_not_sum_to_1() -> None:
    values = np.array([[0.9, 0.9, 0.1]])
    assert meaning_of_network_values(values) is SIGMOIDS
    assert meaning_of_tflite_values(values) is LOGITS
    assert meaning_of_quantized_values(values) is LOGITS
    nearly = np.array([[0.5, 0.3, 0.1]])  # As 8 bits round the probabilities of a thousand classes.
    assert meaning_of_quantized_values(nearly) is PROBABILITIES


def test_single_value_of_0_to_1_is_a_sigmoid() -> None:
    assert meaning_of_network_values(np.array([[1.0], [1.0]])) is SIGMOIDS


@given(st.floats(-30, 30))
def test_single_output_is_the_second_of_two_classes(logit: float) -> None:
    second = 1 / (1 + np.exp(-logit))
    of_logit = to_probabilities(np.array([logit], np.float32), LOGITS)
    of_sigmoid = to_probabilities(np.array([second], np.float32), SIGMOIDS)
    np.testing.assert_allclose(of_logit, [1 - second, second], atol=1e-6)
    np.testing.assert_allclose(of_sigmoid, of_logit, atol=1e-6)


@given(arrays(np.float64, (3, 5), elements=st.floats(-1e6, 1e6)))
def test_softmax_of_rows_is_that_of_each_row(logits: NDArray[np.float64]) -> None:
    rows = softmax(logits)
    np.testing.assert_allclose(rows.sum(1), 1)
    assert all((rows[i] == softmax(logits[i])).all() for i in range(3))
