"""report.html: the models of a run side by side, in one self-contained file."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from ..benchmarks.report.templates import make_environment
from ..benchmarks.scoring.split import Split
from ..edge.statistics.paired import describe_p
from .best_model import find_best_model
from .corruption import CORRUPTIONS
from .evaluation import Evaluation, PicturedMistake
from .plots import MAX_NUMBERED_CLASSES, reliability_png
from .pooled import PooledEvaluation
from .report_tables import Judged, class_rows, most_confused, paired_tests

_MAX_SKIPPED = 20
_MAGIC = {b"\x89PN": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True)
class ModelReport:
    """One model in the report.

    `curves` and `confusion` are PNGs; `file_bytes` is the size of the Keras model file;
    `trainable_parameters` has a number for each phase. `pooled` is its cross-validation (None: there was
    none), and `pooled_confusion` the PNG of that. `refitted` says whether the model has learned from the
    validation images in the end.
    """

    name: str
    image_size: int
    evaluation: Evaluation
    parameters: int
    trainable_parameters: list[int]
    file_bytes: int
    seconds: float
    epochs: int
    interrupted: bool
    weights: str
    curves: bytes
    confusion: bytes
    mistakes: tuple[PicturedMistake, ...]
    pooled: PooledEvaluation | None = None
    pooled_confusion: bytes = b""
    refitted: bool = False


def render_report(
    dataset: str,
    split: Split,
    models: Sequence[ModelReport],
    facts: Mapping[str, Any],
    notes: Sequence[str] = (),
    audit: Any = None,
    run: Path = Path("run"),
    missing: Sequence[str] = (),
    interrupted: bool = False,
) -> str:
    """Return the page; all text from the data is escaped.

    `facts` maps names to values, `notes` are the choices that were made for the user, and `audit` is the
    content of report_audit.html (None: no audit). `run` is the folder that holds the models, `missing` are
    models that were asked for and could not be trained, or were not yet where the run was `interrupted`.
    """
    # The cross-validation has more images; where it lacks for a model, all are compared on the same subset.
    pooled = [model.pooled for model in models if model.pooled]
    crossed = len(pooled) == len(models) > 0
    evaluations = [model.evaluation for model in models]
    judged: Sequence[Judged] = pooled if crossed else evaluations
    # Of models that are equally often right, the smallest comes first.
    by_size = sorted(zip(models, judged, strict=True), key=lambda pair: pair[0].parameters)
    tests = paired_tests([(model.name, found) for model, found in by_size])
    best, figures = max(by_size, key=lambda pair: pair[1].metrics.accuracy)
    subset = f"{figures.metrics.images:,} {split.evaluation_subset} images"
    answer = find_best_model(
        best.name, figures.metrics, pooled[0].origin if crossed else subset, tests, run, interrupted
    )
    return environment().get_template("report.html").render(
        dataset=dataset,
        split=split,
        models=models,
        facts=facts,
        notes=notes,
        audit=audit,
        measured_on=split.evaluation_subset,
        refitted=[model.name for model in models if model.refitted],
        corruptions=CORRUPTIONS,
        crossed=crossed,
        origin=pooled[0].origin if pooled else "",
        apart=len(split.images) - pooled[0].metrics.images if pooled else 0,
        answer=answer,
        missing=missing,
        interrupted=interrupted,
        tests=tests,
        rows=class_rows(split, [found.metrics for found in judged]),
        pairs=[most_confused(found.metrics) for found in judged],
        diagrams=[reliability_png(e.reliability_before, e.reliability_after) for e in evaluations],
        training_images=sum(split.counts()["train"].values()),
        many_classes=len(split.labels) > MAX_NUMBERED_CLASSES,
        max_skipped=_MAX_SKIPPED,
    )  # fmt: skip


def environment() -> Environment:
    """Return Jinja2 with this package's templates and the filters that they use; all output is escaped."""
    made = make_environment(__package__)
    made.filters.update(
        picture=_picture, percent=_percent, count=lambda n: f"{n:,}", duration=_duration, p_value=describe_p
    )
    return made


def data_uri(raw: bytes) -> str:
    """Return a PNG or JPEG as the URI of an <img>; raises KeyError for other data."""
    return f"data:{_MAGIC[raw[:3]]};base64,{base64.b64encode(raw).decode()}"


def _picture(raw: bytes) -> Markup:
    return Markup(data_uri(raw))  # Nothing in it needs to be escaped, or searched for control characters.


def _percent(rate: float) -> str:
    return f"{rate * 100:.1f} %"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
