"""report.html: the models of a run side by side, in one file that needs nothing else."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from ..benchmarks.split import Split
from ..benchmarks.statistics import Metrics


@dataclass(frozen=True)
class ModelReport:
    """What the report shows of one model; PNGs are bytes. `train_accuracy` is without augmentation."""

    name: str
    image_size: int
    metrics: Metrics
    train_accuracy: float
    parameters: int
    trainable_parameters: list[int]
    seconds: float
    epochs: int
    interrupted: bool
    weights: str
    curves: bytes
    confusion: bytes

    @property
    def gap(self) -> float:
        """Accuracy on training images minus accuracy on the images measured on; points of a hundred."""
        return (self.train_accuracy - self.metrics.accuracy) * 100


def render_report(dataset: str, split: Split, models: list[ModelReport], facts: dict[str, Any]) -> str:
    """Return the page; everything that comes from the data is escaped. `facts` maps a name to its value."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["png"] = lambda raw: "data:image/png;base64," + base64.b64encode(raw).decode()
    environment.filters["percent"] = lambda value: f"{value * 100:.1f} %"
    environment.filters["count"] = lambda value: f"{value:,}"
    template = environment.from_string(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    return template.render(
        dataset=dataset,
        split=split,
        counts=split.counts(),
        models=models,
        facts=facts,
        measured_on=split.evaluation_subset,
    )
