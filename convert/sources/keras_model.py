"""Loads Keras files, after it has refused those that hold code or read other files.

A file's configuration is read before Keras reads it. Keras's safe mode refuses most of the same files; this
is a second lock, which does not depend on Keras's version, and names the layer. Imported only after
TensorFlow was loaded.
"""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import keras
from packaging.specifiers import SpecifierSet

from ...edge.card import ModelCard
from ...edge.children import python_command
from ...edge.errors import CardError, ConversionError
from ...edge.output_meaning import ACTIVATIONS, OutputMeaning
from ...edge.quiet import silenced

H5_SUFFIXES = (".h5", ".hdf5")
_CONFIG = "config.json"
_MAX_CONFIG = 64 * 1024 * 1024  # EfficientNet-B7's is 1 MB.
_HDF5_SECONDS = 60
# Layers that hold a function or load a model of another kind: programs, both of them.
_PROGRAMS = ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
_INSTEAD = "Replace it by built-in layers, or export a SavedModel and convert that with --trust"
# Touches every object and attribute in a file, and prints its configuration.
_READ_HDF5 = """
import sys, h5py
with h5py.File(sys.argv[1], "r") as file:
    file.visititems(lambda name, item: dict(item.attrs) and None)
    config = dict(file.attrs).get("model_config", b"")
sys.stdout.buffer.write(config.encode() if isinstance(config, str) else bytes(config))
"""
# Others run code that a file holds, read files that it names, or let a small file take all memory, in safe
# mode too: CVE-2025-9905, -9906, -12058, CVE-2026-0897, -1462, -1669 and their likes. The last of these were
# mended in 3.12.4 (the last one for Python 3.10) and 3.15.1: https://github.com/keras-team/keras/releases
SAFE_KERAS = ">=3.12.4,!=3.13.*,!=3.14.*,!=3.15.0"
_AUGMENTING = ("Random", "RandAugment", "AugMix", "CutMix", "MixUp")
_NOISE = (
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
)


def load_keras(path: Path) -> Any:
    """Load a .keras or .h5 file without running any code that it holds.

    Raises ConversionError when Keras refuses the file, naming the layers that it would need code for.
    """
    _require_safe_keras()
    check_keras_file(path)
    try:
        with silenced():
            model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras and its readers may raise anything.
        raise ConversionError(f"{path} cannot be loaded as a Keras model: {_explain(error)}") from error
    if not isinstance(model, keras.Model):
        raise ConversionError(f"{path} holds a {type(model).__name__}, and no Keras model")
    if not model.built or not getattr(model, "inputs", None):
        raise ConversionError(
            f"{path} was saved before its input was known. Give its first layer a shape with "
            "keras.Input(shape=(height, width, 3)), and save it again"
        )
    _compute_with_float32(model)
    return model


def check_card(model: Any, card: ModelCard, path: Path) -> None:
    """Raise CardError when the model's input or outputs contradict its card."""
    expected = (None, card.input.height, card.input.width, 3)
    if tuple(model.input_shape) != expected:
        raise CardError(
            f"{path}: the card promises input {expected}, and the model takes {model.input_shape}"
        )
    if model.output_shape[-1] != len(card.labels):
        raise CardError(
            f"{path}: the card has {len(card.labels)} labels, and the model {model.output_shape[-1]} outputs"
        )


def silence_training_layers(model: Any) -> list[str]:
    """Make layers that are random in training act as in use; return the names of the augmenting layers.

    Keras does this itself, except for a layer that was called with training=True when the model was built:
    the model would stay random for ever.
    """
    augmenting = []
    for layer in all_layers(model):
        augments = type(layer).__name__.startswith(_AUGMENTING)
        if augments:
            augmenting.append(layer.name)
        if augments or isinstance(layer, _NOISE):
            layer.call = _as_in_use(layer.call)
    return augmenting


def drop_last_activation(model: Any) -> None:
    """Take the activation away from the layer that computes the outputs, which are then logits."""
    _last_layer(model).activation = keras.activations.linear


def _last_layer(model: Any) -> Any:
    made_by = model.outputs[0]._keras_history.operation
    return _last_layer(made_by) if isinstance(made_by, keras.Model) else made_by


def stated_outputs(model: Any) -> OutputMeaning | None:
    """Return the meaning of the outputs that the last layer states; None where it states none."""
    made_by = _last_layer(model)
    if isinstance(made_by, keras.layers.Softmax):
        return OutputMeaning.PROBABILITIES
    return ACTIVATIONS.get(getattr(getattr(made_by, "activation", None), "__name__", ""))


def all_layers(model: Any) -> Iterator[Any]:
    """Yield the layers of a model, of the models inside it, and of the layers that hold layers."""
    yield from model._flatten_layers(include_self=False)


def _as_in_use(call: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(call)

    def without_training(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.arguments["training"] = False
        return call(*given.args, **given.kwargs)

    return without_training if "training" in signature.parameters else call


def _compute_with_float32(model: Any) -> None:
    """Undo mixed precision: the weights are float32, and TFLite computes in their type."""
    for layer in [model, *all_layers(model)]:
        policy = layer.dtype_policy
        if policy.variable_dtype == "float32" and policy.compute_dtype in ("float16", "bfloat16"):
            layer.dtype_policy = "float32"


def _require_safe_keras() -> None:
    if not SpecifierSet(SAFE_KERAS).contains(keras.__version__, prereleases=True):
        raise ConversionError(
            f"Keras {keras.__version__} can be made to run code that a model file holds. "
            f'Run: pip install --upgrade "keras{SAFE_KERAS}"'
        )


def _explain(error: Exception) -> str:
    text = " ".join(str(error).split())
    if unknown := re.search(r"(?:Could not locate (?:class|function)|Unknown layer:?) '([^']+)'", text):
        return (
            f"it uses {unknown[1]}, which is not Keras's own, and whose code is not in the file. Replace it "
            "by a built-in layer, or export a SavedModel and convert that with --trust"
        )
    if unmade := re.search(r"Error when deserializing class '([^']+)'|could not be deserialized", text):
        kind = f"its layer of class {unmade[1]}" if unmade[1] else "one of its layers"
        reason = re.search(r"Exception encountered: (.*)", text)
        return f"{kind} cannot be made: {(reason[1] if reason else text)[:150]}"
    return text[:150]


def check_keras_file(path: Path) -> None:
    """Raise ConversionError, naming the layer, unless a file holds a model of built-in layers only."""
    raw = _read_h5(path) if path.suffix in H5_SUFFIXES else _read_zip(path)
    try:
        config = json.loads(raw)
    except (ValueError, RecursionError):
        raise ConversionError(f"{path} is damaged: its configuration is no JSON") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ConversionError(f"{path} is damaged: its configuration describes no model")
    for item in _objects(config):
        _check_object(path, item)


def _read_zip(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts:
                    raise ConversionError(
                        f"{path} holds a file that would be written elsewhere: {name[:80]!r}"
                    )
            if _CONFIG not in archive.namelist():
                raise ConversionError(f"{path} is no Keras model: it holds no {_CONFIG}")
            if archive.getinfo(_CONFIG).file_size > _MAX_CONFIG:
                raise ConversionError(f"{path}: its {_CONFIG} is larger than {_MAX_CONFIG >> 20} MiB")
            return archive.read(_CONFIG)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ConversionError(
            f"{path} cannot be loaded as a Keras model: it is damaged or cut off ({error})"
        ) from None


def _read_h5(path: Path) -> bytes:
    """Read the configuration in another process: a damaged file can hang or crash the HDF5 library."""
    command = python_command(_READ_HDF5, str(path.resolve()))
    try:
        done = subprocess.run(command, capture_output=True, timeout=_HDF5_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ConversionError(
            f"{path} is damaged: it could not be read in {_HDF5_SECONDS} seconds. Copy or save it again"
        ) from None
    if done.returncode:
        raise ConversionError(f"{path} cannot be loaded as a Keras model: it is damaged or cut off")
    if not done.stdout:
        raise ConversionError(
            f"{path} holds weights and no model. Load them into the model, and save that with model.save()"
        )
    return done.stdout[: _MAX_CONFIG + 1]


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every serialized object, at any depth."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item.get("class_name"), str):
                yield item
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))


def _check_object(path: Path, item: dict[str, Any]) -> None:
    kind, module = item["class_name"], item.get("module")
    config = item.get("config")
    name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
    called = f" {name!r}" if isinstance(name, str) else ""
    if kind in ("Lambda", "__lambda__"):
        raise ConversionError(
            f"{path} has a Lambda layer{called}, which is code by whoever made the file, and is not run. "
            + _INSTEAD
        )
    if kind in _PROGRAMS:
        raise ConversionError(
            f"{path} has the layer{called} of class {kind}, which loads a program, and is not run. {_INSTEAD}"
        )
    if _is_foreign(kind, module, item.get("registered_name")):
        where = f"{module}.{kind}" if isinstance(module, str) else kind
        raise ConversionError(
            f"{path} has a custom layer{called} of class {where}, whose code is not in the file. {_INSTEAD}"
        )
    if isinstance(config, dict) and isinstance(config.get("vocabulary"), str):
        raise ConversionError(
            f"{path} has the layer{called} of class {kind}, which reads another file of this machine. Give "
            "the layer its words instead"
        )
    if kind == "function" and module == "builtins" and isinstance(config, str):
        _check_function(path, config)


def _is_foreign(kind: str, module: Any, registered: Any) -> bool:
    """Return whether an object is not part of Keras; files of Keras 2 do not state it."""
    if module is None:
        return bool(registered)
    if module == "builtins":
        return kind != "function"  # Keras names its own functions so, such as "relu".
    return str(module).split(".")[0] != "keras"


def _check_function(path: Path, name: str) -> None:
    import keras

    known = (
        keras.activations,
        keras.initializers,
        keras.regularizers,
        keras.constraints,
        keras.losses,
        keras.metrics,
    )
    if not any(callable(getattr(module, name, None)) for module in known):
        raise ConversionError(
            f"{path} uses a custom function, {name!r}, whose code is not in the file. Replace it by a "
            "built-in one, or export a SavedModel and convert that with --trust"
        )
