"""Which energy meter this machine has."""

from __future__ import annotations

from pathlib import Path

from ...edge.doctor.files import read_number
from .energy import Meter, NoMeter, RaplMeter, rapl_packages
from .power import (
    BATTERY_SECONDS,
    BATTERY_SHARE,
    JETSON_SECONDS,
    PMIC_SECONDS,
    PowerMeter,
    battery_meter,
    jetson_meter,
    pmic_watts,
)


def find_meter(root: Path) -> Meter:
    """Return the best meter that there is; it has begun to measure."""
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
        # Since CVE-2020-8694: energy read often enough gives away what other programs compute.
        return NoMeter(
            "RAPL's counters may only be read by root. Until the next start, this allows everybody to: "
            "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        )
    return NoMeter(
        "this machine tells no energy: no RAPL, no PMIC as of a Raspberry Pi 5, no INA3221 as of a Jetson, "
        "and it does not run on a battery"
    )
