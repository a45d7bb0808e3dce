"""Files as Keras 1 and 2 wrote them, made without these: their configuration, and weights by layers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import ArrayLike


def layer(kind: str, name: str, call: Any = None, **config: Any) -> dict[str, Any]:
    """Return a layer of a Functional model; `call` is the name of the layer before, or the call itself."""
    nodes = [] if call is None else [[[call, 0, 0, {}]]] if isinstance(call, str) else [call]
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def functional(layers: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """Return the configuration of a model from its first layer to its last one."""
    ends = {"input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "model", "layers": layers, **ends, **more}}


def picture_input(side: int, name: str = "input_1") -> dict[str, Any]:
    """Return an input layer of [side, side, 3]."""
    shape = [None, side, side, 3]
    return layer("InputLayer", name, batch_input_shape=shape, dtype="float32", sparse=False, ragged=False)


def write_h5(
    path: Path, config: Any, weights: Mapping[str, Mapping[str, ArrayLike]], version: str = "2.4.0"
) -> Path:
    """Write an .h5 file; `weights` has all layers, in the model's order, those without weights empty."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        group.attrs["keras_version"], group.attrs["backend"] = version, "tensorflow"
        for name, arrays in weights.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}/{key}".encode() for key in arrays]
            for key, array in arrays.items():
                own[f"{name}/{key}"] = array
    return path
