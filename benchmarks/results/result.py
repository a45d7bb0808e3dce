"""One line of edge-benchmark's JSON: one model, with so many threads, on one machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ..host import Host
from .sections import (
    Accuracy,
    ColdStart,
    Conditions,
    Energy,
    Interval,
    Memory,
    Operations,
    Ratio,
    Soak,
    Stages,
    Yardstick,
)

# Another major version is refused; unknown keys of a newer minor one are ignored.
FORMAT = "1.0"


@dataclass(frozen=True)
class Origin:
    """What made the result: version of this package, git commit of the working folder, and when (UTC)."""

    version: str
    commit: str | None
    started: str


@dataclass(frozen=True)
class Subject:
    """What is measured: a model file, and how it is run.

    `file` is the path as given, `sha256` of its bytes. `device` is the host as --on named it, None for this
    machine. `runtime` is package and version.
    """

    file: str
    sha256: str
    size_bytes: int
    variant: str | None
    threads: int
    runtime: str
    delegate: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Latency:
    """Times of single inferences in ms, all blocks of all processes together.

    `load_ms` from file to allocated tensors and `first_ms` of the first inference are medians over the
    `processes`. `warm_up_runs` came before the others, until the time was `steady`, or the patience at its
    end. `blocks` are the medians of blocks, by process: what varies between them is not in the percentiles.
    """

    load_ms: float
    first_ms: float
    warm_up_runs: int
    steady: bool
    median_ms: float
    median_ci95: Interval
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    runs: int
    processes: int
    blocks: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Result:
    """Everything about one subject; sections that were not asked for are None."""

    subject: Subject
    latency: Latency
    memory: Memory | None
    energy: Energy
    conditions: Conditions
    host: Host
    origin: Origin
    ratio: Ratio | None = None
    yardstick: Yardstick | None = None
    accuracy: Accuracy | None = None
    stages: tuple[Stages, ...] = ()
    cold_start: ColdStart | None = None
    operations: Operations | None = None
    soak: Soak | None = None
    remarks: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints: subject and latency flat, the rest nested."""
        rest = {name: value for name, value in asdict(self).items() if name not in ("subject", "latency")}
        accuracy, memory = self.accuracy, self.memory
        return {
            "format": FORMAT,
            **asdict(self.subject),
            **asdict(self.latency),
            "peak_rss_mb": memory.peak if memory else None,
            "top1": accuracy.top1 if accuracy else None,
            "top1_ci95": accuracy.top1_ci95 if accuracy else None,
            **rest,
        }

    def on(self, device: str) -> Result:
        """Return the result as one of another device, called so."""
        return replace(self, subject=replace(self.subject, device=device))


@dataclass(frozen=True)
class Failure:
    """A model that could not be measured, and why: no reason to lose the results of the others."""

    file: str
    threads: int
    error: str
    host: Host
    origin: Origin
    runtime: str | None = None
    delegate: str | None = None
    device: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints."""
        return {"format": FORMAT, **asdict(self)}

    def on(self, device: str) -> Failure:
        """Return it as one of another device, called so."""
        return replace(self, device=device)


@dataclass(frozen=True)
class ToolResult:
    """What another program, `tool`, measured on a device that cannot run this one: Android's benchmark_model.

    Times are ms, memory MB (10^6 bytes), None where the tool did not tell. `mean_ms` is an average over
    `runs`: it stands in for no median. `memory_growth_mb` is since the tool started.
    """

    file: str
    sha256: str
    size_bytes: int
    variant: str | None
    threads: int
    tool: str
    device: str
    host: Host
    origin: Origin
    load_ms: float
    first_ms: float
    warm_up_mean_ms: float
    mean_ms: float
    runs: int | None
    min_ms: float | None
    max_ms: float | None
    std_ms: float | None
    median_ms: float | None
    p95_ms: float | None
    memory_growth_mb: float | None
    peak_memory_mb: float | None
    remarks: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints."""
        return {"format": FORMAT, **asdict(self)}
