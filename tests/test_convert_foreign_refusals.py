"""What edge-convert refuses of other people's models: one sentence, and nothing is run or left behind."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import Result
from edge_classify.convert.sources import keras_file, keras_model
from keras import layers
from packaging.specifiers import SpecifierSet

from .conversion import convert
from .foreign import convert_foreign, head, network, save, save_tflite, write_colours, write_labels


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
    return network(lambda x: [head(x), head(x)])


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
    "two_inputs.keras": (_two_inputs, "one input and one output. Received: 2 and 1"),
    "two_outputs.keras": (_two_outputs, "one input and one output. Received: 1 and 2"),
    "detector.keras": (_detector, r"its output is \[None, 12, 36\]"),
    "channels_first.keras": (lambda: _flat((3, 12, 12)), "channels first"),
    "four_channels.keras": (lambda: _flat((12, 12, 4)), "takes 4 channels"),
    "table.keras": (lambda: _flat((12,)), r"its input is \[None, 12\]"),
    "batch.keras": (lambda: network(head, None, batch_shape=(8, 12, 12, 3)), "takes 8 pictures at once"),
    "several.keras": (
        lambda: network(lambda x: head(x, 5, "sigmoid")),
        "5 outputs .* several labels at once",
    ),
    "useless.keras": (lambda: network(lambda x: head(x, 1, "softmax")), "one output .*, which is always 1"),
    "nan.keras": (_with_nan, "values that are no numbers"),
    "random.keras": (_random, "draws random numbers in 'memory"),
    "half.keras": (_float16, "computes with f16"),
    "svd.keras": (_decomposed, "no operation for Svd"),
}


def _require_refusal(result: Result, sentence: str, output: Path, status: int = 1) -> None:
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status
    message = " ".join(result.stderr.split("Error: ")[-1].split())
    assert re.search(sentence, message), message
    assert len(message) < 450
    assert "Traceback" not in result.stderr and "\x1b" not in result.stderr and r"\x1b" not in result.stderr
    assert not output.exists()


@pytest.mark.parametrize("name", REFUSED)
def test_model_that_cannot_be_converted_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    build, sentence = REFUSED[name]
    path = save(build(), tmp_path / name)
    labels = write_labels(tmp_path / "labels.txt", ("a", "b", "c", "d", "e")) if "several" in name else None
    _require_refusal(convert_foreign(path, tmp_path / "out", labels=labels), sentence, tmp_path / "out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good model in each format."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("m.keras", "m.h5", "exported"):
        save(network(head), folder / name)
    save_tflite(network(head), folder / "m.tflite")
    return folder


def _rewrite(source: Path, target: Path, changes: dict[str, bytes | None]) -> Path:
    """Copy a .keras file with members replaced, added, or (None) left out."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        members = {name: archive.read(name) for name in archive.namelist()} | changes
        for name, data in members.items():
            if data is not None:
                copy.writestr(name, data)
    return target


DAMAGED: dict[str, tuple[dict[str, bytes | None], str]] = {
    "no configuration": ({"config.json": None}, "holds no config.json"),
    "no weights": ({"model.weights.h5": None}, "cannot be loaded"),
    "broken configuration": ({"config.json": b"{"}, "is no JSON"),
    "deep configuration": ({"config.json": b"[" * 100_000}, "is no JSON"),
    "list": ({"config.json": b"[1]"}, "describes no model"),
    "large configuration": ({"config.json": b" " * (65 << 20)}, "larger than 64 MiB"),
    "path upwards": ({"assets/../../../evil": b""}, "written elsewhere"),
    "absolute path": ({"/evil": b""}, "written elsewhere"),
    "broken weights": ({"model.weights.h5": b"\x89HDF\r\n\x1a\n"}, "cannot be loaded"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_keras_archive_that_is_damaged_or_hostile_is_refused(case: str, whole: Path, tmp_path: Path) -> None:
    changes, sentence = DAMAGED[case]
    path = _rewrite(whole / "m.keras", tmp_path / "m.keras", changes)
    _require_refusal(convert_foreign(path, tmp_path / "out"), sentence, tmp_path / "out")


def test_bomb_in_a_keras_archive_is_refused_without_unpacking(whole: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "m.keras"
    _rewrite(whole / "m.keras", bomb, {"model.weights.h5": None})
    block = bytes(1 << 20)
    with (
        zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("model.weights.h5", "w", force_zip64=True) as member,
    ):
        for _ in range(4200):  # Keras refuses from 4 GiB on.
            member.write(block)
    _require_refusal(convert_foreign(bomb, tmp_path / "out"), "cannot be loaded", tmp_path / "out")


@pytest.mark.parametrize("suffix", ["keras", "h5", "tflite"])
def test_cut_off_empty_and_other_files_are_refused(suffix: str, whole: Path, tmp_path: Path) -> None:
    raw = (whole / f"m.{suffix}").read_bytes()
    for data in (b"", raw[: len(raw) // 2], b"no model at all"):
        path = tmp_path / f"m.{suffix}"
        path.write_bytes(data)
        result = convert_foreign(path, tmp_path / "out")
        _require_refusal(result, "damaged|cut off|not a TFLite model", tmp_path / "out")


def test_h5_file_that_keeps_its_reader_busy_for_ever_is_given_up(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros over the names of attributes: HDF5 1.14 reads them without end."""
    monkeypatch.setattr(keras_file, "_HDF5_SECONDS", 3)
    raw = (whole / "m.h5").read_bytes()
    path = tmp_path / "m.h5"
    path.write_bytes(raw[:3000] + bytes(2000) + raw[5000:])
    _require_refusal(convert_foreign(path, tmp_path / "out"), "is damaged|cut off", tmp_path / "out")


def test_weights_without_a_model_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    network(head).save_weights(path)
    _require_refusal(
        convert_foreign(path, tmp_path / "out"), r"weights and no model.*model\.save", tmp_path / "out"
    )


def _function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


def _lambda_config(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    config = {"name": "evil", "function": function, "arguments": arguments}
    return {"module": "keras.layers", "class_name": "Lambda", "config": config, "registered_name": None}


def _attacks(marker: Path) -> dict[str, dict[str, Any]]:
    """Return layers that touch `marker` in some Keras, by the advisory that tells of them."""
    shell = f"touch {marker}"
    download = {"fname": str(marker), "origin": f"file://{__file__}"}
    switch = _function("keras.config", "enable_unsafe_deserialization")
    lookup = {"name": "words", "vocabulary": str(marker.parent / "secret"), "max_tokens": None}
    return {
        "CVE-2025-1550: any callable by its module": {
            "module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        "CVE-2025-1550: any class by its module": {
            "module": "subprocess", "class_name": "Popen", "config": {"args": shell, "shell": True}},
        "CVE-2025-1550: in a Lambda": _lambda_config(_function("os", "system"), {"command": shell}),
        "CVE-2025-8747: a download by get_file": _lambda_config(
            _function("keras.utils", "get_file"), download),
        "CVE-2025-9906: no safe mode": _lambda_config(switch, {}),
        "CVE-2025-9905: bytecode": _lambda_config(
            {"class_name": "__lambda__", "config": {"code": "AAAA"}}, {}),
        "CVE-2026-1462: a SavedModel in a layer": {
            "module": "keras.layers", "class_name": "TFSMLayer", "registered_name": None,
            "config": {"name": "evil", "filepath": str(marker.parent / "program")}},
        "CVE-2025-12058: a file as vocabulary": {
            "module": "keras.layers", "class_name": "StringLookup", "registered_name": None,
            "config": lookup},
        "a class of builtins": {"module": "builtins", "class_name": "exec", "config": {}},
        "a function of builtins": {**_function("builtins", "exec"), "name": "evil"},
    }  # fmt: skip


ATTACKS = tuple(_attacks(Path("/")))


def _infect(config: dict[str, Any], attack: dict[str, Any]) -> bytes:
    """Return a Functional model's configuration with one more layer, called on the input."""
    first = config["config"]["layers"][0]
    tensor = config["config"]["layers"][1]["inbound_nodes"]
    config["config"]["layers"].insert(1, {"name": "evil", "inbound_nodes": tensor, **attack})
    assert first["class_name"] == "InputLayer"
    return json.dumps(config).encode()


def _with_layer(source: Path, folder: Path, layer: dict[str, Any]) -> Path:
    """Copy a model file into `folder` with one more layer."""
    path = folder / source.name
    if source.suffix == ".keras":
        with zipfile.ZipFile(source) as archive:
            config = json.loads(archive.read("config.json"))
        return _rewrite(source, path, {"config.json": _infect(config, layer)})
    shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = _infect(json.loads(file.attrs["model_config"]), layer)
    return path


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_file_with_one_more_harmless_layer_is_converted(suffix: str, whole: Path, tmp_path: Path) -> None:
    """The others below are refused for what their layer is, and not for how it was put in."""
    config = {"name": "evil", "activation": "relu"}
    layer = {"module": "keras.layers", "class_name": "Activation", "config": config, "registered_name": None}
    path = _with_layer(whole / f"m.{suffix}", tmp_path, layer)
    result = convert_foreign(path, tmp_path / "out")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_file_that_would_run_code_or_read_files_is_refused_and_does_neither(
    attack: str, suffix: str, whole: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "secret").write_text("a secret\n")
    path = _with_layer(whole / f"m.{suffix}", tmp_path, _attacks(marker)[attack])
    result = convert_foreign(path, tmp_path / "out")
    _require_refusal(result, "Lambda|custom|TFSMLayer|another file", tmp_path / "out")
    assert "a secret" not in result.stderr
    assert not marker.exists()


def test_lambda_whose_bytecode_writes_a_file_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    name = str(marker)
    model = network(lambda x: head(layers.Lambda(lambda t: (os.open(name, os.O_CREAT), t)[1])(x)))
    marker.unlink(missing_ok=True)
    for suffix in ("keras", "h5"):
        path = save(model, tmp_path / f"m.{suffix}")
        _require_refusal(convert_foreign(path, tmp_path / "out"), "Lambda layer", tmp_path / "out")
    assert not marker.exists()


def test_weights_that_lie_in_another_file_are_not_read(whole: Path, tmp_path: Path) -> None:
    """CVE-2026-1669: HDF5 can keep a data set's bytes in any file of the machine."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 4096)
    path = tmp_path / "m.h5"
    shutil.copy(whole / "m.h5", path)
    with h5py.File(path, "r+") as file:
        found: list[str] = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        shape = file[found[0]].shape
        del file[found[0]]
        file.create_dataset(found[0], shape, "f4", external=[(str(secret), 0, 4096)])
    _require_refusal(convert_foreign(path, tmp_path / "out"), "cannot be loaded", tmp_path / "out")


def test_keras_that_is_required_is_the_one_that_is_checked_and_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setup = configparser.RawConfigParser()
    setup.read(Path(__file__).parent.parent / "setup.cfg", encoding="utf-8")
    extra = setup["options.extras_require"]["convert"].split()
    assert f"keras{keras_model.SAFE_KERAS}" in extra
    safe = SpecifierSet(keras_model.SAFE_KERAS)
    assert keras.__version__ in safe
    assert not any(version in safe for version in ("3.8.0", "3.11.3", "3.12.3", "3.13.2", "3.15.0"))
    assert all(version in safe for version in ("3.12.4", "3.15.1", "3.16.0"))


def test_keras_that_runs_code_of_files_is_not_used(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras, "__version__", "3.12.0")
    result = convert_foreign(whole / "m.keras", tmp_path / "out")
    _require_refusal(result, r"Keras 3\.12\.0 can be made to run code.*pip install", tmp_path / "out")


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
    "two_outputs": (lambda module: module.two, "Received: 1 and 2"),
    "shapeless": (lambda module: module.shapeless, r"its input is \[\]"),
}


@pytest.mark.parametrize("name", SAVED)
def test_saved_model_that_is_no_classifier_is_refused(name: str, tmp_path: Path) -> None:
    signatures, sentence = SAVED[name]
    module = Module()
    tf.saved_model.save(module, str(tmp_path / name), signatures=signatures(module))
    result = convert_foreign(tmp_path / name, tmp_path / "out", "--trust")
    _require_refusal(result, sentence, tmp_path / "out")


def test_saved_model_is_loaded_only_with_trust_and_refused_when_damaged(whole: Path, tmp_path: Path) -> None:
    _require_refusal(
        convert_foreign(whole / "exported", tmp_path / "out"), "a program.*--trust", tmp_path / "out"
    )
    for part in ("saved_model.pb", "variables/variables.index"):
        copy = shutil.copytree(whole / "exported", tmp_path / part.replace("/", "_"))
        (copy / part).write_bytes(b"damaged")
        _require_refusal(
            convert_foreign(copy, tmp_path / "out", "--trust"), "damaged or incomplete", tmp_path / "out"
        )


@pytest.mark.parametrize("name", ["m.pb", "m.onnx", "m.pt", "m"])
def test_file_of_another_kind_is_refused_with_what_can_be_converted(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"something")
    result = convert_foreign(tmp_path / name, tmp_path / "out")
    _require_refusal(
        result, r"no model that can be converted.*\.keras or \.h5.*SavedModel.*\.tflite", tmp_path / "out"
    )


LABEL_FILES = {
    "fewer": ("a\nb\n", "names 2 classes, and the model has 3 outputs"),
    "more": ("a\nb\nc\nd\n", "names 4 classes, and the model has 3 outputs"),
    "twice": ("a\nb\na\n", "names 'a' twice"),
    "blank": ("a\n\nc\n", "blank line, number 2"),
    "empty": ("", "is empty"),
}


@pytest.mark.parametrize("model", ["m.keras", "m.tflite"])
@pytest.mark.parametrize("case", LABEL_FILES)
def test_labels_that_do_not_fit_are_refused(case: str, model: str, whole: Path, tmp_path: Path) -> None:
    text, sentence = LABEL_FILES[case]
    (tmp_path / "labels").write_text(text)
    result = convert_foreign(whole / model, tmp_path / "out", labels=tmp_path / "labels")
    _require_refusal(result, sentence, tmp_path / "out")


@pytest.mark.parametrize("model", ["m.keras", "m.tflite"])
def test_missing_labels_and_scaling_are_asked_for(model: str, whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    _require_refusal(convert_foreign(whole / model, output, scale=None), "--normalization", output)
    result = convert(whole / model, "-o", output, "--normalization", "0..1", "--variant", "float32")
    _require_refusal(result, "3 classes. Give --labels FILE", output)


def test_options_that_contradict_the_model_or_belong_to_another_are_refused(
    whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    keras_file, tflite = whole / "m.keras", whole / "m.tflite"
    refuse = _require_refusal
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
    refuse(convert(tflite, "--inspect", "--trust"), "leave out --trust", output, 2)
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
    _require_refusal(result, f"{option[0]} is for model files of other people", tmp_path / "out")


TFLITES: dict[str, tuple[Callable[[], Any], str]] = {
    "two_outputs": (_two_outputs, "Received: 1 and 2"),
    "detector": (_detector, "its output is"),
    "any_size": (lambda: network(head, (None, 12, 3)), "of a fixed size"),
    "several": (lambda: network(lambda x: head(x, 5, "sigmoid")), "several labels at once"),
    "grey": (lambda: network(head, (12, 12, 1)), r"feeds \[1, height, width, 3\]"),
    "nan": (_with_nan, "values that are no numbers"),
}


@pytest.mark.parametrize("name", TFLITES)
def test_tflite_that_is_no_classifier_is_refused(name: str, tmp_path: Path) -> None:
    build, sentence = TFLITES[name]
    path = save_tflite(build(), tmp_path / "m.tflite")
    count = 5 if name == "several" else 3
    labels = write_labels(tmp_path / "labels.txt", tuple("abcde"[:count]))
    _require_refusal(convert_foreign(path, tmp_path / "out", labels=labels), sentence, tmp_path / "out")


def test_tflite_that_is_quantized_already_or_asked_for_int16_is_refused(whole: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"

    def wide(x: Any) -> Any:  # Weights of fewer than 1,024 values are left in float.
        return layers.Dense(3, "softmax")(layers.Dense(32)(layers.Flatten()(x)))

    path = save_tflite(network(wide), tmp_path / "m.tflite", quantized=True)
    _require_refusal(convert_foreign(path, output), r"quantized already \(int8\).*float32 model", output)
    images = write_colours(tmp_path / "images", 4)
    result = convert_foreign(whole / "m.tflite", output, "--calibration", images, variant="int16x8")
    _require_refusal(result, "int16x8 variant can be made from a Keras model", output)


def test_output_that_is_a_file_or_exists_is_kept(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert convert_foreign(whole / "m.keras", tmp_path / "file").exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "m_float32.tflite").write_text("mine")
    result = convert_foreign(whole / "m.keras", tmp_path)
    assert result.exit_code == 1 and "--force" in result.stderr
    assert (tmp_path / "m_float32.tflite").read_text() == "mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 KiB, where mounting one is permitted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk_ends_in_one_sentence_and_leaves_no_part_of_a_file(
    tmp_path: Path, small_disk: Path
) -> None:
    def large(x: Any) -> Any:
        return layers.Dense(3, "softmax")(layers.Dense(20)(layers.Flatten()(x)))

    path = save(network(large), tmp_path / "m.keras")
    result = convert_foreign(path, small_disk)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert "No space left on device" in result.stderr.splitlines()[-1]
    assert list(small_disk.iterdir()) == []
