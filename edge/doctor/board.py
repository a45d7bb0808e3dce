"""Heat, clock frequency and power supply, where the board tells.

Files: Documentation/driver-api/thermal/sysfs-api.rst and admin-guide/pm/cpufreq.rst of Linux. Bits of
get_throttled: https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .files import read_number, read_text
from .finding import OK, WARNING, Finding

# Degrees Celsius: from here on a Raspberry Pi lowers its clock
# (https://www.raspberrypi.com/documentation/computers/raspberry-pi.html#frequency-management-and-thermal-control).
HOT = 80.0
_ABSENT = -100.0  # Some drivers give absolute zero for a sensor that is switched off.
_PROBLEMS = ("under-voltage", "its clock is held down", "it is throttled", "it is too hot")
_UNDER_VOLTAGE = 0b0001
_OCCURRED = 16  # The same four bits, since the board was started, lie this much higher.
_VCGENCMD_SECONDS = 3


def check_board(root: Path) -> Iterator[Finding]:
    """Name, heat, clock and throttling; nothing for what this machine does not tell."""
    if model := read_text(root / "proc/device-tree/model"):
        yield Finding("board", OK, model)
    yield from _check_temperature(root)
    yield from _check_frequency(root)
    yield from _check_throttling(root)


def _check_temperature(root: Path) -> Iterator[Finding]:
    """The hottest sensor; files are in thousandths of a degree."""
    zones = (root / "sys/class/thermal").glob("thermal_zone*")
    measured = [(read_number(zone / "temp"), read_text(zone / "type") or zone.name) for zone in zones]
    degrees = [
        (value / 1000, kind) for value, kind in measured if value is not None and value / 1000 > _ABSENT
    ]
    if not degrees:
        return
    hottest, kind = max(degrees)
    detail = f"{hottest:.0f} °C ({kind})"
    if hottest >= HOT:
        remedy = "Add a heat sink or a fan: the processor slows itself down"
        yield Finding("temperature", WARNING, detail, remedy)
    else:
        yield Finding("temperature", OK, detail)


def _check_frequency(root: Path) -> Iterator[Finding]:
    """The first core's clock; files are in kHz."""
    folder = root / "sys/devices/system/cpu/cpu0/cpufreq"
    governor, highest = read_text(folder / "scaling_governor"), read_number(folder / "cpuinfo_max_freq")
    if governor is None or highest is None:
        return
    allowed = read_number(folder / "scaling_max_freq") or highest
    now = read_number(folder / "scaling_cur_freq")
    running = f", now {now / 1000:.0f} MHz" if now is not None else ""
    detail = f"up to {allowed / 1000:.0f} of {highest / 1000:.0f} MHz{running}, governor {governor}"
    if governor == "powersave" and (folder / "scaling_driver").exists() and _is_fixed(folder):
        remedy = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Finding("processor clock", WARNING, f"{detail}: it stays at its lowest", f"Run: {remedy}")
    elif allowed < highest:
        remedy = f"echo {highest} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq"
        yield Finding("processor clock", WARNING, f"{detail}: it is held down", f"Run: {remedy}")
    else:
        yield Finding("processor clock", OK, detail)


def _is_fixed(folder: Path) -> bool:
    """Return whether powersave means the lowest clock, which it doesn't where the processor chooses."""
    return not (read_text(folder / "scaling_driver") or "").endswith("pstate")


def _check_throttling(root: Path) -> Iterator[Finding]:
    bits = _throttled_bits(root)
    if bits is None:
        return
    now, occurred = _named(bits), _named(bits >> _OCCURRED)
    if not now and not occurred:
        yield Finding("power and throttling", OK, "nothing since it was started")
        return
    said = [f"now: {', '.join(now)}"] * bool(now) + [f"since it was started: {', '.join(occurred)}"] * bool(
        occurred
    )
    weak = (bits | bits >> _OCCURRED) & _UNDER_VOLTAGE
    remedy = (
        "Use the board's own power supply and a short, thick cable"
        if weak
        else "Cool it: a heat sink or a fan"
    )
    yield Finding("power and throttling", WARNING, f"{'; '.join(said)} (0x{bits:x})", remedy)


def _named(bits: int) -> list[str]:
    return [name for place, name in enumerate(_PROBLEMS) if bits >> place & 1]


def _throttled_bits(root: Path) -> int | None:
    """Return the firmware's bits: from the kernel's driver, or vcgencmd, which older systems have."""
    told = read_text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    program = shutil.which("vcgencmd")
    if told is None and program is not None:
        try:
            done = subprocess.run(
                [program, "get_throttled"],
                capture_output=True,
                text=True,
                timeout=_VCGENCMD_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        told = done.stdout.strip().removeprefix("throttled=")
    match = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,8})", told or "")
    return int(match[1], 16) if match else None
