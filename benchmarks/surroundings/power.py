"""Meters that tell watts, read by a thread while the models run."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

from ...edge.board import ask_firmware
from ...edge.doctor.files import read_number, read_text
from ..results.sections import Energy
from .energy import per_inference
from .snapshot import Span, elapsed

_FEWEST_READINGS = 5  # In all spans of one model; the meters' readings fluctuate by a tenth and more.
# A reading of vcgencmd costs a process of some ms: at this rate 2 % of a core.
PMIC_SECONDS = 0.2
JETSON_SECONDS = 0.05
BATTERY_SECONDS = 1.0
# A battery's gauge averages over seconds. It can't tell models apart that take turns: what is measured must
# be most of what happened.
BATTERY_SHARE = 0.8
# Rails of NVIDIA's modules that are the whole module's input, or that are it together: Orin NX, Orin Nano and
# Xavier NX; Nano and TX1; AGX Orin. From "Power and Performance" in the Jetson Linux Developer Guide.
_JETSON_INPUTS = (("VDD_IN",), ("POM_5V_IN",), ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"))

Reader = Callable[[], float | None]


class PowerMeter:
    """Reads watts every so many seconds; an inference's energy is the mean of those read while it ran."""

    def __init__(self, source: str, read: Reader, seconds: float, least_share: float = 0.0) -> None:
        """Begin to read. `least_share` is what spans must take of the time for it to tell anything."""
        self._source, self._read = source, read
        self._seconds, self._least_share = seconds, least_share
        self._readings: list[tuple[float, float]] = []  # time.monotonic() and watts.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="power meter", daemon=True)
        self._thread.start()

    def joules(self) -> float | None:
        """Return None: it tells power."""
        return None

    def energy(self, spans: Sequence[Span], runs: int) -> Energy:
        """Return the mean power within the spans times their length, by inference."""
        inside = [
            watts
            for at, watts in list(self._readings)
            if any(before.seconds <= at <= after.seconds for before, after in spans)
        ]
        if len(inside) < _FEWEST_READINGS:
            reason = f"only {len(inside)} readings of the meter fell into it: measure longer, with more runs"
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
    """Return what a Raspberry Pi 5's power management chip tells: volts times amperes of all rails.

    Its converters' losses, and what hangs on USB and GPIO, are not among them.
    """
    told = ask_firmware("pmic_read_adc")
    return None if told is None else parse_pmic(told)


def parse_pmic(told: str) -> float | None:
    """Return the watts of all rails of which volts and amperes are told; None where there are none."""
    number = r"(\d{1,6}(?:\.\d{1,12})?)"
    amperes = dict(re.findall(rf"^\s*(\w+)_A current\(\d+\)={number}A\s*$", told, re.MULTILINE))
    volts = dict(re.findall(rf"^\s*(\w+)_V volt\(\d+\)={number}V\s*$", told, re.MULTILINE))
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


def _rails_watts(rails: Sequence[tuple[Path, Path]]) -> float | None:
    total = 0.0
    for volts, amperes in rails:
        millivolts, milliamperes = read_number(volts), read_number(amperes)
        if millivolts is None or milliamperes is None:
            return None
        total += millivolts * milliamperes / 1e6
    return total


def battery_meter(root: Path) -> tuple[str, Reader] | None:
    """Return the name and the reader of the battery that supplies this machine now.

    Files: Documentation/ABI/testing/sysfs-class-power of Linux, in uW, uV and uA.
    """
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        own = read_text(supply / "type") == "Battery" and read_text(supply / "scope") != "Device"
        if own and _battery_watts(supply) is not None:
            return supply.name, partial(_battery_watts, supply)
    return None


def _battery_watts(supply: Path) -> float | None:
    if read_text(supply / "status") != "Discharging":
        return None
    power = read_number(supply / "power_now")
    if power is not None:
        return abs(power) / 1e6
    volts, amperes = read_number(supply / "voltage_now"), read_number(supply / "current_now")
    return None if volts is None or amperes is None else volts * abs(amperes) / 1e12
