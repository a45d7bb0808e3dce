"""Findings about temperature, clock and power supply, from the values of ../board.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..board import (
    HOT,
    UNDER_VOLTAGE,
    board_name,
    clock_domains,
    hottest,
    problems_now,
    problems_since_start,
    temperature_sensors,
    throttled_bits,
)
from .finding import OK, WARNING, Finding


def check_board(root: Path) -> Iterator[Finding]:
    """Report name, temperature, clock and throttling, each where this machine reports it."""
    if model := board_name(root):
        yield Finding("board", OK, model)
    yield from _check_temperature(root)
    yield from _check_frequency(root)
    yield from _check_throttling(root)


def _check_temperature(root: Path) -> Iterator[Finding]:
    """Report the hottest sensor."""
    measured = hottest(temperature_sensors(root))
    if measured is None:
        return
    degrees, name = measured
    detail = f"{degrees:.0f} °C ({name})"
    if degrees >= HOT:
        remedy = "Add a heat sink or a fan: the processor slows itself down"
        yield Finding("temperature", WARNING, detail, remedy)
    else:
        yield Finding("temperature", OK, detail)


def _check_frequency(root: Path) -> Iterator[Finding]:
    """Report the clock of the first core."""
    domains = clock_domains(root)
    if not domains:
        return
    clock = domains[0].read()
    if clock.governor is None or clock.highest_mhz is None or clock.allowed_mhz is None:
        return
    running = f", now {clock.now_mhz:.0f} MHz" if clock.now_mhz is not None else ""
    detail = (
        f"up to {clock.allowed_mhz:.0f} of {clock.highest_mhz:.0f} MHz{running}, governor {clock.governor}"
    )
    if clock.governor == "powersave" and clock.driver is not None and not clock.chosen_by_processor:
        remedy = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Finding("processor clock", WARNING, f"{detail}: it stays at its lowest", f"Run: {remedy}")
    elif clock.allowed_mhz < clock.highest_mhz:
        khz = round(clock.highest_mhz * 1000)
        remedy = f"echo {khz} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq"
        yield Finding("processor clock", WARNING, f"{detail}: it is held down", f"Run: {remedy}")
    else:
        yield Finding("processor clock", OK, detail)


def _check_throttling(root: Path) -> Iterator[Finding]:
    bits = throttled_bits(root)
    if bits is None:
        return
    now, occurred = problems_now(bits), problems_since_start(bits)
    if not now and not occurred:
        yield Finding("power and throttling", OK, "nothing since it was started")
        return
    parts = [f"now: {', '.join(now)}"] * bool(now) + [f"since it was started: {', '.join(occurred)}"] * bool(
        occurred
    )
    remedy = (
        "Use the board's own power supply and a short, thick cable"
        if UNDER_VOLTAGE in now + occurred
        else "Cool it: a heat sink or a fan"
    )
    yield Finding("power and throttling", WARNING, f"{'; '.join(parts)} (0x{bits:x})", remedy)
