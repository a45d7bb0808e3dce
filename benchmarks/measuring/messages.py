"""The answers of a worker about the model that it runs: one line of JSON for each request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Loading:
    """A model was loaded: `load_ms` from file to allocated tensors, `first_ms` its first inference.

    `resident_mb` is the memory of the process between the two, None where unknown. `remarks` are for the user
    of the model.
    """

    load_ms: float
    first_ms: float
    resident_mb: float | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class WarmUp:
    """A model ran until its time was `steady` or a limit was reached; `run_ms` is the time of a run then."""

    runs: int
    steady: bool
    run_ms: float


@dataclass(frozen=True)
class Block:
    """Times of inferences that followed each other, in ms; `uncounted` others came right before them.

    Memory is that of the process at the end, in MB: resident, and the most so far; None where unknown.
    """

    latencies: tuple[float, ...]
    uncounted: int
    resident_mb: float | None
    peak_mb: float | None
