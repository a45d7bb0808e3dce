"""What the doctor reads from /proc and /sys, in trees made here.

FILES are made up for an idle Raspberry Pi 4 Model B, in the form that the documents named in
edge/board.py give: temperatures in thousandths of a degree, clocks in kHz, a model that ends in a NUL,
throttling bits in hex.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest
from edge_classify.edge.doctor.board import check_board
from edge_classify.edge.doctor.finding import OK, WARNING, Finding
from edge_classify.edge.doctor.machine import check_system, check_userland
from edge_classify.edge.runtime_packages import PythonBuild
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_CPUFREQ = "sys/devices/system/cpu/cpu0/cpufreq/"
_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
FILES = {
    "proc/device-tree/model": b"Raspberry Pi 4 Model B Rev 1.4\0",
    "sys/class/thermal/thermal_zone0/type": b"cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": b"48686\n",
    _CPUFREQ + "scaling_driver": b"cpufreq-dt\n",
    _CPUFREQ + "scaling_governor": b"ondemand\n",
    _CPUFREQ + "scaling_cur_freq": b"600000\n",
    _CPUFREQ + "scaling_max_freq": b"1800000\n",
    _CPUFREQ + "cpuinfo_max_freq": b"1800000\n",
    _THROTTLED: b"0\n",
}
NOW = datetime(2026, 5, 4, 12, 0, tzinfo=timezone.utc)
MEMINFO = "MemTotal:        3885396 kB\nMemFree:         2854436 kB\nMemAvailable:    {} kB\n"


def _pi(root: Path, **changed: bytes | None) -> Path:
    """Write FILES with some of them changed, or left out, by the last part of their names."""
    for name, usual in FILES.items():
        content = changed.get(name.rpartition("/")[2], usual)
        if content is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


def _by_name(root: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_board(root)}


def test_healthy_board_gives_its_name_heat_clock_and_power_and_all_are_ok(tmp_path: Path) -> None:
    found = _by_name(_pi(tmp_path))
    assert {name: finding.status for name, finding in found.items()} == {
        "board": OK, "temperature": OK, "processor clock": OK, "power and throttling": OK,
    }  # fmt: skip
    assert found["board"].detail == "Raspberry Pi 4 Model B Rev 1.4"
    assert found["temperature"].detail == "49 °C (cpu-thermal)"
    assert found["processor clock"].detail == "up to 1800 of 1800 MHz, now 600 MHz, governor ondemand"


@pytest.mark.parametrize(
    ("changed", "name", "said"),
    [
        ({"temp": b"85212\n"}, "temperature", "85 °C"),
        ({"scaling_governor": b"powersave\n"}, "processor clock", "it stays at its lowest"),
        ({"scaling_max_freq": b"600000\n"}, "processor clock", "up to 600 of 1800 MHz"),
        ({"get_throttled": b"50005\n"}, "power and throttling",
         "now: under-voltage, it is throttled; since it was started: under-voltage, it is throttled"),
        ({"get_throttled": b"80000\n"}, "power and throttling", "since it was started: it is too hot"),
    ],
)  # fmt: skip
def test_board_in_trouble_is_a_warning_with_a_remedy(
    tmp_path: Path, changed: dict[str, bytes | None], name: str, said: str
) -> None:
    found = _by_name(_pi(tmp_path, **changed))[name]
    assert found.status == WARNING
    assert said in found.detail
    assert found.remedy


def test_powersave_of_a_processor_that_chooses_its_clock_itself_is_fine(tmp_path: Path) -> None:
    root = _pi(tmp_path, scaling_governor=b"powersave\n", scaling_driver=b"intel_pstate\n")
    assert _by_name(root)["processor clock"].status == OK


def test_throttling_of_a_kernel_without_the_file_is_asked_of_vcgencmd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin/vcgencmd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n[ $1 = get_throttled ] && echo throttled=0x1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    found = _by_name(_pi(tmp_path, get_throttled=None))["power and throttling"]
    assert found.detail == "now: under-voltage (0x1)"
    assert found.remedy is not None
    assert "power supply" in found.remedy


def test_machine_that_tells_nothing_gives_no_findings(tmp_path: Path) -> None:
    assert list(check_board(tmp_path)) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.sampled_from(sorted(FILES)), content=st.binary(max_size=30))
def test_board_with_a_file_of_any_bytes_is_still_examined(tmp_path: Path, name: str, content: bytes) -> None:
    _pi(tmp_path)
    (tmp_path / name).write_bytes(content)
    assert all(finding.status in (OK, WARNING) for finding in check_board(tmp_path))


@pytest.mark.parametrize(
    ("bits", "machine", "status"),
    [(32, "aarch64", WARNING), (64, "aarch64", OK), (32, "armv7l", OK), (64, "x86_64", OK)],
)
def test_python_of_32_bits_on_a_kernel_of_64_is_a_warning(bits: int, machine: str, status: str) -> None:
    assert check_userland(PythonBuild(bits, machine, (3, 11))).status == status


def test_32_bits_of_a_python_without_a_runtime_are_not_to_be_kept() -> None:
    kept, given_up = (str(check_userland(PythonBuild(32, "aarch64", (3, n))).remedy) for n in (11, 13))
    assert "or keep this one, with tflite-runtime" in kept
    assert given_up == "Install the 64-bit Raspberry Pi OS"


def _system(root: Path, now: datetime = NOW) -> dict[str, Finding]:
    return {finding.name: finding for finding in check_system(root, now)}


def test_clock_that_was_never_set_is_a_warning_that_says_how_to_set_it(tmp_path: Path) -> None:
    found = _system(tmp_path, datetime(1970, 1, 1, 0, 3, tzinfo=timezone.utc))["clock"]
    assert (found.status, found.remedy) == (
        WARNING, "Connect to the network and run: sudo timedatectl set-ntp true",
    )  # fmt: skip
    assert "1970-01-01" in found.detail
    assert _system(tmp_path)["clock"].status == OK


@pytest.mark.parametrize(("available", "status"), [(3_254_208, OK), (90_112, WARNING)])
def test_memory_is_judged_by_what_is_available_not_by_what_is_unused(
    tmp_path: Path, available: int, status: str
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(MEMINFO.format(available))
    found = _system(tmp_path)["memory"]
    assert found.status == status
    assert f"{available * 1024 / 1e6:,.0f} of 3,979 MB" in found.detail
