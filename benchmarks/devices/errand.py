"""What is to be done on other machines, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..split import LabelledImage
from .target import Target


@dataclass(frozen=True)
class Errand:
    """What to measure there.

    `arguments` are options for the far edge-benchmark, such as ("--threads", "1,2"); --json, --data, --labels
    and the files are added. `images` are copied into class folders, and the results call them `data`.
    `wheels` are what to install from in place of the package index. With `keep` the environment stays there
    for the next time. `patience` is for how many seconds a lost connection is opened anew.
    `benchmark_model` is TensorFlow Lite's tool, for Android.
    """

    files: tuple[Path, ...]
    arguments: tuple[str, ...] = ()
    images: tuple[LabelledImage, ...] = ()
    data: str = "sample"
    labels: Path | None = None
    wheels: tuple[Path, ...] = ()
    keep: bool = False
    patience: float = 300.0
    threads: tuple[int, ...] = (1,)
    runs: int | None = None
    benchmark_model: Path | None = None


@dataclass(frozen=True)
class DeviceOutcome:
    """What one machine gave: its `records`, as edge-benchmark --json prints them, with file names of here.

    `status` is the far process's exit status, None where there was none. `error` is a sentence that names the
    device, None where it went well; `left` says what could not be removed there.
    """

    target: Target
    records: tuple[dict[str, Any], ...]
    status: int | None = None
    error: str | None = None
    interrupted: bool = False
    left: str | None = None
