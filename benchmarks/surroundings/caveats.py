"""Disturbances that make figures less reliable, as sentences with a figure and a remedy."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from statistics import quantiles

from ...edge.board import HOT, UNDER_VOLTAGE, Clock
from ...edge.printable import one_line
from ..results.result import Caveat
from .processor import Program
from .snapshot import Neighbours

# Cores that others may keep busy on average, and in half a second. Measured in turns of 60 ms on 2 cores:
# 0.00 to 0.06, and up to 0.14, with nothing else running; 1.0 with a busy neighbour. A fair scheduler gives
# the neighbour 0.5 and more, even where we have a thread on every core.
NEIGHBOURS = 0.15
NEIGHBOURS_AT_TIMES = 0.4
STRETCH = 0.5  # Seconds.
_TICKS = 0.02  # Seconds: the error of counters in ticks of 10 ms.
_LEAST_STOLEN = 0.05  # Cores: less is not worth a word.

# A larger change of the clock moves the median more than any other disturbance.
_CLOCK_CHANGE = 0.05
# A processor with turbo reaches its highest clock only on one core, and not for long.
_CLOCK_SHORTFALL = 0.1
_GOVERNOR = "sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"

NO_PSUTIL = Caveat(
    "neighbours",
    "Whether other programs used the processor is not known, since psutil is not installed. "
    "Run: pip install psutil, or on 32-bit Raspberry Pi OS: sudo apt install python3-psutil",
)


def are_too_busy(mean: Neighbours, most: float, seconds: float) -> bool:
    """Return whether others kept too many cores busy: on average of so many seconds, or `most` at times."""
    return mean.cores >= NEIGHBOURS + _TICKS / seconds or (
        most >= NEIGHBOURS_AT_TIMES + _TICKS / min(seconds, STRETCH)
    )


def about_neighbours(mean: Neighbours, most: float, programs: Sequence[Program]) -> Caveat:
    """Say how many cores others kept busy, on average and at most, and which programs these were."""
    named = [f"{one_line(program.name)} {program.cores:.2f}" for program in programs]
    if mean.stolen >= _LEAST_STOLEN:
        named.append(f"other machines on the same hardware {mean.stolen:.2f}")
    by = f" ({', '.join(named)})" if named else ""
    text = (
        f"Other programs kept {mean.cores:.2f} cores busy{by}, {most:.2f} at times: "
        "end them, or measure when nothing else runs"
    )
    return Caveat("neighbours", text, round(mean.cores, 2))


def about_clock(seen: Sequence[float], clock: Clock | None) -> Caveat | None:
    """Judge the clock in MHz at the ends of turns.

    One reading in twenty may be wrong: between two turns the clock may have been lowered already.
    """
    if not seen:
        return None
    lowest, highest = seen_range(seen)
    if highest - lowest > _CLOCK_CHANGE * highest:
        text = (
            f"The processor's clock went between {lowest:.0f} and {highest:.0f} MHz: "
            "set its governor to performance, and cool it"
        )
        return Caveat("clock", text, round(lowest / highest, 3))
    allowed = clock.allowed_mhz if clock else None
    if allowed is not None and highest < (1 - _CLOCK_SHORTFALL) * allowed:
        text = (
            f"The processor's clock stayed at {highest:.0f} of {allowed:.0f} MHz: "
            "set its governor to performance, cool it, and see to its power supply"
        )
        return Caveat("clock", text, round(highest / allowed, 3))
    return None


def seen_range(seen: Sequence[float]) -> tuple[float, float]:
    """Return the 5th and the 95th percentile of these readings."""
    if len(seen) == 1:
        return seen[0], seen[0]
    steps = quantiles(seen, n=20, method="inclusive")
    return steps[0], steps[-1]


def about_heat(hottest: float | None) -> Caveat | None:
    """Judge the highest temperature in degrees Celsius."""
    if hottest is None or hottest < HOT:
        return None
    text = f"It got {hottest:.0f} °C hot, and boards slow down from {HOT:.0f} °C on: add a heat sink or a fan"
    return Caveat("hot", text, round(hottest, 1))


def about_throttling(problems: Sequence[str]) -> Caveat | None:
    """Judge the problems that the firmware of the board reported meanwhile."""
    if not problems:
        return None
    remedy = (
        "use the board's own power supply and a short, thick cable"
        if UNDER_VOLTAGE in problems
        else "cool it with a heat sink or a fan"
    )
    return Caveat("throttled", f"The board slowed down ({', '.join(problems)}): {remedy}")


def about_governor(clock: Clock | None) -> Caveat | None:
    """Judge the governor of the clock."""
    if clock is None or clock.governor is None or clock.governor == "performance":
        return None
    name, driver = one_line(clock.governor), one_line(clock.driver or "")
    why = (
        f"with {driver} the processor chooses its clock, to save energy"
        if clock.chosen_by_processor
        else "the clock follows the load, or stays low"
    )
    text = (
        f"The governor is {name}: {why}. Before measuring, run: echo performance | {_GOVERNOR}; "
        f"afterwards set it back: echo {name} | {_GOVERNOR}"
    )
    return Caveat("governor", text)


def about_swap(pages: int | None) -> Caveat | None:
    """Judge how many pages were read from swap or written to it."""
    if not pages:
        return None
    megabytes = pages * mmap.PAGESIZE / 1e6
    text = f"{megabytes:.1f} MB of memory were swapped: end other programs, or measure fewer models at once"
    return Caveat("swap", text, round(megabytes, 1))
