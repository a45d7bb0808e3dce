"""The messages that parent and child send each other through pipes.

A message is one byte for its kind, eight for the length, and that many bytes: JSON for READY (to the child:
the model and its limits; back: its tensors) and ERROR, the file for MODEL, where the child is not to read it
itself, the values of the only input or of one output for RESULT. All outputs are sent, in turn. Nothing that
the child sends is executed or trusted: lengths are checked before anything is read.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import IO, Any

import dacite
import numpy as np

READY, MODEL, RESULT, ERROR = b"J", b"M", b"T", b"E"
MAX_JSON_BYTES = 1024 * 1024
MAX_TENSOR_BYTES = 256 * 1024 * 1024  # A float input of 4,600 x 4,600 pixels.
MAX_TEXT = 2000
_MAX_SIDES, _MAX_SIDE = 8, 2**31 - 1
_HEADER = struct.Struct("<cQ")
# The types of TFLite's tensors.
_DTYPES = (
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *("float16", "float32", "float64", "complex64", "complex128", "bool", "bytes", "str"),
)


class BrokenMessageError(Exception):
    """A message breaks the format, as no honest sender's does."""


@dataclass(frozen=True)
class TensorDetails:
    """An input or output tensor; `signature` is the shape with -1 for the sides that the model leaves open.

    Raises BrokenMessageError on construction for values that no tensor can have.
    """

    index: int
    shape: list[int]
    signature: list[int]
    dtype: str
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        sides = [*self.shape, *self.signature]
        if self.dtype not in _DTYPES or len(sides) > 2 * _MAX_SIDES:
            raise BrokenMessageError(f"a tensor of {self.dtype[:20]} with {len(sides)} sides")
        if (
            not all(-1 <= side <= _MAX_SIDE for side in (*sides, self.index))
            or min(self.shape, default=0) < 0
        ):
            raise BrokenMessageError("a tensor of an impossible shape")

    @classmethod
    def from_details(cls, details: dict[str, Any]) -> TensorDetails:
        """Read one entry of an interpreter's get_input_details() or get_output_details()."""
        scale, zero_point = details["quantization"]
        shape = [int(side) for side in details["shape"]]
        signature = [int(side) for side in details.get("shape_signature", ())]
        dtype = np.dtype(details["dtype"]).name
        return cls(int(details["index"]), shape, signature, dtype, float(scale), int(zero_point))

    def to_details(self) -> dict[str, Any]:
        """Return such an entry again, without the tensor's name."""
        return {
            "index": self.index,
            "shape": self.shape,
            "shape_signature": self.signature,
            "dtype": np.dtype(self.dtype).type,
            "quantization": (self.scale, self.zero_point),
        }

    @property
    def size_bytes(self) -> int:
        """The size of the values in bytes; raises BrokenMessageError above MAX_TENSOR_BYTES."""
        size = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        if size > MAX_TENSOR_BYTES:
            raise BrokenMessageError(f"a tensor of {size:,} bytes, and {MAX_TENSOR_BYTES:,} are allowed")
        return size


@dataclass(frozen=True)
class Ready:
    """The child's answer after it has loaded the model."""

    inputs: list[TensorDetails]
    outputs: list[TensorDetails]
    remarks: list[str]


@dataclass(frozen=True)
class ChildFailure:
    """An error in the child: the name of a class in errors.py, and the text."""

    name: str
    text: str


def parse_ready(raw: bytes) -> Ready:
    """Read a READY message from the child; raises BrokenMessageError."""
    ready: Ready = _parse(Ready, raw)
    return Ready(ready.inputs, ready.outputs, [remark[:MAX_TEXT] for remark in ready.remarks[:10]])


def parse_failure(raw: bytes) -> ChildFailure:
    """Read an ERROR message; raises BrokenMessageError."""
    failure: ChildFailure = _parse(ChildFailure, raw)
    return ChildFailure(failure.name, failure.text[:MAX_TEXT])


def _parse(kind: type, raw: bytes) -> Any:
    try:
        return dacite.from_dict(kind, json.loads(raw))
    except (ValueError, TypeError, AttributeError, RecursionError, dacite.DaciteError) as error:
        raise BrokenMessageError(f"{type(error).__name__} in a message") from None


def write_message(stream: IO[bytes] | None, kind: bytes, payload: bytes) -> None:
    """Send a message; raises OSError or EOFError when the other process has ended."""
    if stream is None:
        raise EOFError
    stream.write(_HEADER.pack(kind, len(payload)))
    stream.write(payload)
    stream.flush()


def read_message(stream: IO[bytes] | None, limit: int) -> tuple[bytes, bytes]:
    """Wait for a message of at most `limit` bytes, and return its kind and its bytes.

    Raises EOFError when the other process has ended, and BrokenMessageError for a longer message.
    """
    kind, length = _HEADER.unpack(_read(stream, _HEADER.size))
    if length > limit:
        raise BrokenMessageError(f"a message of {length:,} bytes, and {limit:,} are allowed")
    return kind, _read(stream, length)


def _read(stream: IO[bytes] | None, size: int) -> bytes:
    raw = stream.read(size) if stream is not None else b""
    if len(raw) < size:
        raise EOFError
    return raw
