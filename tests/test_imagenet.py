"""Keras's own ImageNet networks by name: preprocessing, labels and answers are Keras's own."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import Result
from edge_classify.convert.sources.imagenet import (
    NETWORKS,
    imagenet_labels,
    load_imagenet,
    preprocessing,
    readable,
)
from edge_classify.convert.sources.network import Network, wrap
from edge_classify.edge.modelfile import ModelFile
from keras import layers
from keras.src.applications import imagenet_utils

from .support.conversion import convert
from .support.foreign import answers, noise, require_refusal

CACHE = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
WEIGHTS = CACHE / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5"


def _module(name: str) -> ModuleType:
    """Return the module of keras.applications that has the preprocessing of a network."""
    plain = name.replace("_", "")
    modules = {
        key: module for key, module in vars(keras.applications).items() if isinstance(module, ModuleType)
    }
    if name.startswith("mobilenet_v3"):
        return modules["mobilenet_v3"]
    return next(
        module
        for module in modules.values()
        if hasattr(module, "preprocess_input") and plain in {key.lower() for key in vars(module)}
    )


def test_every_network_of_keras_has_a_name() -> None:
    constructors = {key.lower() for key in vars(keras.applications) if key[0].isupper()}
    assert {name.replace("_", "") for name in NETWORKS} == constructors


@pytest.mark.parametrize("name", NETWORKS)
def test_pixels_reach_a_network_as_keras_prepares_them(name: str) -> None:
    pixels = noise(2).astype(np.float32)
    expected = _module(name).preprocess_input(pixels.copy())
    seen: list[Any] = []

    def call(image: Any) -> Any:
        seen.append(image)
        return tf.nn.softmax(tf.reduce_mean(image, (1, 2)))

    network = Network(name, call, 12, 12, 3, "float32")
    wrapped = wrap(network, *preprocessing(Path(f"keras:{name}")))
    seen.clear()
    wrapped.call(tf.constant(pixels))
    np.testing.assert_allclose(seen[-1], expected, atol=1e-4)


def test_names_that_occur_twice_are_told_apart_in_words_or_by_their_numbers() -> None:
    classes = [("n02012849", "crane"), ("n03126707", "crane"), ("n01", "a_b"), ("n02", "x"), ("n03", "x")]
    assert readable(classes) == ("crane (bird)", "crane (machine)", "a b", "x (class 3)", "x (class 4)")


def _tiny_vgg16(weights: str) -> Any:
    """Return a small network in the place of VGG16, which takes BGR without its mean."""
    assert weights == "imagenet"
    keras.utils.set_random_seed(0)
    inputs = keras.Input((32, 32, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 5, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(1000, "softmax")(layers.Rescaling(1 / 8)(pooled)))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """VGG16 as a small network of random weights, and class names without a download."""
    index = {str(number): [f"n{number:08}", f"thing_{number}"] for number in range(1000)}
    monkeypatch.setattr(keras.applications, "VGG16", _tiny_vgg16)
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", index)
    return _tiny_vgg16("imagenet")


def _convert(name: str, output: Path, *options: object) -> Result:
    return convert(f"keras:{name}", "-o", output, *options)


def test_file_of_a_named_network_answers_as_keras_does_after_preprocess_input(
    tiny: Any, tmp_path: Path
) -> None:
    result = _convert("vgg16", tmp_path, "--variant", "float32")
    assert result.exit_code == 0, result.stderr
    pixels = noise(size=32)
    expected = tiny(keras.applications.vgg16.preprocess_input(pixels.astype(np.float32)))
    assert np.ptp(expected) > 0.003
    file = tmp_path / "vgg16_float32.tflite"
    np.testing.assert_allclose(answers(file, pixels), expected, atol=1e-4)
    card = ModelFile.read(file).card
    assert card is not None and card.name == "vgg16" and card.input.trained_color == "BGR"
    assert card.labels == tuple(f"thing {number}" for number in range(1000))


def test_without_photos_the_variants_that_need_none_are_made_and_it_is_said(
    tiny: Any, tmp_path: Path
) -> None:
    result = _convert("vgg16", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert "int8 is made too where --calibration FOLDER" in result.stderr
    assert {path.stem for path in tmp_path.glob("*.tflite")} == {
        "vgg16_float32", "vgg16_float16", "vgg16_dynamic"
    }  # fmt: skip
    result = _convert("vgg16", tmp_path / "int8", "--variant", "int8")
    require_refusal(result, "--calibration FOLDER", tmp_path / "int8")


def test_unknown_name_and_options_that_contradict_are_refused(tmp_path: Path) -> None:
    result = convert("keras:resnet", "-o", tmp_path / "o")
    require_refusal(result, "none of Keras's .* keras:resnet50", tmp_path / "o")
    for option in (("--normalization", "0..1"), ("--color", "BGR"), ("--image-size", "96"), ("--trust",)):
        result = _convert("mobilenet_v2", tmp_path / "o", *option)
        require_refusal(result, f"{option[0]} is for model files: keras:mobilenet_v2", tmp_path / "o")


def test_without_network_and_cache_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise Exception("URL fetch failure on https://example.org: None -- [Errno -2] Name not known")

    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", None)
    monkeypatch.setattr(imagenet_utils.file_utils, "get_file", fail)
    result = _convert("mobilenet_v2", tmp_path / "o")
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    message = " ".join(result.stderr.split())
    assert "names of ImageNet's classes cannot be had: https://example.org: Name not known. " in message
    assert "Connect to the internet once" in message and "copy its ~/.keras/models to" in message


@pytest.mark.skipif(
    not (WEIGHTS.is_file() and (CACHE / "imagenet_class_index.json").is_file()),
    reason="Keras has neither MobileNetV2's weights nor the class names in its cache",
)
def test_mobilenet_v2_answers_as_in_keras_with_labels_that_differ(tmp_path: Path) -> None:
    labels = imagenet_labels()
    assert len(set(labels)) == 1000
    assert (
        labels[134] == "crane (bird)"
        and labels[517] == "crane (machine)"
        and labels[385] == "Indian elephant"
    )
    result = _convert("mobilenet_v2", tmp_path, "--variant", "float32")
    assert result.exit_code == 0, result.stderr
    pixels = noise(size=224)
    prepared = keras.applications.mobilenet_v2.preprocess_input(pixels.astype(np.float32))
    expected = load_imagenet(Path("keras:mobilenet_v2"))(prepared)
    actual = answers(tmp_path / "mobilenet_v2_float32.tflite", pixels)
    np.testing.assert_allclose(actual, expected, atol=1e-4)
