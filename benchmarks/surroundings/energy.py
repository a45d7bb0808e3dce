"""Energy of an inference, by the meter that this machine has: a counter, or a thread that reads watts.

The power of the idle machine is always included: every `source` says what else its figure covers.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Protocol

from ...edge.board import ask_firmware
from ...edge.procfs import read_number, read_text
from ..results.result import Energy
from .snapshot import Span, elapsed

Reader = Callable[[], float | None]
_FEWEST_READINGS = 5  # In all spans of one model; the meters' readings fluctuate by a tenth and more.
# A reading of vcgencmd costs a process of some ms: at this rate 2 % of a core.
PMIC_SECONDS = 0.2
JETSON_SECONDS = 0.05
BATTERY_SECONDS = 1.0
# The gauge of a battery averages over seconds, which mixes models that take turns: a model must have run for
# most of the time.
BATTERY_SHARE = 0.8
# Rails that supply a whole NVIDIA module, alone or together: Orin NX, Orin Nano and Xavier NX; Nano and TX1;
# AGX Orin. From "Power and Performance" in the Jetson Linux Developer Guide.
_JETSON_INPUTS = (("VDD_IN",), ("POM_5V_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))


class Meter(Protocol):
    """A meter of energy or power."""

    def joules(self) -> float | None:
        """Return the energy counted up to now; None for a meter of power."""

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return the energy of one inference, where `runs` inferences ran in these spans."""

    def close(self) -> None:
        """Stop measuring."""


def find_meter(root: Path) -> Meter:
    """Return the best meter of this machine; it has begun to measure."""
    if pmic_watts() is not None:
        source = "PMIC of the board, all its rails, idle power included"
        return PowerMeter(source, pmic_watts, PMIC_SECONDS)
    if jetson := jetson_meter(root):
        name, read = jetson
        return PowerMeter(f"INA3221 {name}: the whole module, idle power included", read, JETSON_SECONDS)
    packages = rapl_packages(root)
    if packages and all(read_number(package / "energy_uj") is not None for package in packages):
        return RaplMeter(packages)
    if battery := battery_meter(root):
        name, read = battery
        source = f"battery {name}: the whole machine with its screen, idle power included"
        return PowerMeter(source, read, BATTERY_SECONDS, BATTERY_SHARE)
    if packages:
        # Since CVE-2020-8694: frequent readings of energy reveal what other programs compute.
        return NoMeter(
            "RAPL's counters may only be read by root. Until the next start, this allows everybody to: "
            "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    return NoMeter(
        "this machine has no energy meter: no RAPL, no PMIC as in a Raspberry Pi 5, no INA3221 as in a "
        "Jetson, and it does not run on a battery"
    )


class NoMeter:
    """Stands for a machine without a meter."""

    def __init__(self, reason: str) -> None:
        """Take the reason."""
        self._reason = reason

    def joules(self) -> float | None:
        """Return None."""
        return None

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return the reason."""
        return Energy(None, None, self._reason)

    def close(self) -> None:
        """Do nothing."""


class RaplMeter:
    """Intel's and AMD's counters of the processor packages' energy.

    Files: https://www.kernel.org/doc/html/latest/power/powercap/powercap.html, in uJ. A counter starts again
    from 0 after max_energy_range_uj. That takes minutes, so it happens at most once between two readings.
    """

    def __init__(self, packages: Sequence[Path]) -> None:
        """Count from now on, by the counters in these folders."""
        names = ", ".join(read_text(package / "name") or package.name for package in packages)
        self._source = f"RAPL {names}: the whole processor, idle power included"
        self._counters = [_WrappingCounter(package) for package in packages]

    def joules(self) -> float | None:
        """Return the energy of all packages since the meter was made; None where one cannot be read."""
        counted = [counter.read() for counter in self._counters]
        return None if None in counted else sum(value for value in counted if value is not None) / 1e6

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return the energy counted within the spans, divided by the inferences."""
        total = 0.0
        for before, after in spans:
            if before.joules is None or after.joules is None:
                return Energy(None, self._source, "the counter could not be read any more")
            total += after.joules - before.joules
        return per_inference(total, runs, self._source)

    def close(self) -> None:
        """Do nothing: the counter goes on by itself."""


class PowerMeter:
    """Reads watts every `seconds`; the energy of an inference follows from the readings while it ran."""

    def __init__(self, source: str, read: Reader, seconds: float, least_share: float = 0.0) -> None:
        """Begin to read. `least_share` is the share of the time that the spans of a model must take."""
        self._source, self._read = source, read
        self._seconds, self._least_share = seconds, least_share
        self._readings: list[tuple[float, float]] = []  # time.monotonic() and watts.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="power meter", daemon=True)
        self._thread.start()

    def joules(self) -> float | None:
        """Return None: this meter measures power."""
        return None

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return the mean power within the spans times their length, divided by the inferences."""
        inside = [
            watts
            for at, watts in list(self._readings)
            if any(before.seconds <= at <= after.seconds for before, after in spans)
        ]
        if len(inside) < _FEWEST_READINGS:
            reason = f"the meter was read only {len(inside)} times meanwhile: measure longer, with more runs"
            return Energy(None, self._source, reason)
        if elapsed(spans) < self._least_share * (spans[-1][1].seconds - spans[0][0].seconds):
            reason = "this meter is too slow for models that take turns: measure this model alone"
            return Energy(None, self._source, reason)
        return per_inference(mean(inside) * elapsed(spans), runs, self._source)

    def close(self) -> None:
        """Stop reading."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            start = time.monotonic()
            watts = self._read()
            if watts is not None:
                self._readings.append(((start + time.monotonic()) / 2, watts))


def pmic_watts() -> float | None:
    """Return the watts of all rails of the power management chip of a Raspberry Pi 5.

    They do not include the losses of its converters, nor devices at USB and GPIO.
    """
    answer = ask_firmware("pmic_read_adc")
    return None if answer is None else parse_pmic(answer)


def parse_pmic(text: str) -> float | None:
    """Return the watts of all rails with volts and amperes; None where there is no such rail."""
    number = r"(\d{1,6}(?:\.\d{1,12})?)"
    amperes = dict(re.findall(rf"^\s*(\w+)_A current\(\d+\)={number}A\s*$", text, re.MULTILINE))
    volts = dict(re.findall(rf"^\s*(\w+)_V volt\(\d+\)={number}V\s*$", text, re.MULTILINE))
    rails = amperes.keys() & volts.keys()
    return sum(float(volts[rail]) * float(amperes[rail]) for rail in sorted(rails)) if rails else None


def jetson_meter(root: Path) -> tuple[str, Reader] | None:
    """Return the name and the reader of the INA3221 through which an NVIDIA Jetson is supplied.

    Files: https://www.kernel.org/doc/html/latest/hwmon/ina3221.html, in mV and mA.
    """
    rails: dict[str, tuple[Path, Path]] = {}
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if read_text(chip / "name") == "ina3221":
            for place in (1, 2, 3):
                label = read_text(chip / f"in{place}_label")
                if label:
                    rails[label] = (chip / f"in{place}_input", chip / f"curr{place}_input")
    for names in _JETSON_INPUTS:
        if all(name in rails for name in names):
            chosen = [rails[name] for name in names]
            return " + ".join(names), partial(_rails_watts, chosen)
    return None


def battery_meter(root: Path) -> tuple[str, Reader] | None:
    """Return the name and the reader of the battery that supplies this machine now.

    Files: Documentation/ABI/testing/sysfs-class-power of Linux, in uW, uV and uA.
    """
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        own = read_text(supply / "type") == "Battery" and read_text(supply / "scope") != "Device"
        if own and _battery_watts(supply) is not None:
            return supply.name, partial(_battery_watts, supply)
    return None


def rapl_packages(root: Path) -> list[Path]:
    """Return the folders of the processor packages, without their parts and without psys, the whole board."""
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))
    return [zone for zone in zones if (read_text(zone / "name") or "").startswith("package")]


def per_inference(joules: float, runs: int, source: str) -> Energy:
    """Return these joules, divided by the number of inferences."""
    if runs < 1:
        return Energy(None, source, "nothing was run")
    return Energy(round(joules * 1000 / runs, 4), source, None)


class _WrappingCounter:
    """The energy_uj of a package as a number that only grows."""

    def __init__(self, package: Path) -> None:
        self._file = package / "energy_uj"
        self._range = read_number(package / "max_energy_range_uj")
        self._last = read_number(self._file)
        self._total = 0

    def read(self) -> int | None:
        """Return the uJ since this object was made."""
        now = read_number(self._file)
        if now is None or self._last is None:
            return None
        step = now - self._last
        if step < 0:  # It counts up to the range, then from 0.
            if self._range is None:
                return None
            step += self._range + 1
        self._total += step
        self._last = now
        return self._total


def _rails_watts(rails: Sequence[tuple[Path, Path]]) -> float | None:
    total = 0.0
    for volts, amperes in rails:
        millivolts, milliamperes = read_number(volts), read_number(amperes)
        if millivolts is None or milliamperes is None:
            return None
        total += millivolts * milliamperes / 1e6
    return total


def _battery_watts(supply: Path) -> float | None:
    if read_text(supply / "status") != "Discharging":
        return None
    power = read_number(supply / "power_now")
    if power is not None:
        return abs(power) / 1e6
    volts, amperes = read_number(supply / "voltage_now"), read_number(supply / "current_now")
    return None if volts is None or amperes is None else volts * abs(amperes) / 1e12
