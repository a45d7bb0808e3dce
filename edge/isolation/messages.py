"""The messages that parent and child send each other through pipes.

A message is one byte for its kind, eight for the length, and that many bytes: JSON for READY (to the child:
the model or picture and its limits; back: its tensors or size) and ERROR; for MODEL a model file that the
child is not to read itself; for RESULT the values of the only input or of one output, a picture's file, or
its pixels. All outputs are sent, in turn. Nothing that the child sends is executed or trusted: lengths are
checked before anything is read.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

import numpy as np

from ..json_files import JsonError, parse_json, structured

READY, MODEL, RESULT, ERROR = b"J", b"M", b"T", b"E"
MAX_JSON_BYTES = 1024 * 1024
MAX_TENSOR_BYTES = 256 * 1024 * 1024  # A float input of 4,600 x 4,600 pixels.
MAX_FILE_BYTES = 512 * 1024 * 1024  # Of a picture.
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
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ChildFailure:
    """An error in the child: the name of a class in errors.py, and the text."""

    name: str
    text: str


@dataclass(frozen=True)
class SandboxAnswer:
    """What a child that decodes could not give up."""

    missing: list[str]


@dataclass(frozen=True)
class SizeAnswer:
    """Width and height of the picture whose pixels follow."""

    size: list[int]


@dataclass(frozen=True)
class AnimationAnswer:
    """Whether a file holds several pictures."""

    several: bool


@dataclass(frozen=True)
class FrameAnswer:
    """A frame of an animation or a film; its pixels follow where there is a size."""

    end: bool
    size: list[int] | None = None
    error: str | None = None
    index: int | None = None
    seconds: float | None = None


Answer = TypeVar("Answer", SandboxAnswer, SizeAnswer, AnimationAnswer, FrameAnswer)


def parse_answer(kind: type[Answer], raw: bytes) -> Answer:
    """Read a READY message from a child that decodes; raises BrokenMessageError."""
    answer: Answer = _parse(kind, raw)
    if not math.isfinite(getattr(answer, "seconds", None) or 0):
        raise BrokenMessageError("a time that is no number")
    return answer


def parse_ready(raw: bytes) -> Ready:
    """Read a READY message from the child; raises BrokenMessageError."""
    ready: Ready = _parse(Ready, raw)
    return Ready(ready.inputs, ready.outputs, shortened(ready.remarks), shortened(ready.missing))


def parse_failure(raw: bytes) -> ChildFailure:
    """Read an ERROR message; raises BrokenMessageError."""
    failure: ChildFailure = _parse(ChildFailure, raw)
    return ChildFailure(failure.name, shown(failure.text))


def shortened(texts: list[str]) -> list[str]:
    """Return the first ten texts as `shown` returns them."""
    return [shown(text) for text in texts[:10]]


def shown(text: str) -> str:
    """Return a child's text, of bounded length, with the bytes of a file's name but no other half letters."""
    text = text[:MAX_TEXT]
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _parse(kind: type, raw: bytes) -> Any:
    try:
        return structured(kind, parse_json(raw, finite=False, any_text=True))
    except JsonError as error:
        raise BrokenMessageError(str(error)) from None


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
