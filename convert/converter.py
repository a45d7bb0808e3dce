"""Keras model in, TFLite flatbuffer out. Imported only after TensorFlow was loaded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..edge.card import ModelCard
from ..edge.errors import CardError, ConversionError
from ..edge.quiet import silenced
from .calibration import CalibrationSet
from .recipes import Recipe


def load_model(path: Path, card: ModelCard) -> Any:
    """Load a .keras file and check it against its card.

    Raises ConversionError when Keras refuses it, CardError when input or labels contradict the card.
    """
    if not zipfile.is_zipfile(path):
        raise ConversionError(f"{path} cannot be loaded as a Keras model: it is damaged or cut off")
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras and the zip reader raise what their parts raise.
        reason = " ".join(str(error).split())[:300]
        raise ConversionError(f"{path} cannot be loaded as a Keras model: {reason}") from error
    expected = (None, card.input.height, card.input.width, 3)
    if tuple(model.input_shape) != expected:
        raise CardError(
            f"{path}: the card promises input {expected}, and the model takes {model.input_shape}"
        )
    if model.output_shape[-1] != len(card.labels):
        raise CardError(
            f"{path}: the card has {len(card.labels)} labels, and the model {model.output_shape[-1]} outputs"
        )
    return model


def trace(model: Any, card: ModelCard, temperature: float) -> Any:
    """Return the model as a concrete function of one image, float32 [1, height, width, 3] of 0..255.

    The function gives probabilities at `temperature`; `model` itself stays as it is. Raises
    ConversionError as `with_temperature`.
    """
    model = with_temperature(model, temperature)
    shape = (1, card.input.height, card.input.width, 3)
    with silenced():
        call = tf.function(lambda image: model(image, training=False))
        return call.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="image"))


def takes_temperature(model: Any) -> bool:
    """Return whether the last layer is a Dense layer with softmax, whose weights can be divided."""
    last = model.layers[-1]
    return isinstance(last, keras.layers.Dense) and last.activation is keras.activations.softmax


def with_temperature(model: Any, temperature: float) -> Any:
    """Return a model that shares all layers but the last, whose weights are divided by `temperature`.

    That divides the logits, which can't be done afterwards to 8-bit probabilities. For 1 the model
    itself is returned. Raises ConversionError when the last layer is no Dense layer with softmax.
    """
    if temperature == 1:
        return model
    last = model.layers[-1]
    if not takes_temperature(model):
        raise ConversionError(
            f"A temperature of {temperature} cannot be built in: the last layer, {last.name!r}, is no Dense "
            "layer with softmax"
        )
    scaled = keras.layers.Dense.from_config(last.get_config())
    divided = keras.Model(model.inputs, scaled(last.input), name=model.name)
    scaled.set_weights([weight / temperature for weight in last.get_weights()])
    return divided


def to_tflite(function: Any, recipe: Recipe, calibration: CalibrationSet | None) -> bytes:
    """Convert a traced model by `recipe`; raises ConversionError when TensorFlow cannot."""
    try:
        with silenced(show_on_error=True):
            return bytes(_configure(function, recipe, calibration).convert())
    except Exception as error:  # The converter raises its own errors, and bare ones of several kinds.
        reason = " ".join(str(error).split())[:300]
        raise ConversionError(f"TensorFlow cannot make the {recipe.name} variant: {reason}") from error


def _configure(function: Any, recipe: Recipe, calibration: CalibrationSet | None) -> Any:
    # Without the model as second argument: with it, the converter makes a file without weights.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe.calibrated:
        if calibration is None:
            raise ValueError(f"{recipe.name} needs calibration images")
        converter.representative_dataset = lambda: _samples(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter


def _samples(calibration: CalibrationSet) -> Iterator[list[Any]]:
    for pixels in calibration.read():
        yield [pixels[None].astype(np.float32)]
