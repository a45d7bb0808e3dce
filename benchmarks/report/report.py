"""The HTML report: what was measured on each device, in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...edge.errors import BenchmarkError
from ...edge.files import write_result
from ..budget import Budget
from ..results import numbers
from ..results.comparison import Comparison
from ..results.machines import by_machine
from ..results.names import Naming, result_names
from ..results.result import Failure, Result
from . import bars, columns, courses, scatter
from .columns import make_table
from .devices import ReportRow, describe_devices
from .templates import make_environment

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# What tables and lists show at most; the results' file has them all.
_LIMITS = {"max_changes": 200, "max_classes": 20, "max_operators": 15, "max_names": 6}
_CHARTS = (
    bars.tails_chart,
    bars.ratios_chart,
    bars.stages_chart,
    courses.block_charts,
    courses.soak_chart,
    scatter.accuracy_against_latency,
)
_FILTERS = {
    "ms": numbers.milliseconds,
    "mb": numbers.megabytes,
    "percent": numbers.percent,
    "percent_between": numbers.percent_between,
    "change": numbers.signed_percent,
    "count": numbers.counted,
    "scaled": numbers.scaled,
    "number": numbers.number,
}


def require_jinja() -> None:
    """Raise MissingPackageError without Jinja2; call it before models are measured."""
    _environment()


def write_report(
    path: Path,
    results: Sequence[Result | Failure],
    title: str = "Benchmark",
    comparison: Comparison | None = None,
    budget: Budget | None = None,
    replace: bool = True,
) -> None:
    """Write the page to `path`; recommended models keep the budget.

    Raises BenchmarkError for no results, MissingPackageError without Jinja2, OutputKeptError where the page
    had to be written to another file, as without `replace` where `path` exists, and OutputLostError.
    """
    page = render_report(results, title, comparison, budget)
    write_result(path, page, replace)


def render_report(
    results: Sequence[Result | Failure],
    title: str = "Benchmark",
    comparison: Comparison | None = None,
    budget: Budget | None = None,
) -> str:
    """Return the page; names, labels and messages in it are escaped. Raises as write_report does."""
    if not results:
        raise BenchmarkError("There are no results to report on: measure at least one model")
    naming = Naming.of(results)
    devices = describe_devices(results, naming, budget or Budget())
    return _environment().get_template("page.html").render(
        title=title,
        naming=naming,
        devices=devices,
        rows=[row for device in devices for row in device.rows],
        comparison=comparison,
        pair_names=_pair_names(comparison, naming) if comparison else [],
        **_LIMITS,
    )  # fmt: skip


def _whole_name(row: ReportRow, naming: Naming) -> str:
    """Return a row's name with the beginning that all share, and which the tables leave out."""
    shortened = row.name.startswith(naming.short(row.result.subject.file))  # Else it has folders.
    return f"{naming.beginning}{row.name}" if shortened else row.name


def _pair_names(comparison: Comparison, naming: Naming) -> list[str]:
    """Return a name for each pair, with the device where there are several."""
    machines = by_machine([pair.after for pair in comparison.pairs])
    names = {
        id(result): f"{name}, {machine.device or machine.host.name}" if len(machines) > 1 else name
        for machine in machines
        for name, result in zip(result_names(machine.results, naming), machine.results, strict=True)
    }
    return [names[id(pair.after)] for pair in comparison.pairs]


def _environment() -> Environment:
    """Return Jinja2 with the templates of this package, and the charts, tables and filters that they use."""
    made = make_environment(__package__)
    made.globals.update({chart.__name__: chart for chart in _CHARTS})
    made.globals.update(
        make_table=make_table,
        whole_name=_whole_name,
        named_stages=columns.named_stages,
        stages_table=columns.stages_table,
        columns=columns,
    )
    made.filters.update(_FILTERS, svg=_svg)
    return made


def _svg(markup: str) -> Markup:
    """Return a chart, in which everything is escaped already, as markup."""
    from markupsafe import Markup

    return Markup(markup)
