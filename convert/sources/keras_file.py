"""Reads a .keras or .h5 file's configuration before Keras does, and refuses what is not to be loaded.

Keras's safe mode refuses most of it too. This is a second lock on the same door, which does not depend on
Keras's version, and it can name the layer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ...edge.errors import ConversionError

H5_SUFFIXES = (".h5", ".hdf5")
_CONFIG = "config.json"
_MAX_CONFIG = 64 * 1024 * 1024  # EfficientNet-B7's is 1 MB.
_HDF5_SECONDS = 60
# Layers that hold a function, or load a model of another kind: both are programs.
_PROGRAMS = ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
_INSTEAD = "Replace it by built-in layers, or export a SavedModel and convert that with --trust"
# Prints the configuration that a file has, having touched every object and attribute in it.
_READ_HDF5 = """
import sys, h5py
with h5py.File(sys.argv[1], "r") as file:
    file.visititems(lambda name, item: dict(item.attrs) and None)
    config = dict(file.attrs).get("model_config", b"")
sys.stdout.buffer.write(config.encode() if isinstance(config, str) else bytes(config))
"""


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
    """Read it in another process: a damaged file can keep the HDF5 library busy for ever, or crash it."""
    command = [sys.executable, "-c", _READ_HDF5, str(path.resolve())]
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
            f"{path} has a Lambda layer{called}, which is code of whoever made the file, and is not run. "
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
    """Return whether an object is not Keras's own; files of Keras 2 don't say."""
    if module is None:
        return bool(registered)
    if module == "builtins":
        return kind != "function"  # That is how Keras names functions of its own, such as "relu".
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
