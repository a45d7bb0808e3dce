"""What is gathered of each task before it is summed up."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..results.result import SoakPoint
from ..surroundings.snapshot import Span
from .distribution import Values
from .messages import Block, Loading, WarmUp
from .plan import Task


@dataclass(frozen=True)
class Turn:
    """A block, in which round of its sitting it was, and what the machine was like before and after."""

    round: int
    block: Block
    span: Span

    @property
    def latencies(self) -> Values:
        """Times in ms, [runs]."""
        return np.array(self.block.latencies)

    @property
    def median(self) -> float:
        """Of the block, ms."""
        return float(np.median(self.latencies))

    @property
    def all_runs(self) -> int:
        """With those that are not counted."""
        return len(self.block.latencies) + self.block.uncounted


@dataclass
class Sitting:
    """One process of a task; those of the same `process` number took turns with each other."""

    process: int
    loading: Loading
    warm_up: WarmUp
    turns: list[Turn] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """What its blocks have taken."""
        return sum(sum(turn.block.latencies) for turn in self.turns) / 1000

    @property
    def runs(self) -> int:
        """How many were timed."""
        return sum(len(turn.block.latencies) for turn in self.turns)


@dataclass
class Contender:
    """A task, what was measured of it, and the sentence that says why it failed, if it did.

    `base` and `yardstick` took turns with it, where there are any.
    """

    task: Task
    runtime: str = ""
    failure: str | None = None
    sittings: list[Sitting] = field(default_factory=list)
    base: Contender | None = None
    yardstick: Contender | None = None
    soak: list[SoakPoint] = field(default_factory=list)
    soak_failure: str | None = None

    @property
    def turns(self) -> list[Turn]:
        """All its blocks, in the order of time."""
        return [turn for sitting in self.sittings for turn in sitting.turns]
