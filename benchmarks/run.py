"""What the command does: measures here or there, or compares; then prints, keeps and judges."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from ..edge.console import INTERRUPTED, print_json, say
from ..edge.errors import BenchmarkError, OutputKeptError, OutputLostError
from ..edge.files import write_result
from ..edge.log import scrub
from .budget import Budget
from .host import describe_host
from .next_step import suggest_after
from .recommend import Advice, advise
from .request import RemoteOptions, Request, ResultOptions
from .results.compare import check
from .results.compare import compare as compare_results
from .results.comparison import Comparison, print_comparison
from .results.reading import read_results, write_results
from .results.result import Result
from .results.tables import to_markdown
from .session import BenchmarkSession, Outcome, Results
from .summary import print_summary


def measure_here(request: Request, options: ResultOptions) -> int:
    """Measure on this machine, and return the exit status."""
    baseline = _read_baseline(options, here=True)
    session = BenchmarkSession(request)
    session.run()
    return _finish(Outcome(session.results, session.status), options, baseline)


def measure_there(request: Request, remote: RemoteOptions, options: ResultOptions) -> int:
    """Measure on other machines, and return the exit status."""
    from .remote import measure_far

    baseline = _read_baseline(options, here=False)
    return _finish(measure_far(request, remote), options, baseline)


def compare(files: tuple[Path, ...], options: ResultOptions, limit: float | None) -> int:
    """Compare two files of results; the exit status is 1 where something got worse than `limit` allows."""
    before, after = (read_results(path) for path in files)
    comparison = compare_results(before, after, limit)
    if options.as_json:
        print_json(comparison.to_record())
    else:
        print_comparison(comparison, options.details)
    failed = _keep(Outcome(after, 0), options, comparison)
    return 1 if failed or comparison.regressions else 0


def _read_baseline(options: ResultOptions, here: bool) -> Results | None:
    """Return the baseline, before minutes are spent; raises BenchmarkError where it is of another machine."""
    if options.baseline is None:
        return None
    baseline = read_results(options.baseline)
    local = [r for r in baseline if isinstance(r, Result) and r.subject.device is None]
    if here and local and not options.force:
        host = describe_host()
        if not any(result.host.fingerprint == host.fingerprint for result in local):
            raise BenchmarkError(
                f"{options.baseline} was measured on another machine: {local[0].host.name}, "
                f"{local[0].host.cores} cores. This is: {host.name}, {host.cores} cores. Measure a baseline "
                "here, or compare nevertheless with --force"
            )
    return baseline


def _finish(outcome: Outcome, options: ResultOptions, baseline: Results | None) -> int:
    """Keep and show the results, then judge them; return the exit status."""
    measured = [result for result in outcome.results if isinstance(result, Result)]
    status = outcome.status
    if options.output is not None and (measured or outcome.others):
        status = max(status, _write_results(outcome, options))
    judged = measured and (options.budget is not None or (len(measured) > 1 and not options.as_json))
    advice = advise(outcome.results, options.budget or Budget()) if judged else []
    _show(outcome, options, advice)
    comparison = None
    if baseline is not None and outcome.results:
        comparison = _compare_with(baseline, outcome.results, options)
        if comparison is None or comparison.regressions:
            status = max(status, 1)
    status = max(status, _recommend(advice, options))
    if options.report is not None and measured:
        status = max(status, _write_report(outcome.results, options, comparison))
    if not status and measured and not (options.as_json or options.markdown):
        suggest_after(outcome.results, options.budget or Budget())
    return INTERRUPTED if outcome.status == INTERRUPTED else status


def _write_results(outcome: Outcome, options: ResultOptions) -> int:
    """Write the file of --output; return 1 where it lies elsewhere, or could only be printed."""
    assert options.output is not None
    try:
        write_results(options.output, outcome.results, options.force, outcome.others)
    except OutputKeptError as error:
        say(f"Error: {error}", "error")
        return 1
    except OutputLostError as error:
        say(f"Error: {error}. So the results are printed", "error")
        if not options.as_json:
            _show(outcome, replace(options, as_json=True), ())
        return 1
    return 0


def _compare_with(baseline: Results, results: Results, options: ResultOptions) -> Comparison | None:
    """Print what changed; None where it cannot be compared, which costs nothing else."""
    try:
        comparison = check(baseline, results, options.max_regression, options.force)
    except BenchmarkError as error:
        say(f"Error: {error}", "error")
        return None
    if options.as_json:
        print_json(comparison.to_record())
    else:
        print_comparison(comparison, options.details)
    return comparison


def _show(outcome: Outcome, options: ResultOptions, advice: Sequence[Advice]) -> None:
    if options.as_json:
        for record in (*(result.to_record() for result in outcome.results), *outcome.others):
            print_json(record)
    elif options.markdown and outcome.results:
        command = scrub(shlex.join(["edge-benchmark", *sys.argv[1:]]))  # A camera's URL may hold a password.
        click.echo(to_markdown(outcome.results, command), nl=False)
    elif outcome.results:
        _print(outcome.results, advice, options.details)
    if outcome.others and not options.as_json:
        from .devices.android import print_tool_results

        print_tool_results(outcome.others)


def _print(results: Results, advice: Sequence[Advice], details: bool) -> None:
    from .operations.tables import print_operations

    print_summary(results, advice, details)
    for result in results:
        if isinstance(result, Result) and result.operations is not None:
            print_operations(result.operations, Path(result.subject.file).name, details)


def _recommend(advice: Sequence[Advice], options: ResultOptions) -> int:
    """Say what to ship to machines, where people were told; return 1 where no file keeps the limits."""
    if options.as_json:
        for one in advice:
            print_json(one.to_record())
    none = [one for one in advice if one.recommendation.name is None]
    if options.markdown or options.as_json:
        for one in none:
            say(f"--budget: {one.sentence()}")
    return 1 if none else 0


def _keep(outcome: Outcome, options: ResultOptions, comparison: Comparison) -> int:
    """Write the files that --compare was asked for: the comparison's record, and the report; 1 for a failure.

    The comparison was printed before, so that a disk which takes neither costs nothing.
    """
    status = 0
    if options.output is not None:
        try:
            write_result(options.output, json.dumps(comparison.to_record()) + "\n", options.force)
        except (OutputKeptError, OutputLostError) as error:
            say(f"Error: {error}", "error")
            status = 1
    if options.report is not None:
        status = max(status, _write_report(outcome.results, options, comparison))
    return status


def _write_report(results: Results, options: ResultOptions, comparison: Comparison | None) -> int:
    """Write the report; return 1 where it lies elsewhere, or could not be written."""
    from .report.report import write_report

    path = options.report
    assert path is not None
    try:
        write_report(path, results, comparison=comparison, budget=options.budget, replace=options.force)
    except (OutputKeptError, OutputLostError) as error:
        say(f"Error: {error}", "error")
        return 1
    say(f"Report: {path}")
    return 0
