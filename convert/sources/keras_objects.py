"""Refuses what a Keras configuration holds besides data: code, classes of others, names of other files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from ...edge.errors import ConversionError
from .keras_dialects import OWN_FUNCTIONS

# Layers that hold a function or load a model of another kind: programs, both of them.
_PROGRAMS = ("TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
_INSTEAD = "Replace it by built-in layers, or export a SavedModel and convert that with --trust"


def check_objects(path: Path, config: dict[str, Any]) -> None:
    """Raise ConversionError, which names the object, where a configuration holds one of these."""
    for item in _objects(config):
        _check_object(path, item)


def is_own(path: Path, config: dict[str, Any]) -> bool:
    """Return whether everything in a configuration is Keras's own."""
    try:
        check_objects(path, config)
    except ConversionError:
        return False
    return True


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every serialized object, at any depth, and Python's code where it has no class's name."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item.get("class_name"), str) or _is_code(item):
                yield item
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))


def _is_code(item: dict[str, Any]) -> bool:
    """Return whether this is a lambda as Keras writes it: its code, its defaults and what it encloses.

    The input "value" of attention is a list of the same length: a layer's name and two numbers.
    """
    value = item.get("value")
    if set(item) != {"value"} or not isinstance(value, list) or len(value) != 3:
        return False
    return isinstance(value[0], str) and not all(isinstance(part, int) for part in value[1:])


def _check_object(path: Path, item: dict[str, Any]) -> None:
    kind, module = item.get("class_name", "__lambda__"), item.get("module")
    config = item.get("config")
    name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
    called = f" {name!r}" if isinstance(name, str) else ""
    if kind == "__lambda__":
        raise ConversionError(
            f"{path} holds a Python lambda, as an activation or another function, which is code by whoever "
            "made the file, and is not run. Replace it by a built-in function, or export a SavedModel and "
            "convert that with --trust"
        )
    if kind == "Lambda":
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
    known = (
        keras.activations,
        keras.initializers,
        keras.regularizers,
        keras.constraints,
        keras.losses,
        keras.metrics,
    )
    if name not in OWN_FUNCTIONS and not any(callable(getattr(module, name, None)) for module in known):
        raise ConversionError(
            f"{path} uses a custom function, {name!r}, whose code is not in the file. Replace it by a "
            "built-in one, or export a SavedModel and convert that with --trust"
        )
