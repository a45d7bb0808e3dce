"""What the doctor is given, what it tried, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .sensitivity import LayerError

Images = Callable[[], Iterator[NDArray[np.uint8]]]


@dataclass(frozen=True)
class RepairRequest:
    """A model whose 8-bit form may have collapsed.

    `float_model` is its float32 .tflite and `int8` the 8-bit one, as they are. `calibration` and `validation`
    return an iterator over images, uint8 [height, width, 3]; `truth` has the validation images' classes,
    int64 [images], or is None where they are unknown. `max_drop` is the fraction of the images by which an
    8-bit file's top-1 may be lower. `io` is the type that a repaired file takes and gives.
    """

    name: str
    float_model: bytes = field(repr=False)
    int8: bytes = field(repr=False)
    calibration: Images
    validation: Images
    truth: NDArray[np.int64] | None
    max_drop: float
    io: Literal["float32", "uint8"] = "float32"


@dataclass(frozen=True)
class Attempt:
    """One repaired file, judged on the validation images.

    `kind` is "int8" for the file as it came, "calibration", "equalization" or "selective". `drop` is what it
    loses against the float model, a fraction of the images; `latency_ratio` its latency over the int8 file's,
    None where it was not measured. `kept_float` names the layers that are not in 8 bits.
    """

    kind: str
    what: str
    drop: float
    passes: bool
    flatbuffer: bytes = field(repr=False)
    kept_float: tuple[str, ...] = ()
    kept_indices: tuple[int, ...] = ()
    latency_ratio: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with the file's size in its place."""
        return {
            "kind": self.kind,
            "what": self.what,
            "drop": round(self.drop, 6),
            "passes": self.passes,
            "latency_ratio": None if self.latency_ratio is None else round(self.latency_ratio, 4),
            "size_bytes": len(self.flatbuffer),
            "kept_float": list(self.kept_float),
        }


@dataclass(frozen=True)
class RepairReport:
    """The outcome: which layers suffer, worst first, what was tried in which order, and which file to keep.

    `chosen` is None when nothing stays within `max_drop`. `images` were validated on, `labelled` or not;
    `float_top1` is the float model's accuracy on them. `worst_channels` is float [channels]: how far each
    channel of the worst layer's worse side reaches.
    """

    name: str
    max_drop: float
    images: int
    labelled: bool
    float_top1: float | None
    diagnosis: tuple[LayerError, ...]
    worst_channels: tuple[float, ...]
    attempts: tuple[Attempt, ...]
    chosen: Attempt | None

    @property
    def int8(self) -> Attempt:
        """The 8-bit file as it came."""
        return self.attempts[0]

    @property
    def harmful(self) -> tuple[LayerError, ...]:
        """The layers that change answers noticeably when quantized alone, worst first."""
        return tuple(error for error in self.diagnosis if error.harmful)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; the files' contents are left out."""
        return {
            "name": self.name,
            "max_drop": self.max_drop,
            "images": self.images,
            "labelled": self.labelled,
            "float_top1": self.float_top1,
            "diagnosis": [error.to_json() for error in self.diagnosis],
            "worst_channels": list(self.worst_channels),
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "chosen": None if self.chosen is None else self.attempts.index(self.chosen),
        }
