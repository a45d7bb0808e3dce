"""Files of Keras 1 and 2: their configurations as those wrote them, converted, against numpy and Keras 3."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from edge_classify.convert.sources.keras_model import load_keras
from edge_classify.edge.errors import ConversionError
from keras import layers
from numpy.typing import NDArray

from .support.foreign import answers, convert_foreign, head, network, noise, require_refusal, save
from .support.keras2 import functional, layer, picture_input, write_h5

SIDE = 12
RNG = np.random.default_rng(3)
KERNEL, BIAS = RNG.normal(0, 2, (3, 3)), RNG.normal(0, 0.1, 3)
DENSE = {"kernel:0": KERNEL, "bias:0": BIAS}


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def _ended(name: str) -> list[dict[str, Any]]:
    """Return the layers that end a classifier after the layer `name`."""
    return [
        layer("GlobalAveragePooling2D", "pool", name, data_format="channels_last"),
        layer("Dense", "dense", "pool", units=3, activation="softmax", use_bias=True, kernel_regularizer=None,
              kernel_initializer={"class_name": "VarianceScaling", "config": {"dtype": "float32"}}),
    ]  # fmt: skip


def _mean(pixels: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(pixels.astype(np.float64).mean((1, 2)))


def _operation(name: str, function: str, call: list[Any], kind: str = "TFOpLambda") -> dict[str, Any]:
    return layer(kind, name, call, function=function)


def test_arithmetic_of_a_keras_2_graph_is_computed_as_it_was(tmp_path: Path) -> None:
    """As Keras 2.21 (tf_keras) wrote `1 - (x[..., ::-1] / 255 + y) * 2`, with y = -(mean of ImageNet)."""
    steps = [
        picture_input(SIDE),
        _operation("tf.getitem", "__operators__.getitem", ["input_1", 0, 0, {"slice_spec": [
            {"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]}], "SlicingOpLambda"),
        _operation("tf.truediv", "math.truediv", ["tf.getitem", 0, 0, {"y": 255.0, "name": None}]),
        _operation("tf.bias", "nn.bias_add", ["tf.truediv", 0, 0,
                   {"bias": [-0.485, -0.456, -0.406], "data_format": "NHWC"}]),
        _operation("tf.multiply", "math.multiply",
                   ["_CONSTANT_VALUE", -1, 2.0, {"y": ["tf.bias", 0, 0], "name": None}]),
        _operation("tf.subtract", "math.subtract",
                   ["_CONSTANT_VALUE", -1, 1.0, {"y": ["tf.multiply", 0, 0], "name": None}]),
        *_ended("tf.subtract"),
    ]  # fmt: skip
    path = write_h5(tmp_path / "m.h5", functional(steps), {"pool": {}, "dense": DENSE})
    result = convert_foreign(path, tmp_path / "out", scale="0..255")
    assert result.exit_code == 0, result.stderr
    pixels = noise()
    expected = 1 - (_mean(pixels[..., ::-1]) / 255 - [0.485, 0.456, 0.406]) * 2
    actual = answers(tmp_path / "out" / "m_float32.tflite", pixels)
    np.testing.assert_allclose(actual, _softmax(expected @ KERNEL + BIAS), atol=1e-4)


def test_operation_of_a_tensorflow_graph_as_keras_2_3_recorded_it_is_computed(tmp_path: Path) -> None:
    node = {"name": "sub", "op": "Sub", "input": ["sub/x", "input_1"], "attr": {"T": {"type": "DT_FLOAT"}}}
    steps = [
        picture_input(SIDE),
        layer("TensorFlowOpLayer", "tf_op_layer_sub", "input_1", node_def=node, constants={"0": 100.0}),
        *_ended("tf_op_layer_sub"),
    ]
    path = write_h5(tmp_path / "m.h5", functional(steps), {"dense": DENSE}, "2.3.0-tf")
    pixels = noise()
    expected = _softmax((100 - _mean(pixels)) @ KERNEL + BIAS)
    np.testing.assert_allclose(load_keras(path)(pixels.astype(np.float32)), expected, atol=1e-4)


def test_names_nested_models_and_layers_of_training_change_nothing(tmp_path: Path) -> None:
    """A nested model's calls begin at 1 in Keras 2; the same model is called twice here."""
    shape = [None, SIDE, SIDE, 3]
    inner = [
        {"class_name": "RandomFlip", "config": {"name": "flip/it", "batch_input_shape": shape,
                                                "mode": "horizontal", "seed": None, "rng_type": "stateful"}},
        {"class_name": "RandomHeight", "config": {"name": "higher", "factor": 0.1}},
        {"class_name": "Rescaling", "config": {"name": "scale", "scale": 2.0, "offset": 1.0}},
        {"class_name": "BatchNormalizationV1", "config": {"name": "norm/it", "axis": [3], "epsilon": 0.5,
                                                          "fused": True, "renorm": False}},
    ]  # fmt: skip
    twice = layer("Sequential", "inner/model", [["input_1", 0, 0, {}]], layers=inner)
    twice["inbound_nodes"].append([["shifted", 0, 0, {}]])
    steps = [
        picture_input(SIDE),
        layer("Rescaling", "shifted", "input_1", scale=1.0, offset=-30.0),
        twice,
        layer("Subtract", "inner_model", [["inner/model", 2, 0, {}], ["inner/model", 1, 0, {}]]),
        *_ended("inner_model"),
    ]
    statistics = {"gamma:0": [1.0, 2, 3], "beta:0": [0.0, 1, 2], "moving_mean:0": [5.0, 6, 7],
                  "moving_variance:0": [1.0, 2, 3]}  # fmt: skip
    path = write_h5(tmp_path / "m.h5", functional(steps), {"inner/model": statistics, "dense": DENSE})
    result = convert_foreign(path, tmp_path / "out", scale="0..255")
    assert result.exit_code == 0, result.stderr
    difference = -60.0 * np.array([1.0, 2, 3]) / np.sqrt(np.array([1.0, 2, 3]) + 0.5)
    actual = answers(tmp_path / "out" / "m_float32.tflite", noise(1))
    np.testing.assert_allclose(actual[0], _softmax(difference @ KERNEL + BIAS), atol=1e-4)


@pytest.mark.parametrize("kind", ["Activation", "Dense"])
def test_hard_sigmoid_keeps_the_slope_of_keras_2(kind: str, tmp_path: Path) -> None:
    """keras.activations.hard_sigmoid: 0.2 x + 0.5 up to Keras 2.15, x / 6 + 0.5 from Keras 3.0 on."""
    steps = [picture_input(SIDE), *_ended("input_1")]
    if kind == "Dense":
        steps[-1]["config"]["activation"] = "hard_sigmoid"
    else:
        steps[-1]["config"]["activation"] = "linear"
        steps.append(layer("Activation", "end", "dense", activation="hard_sigmoid"))
    path = write_h5(tmp_path / "m.h5", functional(steps), {"dense": DENSE})
    pixels = noise().astype(np.float32) / 255
    expected = np.clip(0.2 * (_mean(pixels) @ KERNEL + BIAS) + 0.5, 0, 1)
    np.testing.assert_allclose(load_keras(path)(pixels), expected, atol=1e-5)


def test_network_of_keras_1_answers_as_the_same_network_of_keras_3(tmp_path: Path) -> None:
    """Names of options by the documentation of Keras 1.2.2."""
    conv = {"name": "convolution2d_1", "batch_input_shape": [None, SIDE, SIDE, 3], "nb_filter": 4,
            "nb_row": 3, "nb_col": 2,
            "border_mode": "same", "subsample": [2, 1], "dim_ordering": "tf", "bias": True,
            "activation": "relu", "init": "glorot_uniform", "W_regularizer": None}  # fmt: skip
    config = {"class_name": "Sequential", "config": [
        {"class_name": "Convolution2D", "config": conv},
        {"class_name": "MaxPooling2D", "config": {"name": "p", "pool_size": [2, 2], "border_mode": "valid",
                                                  "strides": [2, 2], "dim_ordering": "tf"}},
        {"class_name": "Flatten", "config": {"name": "flatten_1"}},
        {"class_name": "Dropout", "config": {"name": "dropout_1", "p": 0.5}},
        {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 3, "bias": True,
                                           "activation": "softmax", "init": "uniform"}},
    ]}  # fmt: skip
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)),
                              layers.Conv2D(4, (3, 2), (2, 1), "same", activation="relu"),
                              layers.MaxPooling2D(), layers.Flatten(),
                              layers.Dense(3, "softmax")])  # fmt: skip
    own = [weights + RNG.normal(0, 0.1, weights.shape) for weights in model.get_weights()]
    model.set_weights(own)
    stored = {"convolution2d_1": {"W": own[0], "b": own[1]}, "p": {}, "dense_1": {"W": own[2], "b": own[3]}}
    path = write_h5(tmp_path / "m.h5", config, stored, "1.2.2")
    pixels = noise().astype(np.float32) / 255
    np.testing.assert_allclose(load_keras(path)(pixels), model(pixels), atol=1e-6)


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "function": (
        [_operation("tf.cumsum", "math.cumsum", ["input_1", 0, 0, {"axis": 1}])],
        r"written by Keras 2\.4\.0: TensorFlow's function tf\.math\.cumsum .* --trust",
    ),
    "another place": (
        [_operation("tf.x", "os.path.abs", ["input_1", 0, 0, {}])],
        r"tf\.os\.path\.abs has no translation",
    ),
    "argument": (
        [_operation("tf.sum", "math.reduce_sum", ["input_1", 0, 0, {"odd": 1}])],
        r"tf\.math\.reduce_sum with odd has no translation",
    ),
    "layer": ([layer("ThresholdedReLU", "t", "input_1", theta=1)], "'t' is of class ThresholdedReLU"),
    "option": (
        [layer("DepthwiseConv2D", "d", "input_1", kernel_size=3, groups=3)],
        "'d' of class DepthwiseConv2D has groups = 3, which Keras 3 cannot do",
    ),
    "own layer": ([layer("Mine", "m", "input_1")], "'m' is of class Mine"),
    "lost layer": ([layer("Flatten", "f", "gone")], "refers to a layer 'gone'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_translation_is_named_with_its_version_and_a_way_out(case: str, tmp_path: Path) -> None:
    steps, sentence = REFUSED[case]
    path = write_h5(tmp_path / "m.h5", functional([picture_input(SIDE), *steps]), {})
    require_refusal(convert_foreign(path, tmp_path / "out"), sentence, tmp_path / "out")


@pytest.mark.parametrize("version", ["2.4.0", "3.15.1"])
def test_configuration_that_is_nested_too_deep_or_odd_is_refused(version: str, tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    for number, odd in enumerate((deep, {"layers": 5}, {"layers": [[]]})):
        steps = [picture_input(SIDE), layer("Activation", "a", "input_1", activation="relu", groups=odd)]
        config = functional(steps) if odd is deep else {"class_name": "Functional", "config": odd}
        path = write_h5(tmp_path / f"{number}.h5", config, {}, version)
        with pytest.raises(ConversionError):
            load_keras(path)


def test_file_of_theano_is_refused_for_its_kernels(tmp_path: Path) -> None:
    path = write_h5(
        tmp_path / "m.h5", functional([picture_input(SIDE), *_ended("input_1")]), {"dense": DENSE}
    )
    with h5py.File(path, "r+") as file:
        file.attrs["backend"] = "theano"
    with pytest.raises(ConversionError, match="trained with Theano, whose convolutions turn"):
        load_keras(path)


def test_weights_of_windows_are_found(tmp_path: Path) -> None:
    """Keras 2.15 named the groups of model.weights.h5 with backslashes there (keras-team/keras#19089)."""
    inner = network(lambda x: layers.Conv2D(3, 3)(layers.Conv2D(4, 3)(x)))
    model = network(lambda x: head(inner(x)))
    save(model, tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "weights.h5").write_bytes(members["model.weights.h5"])
    with h5py.File(tmp_path / "weights.h5") as file, h5py.File(tmp_path / "windows.h5", "w") as windows:
        groups: list[str] = []
        file.visititems(lambda name, item: groups.append(name) if f"{name}/vars" in file else None)
        for name in groups:
            file.copy(f"{name}/vars", windows.create_group(name.replace("/", "\\")), "vars")
    members["model.weights.h5"] = (tmp_path / "windows.h5").read_bytes()
    members["metadata.json"] = json.dumps({"keras_version": "2.15.0"}).encode()
    config = json.loads(members["config.json"])
    members["config.json"] = json.dumps(_keras2_calls(config)).encode()
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    pixels = noise().astype(np.float32)
    np.testing.assert_allclose(load_keras(tmp_path / "m.keras")(pixels), model(pixels), atol=1e-5)


def _keras2_calls(config: dict[str, Any]) -> dict[str, Any]:
    """Rewrite the calls of a chain of layers of Keras 3 as Keras 2 wrote them."""
    before: list[Any] | None = None
    for item in config["config"]["layers"]:
        nested = "layers" in item["config"]
        if nested:
            _keras2_calls(item)
        item["inbound_nodes"] = [] if before is None else [[[*before, {}]]]
        before = [item["name"], int(nested), 0]
    config["config"]["output_layers"] = [before]
    return config


def test_file_is_read_as_what_it_is_and_not_as_its_name_says(tmp_path: Path) -> None:
    model = network(head)
    for right, wrong in (("a.h5", "a.keras"), ("b.keras", "b.h5"), ("c.keras", "c.weights.h5")):
        shutil.move(save(model, tmp_path / right), tmp_path / wrong)
        pixels = noise().astype(np.float32)
        np.testing.assert_allclose(load_keras(tmp_path / wrong)(pixels), model(pixels), atol=1e-6)


def test_losses_metrics_and_schedules_of_somebody_do_not_matter(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("somebody")
    class WarmUp(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> float:
            return 1e-3

        def get_config(self) -> dict[str, Any]:
            return {}

    def focal(truth: Any, answer: Any) -> Any:
        return keras.losses.categorical_crossentropy(truth, answer)

    model = network(head)
    model.compile(keras.optimizers.Adam(WarmUp()), loss=focal, metrics=[focal])
    for name in ("m.keras", "m.h5"):
        result = convert_foreign(save(model, tmp_path / name), tmp_path / name.replace(".", "_"))
        assert result.exit_code == 0, result.stderr


INSTEAD = {
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
    "page": (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><title>Sign in</title></html>", "is a web page"),
}


@pytest.mark.parametrize("suffix", ["keras", "h5", "tflite", "pb"])
@pytest.mark.parametrize("case", INSTEAD)
def test_pointer_or_page_under_a_models_name_is_called_what_it_is(
    case: str, suffix: str, tmp_path: Path
) -> None:
    data, sentence = INSTEAD[case]
    path = tmp_path / f"m.{suffix}"
    path.write_bytes(data)
    require_refusal(convert_foreign(path, tmp_path / "out"), sentence, tmp_path / "out")


def test_zip_of_a_site_and_part_of_a_saved_model_are_refused_with_what_to_give(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "converted_keras.zip", "w") as archive:
        archive.writestr("keras_model.h5", b"a model")
        archive.writestr("labels.txt", "0 cat\n1 dog\n")
    result = convert_foreign(tmp_path / "converted_keras.zip", tmp_path / "out")
    require_refusal(
        result, r"'keras_model\.h5'\. Unpack it first.*'labels\.txt' as --labels", tmp_path / "out"
    )
    (tmp_path / "saved_model.pb").write_bytes(b"program")
    result = convert_foreign(tmp_path / "saved_model.pb", tmp_path / "out", "--trust")
    require_refusal(result, "one part of a SavedModel. Give the folder", tmp_path / "out")


def test_grey_pictures_without_an_axis_of_channels_are_taken(tmp_path: Path) -> None:
    model = network(
        lambda x: layers.Dense(3, "softmax")(layers.Flatten()(layers.Rescaling(1 / 255)(x))), (SIDE, SIDE)
    )
    grey = np.repeat(noise()[..., :1], 3, axis=-1)
    for name in ("m.keras", "saved"):
        trust = () if name == "m.keras" else ("--trust",)
        result = convert_foreign(
            save(model, tmp_path / name), tmp_path / f"{name}_out", *trust, scale="0..255"
        )
        assert result.exit_code == 0, result.stderr
        actual = answers(tmp_path / f"{name}_out" / f"{Path(name).stem}_float32.tflite", grey)
        np.testing.assert_allclose(actual, model(grey[..., 0].astype(np.float32)), atol=1e-3)
