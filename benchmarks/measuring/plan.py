"""What is to be measured, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...edge.runtime import Execution
from ..results.result import Conditions, Energy, Latency, Memory, Ratio, Soak, Yardstick

PROCESSES = 5  # Of each model: where its memory happens to lie moves the median by some per cent.


@dataclass(frozen=True)
class Task:
    """A model file, and how it is run."""

    path: Path
    execution: Execution


@dataclass(frozen=True)
class Plan:
    """Which models take turns, and for how long.

    `runs` is how many inferences of each are timed; None: until the median is known well enough. `base` is
    the task that the others' ratios are to. With `yardstick`, the model that comes with this package takes
    part, once for each runtime and number of threads. `soak_minutes` is of each task, after all the others.
    """

    tasks: tuple[Task, ...]
    runs: int | None = None
    processes: int = PROCESSES
    base: int = 0
    yardstick: bool = True
    soak_minutes: float | None = None


@dataclass(frozen=True)
class Measured:
    """One task's figures. `runtime` is package and version; `remarks` are what its user should know."""

    task: Task
    runtime: str
    latency: Latency
    memory: Memory | None
    energy: Energy
    conditions: Conditions
    ratio: Ratio | None
    yardstick: Yardstick | None
    soak: Soak | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """A task that could not be measured; `error` is a sentence that names the file."""

    task: Task
    error: str


@dataclass(frozen=True)
class Outcome:
    """Of each task, in order; where it was `interrupted`, of those that had enough blocks to tell of."""

    outcomes: tuple[Measured | Failed, ...]
    interrupted: bool = False
