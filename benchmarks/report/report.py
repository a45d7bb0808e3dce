"""The HTML report: what was measured on each device, in one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...edge.console import one_line
from ...edge.errors import BenchmarkError, MissingPackageError
from ...edge.files import write_atomically
from ..budget import Budget
from ..results import numbers
from ..results.comparison import Comparison
from ..results.machines import by_machine
from ..results.names import Naming, result_names
from ..results.result import Failure, Result
from . import bars, columns, courses, scatter
from .columns import make_table
from .devices import describe_devices

if TYPE_CHECKING:
    from jinja2 import Environment

_SCRIPT = "sort.js"
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
    """Raise MissingPackageError without Jinja2: to be found out before the models are measured."""
    _environment()


def write_report(
    path: Path,
    results: Sequence[Result | Failure],
    title: str = "Benchmark",
    comparison: Comparison | None = None,
    budget: Budget | None = None,
) -> None:
    """Write the page to `path`, replacing what is there; what is recommended keeps the budget.

    Raises BenchmarkError for no results, MissingPackageError without Jinja2, and OptionError where the file
    cannot be written.
    """
    page = render_report(results, title, comparison, budget)
    write_atomically(path, page)


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
        script_sha256=base64.b64encode(hashlib.sha256(_source(_SCRIPT).encode()).digest()).decode(),
    )  # fmt: skip


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
    """Return Jinja2 with the templates of this package, and what they call: charts, tables and filters."""
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingPackageError("jinja2", "--report", "edge-classify[report]") from None

    def cleaned(value: Any) -> Any:
        """Make control characters, turned writing and broken letters visible, in all that is shown."""
        return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    made = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=cleaned,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,  # The script's checksum is of the whole file.
    )
    made.globals.update({chart.__name__: chart for chart in _CHARTS})
    made.globals.update(
        make_table=make_table,
        named_stages=columns.named_stages,
        stages_table=columns.stages_table,
        columns=columns,
    )
    made.filters.update(_FILTERS, svg=Markup)
    return made


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
