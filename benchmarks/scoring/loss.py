"""How much top-1 accuracy a file lost to the model that it was made from."""

from __future__ import annotations

from dataclasses import dataclass

_DECIMALS = 9  # In floating point 0.91 - 0.9 is 0.010000000000000009: that is one point, and not more.


@dataclass(frozen=True, order=True)
class Loss:
    """Top-1 accuracy lost, as a fraction; negative where the file gained.

    Loss(0.91 - 0.9).exceeds(0.01) is False, and str(Loss(0.0123)) is "1.23 points".
    """

    fraction: float

    @property
    def points(self) -> float:
        """The loss in points: hundredths of the images."""
        return self.fraction * 100

    def exceeds(self, limit: float) -> bool:
        """Return whether more than `limit`, a fraction, was lost; errors of rounding do not count."""
        return round(self.fraction, _DECIMALS) > limit

    def __str__(self) -> str:
        """Return the loss in words."""
        return f"{self.points:.2f} points"
