"""What a starting point costs on this machine: its int8 file is made with random weights, and measured.

Neither the time nor the size of a file depends on the values of its weights. So nothing must be downloaded
or trained for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..benchmarks.budget import Budget
from ..benchmarks.measuring.plan import CheckedModel, ModelRun, Plan
from ..benchmarks.measuring.turns import measure
from ..benchmarks.results.result import Result
from ..convert.calibration import load_calibration
from ..convert.recipes import INT8
from ..convert.sources.traced_model import to_tflite, trace
from ..edge.card import InputSpec, ModelCard, Preprocess
from ..edge.errors import BenchmarkError
from ..edge.labelled import LabelledImage
from ..edge.runtime import Execution
from .models import Architecture, build
from .options import TrainOptions
from .starting_points import FAMILIES, StartingPoint

_RUNS = 100  # Timed inferences.
_CALIBRATING = 2  # Images: the ranges of activations change no time.
# What sealing adds to the graph: labels, card, and two drawn pictures. The most that was seen of 16 files,
# with inputs of 96 and 224 pixels, is 60 kB; the least is 17 kB.
_SEAL_BYTES = 60_000


@dataclass(frozen=True)
class Cost:
    """What the int8 file of a starting point costs on this machine, on one thread.

    `size` is in bytes, with what sealing will add, `memory` is the peak in MB (None: not known), and times
    are ms.
    """

    point: StartingPoint
    size: int
    median: float
    p99: float
    memory: float | None
    caveats: tuple[str, ...]

    def describe(self) -> str:
        """Return its figures, such as "median 2.13 ms, p99 2.50 ms, 2.61 MB, 60 MB of memory"."""
        memory = "" if self.memory is None else f", {self.memory:.0f} MB of memory"
        return f"median {self.median:.2f} ms, p99 {self.p99:.2f} ms, {self.size / 1e6:.2f} MB{memory}"

    def is_too_slow(self, budget: Budget) -> bool:
        """Return whether a limit is broken that larger networks of the family break too."""
        return _above(self.median, budget.median) or _above(self.p99, budget.p99) or _above(
            self.memory, budget.memory
        )  # fmt: skip

    def keeps(self, budget: Budget) -> bool:
        """Return whether all limits are kept."""
        return not self.is_too_slow(budget) and not _above(self.size, budget.size)


def _above(value: float | None, limit: float | None) -> bool:
    return limit is not None and (value is None or value > limit)


class CostProbe:
    """Measures starting points, each once, for a data set and the options of a run.

    `images` are some training images, which calibrate, and `work` is a folder for the file that is measured.
    """

    def __init__(
        self, options: TrainOptions, labels: Sequence[str], images: Sequence[LabelledImage], work: Path
    ) -> None:
        """Take what shapes the models."""
        self._options, self._labels, self._images = options, tuple(labels), images
        self._file = work / "probe.tflite.part"
        self.costs: dict[StartingPoint, Cost] = {}

    def measure(self, point: StartingPoint) -> Cost:
        """Return what a starting point costs; raises BenchmarkError where its file cannot be measured."""
        if point not in self.costs:
            self.costs[point] = self._measure(point)
        return self.costs[point]

    def _measure(self, point: StartingPoint) -> Cost:
        options = replace(point.on(self._options), weights="none")
        model = build(Architecture.of(point.backbone, len(self._labels), options)).model
        card = ModelCard(
            point.backbone,
            self._labels,
            InputSpec(point.size, point.size, "float32"),
            Preprocess(options.resize),
        )
        function = trace(lambda image: model(image, training=False), point.size, point.size)
        # Not by edge-convert's way: to correct biases and rounding takes seconds, and changes neither figure.
        content = to_tflite(function, INT8, load_calibration(self._images, _CALIBRATING, card))
        self._file.write_bytes(content)
        try:
            plan = Plan((ModelRun(CheckedModel.read(self._file), Execution()),), _RUNS, 1, yardstick=False)
            (result,) = measure(plan, lambda count=1, note="": None)
        finally:
            self._file.unlink()
        if not isinstance(result, Result):
            raise BenchmarkError(f"{point.title} could not be measured: {result.error}")
        memory = None if result.memory is None else result.memory.peak
        caveats = tuple(caveat.text for caveat in result.conditions.warnings)
        size = len(content) + _SEAL_BYTES
        return Cost(point, size, result.latency.median_ms, result.latency.p99_ms, memory, caveats)


def within_budget(probe: CostProbe, budget: Budget, advance: Callable[..., None]) -> list[StartingPoint]:
    """Return the starting points that may keep the budget, those of the highest published top-1 first.

    Within a family the time grows with the multiply-accumulates: so the largest network that is fast enough
    is found by halving, and those above it are not measured. Those below it are not measured yet.
    """
    return sorted(
        (point for family in FAMILIES for point in _fast_enough(family, probe, budget, advance)),
        key=lambda point: -point.top1,
    )


def _fast_enough(
    family: Sequence[StartingPoint], probe: CostProbe, budget: Budget, advance: Callable[..., None]
) -> Sequence[StartingPoint]:
    """Return the end of a family that is fast enough; its members are in falling order of their time."""
    low, high = 0, len(family)
    if budget.median is budget.p99 is budget.memory is None:
        return family
    while low < high:
        middle = (low + high) // 2
        too_slow = probe.measure(family[middle]).is_too_slow(budget)
        advance(note=family[middle].title)
        low, high = (middle + 1, high) if too_slow else (low, middle)
    return family[low:]
