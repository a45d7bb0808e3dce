"""What edge-convert refuses of other people's models: one sentence, and nothing is run or left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from edge_classify.edge.classifier import Classifier
from keras import layers

from .support.conversion import convert
from .support.foreign import (
    convert_foreign,
    head,
    network,
    require_refusal,
    save,
    save_tflite,
    write_colours,
    write_labels,
    write_whole,
)
from .support.system import small_disk


class Twice(layers.Layer):  # type: ignore[misc]
    """Somebody's own layer."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2


def swish_of_mine(x: Any) -> Any:
    return x


def _with_nan() -> Any:
    model = network(head)
    model.set_weights([np.full_like(weights, np.nan) for weights in model.get_weights()])
    return model


def _two_inputs() -> Any:
    one, other = keras.Input((12, 12, 3)), keras.Input((12, 12, 3))
    return keras.Model([one, other], head(layers.Add()([one, other])))


def _two_outputs() -> Any:
    return network(lambda x: {"species": head(x), "age": head(x)})


def _unbuilt() -> Any:
    return keras.Sequential([layers.Flatten(), layers.Dense(3)])


def _random() -> Any:
    def body(x: Any) -> Any:
        states = layers.LSTM(4, dropout=0.5, unroll=True, name="memory")(
            layers.Reshape((4, 108))(x), training=True
        )
        return layers.Dense(3, "softmax")(states)

    return network(body)


def _float16() -> Any:
    keras.config.set_dtype_policy("float16")
    try:
        return network(head)
    finally:
        keras.config.set_dtype_policy("float32")


def _lambda() -> Any:
    return network(lambda x: head(layers.Lambda(lambda t: t / 255, name="scale")(x)))


def _custom() -> Any:
    return network(lambda x: head(Twice(name="double")(x)))


def _custom_function() -> Any:
    return network(lambda x: head(layers.Activation(swish_of_mine)(x)))


def _detector() -> Any:
    return network(layers.Reshape((12, 36)))


def _flat(shape: tuple[int, ...]) -> Any:
    return network(lambda x: layers.Dense(3, "softmax")(layers.Flatten()(x)), shape)


def _decomposed() -> Any:
    def body(x: Any) -> Any:
        return layers.Dense(3, "softmax")(keras.ops.svd(keras.ops.mean(x, -1), compute_uv=False))

    return network(body)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "lambda.keras": (_lambda, r"has a Lambda layer 'scale', which is code .* --trust"),
    "lambda.h5": (_lambda, r"has a Lambda layer 'scale', which is code .* --trust"),
    "custom.keras": (_custom, r"custom layer 'double' of class \S*Twice"),
    "custom.h5": (_custom, "Twice, which is not Keras's own"),
    "function.keras": (_custom_function, "custom function, 'swish_of_mine'"),
    "function.h5": (_custom_function, "custom function, 'swish_of_mine'"),
    "unbuilt.keras": (_unbuilt, "saved before its input was known"),
    "two_inputs.keras": (_two_inputs, "it has 2 inputs, and a classifier has one"),
    "two_outputs.keras": (_two_outputs, r"2 outputs \(0: 'age' .*1: 'species' .*--output-index"),
    "detector.keras": (_detector, r"its output is \[None, 12, 36\]"),
    "four_channels.keras": (lambda: _flat((12, 12, 4)), "takes 4 channels"),
    "table.keras": (lambda: _flat((12,)), r"its input is \[None, 12\]"),
    "batch.keras": (lambda: network(head, None, batch_shape=(8, 12, 12, 3)), "takes 8 pictures at once"),
    "several.keras": (
        lambda: network(lambda x: head(x, 5, "sigmoid")),
        "gives 5 sigmoids.*--outputs sigmoids",
    ),
    "useless.keras": (lambda: network(lambda x: head(x, 1, "softmax")), "one output .*, which is always 1"),
    "nan.keras": (_with_nan, "values that are no numbers"),
    "random.keras": (_random, "draws random numbers in 'memory"),
    "half.keras": (_float16, "computes with f16"),
    "activation.keras": (
        lambda: network(lambda x: layers.Dense(3, lambda t: 2 * t)(layers.Flatten()(x))),
        "holds a Python lambda, as an activation or another function, which is code .*--trust",
    ),
    "svd.keras": (_decomposed, "no operation for Svd"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_model_that_cannot_be_converted_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    build, sentence = REFUSED[name]
    path = save(build(), tmp_path / name)
    labels = write_labels(tmp_path / "labels.txt", ("a", "b", "c", "d", "e")) if "several" in name else None
    require_refusal(convert_foreign(path, tmp_path / "out", labels=labels), sentence, tmp_path / "out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good model in each format."""
    return write_whole(tmp_path_factory.mktemp("whole"))


class Module(tf.Module):  # type: ignore[misc]
    """Functions of which a SavedModel can be made."""

    @tf.function(input_signature=[tf.TensorSpec((None, 12, 12, 3), tf.float32)])  # type: ignore[untyped-decorator]
    def one(self, image: Any) -> Any:
        return tf.nn.softmax(tf.reduce_mean(image, (1, 2)))

    @tf.function(input_signature=[tf.TensorSpec((None, 12, 12, 3), tf.float32)])  # type: ignore[untyped-decorator]
    def two(self, image: Any) -> Any:
        return {"a": self.one(image), "b": image}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32)])  # type: ignore[untyped-decorator]
    def shapeless(self, image: Any) -> Any:
        return tf.nn.softmax(tf.reduce_mean(image, (1, 2)))


SAVED: dict[str, tuple[Callable[[Module], Any], str]] = {
    "none": (lambda module: None, "has no signature serving_default.* It has: none"),
    "several": (lambda module: {"a": module.one, "b": module.two}, "It has: a, b"),
    "two_outputs": (lambda module: module.two, "2 outputs .*--output-index"),
    "shapeless": (lambda module: module.shapeless, r"its input is \[\]"),
}


@pytest.mark.parametrize("name", SAVED)
def test_saved_model_that_is_no_classifier_is_refused(name: str, tmp_path: Path) -> None:
    signatures, sentence = SAVED[name]
    module = Module()
    tf.saved_model.save(module, str(tmp_path / name), signatures=signatures(module))
    result = convert_foreign(tmp_path / name, tmp_path / "out", "--trust")
    require_refusal(result, sentence, tmp_path / "out")


def test_saved_model_is_loaded_only_with_trust_and_refused_when_damaged(whole: Path, tmp_path: Path) -> None:
    require_refusal(
        convert_foreign(whole / "exported", tmp_path / "out"), "a program.*--trust", tmp_path / "out"
    )
    for part in ("saved_model.pb", "variables/variables.index"):
        copy = shutil.copytree(whole / "exported", tmp_path / part.replace("/", "_"))
        (copy / part).write_bytes(b"damaged")
        require_refusal(
            convert_foreign(copy, tmp_path / "out", "--trust"), "damaged or incomplete", tmp_path / "out"
        )


@pytest.mark.parametrize("name", ["m.xyz", "m"])
def test_file_of_another_kind_is_refused_with_what_can_be_converted(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"something")
    result = convert_foreign(tmp_path / name, tmp_path / "out")
    require_refusal(
        result, r"no model that can be converted.*\.keras or \.h5.*SavedModel.*\.tflite", tmp_path / "out"
    )


LABEL_FILES = {
    "fewer": ("a\nb\n", "names 2 classes, and the model has 3 outputs"),
    "more": ("a\nb\nc\nd\n", "names 4 classes, and the model has 3 outputs"),
    "web page": ("<!DOCTYPE html>\n<html>", "is a web page"),
    "blank": ("a\n\nc\n", "blank line, number 2"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize("model", ["m.keras", "m.tflite"])
@pytest.mark.parametrize("case", LABEL_FILES)
def test_labels_that_do_not_fit_are_refused(case: str, model: str, whole: Path, tmp_path: Path) -> None:
    text, sentence = LABEL_FILES[case]
    (tmp_path / "labels").write_text(text)
    result = convert_foreign(whole / model, tmp_path / "out", labels=tmp_path / "labels")
    require_refusal(result, sentence, tmp_path / "out")


@pytest.mark.parametrize("model", ["m.keras", "m.tflite"])
def test_missing_labels_and_scaling_are_asked_for(model: str, whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    require_refusal(convert_foreign(whole / model, output, scale=None), "--normalization", output)
    result = convert(whole / model, "-o", output, "--normalization", "0..1", "--variant", "float32")
    require_refusal(result, "3 classes. Give --labels FILE", output)


def test_options_that_contradict_the_model_or_belong_to_another_are_refused(
    whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    keras_file, tflite = whole / "m.keras", whole / "m.tflite"
    refuse = require_refusal
    refuse(
        convert_foreign(keras_file, output, "--image-size", 20),
        "12x12 pixels, and --image-size says 20",
        output,
    )
    refuse(
        convert_foreign(tflite, output, "--image-size", 20), "--image-size is for models .* any size", output
    )
    refuse(convert_foreign(keras_file, output, "--trust"), "--trust is for SavedModels", output)
    refuse(convert_foreign(keras_file, output, scale="2..3"), "must be 0..255, 0..1", output, 2)
    refuse(convert(tflite, "--inspect", "--trust"), "--trust does not go with --inspect", output, 2)
    refuse(convert_foreign(keras_file, output, variant="int8"), "--calibration FOLDER", output)


@pytest.mark.parametrize(
    "option",
    [
        ("--labels", "L"),
        ("--normalization", "0..1"),
        ("--image-size", "9"),
        ("--resize", "crop"),
        ("--trust",),
    ],
)
def test_options_of_other_peoples_models_are_refused_with_a_run(
    option: tuple[str, ...], small_run: Path, tmp_path: Path
) -> None:
    write_labels(tmp_path / "L")
    given = [str(tmp_path / "L") if text == "L" else text for text in option]
    result = convert(small_run, "-o", tmp_path / "out", *given)
    require_refusal(result, f"{option[0]} is for model files of other people", tmp_path / "out")


TFLITES: dict[str, tuple[Callable[[], Any], str]] = {
    "two_outputs": (_two_outputs, "2 outputs .*--output-index"),
    "detector": (_detector, "its output is"),
    "any_size": (lambda: network(head, (None, 12, 3)), "of a fixed size"),
    "several": (lambda: network(lambda x: head(x, 5, "sigmoid")), "gives 5 sigmoids.*--outputs sigmoids"),
    "nan": (_with_nan, "values that are no numbers"),
}


@pytest.mark.parametrize("name", TFLITES)
def test_tflite_that_is_no_classifier_is_refused(name: str, tmp_path: Path) -> None:
    build, sentence = TFLITES[name]
    path = save_tflite(build(), tmp_path / "m.tflite")
    count = 5 if name == "several" else 3
    labels = write_labels(tmp_path / "labels.txt", tuple("abcde"[:count]))
    require_refusal(convert_foreign(path, tmp_path / "out", labels=labels), sentence, tmp_path / "out")


def test_tflite_that_is_quantized_already_or_asked_for_int16_is_refused(whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"

    def wide(x: Any) -> Any:  # Weights of fewer than 1,024 values are left in float.
        return layers.Dense(3, "softmax")(layers.Dense(32)(layers.Flatten()(x)))

    path = save_tflite(network(wide), tmp_path / "m.tflite", quantized=True)
    require_refusal(convert_foreign(path, output), r"quantized already \(int8\).*float32 model", output)
    images = write_colours(tmp_path / "images", 4)
    result = convert_foreign(whole / "m.tflite", output, "--calibration", images, variant="int16x8")
    require_refusal(result, "int16x8 variant can be made from a Keras model", output)


def test_output_that_is_a_file_or_exists_is_kept(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert convert_foreign(whole / "m.keras", tmp_path / "file").exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "m_float32.tflite").write_text("mine")
    result = convert_foreign(whole / "m.keras", tmp_path)
    assert result.exit_code == 1 and "--force" in result.stderr
    assert (tmp_path / "m_float32.tflite").read_text() == "mine"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 KiB, where mounting one is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, "8k"):
        yield folder


def test_file_that_a_full_disk_does_not_take_is_kept_elsewhere_and_named(
    tmp_path: Path, full_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def large(x: Any) -> Any:
        return layers.Dense(3, "softmax")(layers.Dense(20)(layers.Flatten()(x)))

    path = save(network(large), tmp_path / "m.keras")
    result = convert_foreign(path, full_disk)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    kept = tmp_path / "m_float32.kept.tflite"
    expected = f"m_float32.tflite cannot be written: No space left on device. What was made is kept in {kept}"
    assert expected in result.stderr
    assert [path for path in full_disk.iterdir() if path.suffix != ".json"] == []
    assert Classifier.from_file(kept).labels
