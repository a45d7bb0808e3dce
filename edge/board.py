"""What the board and the kernel report: temperature, clock and power supply.

Files: Documentation/driver-api/thermal/sysfs-api.rst and admin-guide/pm/cpufreq.rst of Linux. Bits of
get_throttled: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled

Functions take the folder that contains proc and sys, and return None for values that are not reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .procfs import read_number, read_text

# Degrees Celsius: from here on a Raspberry Pi lowers its clock
# (https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#frequency-management-and-thermal-control).
HOT = 80.0

UNDER_VOLTAGE = "under-voltage"
_PROBLEMS = (UNDER_VOLTAGE, "its clock is held down", "it is throttled", "it is too hot")
_OCCURRED = 16  # Shift to the same four bits for the time since the board was started.
_ABSENT = -100.0  # Some drivers give absolute zero for a sensor that is switched off.
_VCGENCMD_SECONDS = 3


@dataclass(frozen=True)
class Sensor:
    """A thermometer: its file, in thousandths of a degree Celsius, and the name of what it measures."""

    file: Path
    name: str


@dataclass(frozen=True)
class ClockDomain:
    """The cores that share a clock; `folder` is a cpufreq folder."""

    folder: Path

    def now_mhz(self) -> float | None:
        """Return the present clock in MHz."""
        return _mhz(self.folder / "scaling_cur_freq")

    def read(self) -> Clock:
        """Return everything that the folder reports."""
        highest = _mhz(self.folder / "cpuinfo_max_freq")
        return Clock(
            now_mhz=self.now_mhz(),
            allowed_mhz=_mhz(self.folder / "scaling_max_freq") or highest,
            highest_mhz=highest,
            governor=read_text(self.folder / "scaling_governor"),
            driver=read_text(self.folder / "scaling_driver"),
        )


@dataclass(frozen=True)
class Clock:
    """A clock in MHz: now, the highest that is allowed, and the highest that is possible."""

    now_mhz: float | None
    allowed_mhz: float | None
    highest_mhz: float | None
    governor: str | None
    driver: str | None

    @property
    def chosen_by_processor(self) -> bool:
        """Whether the processor chooses its clock itself: then `powersave` isn't the lowest clock."""
        return (self.driver or "").endswith("pstate")


def board_name(root: Path) -> str | None:
    """Return the board's name, such as "Raspberry Pi 4 Model B Rev 1.4"."""
    return read_text(root / "proc/device-tree/model")


def temperature_sensors(root: Path) -> list[Sensor]:
    """Return all thermal zones."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    return [Sensor(zone / "temp", read_text(zone / "type") or zone.name) for zone in zones]


def hottest(sensors: list[Sensor]) -> tuple[float, str] | None:
    """Return the temperature in degrees Celsius and the name of the hottest sensor."""
    measured = [(read_number(sensor.file), sensor.name) for sensor in sensors]
    degrees = [
        (value / 1000, name) for value, name in measured if value is not None and value / 1000 > _ABSENT
    ]
    return max(degrees, default=None)


def clock_domains(root: Path) -> list[ClockDomain]:
    """Return each clock once, the first core's first."""
    folders = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq")
    ordered = sorted(folders, key=lambda folder: int(folder.parent.name.removeprefix("cpu")))
    return [ClockDomain(folder) for folder in dict.fromkeys(folder.resolve() for folder in ordered)]


def throttled_file(root: Path) -> Path:
    """Return the file with the firmware's bits, written by a Raspberry Pi's kernel driver."""
    return root / "sys/devices/platform/soc/soc:firmware/get_throttled"


def throttled_bits(root: Path) -> int | None:
    """Return the firmware's bits: from the kernel's driver, or from vcgencmd, which takes some ms."""
    text = read_text(throttled_file(root))
    if text is None:
        text = (ask_firmware("get_throttled") or "").removeprefix("throttled=")
    return parse_throttled(text)


def parse_throttled(text: str | None) -> int | None:
    """Return the bits of a hexadecimal number, with or without 0x; None for another text."""
    match = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,8})", text or "")
    return int(match[1], 16) if match else None


def problems_now(bits: int) -> tuple[str, ...]:
    """Return the present problems by these bits, as phrases that follow "the board:"."""
    return tuple(name for place, name in enumerate(_PROBLEMS) if bits >> place & 1)


def problems_between(before: int, after: int) -> int:
    """Return the problems that occurred between two readings, as bits for `problems_now`."""
    return (after & ~before) >> _OCCURRED


def problems_since_start(bits: int) -> tuple[str, ...]:
    """Return the problems since the board was started, as problems_now does."""
    return problems_now(bits >> _OCCURRED)


def ask_firmware(command: str) -> str | None:
    """Return the output of `vcgencmd COMMAND`; None where vcgencmd is missing or fails."""
    from .processes import plain_environment, run

    try:
        done = run(["vcgencmd", command], _VCGENCMD_SECONDS, plain_environment())
    except OSError:
        return None
    return None if done.status is None else done.output.decode(errors="replace").strip()


def _mhz(path: Path) -> float | None:
    khz = read_number(path)
    return None if khz is None else khz / 1000
