"""Energy meters, in trees made here and by a vcgencmd made here.

PMIC is what `vcgencmd pmic_read_adc` printed on a Raspberry Pi 5, from the README of
https://github.com/jfikar/RPi5-power; its watts were added up with awk. NO_PMIC is what firmware
prints that has no such command. Rails of Jetson modules are named and measured as NVIDIA's and the kernel's
documents say.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from edge_classify.benchmarks.results.result import Energy
from edge_classify.benchmarks.surroundings.energy import Meter, PowerMeter, RaplMeter, find_meter, parse_pmic
from edge_classify.benchmarks.surroundings.snapshot import Snapshot, Span, elapsed

PMIC = """\
 3V7_WL_SW_A current(0)=0.00000000A
   3V3_SYS_A current(1)=0.06245952A
   1V8_SYS_A current(2)=0.16102850A
  DDR_VDD2_A current(3)=0.00780744A
  DDR_VDDQ_A current(4)=0.00000000A
   1V1_SYS_A current(5)=0.17566740A
    0V8_SW_A current(6)=0.32791250A
  VDD_CORE_A current(7)=10.87674000A
   3V3_DAC_A current(17)=0.00036630A
   3V3_ADC_A current(18)=0.00042735A
   0V8_AON_A current(16)=0.00579975A
      HDMI_A current(22)=0.01367520A
 3V7_WL_SW_V volt(8)=3.79999600V
   3V3_SYS_V volt(9)=3.30632200V
   1V8_SYS_V volt(10)=1.79828900V
  DDR_VDD2_V volt(11)=1.10292900V
  DDR_VDDQ_V volt(12)=0.60476130V
   1V1_SYS_V volt(13)=1.10439400V
    0V8_SW_V volt(14)=0.80256330V
  VDD_CORE_V volt(15)=0.89745940V
   3V3_DAC_V volt(20)=3.30494200V
   3V3_ADC_V volt(21)=3.30219400V
   0V8_AON_V volt(19)=0.79736190V
      HDMI_V volt(23)=5.07056000V
     EXT5V_V volt(24)=5.06788000V
      BATT_V volt(25)=3.01110800V
"""
PMIC_WATTS = 10.79989445
NO_PMIC = 'error=1 error_msg="Command not registered"\n'
_RAPL = "sys/class/powercap/intel-rapl:"
_BATTERY = "sys/class/power_supply/BAT0/"


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")
    return root


def _rapl(root: Path, joules: float, zone: str = "0", name: str = "package-0") -> None:
    """Write a counter that starts again after 1,000 J."""
    folder = f"{_RAPL}{zone}/"
    counted = str(round(joules * 1e6))
    _tree(
        root,
        {folder + "name": name, folder + "energy_uj": counted, folder + "max_energy_range_uj": "999999999"},
    )


def _fake_vcgencmd(folder: Path, printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "answer").write_text(printed)
    program = folder / "vcgencmd"
    program.write_text(f'#!/bin/sh\n[ "$1" = pmic_read_adc ] && cat "{folder}/answer"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def _counted(meter: Meter, at: float) -> Snapshot:
    return Snapshot(at, joules=meter.joules())


def _watts(meter: Meter) -> float | None:
    """Return what a power meter tells as soon as it has enough readings, before long."""
    start = Snapshot(time.monotonic())
    found = meter.energy([(start, start)], 1)
    while found.per_inference_mj is None and time.monotonic() < start.seconds + 20:
        time.sleep(0.1)
        end = Snapshot(time.monotonic())
        found = meter.energy([(start, end)], 1)
    meter.close()
    return found.per_inference_mj and found.per_inference_mj / 1000 / (end.seconds - start.seconds)


def test_rapl_energy_of_the_spans_is_shared_out_among_the_runs_over_a_counter_that_starts_again(
    tmp_path: Path,
) -> None:
    _rapl(tmp_path, 998)
    meter = find_meter(tmp_path)
    assert isinstance(meter, RaplMeter)
    spans = []
    for before, after in ((998, 999), (0.5, 1.5)):  # Between the spans it starts again, and is not measured.
        _rapl(tmp_path, before)
        start = _counted(meter, 0.0)
        _rapl(tmp_path, after)
        spans.append((start, _counted(meter, 1.0)))
    found = meter.energy(spans, 100)
    assert found.per_inference_mj == pytest.approx(20.0)
    assert found.source is not None
    assert "package-0" in found.source
    assert "idle power included" in found.source
    _rapl(tmp_path, 999.5)
    start = _counted(meter, 2.0)
    _rapl(tmp_path, 0.25)
    again = meter.energy([(start, _counted(meter, 3.0))], 1)
    assert again.per_inference_mj == pytest.approx(750.0)


def test_rapl_adds_up_packages_without_their_parts_and_without_the_whole_board(tmp_path: Path) -> None:
    zones = {"0": "package-0", "0:0": "core", "1": "package-1", "2": "psys"}
    for zone, name in zones.items():
        _rapl(tmp_path, 10, zone, name)
    meter = find_meter(tmp_path)
    start = _counted(meter, 0.0)
    for zone, name in zones.items():
        _rapl(tmp_path, 11, zone, name)
    assert meter.energy([(start, _counted(meter, 1.0))], 1).per_inference_mj == pytest.approx(2000.0)


def test_rapl_that_only_root_may_read_is_a_reason_with_the_command_that_allows_it(tmp_path: Path) -> None:
    _rapl(tmp_path, 1)
    counter = tmp_path / f"{_RAPL}0/energy_uj"
    counter.unlink()
    counter.mkdir()  # Unreadable for root, too, which tests may be.
    found = find_meter(tmp_path).energy([], 1)
    assert found.per_inference_mj is None
    assert found.reason is not None
    assert "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj" in found.reason


def test_pmic_of_a_raspberry_pi_5_is_the_sum_of_volts_times_amperes_of_rails_that_have_both() -> None:
    assert parse_pmic(PMIC) == pytest.approx(PMIC_WATTS, abs=1e-6)
    assert parse_pmic(NO_PMIC) is None
    assert parse_pmic("") is None


def test_raspberry_pi_5_is_measured_by_its_pmic_and_a_pi_4_by_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _fake_vcgencmd(tmp_path / "pi4", NO_PMIC, patch)
        assert find_meter(tmp_path).energy([], 1).reason is not None
    _fake_vcgencmd(tmp_path / "pi5", PMIC, monkeypatch)
    meter = find_meter(tmp_path)
    assert isinstance(meter, PowerMeter)
    assert _watts(meter) == pytest.approx(PMIC_WATTS, rel=1e-3)
    source = meter.energy([], 1).source
    assert source is not None
    assert "PMIC" in source


@pytest.mark.parametrize(
    ("rails", "watts"),
    [
        # Orin NX: VDD_IN is the whole module, and the others parts of it.
        ({"VDD_IN": (19_000, 200), "VDD_CPU_GPU_CV": (19_000, 50), "VDD_SOC": (19_000, 60)}, 3.8),
        ({"VDD_GPU_SOC": (12_000, 100), "VDD_CPU_CV": (12_000, 50), "VIN_SYS_5V0": (5_000, 200)}, 2.8),
    ],
)
def test_jetson_is_measured_by_the_rails_that_are_the_whole_module(
    tmp_path: Path, rails: dict[str, tuple[int, int]], watts: float
) -> None:
    chip = "sys/class/hwmon/hwmon3/"
    files = {chip + "name": "ina3221"}
    for place, (label, (millivolts, milliamperes)) in enumerate(rails.items(), start=1):
        files[f"{chip}in{place}_label"] = label
        files[f"{chip}in{place}_input"] = str(millivolts)
        files[f"{chip}curr{place}_input"] = str(milliamperes)
    assert _watts(find_meter(_tree(tmp_path, files))) == pytest.approx(watts, rel=1e-3)


def test_battery_tells_only_while_it_supplies_the_machine(tmp_path: Path) -> None:
    battery = {"type": "Battery", "status": "Charging", "voltage_now": "12000000", "current_now": "-500000"}
    root = _tree(tmp_path, {_BATTERY + name: content for name, content in battery.items()})
    assert not isinstance(find_meter(root), PowerMeter)
    mouse = "sys/class/power_supply/hid-0/"
    _tree(root, {mouse + "type": "Battery", mouse + "scope": "Device", mouse + "status": "Discharging"})
    _tree(root, {mouse + "power_now": "1000"})
    assert not isinstance(find_meter(root), PowerMeter)
    _tree(root, {_BATTERY + "status": "Discharging"})
    meter = find_meter(root)
    meter.close()
    assert isinstance(meter, PowerMeter)
    source = meter.energy([], 1).source
    assert source is not None
    assert "BAT0" in source


class _Board:
    """Takes 2 W for one model and 6 W for the other."""

    def __init__(self) -> None:
        self.watts: float | None = None

    def run(self, watts: float) -> Span:
        self.watts = watts
        start = Snapshot(time.monotonic())
        time.sleep(0.05)
        return start, Snapshot(time.monotonic())


def _turns(least_share: float) -> list[tuple[Energy, float]]:
    """Return what each of two models that took turns is told to take, and the seconds of its turns."""
    board = _Board()
    meter = PowerMeter("meter", lambda: board.watts, 0.002, least_share)
    spans = [(board.run(2.0), board.run(6.0)) for _ in range(6)]
    meter.close()
    return [(meter.energy(own, 60), elapsed(own)) for own in zip(*spans, strict=True)]


@pytest.mark.alone  # The meter must read every few milliseconds.
def test_power_meter_tells_models_apart_that_take_turns() -> None:
    for (found, seconds), watts in zip(_turns(least_share=0.0), (2.0, 6.0), strict=True):
        assert found.per_inference_mj == pytest.approx(watts * seconds / 60 * 1000, rel=0.1)


@pytest.mark.alone  # The meter must read every few milliseconds.
def test_power_meter_that_averages_over_turns_tells_no_model_of_them() -> None:
    for found, _ in _turns(least_share=0.8):
        assert found.per_inference_mj is None
        assert found.reason is not None
        assert "take turns" in found.reason


def test_power_meter_with_too_few_readings_says_so() -> None:
    meter = PowerMeter("meter", lambda: 1.0, 60.0)
    meter.close()
    found = meter.energy([(Snapshot(0.0), Snapshot(1.0))], 1)
    assert (found.per_inference_mj, found.source) == (None, "meter")
    assert found.reason is not None
    assert found.reason.startswith("the meter was read only 0 times")
