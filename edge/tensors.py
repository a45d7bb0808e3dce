"""The model's input and output tensors, and the arithmetic from pixels and to real values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .channels import BGR, RGB
from .errors import ModelFileError, error_text
from .modelfile import Normalization
from .runtime import REFUSALS

_DTYPES = ("uint8", "int8", "int16", "float32")


class Layout(NamedTuple):
    """The layout of a picture in an input: 3 channels are RGB, 1 is grey."""

    height: int
    width: int
    channels: int
    channels_first: bool = False


@dataclass(frozen=True)
class TensorSpec:
    """An input or output tensor: `real = (stored - zero_point) * scale` where scale is above 0.

    `number` counts the inputs, or the outputs. `resizable` is whether the model leaves sides other than the
    batch open, to be set before running.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    resizable: bool = False
    number: int = 0

    @classmethod
    def from_details(cls, details: dict[str, Any], number: int = 0) -> TensorSpec:
        """Read entry `number` of an interpreter's get_input_details() or get_output_details()."""
        scale, zero_point = details["quantization"]
        shape = tuple(int(side) for side in details["shape"])
        resizable = any(int(side) < 0 for side in details.get("shape_signature", ())[1:])
        dtype = np.dtype(details["dtype"]).name
        return cls(int(details["index"]), shape, dtype, float(scale), int(zero_point), resizable, number)

    @property
    def layout(self) -> Layout | None:
        """The layout of a picture in this input; None where no picture fits.

        That is [1, height, width, 3 or 1], [1, 3 or 1, height, width] as PyTorch has it, or, grey,
        [1, height, width]. A shape that fits the first two is the first.
        """
        if not self.shape or self.shape[0] != 1 or min(self.shape) < 1:
            return None
        if len(self.shape) == 3:
            return Layout(self.shape[1], self.shape[2], 1)
        if len(self.shape) == 4 and self.shape[3] in (1, 3):
            return Layout(*self.shape[1:])
        if len(self.shape) == 4 and self.shape[1] in (1, 3):
            return Layout(self.shape[2], self.shape[3], self.shape[1], channels_first=True)
        return None

    @property
    def real_range(self) -> tuple[float, float] | None:
        """The smallest and the largest real value that it holds; None where it is not quantized."""
        if self.dtype == "float32" or self.scale <= 0:
            return None
        limits = np.iinfo(self.dtype)
        return (limits.min - self.zero_point) * self.scale, (limits.max - self.zero_point) * self.scale

    @property
    def classes(self) -> int:
        """The number of classes; a single output value is that of the second of two classes."""
        return max(2, math.prod(self.shape))


def to_tensor(
    pixels: NDArray[np.uint8],
    spec: TensorSpec,
    normalization: Normalization | None,
    color: str = RGB,
) -> NDArray[Any]:
    """Turn uint8 RGB pixels [height, width, 3] into the input's values, in its dtype and shape.

    A grey input gets the luma of ITU-R 601, as Pillow computes it for its mode L. Without `normalization` the
    pixels go in as they are: float inputs get 0..255, and of 8-bit inputs the whole range stands for 0..255
    (int8 is shifted by 128). With it, the normalised values are quantized as the tensor says. For BGR the
    channels are exchanged afterwards: the normalization is that of red, green and blue in any case.
    """
    layout = spec.layout
    if layout is None:
        raise ValueError(f"no picture fits into {spec.shape}")
    if layout.channels == 1:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    values = stored_values(pixels, spec, normalization)
    if color == BGR:
        values = values[:, :, ::-1]
    if layout.channels_first:
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values).reshape(spec.shape)


def stored_values(
    pixels: NDArray[np.uint8], spec: TensorSpec, normalization: Normalization | None
) -> NDArray[Any]:
    """Return what stands in an input for pixels, uint8 [height, width, channels]; see to_tensor."""
    if normalization is None:
        if spec.dtype == "int8":
            return (pixels.astype(np.int16) - 128).astype(np.int8)
        return pixels.astype(spec.dtype)
    mean, std = (np.asarray(v, np.float32) for v in (normalization.mean, normalization.std))
    real = (pixels.astype(np.float32) - mean) / std
    if spec.dtype == "float32":
        return real
    limits = np.iinfo(spec.dtype)
    stored = np.round(real / (spec.scale or 1.0)) + spec.zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), spec.dtype)


def dequantize(stored: NDArray[Any], spec: TensorSpec) -> NDArray[np.float32]:
    """Return the real values of an output, float32, in the shape of `stored`."""
    real = stored.astype(np.float32)
    return (real - spec.zero_point) * np.float32(spec.scale) if spec.scale > 0 else real


def check_shapes(name: str, given: TensorSpec, result: TensorSpec) -> None:
    """Raise ModelFileError unless one picture goes in and one vector of classes comes out."""
    if given.layout is None:
        raise ModelFileError(
            f"{name} is not an image classifier: its input is {list(given.shape)}, and this program "
            "feeds [1, height, width, 3] or [1, 3, height, width], with 1 for 3 where pictures are grey"
        )
    if given.resizable:
        raise ModelFileError(
            f"{name} has no fixed input size, and nothing says which it was trained for. Convert it again "
            "with a fixed height and width"
        )
    if not result.shape or min(result.shape) < 1 or math.prod(result.shape) != max(result.shape):
        raise ModelFileError(
            f"{name} is not an image classifier: its output is {list(result.shape)}, and a classifier's "
            "is [1, classes]"
        )
    for side, tensor in (("input", given), ("output", result)):
        if tensor.dtype not in _DTYPES:
            remedy = f"Convert it again with float32 or 8-bit {side}"
            if side == "output" and tensor.dtype in ("int32", "int64"):
                remedy = (
                    "Such numbers say which class, and not how sure it is: convert it again without ARG_MAX "
                    "at its end"
                )
            raise ModelFileError(
                f"{name}: its {side} is {tensor.dtype}; supported are {', '.join(_DTYPES)}. {remedy}"
            )
    if result.dtype != "float32" and not result.scale > 0:
        raise ModelFileError(
            f"{name}: its output is {result.dtype} without a scale, and nothing says what the numbers mean. "
            "Convert it again"
        )


def choose_output(
    name: str, outputs: Sequence[tuple[str, Sequence[int | None]]], output_index: int | None
) -> int:
    """Return the number of the output that has the classes: the only one, or `output_index`.

    `outputs` are names and shapes. Raises ValueError, which names them, for several outputs without an index,
    and for an index beyond them.
    """
    if output_index is None and len(outputs) == 1:
        return 0
    if output_index is not None and output_index < len(outputs):
        return output_index
    listed = "; ".join(
        f"{number}: {output[:60]!r} {list(shape)}" if output else f"{number}: {list(shape)}"
        for number, (output, shape) in enumerate(outputs[:10])
    )
    given = "" if output_index is None else f", and no number {output_index}"
    count = "1 output" if len(outputs) == 1 else f"{len(outputs)} outputs"
    raise ValueError(
        f"{name} has {count}{given} ({listed}). If one of them "
        "has a value for each class, give --output-index with its number; models that find several objects "
        "in a picture cannot be run"
    )


def read_tensors(
    name: str, interpreter: Any, output_index: int | None = None
) -> tuple[TensorSpec, TensorSpec]:
    """Return the only input, and the only output or that of the given number.

    Raises ModelFileError unless it is a classifier.
    """
    try:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    except REFUSALS as error:  # A tensor's name that is not UTF-8.
        raise ModelFileError(f"{name} is damaged: its tensors cannot be read ({error_text(error)})") from None
    return choose_tensors(name, inputs, outputs, output_index)


def choose_tensors(
    name: str,
    inputs: Sequence[dict[str, Any]],
    outputs: Sequence[dict[str, Any]],
    output_index: int | None = None,
) -> tuple[TensorSpec, TensorSpec]:
    """Return the tensors that `read_tensors` does, of an interpreter's details; raises ModelFileError."""
    if len(inputs) != 1:
        raise ModelFileError(
            f"{name} is not an image classifier: it has {len(inputs)} inputs, and a classifier has one"
        )
    named = [(str(details.get("name", "")), tuple(map(int, details["shape"]))) for details in outputs]
    try:
        number = choose_output(name, named, output_index)
    except ValueError as error:
        raise ModelFileError(str(error)) from None
    given, result = TensorSpec.from_details(inputs[0]), TensorSpec.from_details(outputs[number], number)
    check_shapes(name, given, result)
    return given, result
