"""The request for a repair of an int8 file, the attempts, and the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...benchmarks.scoring.loss import AnyLoss
from .sensitivity import LayerError

Images = Callable[[], Iterator[NDArray[np.uint8]]]


@dataclass(frozen=True)
class RepairRequest:
    """A model whose 8-bit form may have lost too much.

    `float_model` is its float32 .tflite and `int8` its 8-bit .tflite. `calibration` and `validation` return
    an iterator over images, uint8 [height, width, 3]. `truth` holds the classes of the validation images,
    int64 [images], or is None where they are unknown. `max_drop` is the top-1 accuracy, a fraction, that an
    8-bit file may lose. `io` is the type of a repaired file's input and output.
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

    `kind` is "int8" for the file as it came, "calibration", "equalization" or "selective". `loss` is that
    against the float model. `latency_ratio` is its latency over the int8 file's,
    None where it was not measured. `kept_float` names the layers that stay in float, `kept_indices` are
    theirs. `divergence` is the mean Kullback-Leibler divergence of its probabilities from the float model's,
    in nats, and `same` the share of images with the same answer. Making and judging it took `seconds`.
    """

    kind: str
    what: str
    loss: AnyLoss
    passes: bool
    flatbuffer: bytes = field(repr=False)
    kept_float: tuple[str, ...] = ()
    kept_indices: tuple[int, ...] = ()
    latency_ratio: float | None = None
    divergence: float = 0.0
    same: float = 1.0
    seconds: float = 0.0

    @property
    def drop(self) -> float:
        """The loss as a fraction of the images."""
        return self.loss.fraction

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with the size of the file in place of its bytes."""
        return {
            "kind": self.kind,
            "what": self.what,
            "drop": round(self.drop, 6),
            "divergence": round(self.divergence, 6),
            "same": round(self.same, 6),
            "seconds": round(self.seconds, 2),
            "passes": self.passes,
            "latency_ratio": None if self.latency_ratio is None else round(self.latency_ratio, 4),
            "size_bytes": len(self.flatbuffer),
            "kept_float": list(self.kept_float),
        }


@dataclass(frozen=True)
class RepairReport:
    """The errors of the layers, worst first, the attempts in their order, and the file to keep.

    `chosen` is None when no attempt stays within `max_drop`. `images` is the number of validation images,
    `labelled` whether their classes are known, and `float_top1` the float model's accuracy on them.
    `worst_channels`, float [channels], are the ranges of the channels on the worst layer's worse side.
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
        """The attempt that is the 8-bit file as it came."""
        return self.attempts[0]

    @property
    def harmful(self) -> tuple[LayerError, ...]:
        """The layers that change answers noticeably when they alone are quantized, worst first."""
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
