"""Two sets of results side by side, and today's against a baseline."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...edge.errors import BenchmarkError, OptionError
from .comparison import Comparison, Pair
from .findings import find_worse
from .matching import is_of, sides
from .remarks import about_machines, about_pair, about_superseded, describe_machine, differ, machines
from .result import Failure, Result
from .verdicts import judge_latency

DEFAULT_LIMIT = 0.05  # What a change is measured by where nothing is to be judged.
_MOST_PER_CENT = 1000


def compare(
    before: Sequence[Result | Failure], after: Sequence[Result | Failure], limit: float | None = None
) -> Comparison:
    """Pair the results of each subject, and tell what changed.

    `limit` is the largest change for the worse that is allowed, a fraction; None: nothing is a regression,
    and verdicts are by 5 %. Raises BenchmarkError when the two have no subject in common.
    """
    old, new = sides(before, after)
    broken = tuple(f for f in new.failures if any(is_of(f, r[-1]) for r in old.subjects.values()))
    common = [key for key in new.subjects if key in old.subjects]
    if not common and not broken:
        raise BenchmarkError(
            "The two sets of results have no model in common that was run alike: "
            f"before: {_names(before)}; after: {_names(after)}"
        )
    most = DEFAULT_LIMIT if limit is None else limit
    only_before = tuple(results[-1] for key, results in old.subjects.items() if key not in new.subjects)
    return Comparison(
        pairs=tuple(_pair(old.subjects[key], new.subjects[key], most) for key in common),
        limit=limit,
        only_before=tuple(r for r in only_before if not any(is_of(f, r) for f in broken)),
        only_after=tuple(results[-1] for key, results in new.subjects.items() if key not in old.subjects),
        broken=broken,
        failing=tuple(f for f in new.failures if f not in broken),
        remarks=(*about_machines(before, after), *about_superseded(old, new)),
    )


def check(
    baseline: Sequence[Result | Failure],
    now: Sequence[Result | Failure],
    max_regression: float,
    force: bool = False,
) -> Comparison:
    """Compare with results that were kept for it; `max_regression` is a fraction.

    Raises BenchmarkError when they are of another machine, unless `force`, or have no subject in common.
    """
    if not force:
        for device, (old, new) in machines(baseline, now).items():
            if differ(old, new):
                raise BenchmarkError(
                    f"The baseline{f' of {device}' if device else ''} is of another machine: "
                    f"{describe_machine(old)}. Now: {describe_machine(new)}. "
                    "Measure a baseline on this one, or compare nevertheless with --force"
                )
    return compare(baseline, now, max_regression)


def parse_share(text: str, option: str = "--max-regression") -> float:
    """Read a percentage such as "5%" as a fraction.

    Raises OptionError for anything else: 0.05 may be meant as 5 % or as 0.05 %.
    """
    match = re.fullmatch(r"\s*(\d{1,4}(?:\.\d{1,6})?)\s*%\s*", text, re.ASCII)
    if match is None or float(match[1]) > _MOST_PER_CENT:
        raise OptionError(
            f"{option} must be a percentage with its sign, such as 5%, of at most {_MOST_PER_CENT}%. "
            f"Received: {text!r}"
        )
    return float(match[1]) / 100


def _pair(before: Sequence[Result], after: Sequence[Result], limit: float) -> Pair:
    old, new = before[-1], after[-1]
    latency = judge_latency(before, after, limit)
    warned = [{caveat.kind for caveat in result.conditions.warnings} for result in (old, new)]
    return Pair(
        before=old,
        after=new,
        latency=latency,
        findings=tuple(find_worse(old, new, latency, limit)),
        new_warnings=tuple(c for c in new.conditions.warnings if c.kind not in warned[0]),
        gone_warnings=tuple(c for c in old.conditions.warnings if c.kind not in warned[1]),
        remarks=tuple(about_pair(before, after, latency, limit)),
    )


def _names(results: Sequence[Result | Failure]) -> str:
    names = dict.fromkeys(
        result.subject.file if isinstance(result, Result) else result.file for result in results
    )
    shown = ", ".join(list(names)[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"
