"""What edge-train prints for people: how right each model is, which is better, and with --details tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..benchmarks.scoring.split import Split
from ..benchmarks.scoring.statistics import Metrics
from ..edge.console import print_sentence
from ..edge.statistics.paired import describe_p
from ..edge.tables import TableColumn, print_table
from .report import ModelReport
from .report_tables import ClassCell, Judged, PairedTest, class_rows, paired_tests

_MAX_CLASSES = 50
_FIGURES = (
    "model",
    "accuracy",
    "95 %\ninterval",
    "macro\nF1",
    "95 % interval\nof F1",
    "balanced\naccuracy",
    "its 95 %\ninterval",
    "calib.\nerror",
    "on training\nimages",
    "parameters",
    "trained\nin",
)


def print_models(models: Sequence[ModelReport], split: Split, details: bool) -> None:
    """Print a line for each model, which of them is better, and with `details` tables, to stdout."""
    subset = split.evaluation_subset
    for model in models:
        metrics, pooled = model.evaluation.metrics, model.pooled
        on = f"{metrics.images:,} {subset} images; trained in {model.seconds:.0f} s"
        print_sentence(f"{model.name}: {_describe(metrics)} on {on}")
        if pooled:
            print_sentence(f"{model.name}: {_describe(pooled.metrics)} on {pooled.origin}")
    judged = _judged(models)
    for test in paired_tests([(model.name, found) for model, found in zip(models, judged, strict=True)]):
        print_sentence(_describe_test(test, judged[0].metrics.images))
    if details and models:
        print_sentence("")
        print_table(f"On {subset} images", _FIGURES, list(_rows(models)))
        _print_classes(models, split, judged)


def _judged(models: Sequence[ModelReport]) -> Sequence[Judged]:
    """Return the answers of each model, those of the cross-validation where all have one."""
    pooled = [model.pooled for model in models if model.pooled]
    return pooled if len(pooled) == len(models) else [model.evaluation for model in models]


def _describe(metrics: Metrics) -> str:
    accuracy = _with_interval(metrics.accuracy, metrics.accuracy_ci95)
    return f"accuracy {accuracy}, macro F1 {_with_interval(metrics.macro_f1, metrics.macro_f1_ci95)}"


def _with_interval(rate: float, interval: tuple[float, float]) -> str:
    return f"{rate:.1%} ({_interval(interval)})"


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0] * 100:.1f} to {interval[1]:.1%}"


def _describe_test(test: PairedTest, images: int) -> str:
    only_best, only_other = test.result.only_a, test.result.only_b
    if not only_best and not only_other:
        return f"{test.best} and {test.other} are right on the same of the {images:,} images."
    counts = f"{test.best} alone is right on {only_best:,} images, {test.other} alone on {only_other:,}"
    p_value = describe_p(test.result.p_value)
    if test.chance:
        return (
            f"Whether {test.best} is better than {test.other} cannot be told from {images:,} images: "
            f"{counts} ({p_value})."
        )
    return f"{test.best} is better than {test.other}: {counts} ({p_value})."


def _rows(models: Sequence[ModelReport]) -> Iterator[list[str]]:
    for model in models:
        rest = (f"{model.evaluation.train_accuracy:.1%}", f"{model.parameters:,}", f"{model.seconds:.0f} s")
        yield [model.name, *_figures(model.evaluation.metrics), *rest]
        if model.pooled:
            yield [f"{model.name}, cross-validated", *_figures(model.pooled.metrics), "-", "-", "-"]


def _figures(metrics: Metrics) -> list[str]:
    rates = (
        (metrics.accuracy, metrics.accuracy_ci95),
        (metrics.macro_f1, metrics.macro_f1_ci95),
        (metrics.balanced_accuracy, metrics.balanced_accuracy_ci95),
    )
    cells = [cell for rate, ends in rates for cell in (f"{rate:.1%}", _interval(ends))]
    return [*cells, f"{metrics.ece:.1%}"]


def _print_classes(models: Sequence[ModelReport], split: Split, judged: Sequence[Judged]) -> None:
    rows = class_rows(split, [found.metrics for found in judged])
    titles = [f"{model.name}\n{rate}" for model in models for rate in ("F1", "precision", "recall")]
    cells = [
        [row.label, f"{row.measured:,}", *(cell for of_model in row.models for cell in _rates(of_model))]
        for row in rows[:_MAX_CLASSES]
    ]
    of = ", in the cross-validation" if judged[0] is models[0].pooled else ""
    columns = [TableColumn("class", words=True), *map(TableColumn, ("images", *titles))]
    print_table(f"By class, the lowest F1 first{of}", columns, cells)
    if len(rows) > _MAX_CLASSES:
        print_sentence(f"Only {_MAX_CLASSES} of {len(rows):,} classes are shown; the report has all.")


def _rates(cell: ClassCell) -> Iterator[str]:
    for rate in (cell.f1, cell.precision, cell.recall):
        yield "-" if rate is None else f"{rate:.1%}"
