"""What a worker tells of the model that it runs: one line of JSON for each request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Loading:
    """A model was loaded: `load_ms` from file to allocated tensors, `first_ms` its first inference.

    `resident_mb` is the process's memory between the two, None where the system does not tell. `remarks` are
    what the model's user should know.
    """

    load_ms: float
    first_ms: float
    resident_mb: float | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class WarmUp:
    """So many `runs` until the time was `steady`, or patience at its end; `run_ms` is what one then took."""

    runs: int
    steady: bool
    run_ms: float


@dataclass(frozen=True)
class Block:
    """Times of inferences that followed each other, in ms; `uncounted` others came right before them.

    Memory is the process's at the end, in MB: resident, and the most so far; None where not told.
    """

    latencies: tuple[float, ...]
    uncounted: int
    resident_mb: float | None
    peak_mb: float | None
