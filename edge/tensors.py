"""The model's input and output as the interpreter describes them, and the arithmetic at both ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ModelFileError
from .modelfile import Normalization

_DTYPES = ("uint8", "int8", "float32")


@dataclass(frozen=True)
class TensorSpec:
    """An input or output tensor: `real = (stored - zero_point) * scale` where scale is above 0.

    `resizable` is whether the model leaves sides other than the batch open, to be set before running.
    """

    index: int
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    resizable: bool = False

    @classmethod
    def from_details(cls, details: dict[str, Any]) -> TensorSpec:
        """Read one entry of an interpreter's get_input_details() or get_output_details()."""
        scale, zero_point = details["quantization"]
        shape = tuple(int(side) for side in details["shape"])
        resizable = any(int(side) < 0 for side in details.get("shape_signature", ())[1:])
        dtype = np.dtype(details["dtype"]).name
        return cls(int(details["index"]), shape, dtype, float(scale), int(zero_point), resizable)


def to_tensor(
    pixels: NDArray[np.uint8], spec: TensorSpec, normalization: Normalization | None
) -> NDArray[Any]:
    """Turn uint8 pixels [height, width, 3] into the input's values, in its dtype, with a batch of 1.

    Without `normalization` the pixels go in as they are: float inputs get 0..255, and of integer
    inputs the whole range stands for 0..255 (int8 is shifted by 128). With it, the normalised values
    are quantized as the tensor says.
    """
    if normalization is None:
        if spec.dtype == "int8":
            return (pixels.astype(np.int16) - 128).astype(np.int8)[None]
        return pixels.astype(spec.dtype)[None]
    mean, std = (np.asarray(v, np.float32) for v in (normalization.mean, normalization.std))
    real = (pixels.astype(np.float32) - mean) / std
    if spec.dtype == "float32":
        return real[None]
    limits = np.iinfo(spec.dtype)
    stored = np.round(real / (spec.scale or 1.0)) + spec.zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), spec.dtype)[None]


def to_probabilities(
    stored: NDArray[Any], scale: float, zero_point: int, gives_probabilities: bool
) -> NDArray[np.float32]:
    """Dequantize outputs [classes], and apply softmax where the graph ends in logits."""
    real = stored.astype(np.float32)
    if scale > 0:
        real = (real - zero_point) * np.float32(scale)
    if gives_probabilities:
        return real
    exponentials = np.exp(real - real.max())
    return np.asarray(exponentials / exponentials.sum(), np.float32)


def check_shapes(path: Path, given: TensorSpec, result: TensorSpec) -> None:
    """Raise ModelFileError unless one RGB picture goes in and one vector of classes comes out."""
    if len(given.shape) != 4 or given.shape[0] != 1 or given.shape[3] != 3 or min(given.shape) < 1:
        raise ModelFileError(
            f"{path} is not an image classifier: its input is {list(given.shape)}, and this program "
            "feeds [1, height, width, 3]"
        )
    if given.resizable:
        raise ModelFileError(
            f"{path} has no fixed input size, and nothing says which it was trained for. Convert it again "
            "with a fixed height and width"
        )
    if len(result.shape) < 1 or result.shape[-1] < 2 or np.prod(result.shape) != result.shape[-1]:
        raise ModelFileError(
            f"{path} is not an image classifier: its output is {list(result.shape)}, and a classifier's "
            "is [1, classes]"
        )
    for name, tensor in (("input", given), ("output", result)):
        if tensor.dtype not in _DTYPES:
            raise ModelFileError(f"{path}: its {name} is {tensor.dtype}; supported are {', '.join(_DTYPES)}")
