"""What changed between two sets of results: the records that are shown and judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .result import Failure, Result
from .sections import Caveat, Interval

# slower, faster: by more than the limit, and not by chance. same: the 95 % interval lies within the limit.
# unclear: neither can be told.
VERDICTS = ("slower", "faster", "same", "unclear")
# yardstick: of the multiple of this package's own model's time. medians: of the times themselves.
BASES = ("yardstick", "medians")
# What a finding is about.
FINDINGS = ("slower", "tail", "larger", "memory", "less accurate")


@dataclass(frozen=True)
class LatencyChange:
    """How the median changed; `change` is a fraction, 0.1: a tenth slower.

    `basis` is one of BASES, and says what `change` is of: on the yardstick's it isn't `after_ms / before_ms`,
    which also holds what the machine itself changed by. `p_value` is two-sided, of no change. `verdict` is
    one of VERDICTS.
    """

    before_ms: float
    after_ms: float
    change: float
    ci95: Interval
    p_value: float
    basis: str
    verdict: str


@dataclass(frozen=True)
class Finding:
    """Something that got worse than the limit allows; `kind` is one of FINDINGS, `text` a sentence."""

    kind: str
    text: str


@dataclass(frozen=True)
class Pair:
    """One subject in both sets, each side's last result where it has several.

    `new_warnings` are of kinds that were not there before, `gone_warnings` the other way round. `remarks` say
    what weakens the comparison.
    """

    before: Result
    after: Result
    latency: LatencyChange
    findings: tuple[Finding, ...] = ()
    new_warnings: tuple[Caveat, ...] = ()
    gone_warnings: tuple[Caveat, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two sets of results.

    `limit` is the largest change for the worse that is allowed, a fraction; None: what changed is told, and
    nothing is judged a regression. `only_before` and `only_after` are results whose subject is not in the
    other set. `broken` could be measured before and fail now; `failing` fail now, and were not in the other
    set.
    """

    pairs: tuple[Pair, ...]
    limit: float | None
    only_before: tuple[Result, ...] = ()
    only_after: tuple[Result, ...] = ()
    broken: tuple[Failure, ...] = ()
    failing: tuple[Failure, ...] = ()
    remarks: tuple[str, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints: what changed of each subject, and what got worse."""
        pairs = [
            {
                "file": pair.after.subject.file,
                "threads": pair.after.subject.threads,
                "runtime": pair.after.subject.runtime,
                "delegate": pair.after.subject.delegate,
                "device": pair.after.subject.device,
                **asdict(pair.latency),
                "findings": [asdict(finding) for finding in pair.findings],
                "remarks": pair.remarks,
            }
            for pair in self.pairs
        ]
        return {
            "comparison": {
                "limit": self.limit,
                "pairs": pairs,
                "only_before": [result.subject.file for result in self.only_before],
                "only_after": [result.subject.file for result in self.only_after],
                "failures": [asdict(failure) for failure in (*self.broken, *self.failing)],
                "regressions": self.regressions,
                "remarks": self.remarks,
            }
        }

    @property
    def regressions(self) -> tuple[str, ...]:
        """A sentence for each thing that got worse than allowed; none where nothing is judged."""
        if self.limit is None:
            return ()
        found = [finding.text for pair in self.pairs for finding in pair.findings]
        return (
            *found,
            *(f"{f.file} could be measured before, and fails now: {f.error}" for f in self.broken),
        )
