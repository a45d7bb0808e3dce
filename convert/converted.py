"""What is known of a file that was made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..edge.card import Accuracy, OutputSpec


@dataclass(frozen=True)
class Latency:
    """Milliseconds of single inferences with one thread, and MB of memory, on this machine."""

    median_ms: float
    p99_ms: float
    peak_rss_mb: float | None


@dataclass(frozen=True)
class Converted:
    """One file that was made; rates are fractions of 1.

    `accuracy` and `float32_agreement`, the share of images answered as by the float32 variant, are None
    where there were no labelled images; `estimated_loss` is then what other images let expect.
    `reference_top1` is the model's that it was made from.
    """

    file: str
    model: str
    variant: str
    size_bytes: int
    convert_seconds: float
    output: OutputSpec
    accuracy: Accuracy | None
    reference_top1: float | None
    float32_agreement: float | None
    float32_difference: float | None
    estimated_loss: float | None
    latency: Latency | None

    @property
    def lost(self) -> float | None:
        """The top-1 accuracy lost to the model that it was made from; negative where it gained."""
        if self.accuracy is None:
            return self.estimated_loss
        return 0.0 - (self.accuracy.keras_difference or 0.0)

    def to_json(self) -> dict[str, Any]:
        """Return one flat object, as conversion.json and --json have it."""
        accuracy = asdict(self.accuracy) if self.accuracy else dict.fromkeys(_ACCURACY)
        accuracy.pop("dataset", None)
        latency = asdict(self.latency) if self.latency else dict.fromkeys(_LATENCY)
        output = {
            name: getattr(self.output, name) for name in ("temperature", "threshold", "threshold_precision")
        }
        names = ("file", "model", "variant", "size_bytes", "convert_seconds")
        return {
            **{name: getattr(self, name) for name in names},
            **accuracy,
            "keras_top1": self.reference_top1,
            "float32_agreement": self.float32_agreement,
            "float32_difference": self.float32_difference,
            "estimated_loss": self.estimated_loss,
            **output,
            **latency,
        }


_ACCURACY = [name for name in Accuracy.__dataclass_fields__ if name != "dataset"]
_LATENCY = list(Latency.__dataclass_fields__)
