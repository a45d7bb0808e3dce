"""Configurations of models that Keras 1 and 2 wrote, as Keras 3 writes them. Imported after TensorFlow.

A translation changes data into data and makes nothing: what comes of it is checked as any other
configuration is (keras_model.py), and only then are layers made of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from ...edge.errors import ConversionError
from .keras1_names import keras2_layer
from .keras_operations import OPERATION_LAYERS, OperationCall, node_call, operation_call

_MODELS = ("Functional", "Model", "Sequential")
# Keras 2 names of layers that do the same in use, and the same layer's name in Keras 3. In training,
# RandomHeight and RandomWidth change the size of pictures; in use they do nothing.
_RENAMED = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "RandomHeight": "Identity",
    "RandomWidth": "Identity",
}
_IDENTITIES = ("RandomHeight", "RandomWidth")
# They give weights their first values, or act in training: the file has the weights.
_TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
_SHAPES = ("batch_input_shape", "input_shape", "input_dim", "input_length")
# Options that Keras 3 lacks, with the values that ask for what it does anyway; None is for any value.
_WITHOUT_EFFECT: dict[str, tuple[Any, ...] | None] = {
    "adjustment": (None,),
    "dynamic": (False,),
    "fused": None,
    "groups": (1,),
    "implementation": None,
    "key_shape": None,
    "query_shape": None,
    "ragged": (False,),
    "renorm": (False, None),
    "renorm_clipping": None,
    "renorm_momentum": None,
    "rng_type": None,
    "softmax_robust_masking": None,
    "sparse": (False,),
    "synchronized": None,
    "time_major": (False,),
    "type_spec": None,
    "value_shape": None,
    "virtual_batch_size": (None,),
}
_INPUT_KEYS = ("batch_shape", "dtype", "name")
_HARD_SIGMOID = "keras2_hard_sigmoid"
_CONSTANT = "_CONSTANT_VALUE"  # In place of a layer's name: the third value is a number.


def _keras2_hard_sigmoid(x: Any) -> Any:
    """Return 0.2 x + 0.5, bounded by 0 and 1: Keras 3's own hard sigmoid has the slope 1/6."""
    return keras.ops.clip(0.2 * x + 0.5, 0.0, 1.0)


# Functions of this file that a translated configuration may name; made of nothing that a file holds.
OWN_FUNCTIONS = {_HARD_SIGMOID: _keras2_hard_sigmoid}


def is_older(version: str | None) -> bool:
    """Return whether a file's `keras_version` is of Keras 1 or 2, such as "2.2.4-tf"."""
    return version is not None and version.split(".")[0] in ("0", "1", "2")


def without_training(config: Any) -> Any:
    """Return a configuration of Keras 1 or 2 without what only training uses, and no translation holds.

    These are losses, metrics, optimizers, schedules; initializers, regularizers and constraints.
    """
    if isinstance(config, list):
        return [without_training(item) for item in config]
    if isinstance(config, dict):
        return {
            key: without_training(value)
            for key, value in config.items()
            if key != "compile_config" and not str(key).endswith(_TRAINING_ONLY)
        }
    return config


def keras_modules(config: Any) -> Any:
    """Return a configuration in which tf_keras, under which name Keras 2 lives on, is called keras."""
    if isinstance(config, list):
        return [keras_modules(item) for item in config]
    if not isinstance(config, dict):
        return config
    renamed = {key: keras_modules(value) for key, value in config.items()}
    module = renamed.get("module")
    if isinstance(module, str) and module.split(".")[0] == "tf_keras":
        renamed["module"] = module.removeprefix("tf_")
    return renamed


def translate(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a model of Keras 1 or 2 as Keras 3 writes it.

    Raises ConversionError, without the file's name, for what has no translation.
    """
    if config.get("class_name") not in _MODELS:
        raise ConversionError(f"its model is of class {config.get('class_name')}, which Keras does not have")
    return _model(config)


def _model(item: Mapping[str, Any]) -> dict[str, Any]:
    config = item.get("config")
    if item["class_name"] == "Sequential":
        return _sequential(item, config if isinstance(config, dict) else {"layers": config})
    if not isinstance(config, dict):
        raise ConversionError("its configuration describes no layers")
    return _Graph(config).translated(_name(item))


def _name(item: Mapping[str, Any]) -> str | None:
    config = item.get("config")
    name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return _legal(str(name)) if name else None


def _legal(name: str) -> str:
    return name.replace("/", "_")


def _sequential(item: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    layers = [keras2_layer(layer) for layer in _dictionaries(config.get("layers"))]
    shape = config.get("build_input_shape") or _input_shape({"config": config})
    taken: set[str] = set()
    translated = [_layer(layer, _unique(_name(layer), taken)) for layer in layers]
    if layers and layers[0]["class_name"] != "InputLayer" and shape is not None:
        first = {"class_name": "InputLayer", "config": {"batch_input_shape": shape}}
        translated.insert(0, _layer(first, None))
    name = _name(item) or "sequential"
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": name, "trainable": config.get("trainable", True), "layers": translated},
        "registered_name": None,
    }


def _dictionaries(layers: Any) -> list[dict[str, Any]]:
    if not isinstance(layers, list) or not all(
        isinstance(layer, dict)
        and isinstance(layer.get("class_name"), str)
        and isinstance(layer.get("config"), dict | list)
        for layer in layers
    ):
        raise ConversionError("its configuration describes no layers")
    return layers


def _input_shape(item: Mapping[str, Any]) -> Any:
    """Return the shape that a layer, or a model's first layer, says it takes; None where it is unsaid."""
    config = item["config"]
    if isinstance(config, dict) and "layers" not in config:
        return config.get("batch_input_shape")
    layers = _dictionaries(config if isinstance(config, list) else config["layers"])
    return _input_shape(layers[0]) if layers else None


def _unique(name: str | None, taken: set[str]) -> str | None:
    while name in taken:
        name = f"{name}_"
    if name is not None:
        taken.add(name)
    return name


def _layer(item: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """Return a layer's translation, without the calls of it; raises ConversionError for no layer of Keras."""
    kind, given = item["class_name"], item["config"]
    if kind in _MODELS:
        inner = _model(item)
        inner["config"]["name"] = name or inner["config"]["name"]
        return inner
    config = {key: value for key, value in given.items() if key not in _SHAPES}
    if kind == "InputLayer":
        shape = {"batch_shape": given.get("batch_input_shape", given.get("batch_shape"))}
        config = {key: value for key, value in (config | shape).items() if key in _INPUT_KEYS}
    if kind in _IDENTITIES:
        config = {"name": given.get("name")}
    kind = _RENAMED.get(kind, kind)
    made = getattr(keras.layers, kind, None)
    if not (inspect.isclass(made) and issubclass(made, keras.layers.Layer)):
        raise ConversionError(f"its layer {name!r} is of class {kind}, which Keras 3 does not have")
    if name is not None:
        config["name"] = name
    accepted = _accepted(made)
    options = dict(_options(kind, config, accepted))
    return {"module": "keras.layers", "class_name": kind, "config": options, "registered_name": None}


def _accepted(made: type) -> set[str]:
    """Return the names of the options that a layer's class and its bases take."""
    return {
        name
        for base in made.__mro__
        if issubclass(base, keras.Operation)
        for name in inspect.signature(base.__init__).parameters  # type: ignore[misc]
    }


def _options(kind: str, config: Mapping[str, Any], accepted: set[str]) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if key.endswith(_TRAINING_ONLY):
            continue
        if kind == "LeakyReLU" and key == "alpha":
            yield "negative_slope", value
        elif key in accepted:
            yield key, _value(key, value)
        elif key not in _WITHOUT_EFFECT or _asks(_WITHOUT_EFFECT[key], value):
            raise ConversionError(
                f"its layer {config.get('name')!r} of class {kind} has {key} = {str(value)[:60]}, which "
                "Keras 3 cannot do"
            )


def _asks(nothing: tuple[Any, ...] | None, value: Any) -> bool:
    return nothing is not None and value not in nothing


def _value(key: str, value: Any) -> Any:
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if key.endswith("activation") and _function_name(value) == "hard_sigmoid":
        return {
            "class_name": "function",
            "config": _HARD_SIGMOID,
            "module": "builtins",
            "registered_name": _HARD_SIGMOID,
        }
    if not isinstance(value, dict):
        return value
    if key == "dtype":  # A policy, of one of three classes.
        return value["config"]["name"] if isinstance(value.get("config"), dict) else value
    if key == "layer" or hasattr(keras.layers, str(value.get("class_name"))):
        return _layer(keras2_layer(value), _name(value))
    return value


def _function_name(value: Any) -> Any:
    return value.get("config") if isinstance(value, dict) and value.get("class_name") == "function" else value


class _Graph:
    """The layers of a Functional model, and the calls of them."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._layers = [keras2_layer(layer) for layer in _dictionaries(config.get("layers"))]
        taken: set[str] = set()
        names = [str(layer.get("name") or layer["config"].get("name")) for layer in self._layers]
        legal = {name for name in names if "/" not in name}
        self._names = {name: name for name in legal}
        taken |= legal
        for name in names:
            if name not in self._names:
                self._names[name] = _unique(_legal(name), taken) or name
        self._kinds = dict(zip(names, (layer["class_name"] for layer in self._layers), strict=True))
        self._calls = {
            name: layer.get("inbound_nodes") or [] for name, layer in zip(names, self._layers, strict=True)
        }
        self._first_call = {name: self._first(name) for name in names if self._kinds[name] in _MODELS}

    def translated(self, name: str | None) -> dict[str, Any]:
        layers = [self._with_calls(old, layer) for old, layer in zip(self._calls, self._layers, strict=True)]
        ends = {
            key: self._ends(self._config.get(key), inputs=key == "input_layers")
            for key in ("input_layers", "output_layers")
        }
        config = {"name": name or "model", "trainable": self._config.get("trainable", True)}
        return {
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "config": {**config, "layers": layers, **ends},
            "registered_name": "Functional",
        }

    def _first(self, name: str) -> int:
        """Return the number of the first call of a model inside this one.

        Where the inside of a model counts as its first call, the calls by others begin at 1. All calls in a
        configuration are used by something, so the highest number that is used tells it.
        """
        used = [index for other, index in self._references() if other == name]
        return max(used, default=0) + 1 - max(len(self._calls[name]), 1)

    def _references(self) -> Iterator[tuple[str, int]]:
        waiting: list[Any] = [self._calls, self._config.get("output_layers")]
        while waiting:
            item = waiting.pop()
            if isinstance(item, dict):
                waiting.extend(item.values())
            elif isinstance(item, list):
                if self._is_tensor(item):
                    yield item[0], item[1]
                waiting.extend(item)

    def _is_tensor(self, item: Any) -> bool:
        return (
            isinstance(item, list)
            and len(item) in (3, 4)
            and isinstance(item[0], str)
            and item[0] in self._kinds
            and isinstance(item[1], int)
            and isinstance(item[2], int)
        )

    def _index(self, name: str, index: int) -> int:
        return index - self._first_call.get(name, 0)

    def _tensor(self, item: Any) -> Any:
        """Return a reference [layer, call, output, ...] as Keras 3 writes it."""
        if item[0] == _CONSTANT:
            return item[2]
        if not self._is_tensor(item):
            raise ConversionError(f"its graph refers to a layer {str(item[0])[:60]!r} that is not in it")
        history = [self._names[item[0]], self._index(item[0], item[1]), item[2]]
        # Shape and dtype are not read: the tensor is the one that the named layer gives.
        tensor = {"shape": [None], "dtype": "float32", "keras_history": history}
        return {"class_name": "__keras_tensor__", "config": tensor}

    def _ends(self, ends: Any, inputs: bool) -> Any:
        if isinstance(ends, dict):
            return {key: self._ends(value, inputs) for key, value in ends.items()}
        if self._is_tensor(ends):
            # Keras 3 counts the calls of a Functional model from 1 here, and from 0 everywhere else.
            counted = 1 if self._kinds[ends[0]] in ("Functional", "Model") and not inputs else 0
            return [self._names[ends[0]], self._index(ends[0], ends[1]) + counted, ends[2]]
        if not isinstance(ends, list) or not ends:
            raise ConversionError("its graph has no inputs or outputs")
        return self._ends(ends[0], inputs) if len(ends) == 1 else [self._ends(end, inputs) for end in ends]

    def _with_calls(self, old: str, layer: Mapping[str, Any]) -> dict[str, Any]:
        name, calls = self._names[old], self._calls[old]
        if layer["class_name"] in OPERATION_LAYERS:
            made, nodes = self._operation(layer, name, calls)
        else:
            made, nodes = _layer(layer, name), [self._node(call) for call in calls]
        return {**made, "name": name, "inbound_nodes": nodes}

    def _node(self, call: Any) -> dict[str, Any]:
        """Return a call of a layer: its tensors are one argument, alone or in a list."""
        tensors, others = self._arguments(call)
        argument = tensors[0] if len(tensors) == 1 else tensors
        return {"args": [argument], "kwargs": others}

    def _arguments(self, call: Any) -> tuple[list[Any], dict[str, Any]]:
        if not isinstance(call, list) or not call:
            raise ConversionError("its graph calls a layer in a way that has no translation")
        items = [call] if isinstance(call[0], str) else call
        if not all(isinstance(item, list) and len(item) in (3, 4) for item in items):
            raise ConversionError("its graph calls a layer in a way that has no translation")
        others = items[0][3] if len(items[0]) == 4 else {}
        named = {key: self._argument(value) for key, value in others.items() if value is not None}
        return [self._tensor(item) for item in items], named

    def _argument(self, value: Any) -> Any:
        if self._is_tensor(value):
            return self._tensor(value)
        if isinstance(value, list):
            return [self._argument(item) for item in value]
        return value

    def _operation(
        self, layer: Mapping[str, Any], name: str, calls: list[Any]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        made = [self._operation_call(layer, call) for call in calls]
        if not made or any(call[:3] != made[0][:3] for call in made):
            raise ConversionError(f"its operation {name!r} is called in a way that has no translation")
        options = made[0].options
        item = {"module": made[0].module, "class_name": made[0].name, "registered_name": made[0].name}
        nodes: list[dict[str, Any]] = [{"args": call.arguments, "kwargs": {}} for call in made]
        return {**item, "config": {**options, "name": name}}, nodes

    def _operation_call(self, layer: Mapping[str, Any], call: Any) -> OperationCall:
        tensors, others = self._arguments(call)
        if layer["class_name"] == "TensorFlowOpLayer":
            return node_call(layer["config"], tensors)
        first = tensors[0] if isinstance(call[0], str) else tensors
        return operation_call(layer["config"], first, others)
