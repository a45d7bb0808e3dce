"""What edge-benchmark is asked: what to measure, on which machines, and how to show and judge the results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..edge.foreign import NO_FACTS, ForeignFacts
from ..edge.runtime import Execution
from .budget import Budget
from .devices.target import AdbTarget, SshTarget
from .measuring.plan import PROCESSES
from .scoring.labelled import LabelledData


@dataclass(frozen=True)
class Request:
    """What to measure: every file with every execution; ratios are to `base`, else to the first.

    `labels`, a file, and `facts`, which have none yet, are for models without a card. `split` is a run whose
    split tells which of the images of `data` the models were trained on.
    """

    files: tuple[Path, ...]
    executions: tuple[Execution, ...] = (Execution(),)
    runs: int | None = None
    processes: int = PROCESSES
    base: Path | None = None
    soak_minutes: float | None = None
    data: LabelledData | None = None
    split: Path | None = None
    labels: Path | None = None
    facts: ForeignFacts = NO_FACTS
    stages: bool = False
    camera: str | None = None
    tls_fingerprint: str | None = None
    by_operation: bool = False


@dataclass(frozen=True)
class RemoteOptions:
    """Which other machines measure, and what they get.

    `sample` is how many of the labelled images are copied there, `wheels` are files and folders of packages
    to install from. With `keep` the environment stays there. `benchmark_model` is TensorFlow Lite's tool for
    Android. `arguments` are the options that the edge-benchmark of the other machine gets.
    """

    targets: tuple[SshTarget | AdbTarget, ...]
    sample: int
    wheels: tuple[Path, ...]
    keep: bool
    benchmark_model: Path | None
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class ResultOptions:
    """How results are shown, kept and judged; `max_regression` is a fraction.

    With `force` files are replaced, and a `baseline` of another machine is compared with. With `details` all
    tables are printed.
    """

    as_json: bool
    markdown: bool
    details: bool
    output: Path | None
    report: Path | None
    force: bool
    baseline: Path | None
    max_regression: float
    budget: Budget | None
