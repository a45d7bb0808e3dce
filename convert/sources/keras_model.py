"""Loads Keras files of Keras 1 to 3, after it has refused those that hold code or read other files.

A file's configuration is read before Keras reads it. Keras's safe mode refuses most of the same files; this
is a second lock, which does not depend on Keras's version, and names the layer. What Keras 1 or 2 wrote is
checked, translated (keras_dialects.py), and what came of it is checked again. Imported only after TensorFlow
was loaded.
"""

from __future__ import annotations

import inspect
import re
import zipfile
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import keras
from packaging.specifiers import SpecifierSet

from ...edge.card import ModelCard
from ...edge.errors import CardError, ConversionError
from ...edge.json_files import JsonError, parse_json
from ...edge.processes import python_command, run
from ...edge.quiet import silenced
from .keras_dialects import (
    OWN_FUNCTIONS,
    is_older,
    keras_modules,
    translate,
    without_training,
)
from .keras_objects import check_objects, is_own
from .keras_weights import load_weights, under_suffix, with_config
from .model_format import KERAS_CONFIG, ModelFormat, model_format

_METADATA = "metadata.json"
_OPERATION = "operation "
_MAX_METADATA = 64 * 1024
_DEEPEST = 500  # A model in a model needs about ten levels.
_MAX_CONFIG = 64 * 1024 * 1024  # EfficientNet-B7's is 1 MB.
_HDF5_SECONDS = 60
# Touches every object and attribute in a file, and prints the version of its Keras and its configuration.
_READ_HDF5 = """
import h5py
with h5py.File(sys.argv[1], "r") as file:
    file.visititems(lambda name, item: dict(item.attrs) and None)
    found = [dict(file.attrs).get(name, b"") for name in ("keras_version", "backend", "model_config")]
parts = [part.encode() if isinstance(part, str) else bytes(part) for part in found]
sys.stdout.buffer.write(parts[0][:40] + b"\\n" + parts[1][:40] + b"\\n" + parts[2][:int(sys.argv[2])])
"""
# Others run code that a file holds, read files that it names, or let a small file take all memory, in safe
# mode too: CVE-2025-9905, -9906, -12058, CVE-2026-0897, -1462, -1669 and their likes. The last of these were
# mended in 3.12.4 (the last one for Python 3.10) and 3.15.1: https://github.com/keras-team/keras/releases
SAFE_KERAS = ">=3.12.4,!=3.13.*,!=3.14.*,!=3.15.0,<4"
_AUGMENTING = ("Random", "RandAugment", "AugMix", "CutMix", "MixUp")
_NOISE = (
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
)


@dataclass(frozen=True)
class _KerasFile:
    """A file and what it says about itself; `version` is that of the Keras that wrote it, None if unsaid."""

    path: Path
    format: ModelFormat
    config: dict[str, Any]
    version: str | None


def load_keras(path: Path) -> Any:
    """Load a .keras or .h5 file, of any version of Keras, without running any code that it holds.

    Raises ConversionError when it cannot be loaded: with the layers that code would be needed for, or the
    version of Keras that wrote it, and what to do.
    """
    _require_safe_keras()
    file = _read(path)
    config = _checked(file)
    try:
        with silenced():
            model = _build(file, config)
    except ConversionError:
        raise
    except Exception as error:  # Keras and its readers may raise anything.
        raise ConversionError(f"{path} cannot be loaded as a Keras model: {_explain(error, file)}") from error
    if not isinstance(model, keras.Model):
        raise ConversionError(f"{path} holds a {type(model).__name__}, and no Keras model")
    _require_built(model, path)
    _compute_with_float32(model)
    return model


def _read(path: Path) -> _KerasFile:
    kind = model_format(path)
    version, raw = _read_h5(path) if kind is ModelFormat.HDF5 else _read_zip(path)
    try:
        config = parse_json(raw, finite=False, any_text=True, deepest=_DEEPEST)
    except JsonError:
        raise ConversionError(f"{path} is damaged: its configuration is no JSON") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ConversionError(f"{path} is damaged: its configuration describes no model")
    return _KerasFile(path, kind, config, version)


def _checked(file: _KerasFile) -> dict[str, Any]:
    """Return the configuration that the model is made of, after checking it, in the dialect of Keras 3."""
    try:
        if not is_older(file.version):
            # Keras leaves this one out when it loads without compiling, but makes those of models inside.
            config = {key: value for key, value in file.config.items() if key != "compile_config"}
            needed = without_training(config)
            check_objects(file.path, needed)
            return config if is_own(file.path, config) else needed
        config = keras_modules(without_training(file.config))
        check_objects(file.path, config)
        config = _translated(file, config)
    except RecursionError:
        raise ConversionError(f"{file.path} is damaged: its configuration is nested without end") from None
    check_objects(file.path, config)
    return config


def _translated(file: _KerasFile, config: dict[str, Any]) -> dict[str, Any]:
    try:
        return translate(config)
    except ConversionError as error:
        reason = str(error)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        reason = "its configuration is damaged"
    raise ConversionError(f"{file.path} was written by Keras {file.version}: {reason}. {_way_out(file)}")


def _build(file: _KerasFile, config: dict[str, Any]) -> Any:
    if not is_older(file.version) and file.format is ModelFormat.HDF5:
        operations = _own_operations()
        with with_config(file.path, _with_operations(config, operations)) as named:
            return keras.models.load_model(named, operations, compile=False, safe_mode=True)
    if not is_older(file.version) and config.get("config") == file.config.get("config"):
        with under_suffix(file.path, file.format.value) as named:
            return keras.models.load_model(named, compile=False, safe_mode=True)
    model = keras.saving.deserialize_keras_object(config, custom_objects=OWN_FUNCTIONS, safe_mode=True)
    _require_built(model, file.path)
    load_weights(model, file.path, file.format)
    return model


def _own_operations() -> dict[str, Any]:
    """Return Keras's operations, such as TrueDivide of `x / 255`, by _OPERATION and the class's name.

    Keras writes them into .h5 files without their module, and takes Add of `x + 1` for its layer Add.
    """
    waiting, found = [keras.Operation], {}
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if kind.__module__.startswith("keras.src.ops."):
            found[_OPERATION + kind.__name__] = kind
    return found


def _with_operations(config: Any, known: Container[str]) -> Any:
    """Return a configuration of an .h5 file in which operations are named as `known` has them."""
    if isinstance(config, list):
        return [_with_operations(item, known) for item in config]
    if not isinstance(config, dict):
        return config
    made = {key: _with_operations(value, known) for key, value in config.items()}
    name, inner = f"{_OPERATION}{made.get('class_name')}", made.get("config")
    is_call = "inbound_nodes" in made and isinstance(inner, dict) and "trainable" not in inner
    return {**made, "class_name": name} if is_call and name in known else made


def _require_built(model: Any, path: Path) -> None:
    if not model.built or not getattr(model, "inputs", None):
        raise ConversionError(
            f"{path} was saved before its input was known. Give its first layer a shape with "
            "keras.Input(shape=(height, width, 3)), and save it again"
        )


def _way_out(file: _KerasFile) -> str:
    return (
        f"Load it in Keras {file.version}, save it there with tf.saved_model.save(model, 'exported'), and "
        "convert that folder with --trust"
    )


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


def without_last_sigmoid(model: Any, output: int) -> Callable[[Callable[[], Any]], Any] | None:
    """Return a function that calls another while the last layer's sigmoid is left out.

    8 bits keep a logit better than the logarithm of a sigmoid. None where output number `output` is not one
    value with a sigmoid.
    """
    layer = _last_layer(model, output)
    if (
        model.outputs[output].shape[-1] != 1
        or getattr(layer, "activation", None) is not keras.activations.sigmoid
    ):
        return None

    def call(function: Callable[[], Any]) -> Any:
        layer.activation = keras.activations.linear
        try:
            return function()
        finally:
            layer.activation = keras.activations.sigmoid

    return call


def _last_layer(model: Any, output: int) -> Any:
    history = model.outputs[output]._keras_history
    made_by = history.operation
    return _last_layer(made_by, history.tensor_index) if isinstance(made_by, keras.Model) else made_by


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


def _explain(error: Exception, file: _KerasFile) -> str:
    text = " ".join(str(error).split())
    if unknown := re.search(r"(?:Could not locate (?:class|function)|Unknown layer:?) '([^']+)'", text):
        return (
            f"it uses {unknown[1]}, which is not Keras's own, and whose code is not in the file. Replace it "
            "by a built-in layer, or export a SavedModel and convert that with --trust"
        )
    kind = re.search(r"Error when deserializing class '([^']+)'", text)
    # The innermost of the exceptions that Keras quotes is the cause; configurations say nothing to users.
    cause = re.sub(r" ?(?:Full object )?config[:=] ?\{.*", "", text.split("Exception encountered: ")[-1])[
        :220
    ]
    reason = f"its layer of class {kind[1]} cannot be made: {cause}" if kind else cause
    if file.version is None or file.version == keras.__version__:
        return reason
    written = f"It was written by Keras {file.version}, and this is {keras.__version__}"
    return f"{reason.rstrip('.')}. {written}. {_way_out(file) if is_older(file.version) else ''}".rstrip()


def _read_zip(path: Path) -> tuple[str | None, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts:
                    raise ConversionError(
                        f"{path} holds a file that would be written elsewhere: {name[:80]!r}"
                    )
            if KERAS_CONFIG not in archive.namelist():
                raise ConversionError(f"{path} is no Keras model: it holds no {KERAS_CONFIG}")
            if archive.getinfo(KERAS_CONFIG).file_size > _MAX_CONFIG:
                raise ConversionError(f"{path}: its {KERAS_CONFIG} is larger than {_MAX_CONFIG >> 20} MiB")
            return _stated_version(archive), archive.read(KERAS_CONFIG)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ConversionError(
            f"{path} cannot be loaded as a Keras model: it is damaged or cut off ({error})"
        ) from None


def _stated_version(archive: zipfile.ZipFile) -> str | None:
    if _METADATA not in archive.namelist() or archive.getinfo(_METADATA).file_size > _MAX_METADATA:
        return None
    metadata = parse_json(archive.read(_METADATA))
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return version[:40] if isinstance(version, str) else None


def _read_h5(path: Path) -> tuple[str | None, bytes]:
    """Read the configuration in another process: a damaged file can hang or crash the HDF5 library."""
    command = python_command(_READ_HDF5, str(path.resolve()), str(_MAX_CONFIG + 1))
    done = run(command, _HDF5_SECONDS, most_bytes=_MAX_CONFIG + _MAX_METADATA)
    if done.status is None:
        raise ConversionError(
            f"{path} is damaged: it could not be read in {_HDF5_SECONDS} seconds. Copy or save it again"
        )
    if done.status or done.cut:
        raise ConversionError(f"{path} cannot be loaded as a Keras model: it is damaged or cut off")
    version, _, rest = done.output.partition(b"\n")
    backend, _, config = rest.partition(b"\n")
    if backend == b"theano":
        raise ConversionError(
            f"{path} was trained with Theano, whose convolutions turn their kernels round. Load it in Keras "
            "2 with TensorFlow, which turns them back, and save it there"
        )
    if not config:
        raise ConversionError(
            f"{path} holds weights and no model. Load them into the model, and save that with model.save()"
        )
    return version.decode("utf-8", "replace") or None, config
