"""Other people's models become files that give the same answers for raw pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from edge_classify.edge.modelfile import ModelFile
from keras import layers
from numpy.typing import NDArray

from .support.foreign import (
    LABELS,
    answers,
    convert_foreign,
    head,
    network,
    noise,
    save,
    save_tflite,
    write_colours,
    write_labels,
)

Scale = Callable[[Any], Any]
SCALES: dict[str, Scale] = {
    "0..255": lambda x: x,
    "0..1": lambda x: x / 255,
    "-1..1": lambda x: x / 127.5 - 1,
    "100,50": lambda x: (x - 100) / 50,
    "124,116,104,58,57,56": lambda x: (x - np.array([124, 116, 104])) / np.array([58, 57, 56]),
}


def _sequential() -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
            layers.Softmax(),
        ]
    )


def _nested() -> Any:
    inner = network(lambda x: layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(x)))
    return network(lambda x: head(inner(x)))


def _ends_in_operation() -> Any:
    inner = network(lambda x: head(x, activation=None))
    return network(lambda x: keras.ops.softmax(inner(x)))


@keras.saving.register_keras_serializable("of_mine")  # type: ignore[untyped-decorator]
def _first_values(shape: tuple[int, ...], dtype: Any = None) -> Any:
    return keras.random.normal(shape, dtype=dtype, seed=1)


def _with_own_training() -> Any:
    """Return a model of which its author's code is needed to train it, and none to use it."""
    inner = network(
        lambda x: layers.Conv2D(4, 3, kernel_initializer=_first_values)(layers.Rescaling(1 / 255)(x))
    )
    inner.compile(loss=lambda truth, answer: truth - answer)
    return network(
        lambda x: layers.Dense(
            3,
            "softmax",
            kernel_initializer=lambda shape, dtype: keras.random.normal(shape, seed=2),
            kernel_regularizer=lambda w: w[0, 0],
        )(layers.Flatten()(inner(x)))
    )


MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "functional.keras": (lambda: network(head), "-1..1"),
    "functional.h5": (lambda: network(head), "100,50"),
    "sequential.keras": (_sequential, "0..1"),
    "sequential.h5": (_sequential, "0..1"),
    "nested.keras": (_nested, "0..255"),
    "nested.h5": (_nested, "0..255"),
    "training.keras": (_with_own_training, "0..255"),
    "training.h5": (_with_own_training, "0..255"),
    "arithmetic.h5": (
        lambda: network(lambda x: head(keras.ops.reshape(x / 127.5 - 1, (-1, 6, 24, 3)) * 0.9 + 0.1)),
        "0..255",
    ),
    "operation.keras": (_ends_in_operation, "0..1"),
    "exported": (lambda: network(head), "0..1"),
    "plain.tflite": (lambda: network(head), "-1..1"),
    "channels.keras": (lambda: network(head), "124,116,104,58,57,56"),
    "channels.tflite": (lambda: network(head), "124,116,104,58,57,56"),
}


@pytest.mark.parametrize("name", MODELS)
def test_float32_file_fed_raw_pixels_gives_what_the_model_gives_for_scaled_ones(
    name: str, tmp_path: Path
) -> None:
    build, scale = MODELS[name]
    model = build()
    path = (save_tflite if name.endswith(".tflite") else save)(model, tmp_path / name)
    trust = () if path.suffix else ("--trust",)
    result = convert_foreign(path, tmp_path / "out", *trust, scale=scale)
    assert result.exit_code == 0, result.stderr
    assert "softmax" not in result.stderr
    pixels = noise()
    expected = np.asarray(model(SCALES[scale](pixels.astype(np.float32)), training=False))
    assert np.ptp(expected) > 0.05
    actual = answers(tmp_path / "out" / f"{path.stem}_float32.tflite", pixels)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


class Plain(tf.Module):  # type: ignore[misc]
    """A SavedModel that no Keras made: logits, pictures of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(np.eye(3, dtype=np.float32) * 9)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])  # type: ignore[untyped-decorator]
    def __call__(self, image: Any) -> Any:
        return tf.reduce_mean(image, (1, 2)) @ self.weights


def test_saved_model_of_a_plain_module_gets_its_size_and_softmax(tmp_path: Path) -> None:
    module = Plain()
    path = tmp_path / "plain"
    tf.saved_model.save(module, str(path), signatures=module.__call__)
    without = convert_foreign(path, tmp_path / "out", "--trust")
    assert without.exit_code == 1 and "--image-size N" in without.stderr
    result = convert_foreign(path, tmp_path / "out", "--trust", "--image-size", 8)
    assert result.exit_code == 0, result.stderr
    assert "softmax was added" in result.stderr
    pixels = noise(size=8)
    expected = tf.nn.softmax(module(pixels.astype(np.float32) / 255))
    np.testing.assert_allclose(
        answers(tmp_path / "out" / "plain_float32.tflite", pixels), expected, atol=1e-4
    )


def test_keras_model_of_any_size_gets_the_one_that_is_asked_for(tmp_path: Path) -> None:
    model = network(head, (None, None, 3))
    result = convert_foreign(save(model, tmp_path / "m.keras"), tmp_path / "out", "--image-size", 20)
    assert result.exit_code == 0, result.stderr
    file = tmp_path / "out" / "m_float32.tflite"
    card = ModelFile.read(file).card
    assert card is not None and (card.input.height, card.input.width) == (20, 20)
    pixels = noise(size=20)
    np.testing.assert_allclose(answers(file, pixels), model(pixels / 255.0), atol=1e-4)


def _augmented(x: Any) -> Any:
    x = layers.RandomFlip(name="flip")(x, training=True)
    x = layers.RandomCrop(10, 10, name="crop")(x, training=True)
    x = layers.RandomRotation(0.2, name="turn")(x, training=True)
    x = layers.Conv2D(4, 3)(layers.GaussianNoise(0.5)(x, training=True))
    x = layers.Reshape((-1, 4))(x)
    x = layers.MultiHeadAttention(2, 4, dropout=0.5)(x, x, training=True)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling1D()(x), training=True)
    return layers.Dense(3, "softmax")(x)


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_model_that_is_random_in_use_becomes_a_file_that_is_not(name: str, tmp_path: Path) -> None:
    model = network(_augmented)
    result = convert_foreign(save(model, tmp_path / name), tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "left out the layers that act in training only: flip, crop, turn" in result.stderr
    file = tmp_path / "out" / "m_float32.tflite"
    operations = _operations(file)
    assert "SOFTMAX" in operations
    assert not [name for name in operations if "RANDOM" in name or name == "MULTINOMIAL"]
    np.testing.assert_array_equal(answers(file, noise()), answers(file, noise()))


def test_mixed_precision_model_is_converted_with_the_float32_weights_it_has(tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = network(head)
    finally:
        keras.config.set_dtype_policy("float32")
    plain = network(head)
    plain.set_weights(model.get_weights())
    result = convert_foreign(save(model, tmp_path / "m.keras"), tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    pixels = noise()
    np.testing.assert_allclose(
        answers(tmp_path / "out" / "m_float32.tflite", pixels), plain(pixels / 255.0), atol=1e-4
    )


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))


@pytest.mark.parametrize("name", ["m.keras", "m.tflite"])
def test_logits_get_a_softmax(name: str, tmp_path: Path) -> None:
    model = network(lambda x: head(x, activation=None))
    path = (save_tflite if name.endswith(".tflite") else save)(model, tmp_path / name)
    result = convert_foreign(path, tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "its outputs are logits: softmax was added" in result.stderr
    pixels = noise()
    expected = tf.nn.softmax(model(pixels / 255.0))
    np.testing.assert_allclose(answers(tmp_path / "out" / "m_float32.tflite", pixels), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["m.keras", "m.tflite"])
def test_ensemble_whose_average_is_no_softmax_keeps_its_probabilities(name: str, tmp_path: Path) -> None:
    model = network(lambda x: layers.Average()([head(x), head(x)]))
    path = (save_tflite if name.endswith(".tflite") else save)(model, tmp_path / name)
    result = convert_foreign(path, tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "probabilities by other means than softmax" in result.stderr
    pixels = noise()
    np.testing.assert_allclose(
        answers(tmp_path / "out" / "m_float32.tflite", pixels), model(pixels / 255.0), atol=1e-4
    )


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_output_becomes_two_classes(activation: str | None, tmp_path: Path) -> None:
    model = network(lambda x: head(x, 1, activation))
    labels = write_labels(tmp_path / "two.txt", ("no", "yes"))
    result = convert_foreign(save(model, tmp_path / "m.keras"), tmp_path / "out", labels=labels)
    assert result.exit_code == 0, result.stderr
    assert "taken for the second label: two outputs with softmax were made of it" in result.stderr
    pixels = noise()
    raw = np.asarray(model(pixels / 255.0), np.float64)
    second = raw if activation else _sigmoid(raw)
    expected = np.concatenate([1 - second, second], axis=1)
    np.testing.assert_allclose(answers(tmp_path / "out" / "m_float32.tflite", pixels), expected, atol=1e-4)


def test_grey_model_is_fed_brightness(tmp_path: Path) -> None:
    model = network(head, (12, 12, 1))
    result = convert_foreign(save(model, tmp_path / "m.keras"), tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "conversion from RGB was added" in result.stderr
    pixels = noise()
    grey = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None] / 255  # ITU-R BT.601.
    np.testing.assert_allclose(answers(tmp_path / "out" / "m_float32.tflite", pixels), model(grey), atol=1e-4)


def test_uint8_model_takes_pixels_as_they_are_and_no_other_scaling(tmp_path: Path) -> None:
    model = network(lambda x: head(layers.Rescaling(1 / 255)(x)), dtype="uint8")
    path = save(model, tmp_path / "m.keras")
    refused = convert_foreign(path, tmp_path / "out", scale="0..1")
    assert refused.exit_code == 1 and "--normalization 0..255" in refused.stderr
    result = convert_foreign(path, tmp_path / "out", scale="0..255")
    assert result.exit_code == 0, result.stderr
    pixels = noise()
    np.testing.assert_allclose(
        answers(tmp_path / "out" / "m_float32.tflite", pixels), model(pixels), atol=1e-4
    )


def test_labels_keep_the_order_of_the_file_and_resize_is_recorded(tmp_path: Path) -> None:
    path = save(network(head), tmp_path / "m.keras")
    result = convert_foreign(
        path, tmp_path / "out", "--resize", "crop", "--compatible", "tflite-runtime-2.14"
    )
    assert result.exit_code == 0, result.stderr
    card = ModelFile.read(tmp_path / "out" / "m_float32.tflite").card
    assert card is not None and card.conversion is not None
    assert (card.labels, card.preprocess.resize) == (LABELS, "crop")
    assert card.conversion.compatible == "tflite-runtime-2.14"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own float32 file, unscored, with a temperature: T is fitted on images of --calibration."""
    folder = tmp_path_factory.mktemp("own")
    images = write_colours(folder / "images", 20)
    path = save(network(head), folder / "m.keras")
    result = convert_foreign(
        path, folder / "out", "--calibration", images, "--calibration-images", 12,
        "--variant", "int8", "--max-drop", 100,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "nothing is scored" in result.stderr and "--data FOLDER" in result.stderr
    return folder


def test_calibration_images_of_no_class_are_said_to_have_no_effect_on_a_float_file(tmp_path: Path) -> None:
    path = save(network(head), tmp_path / "m.keras")
    folder = write_colours(tmp_path / "unlabelled", 2)
    remark = "--calibration has no effect without an int8 variant"
    labelled = convert_foreign(path, tmp_path / "labelled", "--calibration", folder)
    assert labelled.exit_code == 0 and remark not in labelled.stderr
    for number, images in enumerate(sorted(folder.iterdir())):
        images.rename(folder / f"no class {number}")
    result = convert_foreign(path, tmp_path / "out", "--calibration", folder)
    assert result.exit_code == 0 and remark in result.stderr


def test_without_data_files_are_unscored_and_have_golden_examples_of_the_calibration(own: Path) -> None:
    summary = json.loads((own / "out" / "conversion.json").read_text())
    assert [item["top1"] for item in summary["files"]] == [None, None]
    for name in ("m_float32.tflite", "m_int8.tflite"):
        card = ModelFile.read(own / "out" / name).card
        assert card is not None and card.accuracy is None and len(card.golden) == 2


def test_own_float32_file_needs_no_options_and_keeps_its_answers_and_temperature(
    own: Path, tmp_path: Path
) -> None:
    from .support.conversion import convert

    source = own / "out" / "m_float32.tflite"
    before = ModelFile.read(source).card
    assert before is not None and before.output.temperature != 1
    result = convert(source, "-o", tmp_path / "out", "--variant", "float32")
    assert result.exit_code == 0, result.stderr
    again = tmp_path / "out" / "m_float32_float32.tflite"
    card = ModelFile.read(again).card
    assert card is not None and (card.labels, card.preprocess) == (before.labels, before.preprocess)
    np.testing.assert_allclose(answers(again, noise()), answers(source, noise()), atol=1e-6)
    refused = convert(source, "-o", tmp_path / "other", "--normalization", "0..1", "--variant", "float32")
    assert refused.exit_code == 1 and "carries its own labels" in refused.stderr


def test_variants_of_a_tflite_agree_with_its_float_answers(own: Path, tmp_path: Path) -> None:
    path = save_tflite(network(head, None, batch_shape=(1, 12, 12, 3)), tmp_path / "m.tflite")
    data = write_colours(tmp_path / "data", 4, seed=5)
    variants = ("float16", "dynamic", "int8", "int8-float-io")
    options = [option for name in variants for option in ("--variant", name)]
    result = convert_foreign(
        path, tmp_path / "out", "--calibration", own / "images", "--data", data, *options
    )
    assert result.exit_code in (0, 1), result.stderr  # 1: so small a network may lose more than a point.
    pixels = noise(8)
    expected = answers(tmp_path / "out" / "m_float32.tflite", pixels)
    for name in variants:
        actual = answers(tmp_path / "out" / f"m_{name}.tflite", pixels)
        assert np.abs(actual - expected).max() < (0.005 if name == "float16" else 0.1), name


def test_images_to_score_on_are_left_out_of_calibration(own: Path, tmp_path: Path) -> None:
    result = convert_foreign(
        own / "m.keras", tmp_path / "out", "--data", own / "images" , "--calibration", own,
        variant="int8",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "60 images to calibrate with are also scored on, and were left out" in result.stderr
    assert "other than those to score on" in result.stderr
    assert not (tmp_path / "out").exists()


def test_metadata_of_a_tflite_says_how_pixels_are_scaled(own: Path, tmp_path: Path) -> None:
    """The card is taken out: labels.txt and NormalizationOptions, mean 0 and std 1, are left."""
    path = _without_card(own / "out" / "m_float32.tflite", tmp_path / "m.tflite")
    result = convert_foreign(path, tmp_path / "out", scale=None)
    assert result.exit_code == 0, result.stderr
    np.testing.assert_allclose(
        answers(tmp_path / "out" / "m_float32.tflite", noise()),
        answers(own / "out" / "m_float32.tflite", noise()),
        atol=1e-6,
    )


def _without_card(source: Path, target: Path) -> Path:
    target.write_bytes(source.read_bytes()[: ModelFile.read(source).zip_offset])
    return target


def _operations(path: Path) -> list[str]:
    from edge_classify.convert.tflite.flatgraph import operation_of, unpack

    model = unpack(path.read_bytes())
    return [operation_of(model, operator) for operator in model.subgraphs[0].operators]
