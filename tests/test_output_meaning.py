"""What a model's outputs mean is read from its graph, checked against its values, and asked for in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from edge_classify.convert.sources.tensorflow_graph import last_operation
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import ModelFileError
from edge_classify.edge.meanings import UNREAD, OutputMeaning, Statement
from edge_classify.edge.modelfile import ModelFile, Normalization
from edge_classify.edge.output_graph import GraphOperation, state_meaning
from edge_classify.edge.output_meaning import settle_meaning, softmax, sum_to_one, to_probabilities
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from .support.tflite_contents import custom_operation

PROBABILITIES, LOGITS, SIGMOIDS = OutputMeaning
PIXELS = np.random.default_rng(3).integers(0, 256, (8, 8, 3), np.uint8)
_WEIGHTS = np.random.default_rng(4).normal(0, 0.4, (8 * 8 * 3, 4)).astype(np.float32)
_KERNEL = _WEIGHTS.reshape(8, 8, 3, 4)
_BIAS, _VARIANCE = (tf.Variable([0.1, 0.4, 2.0, 0.9], trainable=False) for _ in range(2))
Graph = Callable[[Any], Any]


def logits(image: Any) -> Any:
    return tf.matmul(tf.reshape(image, [1, 8 * 8 * 3]), _WEIGHTS)


def shares(image: Any) -> Any:
    return tf.nn.softmax(logits(image))


def by_hand(image: Any) -> Any:
    powers = tf.exp(logits(image))
    return powers / tf.reduce_sum(powers, -1, keepdims=True)


# What stands behind the softmax, and the logits, of files that people have.
GIVES_PROBABILITIES: dict[str, Graph] = {
    "softmax": shares,
    "reshaped": lambda x: tf.reshape(shares(x), [1, 1, 1, 4]),
    "clipped": lambda x: tf.clip_by_value(shares(x), 1e-7, 1 - 1e-7),
    "times nearly one": lambda x: shares(x) * 0.999999,
    "cut and joined": lambda x: tf.concat([shares(x)[:, :2], shares(x)[:, 2:]], -1),
    "of two views": lambda x: (shares(x) + shares(tf.reverse(x, [2]))) / 2,
    "another order": lambda x: tf.gather(shares(x), [3, 1, 0, 2], axis=-1),
    "sigmoids divided by their sum": lambda x: (
        tf.sigmoid(logits(x)) / tf.reduce_sum(tf.sigmoid(logits(x)), -1, keepdims=True)
    ),
    "softmax by hand": by_hand,
}
GIVES_LOGITS: dict[str, Graph] = {
    "a matrix product": logits,
    "with a bias": lambda x: logits(x) + np.arange(4, dtype=np.float32),
    "divided by a temperature": lambda x: logits(x) / 1.7,
    "the logarithm of softmax": lambda x: tf.math.log(shares(x)),
    "log-softmax": lambda x: tf.nn.log_softmax(logits(x)),
    "normalized by statistics": lambda x: logits(x) * tf.math.rsqrt(_VARIANCE + 1e-3) - _BIAS,
    "a convolution with a bias in its shape": lambda x: (
        tf.nn.conv2d(x, _KERNEL, 1, "VALID") + tf.reshape(_BIAS, [1, 1, 1, 4])
    ),
    "values in 0..1": lambda x: logits(x) * 1e-6 + np.array([0.3, 0.4, 0.5, 0.1], np.float32),
}


def save(graph: Graph, path: Path, prepare: Callable[[Any], None] = lambda _: None) -> Path:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function_of(graph)])
    prepare(converter)
    path.write_bytes(converter.convert())
    return path


def function_of(graph: Graph) -> Any:
    return tf.function(graph, input_signature=[tf.TensorSpec([1, 8, 8, 3])]).get_concrete_function()


def answer(path: Path, outputs: str | None = None) -> NDArray[np.float32]:
    scaling = Normalization.parse("0..1")
    return (
        Classifier.from_file(path, normalization=scaling, outputs=outputs)
        .classify_pixels(PIXELS)
        .probabilities
    )


def right(graph: Graph) -> NDArray[np.float64]:
    """Return what plain TensorFlow computes."""
    return np.asarray(graph(tf.constant(PIXELS[None] / 255, tf.float32)), np.float64).reshape(-1)


@pytest.mark.parametrize("name", GIVES_PROBABILITIES)
def test_file_that_gives_probabilities_is_answered_with_them(name: str, tmp_path: Path) -> None:
    graph = GIVES_PROBABILITIES[name]
    np.testing.assert_allclose(answer(save(graph, tmp_path / "m.tflite")), right(graph), atol=1e-5)


@pytest.mark.parametrize("name", GIVES_LOGITS)
def test_logits_of_a_file_get_one_softmax(name: str, tmp_path: Path) -> None:
    graph = GIVES_LOGITS[name]
    np.testing.assert_allclose(answer(save(graph, tmp_path / "m.tflite")), softmax(right(graph)), atol=1e-5)


@pytest.mark.parametrize("name", [*GIVES_PROBABILITIES, *GIVES_LOGITS])
def test_tensorflow_says_of_a_function_what_its_file_says(name: str, tmp_path: Path) -> None:
    graph = (GIVES_PROBABILITIES | GIVES_LOGITS)[name]
    of_file = ModelFile.read(save(graph, tmp_path / "m.tflite")).statement(0)
    of_function = state_meaning(last_operation(function_of(graph)))
    # The converter finds softmax in its parts, makes one log-softmax of two operations, and folds constants.
    if name not in ("softmax by hand", "the logarithm of softmax", "values in 0..1"):
        assert (of_function.meaning, of_function.exact) == (of_file.meaning, of_file.exact)
    assert of_function.meaning in (of_file.meaning, None)


def test_function_inside_functions_is_followed_through_its_arguments() -> None:
    passes_on = tf.function(tf.identity)
    inner = tf.function(lambda image: passes_on(shares(image)))
    found = state_meaning(last_operation(function_of(lambda image: inner(image) * 1.0)))
    assert (found.meaning, found.exact) == (PROBABILITIES, False)


def test_quantization_in_training_changes_no_meaning() -> None:
    quantized = tf.quantization.fake_quant_with_min_max_args
    assert state_meaning(last_operation(function_of(lambda x: quantized(logits(x))))).meaning is LOGITS


def test_statement_names_the_last_operation_that_changes_values() -> None:
    found = state_meaning(last_operation(function_of(lambda x: tf.identity(tf.reshape(tf.tanh(x), [1, -1])))))
    assert found == Statement(None, False, "its graph ends in Tanh")


@pytest.mark.parametrize(
    "graph",
    [
        lambda x: tf.nn.relu6(logits(x) + 3) * np.float32(1 / 6),
        lambda x: tf.nn.relu6(logits(x) + np.array([3, 2, 3, 2], np.float32)),
        lambda x: tf.nn.relu(logits(x)) * 0.1,
    ],
)
def test_activation_inside_an_operation_leaves_no_exact_logits(graph: Graph, tmp_path: Path) -> None:
    """The converter makes one operation of a matrix product, or a sum, and the activation behind it."""
    path = save(graph, tmp_path / "m.tflite")
    assert ModelFile.read(path).statement(0) == Statement(
        LOGITS, False, "its graph ends in FULLY_CONNECTED, and arithmetic behind it"
    )


def test_constants_that_are_unpacked_say_nothing_of_the_outputs(tmp_path: Path) -> None:
    """A file of float16 weights has each as an operation, DEQUANTIZE, of its own."""

    def halve(converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    def graph(image: Any) -> Any:
        return tf.nn.leaky_relu(logits(image)) * tf.constant(np.linspace(1, 2, 64, dtype=np.float32)[:4])

    assert ModelFile.read(save(graph, tmp_path / "m.tflite", halve)).statement(0).meaning is LOGITS


def test_hard_sigmoids_are_asked_about_and_the_answer_is_obeyed(tmp_path: Path) -> None:
    path = save(lambda x: tf.clip_by_value(logits(x) / 6 + 0.5, 0.1, 0.9), tmp_path / "m.tflite")
    with pytest.raises(ModelFileError, match=r"don't sum to 1.*--outputs probabilities, logits or sigmoids"):
        answer(path)
    values = right(lambda x: tf.clip_by_value(logits(x) / 6 + 0.5, 0.1, 0.9))
    np.testing.assert_allclose(answer(path, "sigmoids"), values / values.sum(), atol=1e-5)
    np.testing.assert_allclose(answer(path, "logits"), softmax(values), atol=1e-5)


def test_several_sigmoids_are_refused_until_exactly_one_label_is_said_to_be_right(tmp_path: Path) -> None:
    path = save(lambda x: tf.sigmoid(logits(x)), tmp_path / "m.tflite")
    with pytest.raises(ModelFileError, match=r"gives 4 sigmoids.*--outputs sigmoids"):
        answer(path)
    values = right(lambda x: tf.sigmoid(logits(x)))
    np.testing.assert_allclose(answer(path, "sigmoids"), values / values.sum(), atol=1e-5)


def test_two_shares_made_of_one_sigmoid_are_probabilities(tmp_path: Path) -> None:
    def graph(image: Any) -> Any:
        second = tf.sigmoid(logits(image)[:, :1])
        return tf.concat([1 - second, second], -1)

    np.testing.assert_allclose(answer(save(graph, tmp_path / "m.tflite")), right(graph), atol=1e-5)


def pictures() -> Iterator[list[NDArray[np.float32]]]:
    rng = np.random.default_rng(0)
    return ([rng.random((1, 8, 8, 3), np.float32)] for _ in range(20))


def to_uint8(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8


def test_graph_that_is_one_custom_operation_is_judged_by_the_output_s_quantization(tmp_path: Path) -> None:
    """Compilers for accelerators leave such graphs."""
    of_softmax = ModelFile.read(custom_operation(save(shares, tmp_path / "a.tflite", to_uint8).read_bytes()))
    assert of_softmax.gives_probabilities and not of_softmax.statement(0).exact
    of_logits = ModelFile.read(custom_operation(save(logits, tmp_path / "b.tflite", to_uint8).read_bytes()))
    assert of_logits.statement(0) == Statement(None, False, "its graph ends in a custom operation")


def test_card_outweighs_the_graph(converted: Path, tmp_path: Path) -> None:
    file = ModelFile.read(converted / "cnn_float32.tflite")
    assert [(each.meaning, each.reason) for each in file.outputs] == [(PROBABILITIES, "its card says so")]


def test_output_beyond_those_that_were_looked_at_is_asked_about(tmp_path: Path) -> None:
    path = save(lambda x: [shares(x) + i for i in range(70)], tmp_path / "m.tflite")
    file = ModelFile.read(path)
    assert len(file.outputs) == 64 and file.statement(69) == UNREAD
    scaling = Normalization.parse("0..1")
    for outputs, index in ((None, 69), ("logits", 3)):
        classifier = Classifier.from_file(path, normalization=scaling, outputs=outputs, output_index=index)
        if outputs is None:
            with pytest.raises(ModelFileError, match="of so many outputs"):
                classifier.classify_pixels(PIXELS)
        else:
            classifier.classify_pixels(PIXELS)


SHARES, WITHIN, BEYOND = ([0.2, 0.3, 0.5], [0.9, 0.9, 0.1], [2.0, -1.0, 0.0])


@pytest.mark.parametrize(
    ("meaning", "exact", "values", "settled"),
    [
        (PROBABILITIES, True, SHARES, PROBABILITIES),
        (PROBABILITIES, True, WITHIN, None),  # Softmax for each pixel, for example.
        (PROBABILITIES, False, SHARES, PROBABILITIES),
        (PROBABILITIES, False, WITHIN, None),
        (PROBABILITIES, False, BEYOND, None),
        (LOGITS, True, BEYOND, LOGITS),
        (LOGITS, True, WITHIN, LOGITS),
        (LOGITS, True, SHARES, None),
        (LOGITS, False, WITHIN, None),
        (LOGITS, False, BEYOND, LOGITS),
        (SIGMOIDS, True, [0.3], SIGMOIDS),
        (SIGMOIDS, True, WITHIN, None),  # Several labels may apply.
        (SIGMOIDS, False, SHARES, PROBABILITIES),
        (SIGMOIDS, False, [0.3], SIGMOIDS),
        (SIGMOIDS, False, BEYOND, None),
        (PROBABILITIES, True, [1.0], None),
        (None, False, SHARES, PROBABILITIES),
        (None, False, WITHIN, None),
        (None, False, BEYOND, None),
    ],
)
def test_values_settle_what_the_graph_leaves_open_and_contradictions_are_asked_about(
    meaning: OutputMeaning | None, exact: bool, values: list[float], settled: OutputMeaning | None
) -> None:
    stated, row = Statement(meaning, exact, "its graph ends in X"), np.array([values])
    if settled is not None:
        assert settle_meaning("m", stated, row) is settled
    else:
        with pytest.raises(ModelFileError, match=r"^m[ :]"):
            settle_meaning("m", stated, row)


def test_what_the_user_says_holds_unless_the_values_refute_it() -> None:
    stated = Statement(None, False, "its graph ends in X")
    for said in ("logits", "sigmoids"):
        assert settle_meaning("m", stated, np.array([WITHIN]), said).value == said
    with pytest.raises(ModelFileError, match=r"--outputs says.*3 outputs sum to 1\.9 instead of 1"):
        settle_meaning("m", stated, np.array([WITHIN]), "probabilities")
    with pytest.raises(ModelFileError, match=r"sum to 100 instead of 1.*--outputs sigmoids divides each"):
        settle_meaning("m", stated, 100 * np.array([SHARES]), "probabilities")
    softmax_seen = Statement(PROBABILITIES, True, "its graph ends in SOFTMAX")
    with pytest.raises(ModelFileError, match=r"probabilities already\. Leave --outputs out"):
        settle_meaning("m", softmax_seen, np.array([SHARES]), "logits")
    assert settle_meaning("m", softmax_seen, np.array([SHARES]), "sigmoids") is SIGMOIDS


@pytest.mark.parametrize(("outputs", "low"), [(2, 0.987), (10, 0.972), (1000, 0.0)])
def test_sum_of_8_bit_probabilities_may_be_lower_the_more_there_are(outputs: int, low: float) -> None:
    """Each is rounded to a multiple of 1/256: of 1,000 equal ones all are 0."""
    row = np.full(outputs, low / outputs)
    assert sum_to_one(row, 1 / 256) and not sum_to_one(row)
    assert not sum_to_one(np.full(outputs, 1.6 / outputs), 1 / 256)
    assert not sum_to_one(np.full(outputs, 2.0 / outputs), 1 / 256)


def test_graph_that_leads_back_to_itself_ends() -> None:
    operations: list[GraphOperation] = []
    operations.append(GraphOperation("ADD", lambda: operations, 0))
    assert state_meaning(operations[0]).meaning is None


@given(st.floats(-30, 30))
def test_single_output_is_the_second_of_two_classes(logit: float) -> None:
    second = 1 / (1 + np.exp(-logit))
    of_logit = to_probabilities(np.array([logit], np.float32), LOGITS)
    of_sigmoid = to_probabilities(np.array([second], np.float32), SIGMOIDS)
    np.testing.assert_allclose(of_logit, [1 - second, second], atol=1e-6)
    np.testing.assert_allclose(of_sigmoid, of_logit, atol=1e-6)


@given(arrays(np.float64, (3, 5), elements=st.floats(-1e6, 1e6)))
def test_softmax_of_rows_is_that_of_each_row(rows: NDArray[np.float64]) -> None:
    shares = softmax(rows)
    np.testing.assert_allclose(shares.sum(1), 1)
    assert all((shares[i] == softmax(rows[i])).all() for i in range(3))
