"""What is recorded of each model while it is measured, before it is summed up."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..results.result import SoakPoint
from ..surroundings.snapshot import Span
from .distribution import Values
from .messages import Block, Loading, WarmUp
from .plan import ModelRun


@dataclass(frozen=True)
class Turn:
    """A block, the round of its process run that it belongs to, and the machine before and after it."""

    round: int
    block: Block
    span: Span

    @property
    def latencies(self) -> Values:
        """The timed runs in ms, [runs]."""
        return np.array(self.block.latencies)

    @property
    def median(self) -> float:
        """The median of the block in ms."""
        return float(np.median(self.latencies))

    @property
    def all_runs(self) -> int:
        """The number of runs, with those that are not counted."""
        return len(self.block.latencies) + self.block.uncounted


@dataclass
class ProcessRun:
    """One process of a model; all that have the same `process` number took turns with each other."""

    process: int
    loading: Loading
    warm_up: WarmUp
    turns: list[Turn] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The sum of the timed runs."""
        return sum(sum(turn.block.latencies) for turn in self.turns) / 1000

    @property
    def runs(self) -> int:
        """The number of timed runs."""
        return sum(len(turn.block.latencies) for turn in self.turns)


@dataclass
class Measurement:
    """A model run and what was measured of it; `failure` is a sentence that says why it failed, if it did.

    `base` and `yardstick` are the measurements that took turns with it, where there are any. `runtime` is the
    package and its version.
    """

    model_run: ModelRun
    runtime: str = ""
    failure: str | None = None
    process_runs: list[ProcessRun] = field(default_factory=list)
    base: Measurement | None = None
    yardstick: Measurement | None = None
    soak: list[SoakPoint] = field(default_factory=list)
    soak_failure: str | None = None

    @property
    def turns(self) -> list[Turn]:
        """The turns of all processes, in the order of time."""
        return [turn for process_run in self.process_runs for turn in process_run.turns]
