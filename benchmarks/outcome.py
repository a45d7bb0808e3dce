"""What one run of edge-benchmark measured, here or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .results.result import Failure, Result

Results = Sequence[Result | Failure]


@dataclass(frozen=True)
class Outcome:
    """What was measured, and the exit status.

    `others` are the records of other tools, which are shown and kept as they are.
    """

    results: Results
    status: int
    others: tuple[dict[str, Any], ...] = ()
