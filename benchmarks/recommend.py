"""Which of several model files to ship on each device: of those not shown to be less accurate, the fastest.

A file may be among them several times, run with different numbers of threads or by different runtimes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..edge.console import print_sentence
from ..edge.statistics.chance import HasChance, Standing, against_chance, describe_chance
from ..edge.statistics.proportions import wilson_interval
from ..edge.tables import TableColumn, print_table
from .budget import Budget
from .results.bits import unpack
from .results.machines import by_machine, machine_names
from .results.names import FILE_NAMES, result_names
from .results.numbers import points
from .results.result import Failure, MeasuredAccuracy, Result
from .scoring.choice import RightAnswers, compare_with_best, count_comparisons
from .scoring.loss import AnyLoss, Loss, describe_doubt

MAX_DROP = 0.01  # Of top-1, where the budget says nothing: as --max-drop of edge-convert.
# Medians of one run, sizes, and memory that differ by a smaller factor count as equal.
_SAME_SPEED, _SAME_SIZE, _SAME_MEMORY = 1.1, 1.05, 1.1


@dataclass(frozen=True)
class Candidate:
    """A measured model file: times are ms, `memory` MB; None: not measured.

    `answers` are to the images that one of the files is chosen by. `lost` is relative to the model that the
    file was made from, and None where that was not measured. `accuracy` is what the file is reported with,
    and was compared with chance.
    """

    name: str
    size: int
    answers: RightAnswers | None
    lost: AnyLoss | None
    median: float
    p99: float
    memory: float | None
    threads: int = 1
    accuracy: HasChance | None = None

    @property
    def at_chance(self) -> str | None:
        """How often it is right, where that is no more often than by chance; None where it is, or unknown."""
        useless = self.accuracy and against_chance(self.accuracy) is Standing.NOT_BETTER
        return describe_chance(self.accuracy) if self.accuracy and useless else None


@dataclass(frozen=True)
class Objection:
    """Why a file is not the one to ship: in a few words for a table, and as a phrase with the figures."""

    verdict: str
    phrase: str


@dataclass(frozen=True)
class Recommendation:
    """The file to ship, or None; `reason` is a phrase.

    `misses` holds, for each file that breaks limits, which ones, and `why_not` a phrase for each file that
    keeps the limits and was not chosen; `verdicts` has a few words for each of both. `basis` is a sentence
    about the images that chose, empty where none did, and `doubts` are sentences about what they could not
    tell.
    """

    name: str | None
    reason: str
    misses: dict[str, list[str]]
    why_not: dict[str, str] = field(default_factory=dict)
    basis: str = ""
    doubts: tuple[str, ...] = ()
    verdicts: dict[str, str] = field(default_factory=dict)

    def verdict(self, name: str) -> str:
        """Return a few words on a file: "ship this", or why not."""
        return "ship this" if name == self.name else self.verdicts.get(name, "")

    def against(self, name: str) -> str:
        """Return why a file was not chosen, in words; empty for the chosen one."""
        return "; ".join(self.misses.get(name, [])) or self.why_not.get(name, "")

    def remarks(self) -> list[str]:
        """Return the sentences that belong below the name of the chosen file."""
        return [line for line in (self.basis, *self.doubts) if line]


@dataclass(frozen=True)
class Advice:
    """What to ship on one device; `names` are those of all results there, in order."""

    device: str
    recommendation: Recommendation
    names: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the object that --json prints after the results.

        Its keys are device, ship (a name or null), reason, basis, why_not and doubts.
        """
        found = self.recommendation
        others = {name: found.against(name) for name in self.names if name != found.name}
        return {
            "recommendation": {
                "device": self.device,
                "ship": found.name,
                "reason": found.reason,
                "basis": found.basis,
                "why_not": others,
                "doubts": list(found.doubts),
            }
        }

    def sentence(self) -> str:
        """Return the advice in one line."""
        name = self.recommendation.name
        return f"{self.device}: ship {name or 'none of them'}: {self.recommendation.reason}."


def advise(results: Sequence[Result | Failure], budget: Budget) -> list[Advice]:
    """Return what to ship on each device, in the order in which the devices come.

    A model that could not be measured on a device is no candidate there.
    """
    machines = [machine for machine in by_machine(results) if machine.results]
    advice = []
    for device, machine in zip(machine_names(machines), machines, strict=True):
        names = result_names(machine.results, FILE_NAMES)
        advice.append(Advice(device, recommend_result(machine.results, names, budget), tuple(names)))
    return advice


def print_advice(advice: Advice, details: bool) -> None:
    """Print what to ship on a device and why, with `details` why not the others, and an empty line."""
    print_sentence(advice.sentence())
    for line in advice.recommendation.remarks():
        print_sentence(line)
    print_sentence("")
    if details and (advice.recommendation.name is None or len(advice.names) > 1):
        rows = [(name, advice.recommendation.against(name) or "ship this") for name in advice.names]
        print_table(f"What to ship on {advice.device}", ("file", TableColumn("verdict", words=True)), rows)


def recommend_result(results: Sequence[Result], names: Sequence[str], budget: Budget) -> Recommendation:
    """Choose among the results of one machine, which are called by `names`."""
    candidates = [_candidate(result, name) for result, name in zip(results, names, strict=True)]
    return recommend(candidates, budget, MAX_DROP)


def recommend(candidates: Sequence[Candidate], budget: Budget, max_drop: float) -> Recommendation:
    """Choose among files that were measured in one run.

    Files within the budget stay; of these, those that are not shown to be less accurate, by more than
    `max_drop` (a fraction), than the most accurate of the float models that the files were made from; of
    these the fastest by the median; of those that are as fast within 10 % the smallest; of those that are as
    small within 5 % those with the fewest threads; of those that take as little memory within 10 % the one
    with the lowest p99. The drop of the budget, if any, replaces `max_drop` as the most that a file may have
    lost. A file that was not scored is set aside where others were. Raises ValueError for no files.
    """
    if not candidates:
        raise ValueError("no files to choose from")
    limit = max_drop if budget.drop is None else budget.drop / 100
    broken = {c.name: found for c in candidates if (found := _misses(c, budget, limit, len(candidates)))}
    misses = {name: [objection.phrase for objection in found] for name, found in broken.items()}
    verdicts = {name: _verdict_on(found) for name, found in broken.items()}
    fitting = [c for c in candidates if c.name not in misses]
    if not fitting:
        return Recommendation(None, _why_none(candidates, misses), misses, verdicts=verdicts)
    check = _AccuracyCheck(fitting, limit)
    accurate = [c for c in fitting if check.why_less_accurate(c) is None]
    fastest = min(c.median for c in accurate)
    fast = [c for c in accurate if c.median <= fastest * _SAME_SPEED]
    smallest = min(c.size for c in fast)
    chosen = _steadiest([c for c in fast if c.size <= smallest * _SAME_SIZE])
    against = {
        c.name: check.why_less_accurate(c) or _why_slower(c, chosen) for c in fitting if c is not chosen
    }
    why_not = {name: objection.phrase for name, objection in against.items()}
    verdicts |= {name: objection.verdict for name, objection in against.items()}
    reason = _reason(chosen, fitting, accurate, fast, limit, bool(misses))
    return Recommendation(chosen.name, reason, misses, why_not, check.basis(), check.doubts(chosen), verdicts)


class _AccuracyCheck:
    """The files that keep the limits, and what the images show of their accuracy."""

    def __init__(self, fitting: Sequence[Candidate], limit: float) -> None:
        self._limit = limit
        self._fitting = fitting
        answered = {c.name: c.answers for c in fitting if c.answers is not None}
        sets = Counter((row.data, len(row.file)) for row in answered.values())
        most = sets.most_common(1)[0][0] if sets else None
        scored = {name: row for name, row in answered.items() if (row.data, len(row.file)) == most}
        rows = self._rows = list(scored.values())
        self._comparisons = count_comparisons(rows)
        losses = compare_with_best(rows) if rows else []
        self._losses = dict(zip(scored, losses, strict=True))

    def why_less_accurate(self, candidate: Candidate) -> Objection | None:
        """Return why a file is set aside; None where it is not."""
        found = self._losses.get(candidate.name)
        if found is None:
            if not self._losses:
                return None
            return Objection("not scored alike", "it was not scored on the same images")
        if found.loss is None or not found.loss.is_shown_above(self._limit, self._comparisons):
            return None
        return Objection("less accurate", f"{found.loss} less accurate than the best, and that is no chance")

    def basis(self) -> str:
        """Return which images the files were compared on, as a sentence; empty where none were compared."""
        if len(self._rows) < 2:
            return ""
        first = self._rows[0]
        others = "the figures are of other images" if first.apart else "the figures are of the same images"
        return f"Chosen by {len(first.file):,} images of {first.data}; {others}."

    def doubts(self, chosen: Candidate) -> tuple[str, ...]:
        """Return sentences about what is not known: whether it is better than chance, and as the best.

        Also what the images that report show against the choice, which must not follow them.
        """
        sentences = []
        accuracy, found = chosen.accuracy, self._losses.get(chosen.name)
        if accuracy is not None and against_chance(accuracy) is Standing.UNTOLD:
            sentences.append(f"{chosen.name} cannot be told from chance: {describe_chance(accuracy)}.")
        doubt = describe_doubt(found.loss, self._limit, self._comparisons) if found and found.loss else None
        if found is not None and doubt is not None:
            than = "its own float model" if found.own else "the most accurate of these models"
            limit = points(self._limit)
            sentences.append(f"Whether {chosen.name} is more than {limit} less accurate than {than} {doubt}.")
        contradiction = self._contradiction(chosen)
        return (*sentences, contradiction) if contradiction else tuple(sentences)

    def _contradiction(self, chosen: Candidate) -> str | None:
        """Return a sentence where the images that report show a file more accurate than the chosen one.

        That is where the intervals lie further apart than the limit. None where these images chose.
        """
        mine = chosen.accuracy
        if mine is None or not self._rows or not self._rows[0].apart:
            return None
        scored = [(c.accuracy, c) for c in self._fitting if c.accuracy is not None]
        alike = [(each, c) for each, c in scored if each.images == mine.images]
        best, file = min(alike, key=lambda pair: (-pair[0].top1, pair[1].median))
        if _interval(best)[0] - _interval(mine)[1] <= self._limit:
            return None
        return (
            f"The {mine.images:,} other images speak against it: it has {_share(mine)} right, and "
            f"{file.name} {_share(best)}. Take that one where accuracy counts more than speed."
        )


def _interval(accuracy: HasChance) -> tuple[float, float]:
    return wilson_interval(accuracy.top1 * accuracy.images, accuracy.images)


def _share(accuracy: HasChance) -> str:
    low, high = _interval(accuracy)
    return f"{accuracy.top1:.1%} ({low:.1%} to {high:.1%})"


def _why_none(candidates: Sequence[Candidate], misses: dict[str, list[str]]) -> str:
    useless = [c for c in candidates if c.at_chance is not None]
    if len(useless) == len(candidates):
        return f"no file is right more often than chance; {useless[0].name}: {useless[0].at_chance}"
    closest = min(misses, key=lambda name: len(misses[name]))
    return f"none of the {len(candidates)} files keeps the limits; {closest}: {', '.join(misses[closest])}"


def _candidate(result: Result, name: str) -> Candidate:
    accuracy, subject = result.accuracy, result.subject
    return Candidate(
        name,
        subject.size_bytes,
        _right_answers(accuracy) if accuracy else None,
        _lost(subject.variant, accuracy) if accuracy else None,
        result.latency.median_ms,
        result.latency.p99_ms,
        result.memory.peak if result.memory else None,
        subject.threads,
        accuracy,
    )


def _right_answers(accuracy: MeasuredAccuracy) -> RightAnswers | None:
    """Return the answers that the record holds; None where it holds none, as those of earlier versions."""
    choice = accuracy.choice
    if choice is None:
        return None
    float_model = None if choice.float_right is None else unpack(choice.float_right, choice.images)
    return RightAnswers(
        choice.data,
        choice.data != accuracy.data,
        unpack(choice.right, choice.images),
        float_model,
        choice.differing or 0,
        choice.compared or 0,
    )


def _lost(variant: str | None, accuracy: MeasuredAccuracy) -> Loss | None:
    """Return the loss to the model that the file was made from, or that the user named to compare with.

    Nothing is known to be lost, and nothing to be kept, where that model was not measured beside it.
    """
    pairing = accuracy.pairing
    if variant == "float32":  # Its variants are made from it: it is only ever paired with other models.
        return Loss(0, 0, accuracy.images)
    if pairing is None or not pairing.is_origin:
        return None
    differing = accuracy.images - round(pairing.agreement * accuracy.images)
    return Loss(pairing.only_base, pairing.only_this, accuracy.images, differing, accuracy.images)


def _steadiest(alike: Sequence[Candidate]) -> Candidate:
    """Return, of files as fast and as small, the one with the fewest threads, little memory, and low p99."""
    fewest = min(c.threads for c in alike)
    frugal = [c for c in alike if c.threads == fewest]
    least = min(_memory(c) for c in frugal)
    return min((c for c in frugal if _memory(c) <= least * _SAME_MEMORY), key=lambda c: (c.p99, c.median))


def _memory(candidate: Candidate) -> float:
    return math.inf if candidate.memory is None else candidate.memory


def _verdict_on(broken: Sequence[Objection]) -> str:
    return broken[0].verdict if len(broken) == 1 else f"misses {len(broken)} limits"


def _why_slower(other: Candidate, chosen: Candidate) -> Objection:
    """Return why a file that may be as accurate was not chosen, by the first rule that decided it."""
    if other.median > chosen.median * _SAME_SPEED:
        times = f"{other.median / chosen.median:.1f} times as slow"
        return Objection(times, times)
    cost = _what_it_costs(other, chosen)
    return Objection(cost.verdict, f"as fast within 10 %, {cost.phrase}")


def _what_it_costs(other: Candidate, chosen: Candidate) -> Objection:
    if other.size > chosen.size * _SAME_SIZE:
        times = f"{other.size / chosen.size:.1f} times as large"
        return Objection(times, f"and {times}")
    if other.threads > chosen.threads:
        return Objection("more threads", f"with {other.threads} threads instead of {chosen.threads}")
    if other.memory is None and chosen.memory is not None:
        return Objection("memory unknown", "but its memory could not be measured")
    if _memory(other) > _memory(chosen) * _SAME_MEMORY:
        return Objection("more memory", f"and takes {_memory(other):.0f} MB of memory")
    return Objection("higher p99", f"and its p99 is {other.p99:.2f} ms")


def _misses(candidate: Candidate, budget: Budget, max_drop: float, files: int) -> list[Objection]:
    found = []
    if candidate.at_chance is not None:
        found.append(Objection("no better than chance", "right no more often than by chance"))
    lost = candidate.lost
    if lost is None and budget.drop is not None:
        measure = "measure it together with its float32 file, or name --base"
        found.append(Objection("drop unknown", f"drop could not be measured: {measure}"))
    elif lost is not None and lost.is_shown_above(max_drop, files):
        loses = f"loses {lost}"
        found.append(Objection(loses, f"{loses}, and more than {max_drop * 100:g} is no chance"))
    rows = (
        ("size", candidate.size, budget.size, 1e6, "MB"),
        ("peak memory", candidate.memory, budget.memory, 1.0, "MB"),
        ("median", candidate.median, budget.median, 1.0, "ms"),
        ("p99", candidate.p99, budget.p99, 1.0, "ms"),
    )
    for name, value, limit, unit, symbol in rows:
        if limit is not None and value is None:
            found.append(Objection(f"{name} unknown", f"{name} could not be measured"))
        elif limit is not None and value is not None and value > limit:
            phrase = f"{name} {value / unit:.2f} {symbol} is above {limit / unit:g}"
            found.append(Objection(f"{name} above {limit / unit:g} {symbol}", phrase))
    return found


def _reason(
    chosen: Candidate,
    fitting: Sequence[Candidate],
    accurate: Sequence[Candidate],
    fast: Sequence[Candidate],
    max_drop: float,
    others_missed: bool,
) -> str:
    if len(fitting) == 1:
        only = "the only file that keeps the limits" if others_missed else "there is no other file"
        return only if chosen.answers is not None else f"{only}; it was not scored"
    kind = "smallest of the fastest" if len(fast) > 1 else "fastest"
    if chosen.answers is None:
        return f"the {kind} of {len(fitting)} files; none was scored"
    if len(accurate) == 1:
        return f"the others are shown to be more than {points(max_drop)} less accurate"
    return (
        f"the {kind} of {len(accurate)} files, none of which is shown to be more than {points(max_drop)} "
        "less accurate than the best"
    )
