"""Layers as Keras 1 wrote them, under the names of Keras 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...edge.errors import ConversionError

_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}
_OPTIONS = {
    "atrous_rate": "dilation_rate",
    "bias": "use_bias",
    "border_mode": "padding",
    "nb_filter": "filters",
    "output_dim": "units",
    "p": "rate",
    "subsample": "strides",
}
_DATA_FORMATS = {"tf": "channels_last", "th": "channels_first", "default": "channels_last"}
_DROPPED = (
    "W_constraint", "W_learning_rate_multiplier", "W_regularizer", "b_constraint",
    "b_learning_rate_multiplier", "b_regularizer", "beta_init", "beta_regularizer", "cache_enabled",
    "custom_input_dtype", "gamma_init", "gamma_regularizer", "init", "output_shape",
)  # fmt: skip
_MERGES = {
    "sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate",
    "dot": "Dot",
}  # fmt: skip
# An option of which any one marks a layer as Keras 1's.
_MARKS = {"nb_filter", "border_mode", "dim_ordering", "output_dim", "p", "W_regularizer", "mode", "init"}


def keras2_layer(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layer as Keras 2 wrote it; one that Keras 2 wrote is returned as it is.

    Raises ConversionError for options that later versions do not have.
    """
    config, kind = item["config"], item["class_name"]
    if not isinstance(config, dict) or "layers" in config or not (_MARKS & set(config) or kind in _CLASSES):
        return dict(item)
    if kind == "Merge":
        return {**item, **_merge(config)}
    if kind in ("RandomFlip", "Embedding") or (kind == "BatchNormalization" and "mode" not in config):
        return dict(item)
    changed = {_OPTIONS.get(key, key): value for key, value in config.items() if key not in _DROPPED}
    if "nb_row" in config:
        changed["kernel_size"] = [changed.pop("nb_row"), changed.pop("nb_col")]
    if "filter_length" in config:
        changed["kernel_size"] = changed.pop("filter_length")
    if "dim_ordering" in config:
        changed["data_format"] = _DATA_FORMATS[str(changed.pop("dim_ordering"))]
    if changed.pop("mode", 0) not in (0, None):
        raise ConversionError(f"its layer {config.get('name')!r} normalizes in a mode that only Keras 1 has")
    return {**item, "class_name": _CLASSES.get(kind, kind), "config": changed}


def _merge(config: Mapping[str, Any]) -> dict[str, Any]:
    mode = str(config.get("mode"))
    if mode not in _MERGES or config.get("mode_type", "raw") != "raw":
        raise ConversionError(f"its layer {config.get('name')!r} merges by {mode}, which has no translation")
    changed: dict[str, Any] = {"name": config.get("name")}
    if mode == "concat":
        changed["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        changed["axes"] = config.get("dot_axes", -1)
    return {"class_name": _MERGES[mode], "config": changed}
