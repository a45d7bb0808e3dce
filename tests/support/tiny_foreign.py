"""Classifiers without a card, in the shapes and dtypes that occur in practice, made without TensorFlow.

All are the same network: the mean colour of 8x8 pixels of -1..1, times 4, is the logit of each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .tiny_model import SIDE, TinyModel

# Scale and zero point of -1..1 as input, of 0..1 and of -8..8 as output.
INPUTS = {"uint8": (1 / 127.5, 128), "int8": (1 / 127.5, 0), "int16": (1 / 32768, 0)}
PROBABILITIES = {"uint8": (1 / 256, 0), "int8": (1 / 256, -128), "int16": (1 / 32768, 0)}
LOGITS = {"uint8": (1 / 16, 128), "int8": (1 / 16, 0), "int16": (1 / 4096, 0)}
_TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int16": 7, "int8": 9}
RGB = (1, SIDE, SIDE, 3)


@dataclass(frozen=True)
class Foreign:
    """What differs between such files; `input_shape` also sets the place and number of the channels.

    `ending` is SOFTMAX, LOGISTIC or None; with `classes` 1 the model has one output for two classes.
    Without `scaled` the output's integers have no scale.
    """

    given: str = "float32"
    result: str = "float32"
    input_shape: Sequence[int] = RGB
    output_shape: Sequence[int] | None = None
    ending: str | None = "SOFTMAX"
    classes: int = 3
    signature: Sequence[int] | None = None
    scaled: bool = True
    outputs: int = 1

    def write(self, path: Path) -> Path:
        """Write the file."""
        path.write_bytes(self.build())
        return path

    def build(self) -> bytes:
        model = _Builder()
        image = model.typed("image", self.input_shape, self.given, INPUTS.get(self.given))
        model.tensors[image].shapeSignature = self.signature and list(self.signature)
        pixels = image
        if self.given != "float32":
            pixels = model.tensor("pixels", self.input_shape)
            model.operator("DEQUANTIZE", [image], [pixels], schema.DequantizeOptionsT())
        last = self._mean(model, pixels)
        weights = 4 * np.eye(self.classes, 3) if self._channels() == 3 else np.array([[-4], [0], [4]])
        if self.classes == 1:
            weights = np.array([[8, -8, 0]])  # Red against green.
        kernel = model.tensor("weights", weights.shape, weights)
        logits = model.tensor("logits", (1, self.classes))
        model.operator("FULLY_CONNECTED", [last, kernel], [logits], schema.FullyConnectedOptionsT())
        last = logits
        if self.ending:
            last = model.tensor("ended", (1, self.classes))
            options = schema.SoftmaxOptionsT(beta=1.0) if self.ending == "SOFTMAX" else None
            model.operator(self.ending, [logits], [last], options)
        last = self._stored(model, last)
        return model.pack([image], [last, logits][: self.outputs])

    def _channels(self) -> int:
        return 3 if 3 in self.input_shape else 1

    def _mean(self, model: _Builder, pixels: int) -> int:
        sides = [axis for axis, side in enumerate(self.input_shape) if side == SIDE]
        axes = model.tensor("axes", (2,), sides, "int32")
        mean = model.tensor("mean", (1, self._channels()) if len(self.input_shape) == 4 else (1,))
        model.operator("MEAN", [pixels, axes], [mean], schema.ReducerOptionsT())
        return mean if len(self.input_shape) == 4 else self._reshaped(model, mean, (1, 1))

    def _stored(self, model: _Builder, last: int) -> int:
        shape = (1, self.classes)
        if self.output_shape is not None:
            shape = tuple(self.output_shape)  # type: ignore[assignment]
            last = self._reshaped(model, last, shape)
        if self.result == "float32":
            return last
        scales = PROBABILITIES if self.ending else LOGITS
        stored = model.typed("stored", shape, self.result, scales[self.result] if self.scaled else None)
        name, options = (
            ("QUANTIZE", schema.QuantizeOptionsT()) if self.scaled else ("CAST", schema.CastOptionsT())
        )
        model.operator(name, [last], [stored], options)
        return stored

    def _reshaped(self, model: _Builder, tensor: int, shape: Sequence[int]) -> int:
        sides = model.tensor("sides", (len(shape),), shape, "int32")
        reshaped = model.tensor("reshaped", shape)
        model.operator("RESHAPE", [tensor, sides], [reshaped], schema.ReshapeOptionsT(newShape=list(shape)))
        return reshaped


class _Builder(TinyModel):
    def typed(self, name: str, shape: Sequence[int], dtype: str, quantization: Any) -> int:
        """Add a tensor of any dtype, with (scale, zero point) or None."""
        index = self.tensor(name, shape)
        self.tensors[index].type = _TYPES[dtype]
        if quantization:
            scale, zero_point = quantization
            self.tensors[index].quantization = schema.QuantizationParametersT(
                scale=[scale], zeroPoint=[zero_point]
            )
        return index
