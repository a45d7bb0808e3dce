"""Other people's models keep their answers, whatever their outputs mean and however their pictures lie.

What is right is what Keras, or TensorFlow, answers to the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from edge_classify.convert.sources.network import Network, wrap
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import ConversionError
from edge_classify.edge.modelfile import Normalization
from keras import layers
from numpy.typing import NDArray

from .support.foreign import (
    SIZE,
    answers,
    convert_foreign,
    head,
    network,
    noise,
    save,
    save_tflite,
    write_labels,
)

SCALE = Normalization.parse("0..1")
PIXELS = noise()


def _passed_on(activation: str) -> Callable[[Any], Any]:
    return lambda x: layers.Activation("linear", dtype="float32")(layers.Dropout(0.3)(head(x, 3, activation)))


def _nested(x: Any) -> Any:
    inner = keras.Input((SIZE, SIZE, 3))
    return layers.Reshape((3,))(keras.Model(inner, head(inner))(x))


@pytest.mark.parametrize("body", [head, _passed_on("softmax"), _nested])
@pytest.mark.parametrize("saved", [save, lambda model, path: save(model, path.with_suffix(""))])
def test_layers_that_pass_values_on_change_no_meaning(
    body: Callable[[Any], Any], saved: Callable[[Any, Path], Path], tmp_path: Path
) -> None:
    model = network(body)
    path = saved(model, tmp_path / "m.keras")
    result = convert_foreign(path, tmp_path / "out", *(["--trust"] if path.is_dir() else []))
    assert result.exit_code == 0, result.stderr
    assert "softmax was added" not in result.stderr
    found = answers(tmp_path / "out" / "m_float32.tflite", PIXELS)
    np.testing.assert_allclose(found, model(PIXELS / 255.0), atol=1e-4)


def test_single_sigmoid_that_is_passed_on_is_the_second_class_of_two(tmp_path: Path) -> None:
    model = network(lambda x: layers.Activation("linear")(head(x, 1, "sigmoid")))
    labels = write_labels(tmp_path / "two.txt", ("no", "yes"))
    result = convert_foreign(save(model, tmp_path / "m.keras"), tmp_path / "out", labels=labels)
    assert result.exit_code == 0, result.stderr
    second = np.asarray(model(PIXELS / 255.0))
    found = answers(tmp_path / "out" / "m_float32.tflite", PIXELS)
    np.testing.assert_allclose(found, np.hstack([1 - second, second]), atol=1e-4)


@pytest.mark.parametrize("name", ["m.keras", "m.tflite"])
def test_sigmoids_of_which_one_is_right_are_divided_by_their_sum(name: str, tmp_path: Path) -> None:
    model = network(lambda x: head(x, 3, "sigmoid"))
    path = (save_tflite if name.endswith(".tflite") else save)(model, tmp_path / name)
    assert "gives 3 sigmoids" in convert_foreign(path, tmp_path / "out").stderr
    result = convert_foreign(path, tmp_path / "out", "--outputs", "sigmoids")
    assert result.exit_code == 0, result.stderr
    values = np.asarray(model(PIXELS / 255.0))
    found = answers(tmp_path / "out" / "m_float32.tflite", PIXELS)
    np.testing.assert_allclose(found, values / values.sum(1, keepdims=True), atol=1e-4)


@pytest.mark.parametrize("name", ["m.keras", "m", "m.tflite"])
def test_output_is_chosen_by_its_number(name: str, tmp_path: Path) -> None:
    model = network(lambda x: [layers.GlobalAveragePooling2D(name="a_mean")(x), head(x, 4)])
    path = (save_tflite if name.endswith(".tflite") else save)(model, tmp_path / name)
    labels = write_labels(tmp_path / "four.txt", ("a", "b", "c", "d"))
    options = ["--trust"] if path.is_dir() else []
    refused = convert_foreign(path, tmp_path / "out", *options, labels=labels)
    assert refused.exit_code == 1 and "has 2 outputs (0: " in refused.stderr
    assert "no number 2" in convert_foreign(
        path, tmp_path / "out", *options, "--output-index", "2", labels=labels
    ).stderr  # fmt: skip
    shapes = [part.split("]")[0] for part in refused.stderr.split("(0: ")[1].split("; 1: ")]
    number = next(i for i, shape in enumerate(shapes) if shape.endswith("4"))
    result = convert_foreign(path, tmp_path / "out", *options, "--output-index", number, labels=labels)
    assert result.exit_code == 0, result.stderr
    found = answers(tmp_path / "out" / "m_float32.tflite", PIXELS)
    np.testing.assert_allclose(found, model(PIXELS / 255.0)[1], atol=1e-4)


def _channels_first(x: Any) -> Any:
    return head(layers.Permute((2, 3, 1))(x))


GREY = np.asarray([np.asarray(tf.image.rgb_to_grayscale(image)) for image in PIXELS])
LAYOUTS: dict[str, tuple[tuple[int, ...], Callable[[Any], Any], NDArray[Any]]] = {
    "channels first": ((3, SIZE, SIZE), _channels_first, PIXELS.transpose(0, 3, 1, 2)),
    "grey": ((SIZE, SIZE, 1), head, GREY),
    "grey, without channels": (
        (SIZE, SIZE),
        lambda x: head(layers.Reshape((SIZE, SIZE, 1))(x)),
        GREY[..., 0],
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("variant", ["float32", "float16"])
def test_float_tflite_that_edge_classify_runs_is_converted_to_the_same_answers(
    layout: str, variant: str, tmp_path: Path
) -> None:
    shape, body, pixels = LAYOUTS[layout]
    model = network(body, shape)
    path = save_tflite(model, tmp_path / "m.tflite")
    result = convert_foreign(path, tmp_path / "out", variant=variant)
    assert result.exit_code == 0, result.stderr
    found = answers(tmp_path / "out" / f"m_{variant}.tflite", PIXELS)
    np.testing.assert_allclose(found, model(pixels / 255.0), atol=0.02)
    before = Classifier.from_file(path, normalization=SCALE)
    run = np.stack([before.classify_pixels(image).probabilities for image in PIXELS])
    np.testing.assert_allclose(found, run, atol=0.02)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keras_model_of_another_layout_is_converted_as_its_tflite_is(layout: str, tmp_path: Path) -> None:
    shape, body, pixels = LAYOUTS[layout]
    model = network(body, shape)
    result = convert_foreign(save(model, tmp_path / "m.keras"), tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert ("another layout" in result.stderr) is (layout == "channels first")
    found = answers(tmp_path / "out" / "m_float32.tflite", PIXELS)
    np.testing.assert_allclose(found, model(pixels / 255.0), atol=0.02)


def test_answers_are_compared_with_the_network_as_it_was_loaded() -> None:
    """A network that gives other values while it is converted stands in for any fault of the wrapping."""
    calls = []

    def call(image: Any) -> Any:
        calls.append(image)
        turned = image[..., ::-1] if len(calls) > 9 else image
        return tf.nn.softmax(tf.reduce_mean(turned, [1, 2]) * 9)

    with pytest.raises(ConversionError, match="answers otherwise since it was prepared for conversion"):
        wrap(Network("m", call, SIZE, SIZE, 3, "float32"), SCALE)
