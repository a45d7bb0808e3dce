"""What is told of the machine while something is measured: real programs, and boards made of files.

The files of a Raspberry Pi are made up, in the form that the documents named in edge/board.py give.
"""

from __future__ import annotations

import mmap
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from edge_classify.benchmarks.results.result import CAVEATS, Caveat, Conditions
from edge_classify.benchmarks.surroundings import watch as watch_module
from edge_classify.benchmarks.surroundings.caveats import about_neighbours, are_too_busy
from edge_classify.benchmarks.surroundings.processor import ProcessorMeter, Program
from edge_classify.benchmarks.surroundings.snapshot import Neighbours, elapsed, neighbours
from edge_classify.benchmarks.surroundings.watch import Watch
from edge_classify.edge.board import Sensor, clock_domains, parse_throttled, problems_between, problems_now

SPINNER = "edge-spinner"
_CPUFREQ = "sys/devices/system/cpu/cpufreq/policy0/"
_HEAT = "sys/class/thermal/thermal_zone0/temp"
_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
PI = {
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
    _HEAT: "48686",
    _CPUFREQ + "scaling_driver": "cpufreq-dt",
    _CPUFREQ + "scaling_governor": "performance",
    _CPUFREQ + "scaling_cur_freq": "1800000",
    _CPUFREQ + "scaling_max_freq": "1800000",
    _CPUFREQ + "cpuinfo_max_freq": "1800000",
    _THROTTLED: "0",
    "proc/vmstat": "pgfault 17\npswpin 5\npswpout 7",
}


class Board:
    """A Raspberry Pi of files, with a Watch that looks at them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, content in PI.items():
            self.write(name, content)
        for core in range(4):
            folder = root / f"sys/devices/system/cpu/cpu{core}"
            folder.mkdir(parents=True)
            (folder / "cpufreq").symlink_to("../cpufreq/policy0")

    def write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")

    def conditions(self, before: dict[str, str] | None = None, **after: str) -> Conditions:
        """Return the conditions of a turn, before which these files change, and others at its end."""
        with Watch(self.root) as watch:
            for name, content in (before or {}).items():
                self.write(name, content)
            start = watch.snapshot()
            for name, content in after.items():
                self.write(next(path for path in PI if path.endswith(name)), content)
            return watch.conditions([(start, watch.snapshot())])


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr(watch_module, "_READING_SHARE", 1e6)  # However slow a sensor is, it is read.
    return Board(tmp_path / "board")


def _caveats(conditions: Conditions) -> dict[str, Caveat]:
    """Return those of the board; what else runs on the machine that tests isn't known."""
    assert {caveat.kind for caveat in conditions.warnings} <= set(CAVEATS)
    return {caveat.kind: caveat for caveat in conditions.warnings if caveat.kind != "neighbours"}


@pytest.fixture
def spinner(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program of this name that keeps one core busy."""
    link = tmp_path / SPINNER
    link.symlink_to("/bin/sh")
    process = subprocess.Popen([str(link), "-c", "while :; do :; done"])
    yield process
    process.kill()
    process.wait()


def _used(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return times.user + times.system


def _wait_until_it_has_used(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait, before long, for its CPU seconds: the machine that tests may be busy with others."""
    enough, patience = _used(process) + seconds, time.monotonic() + 60
    while _used(process) < enough and time.monotonic() < patience:
        time.sleep(0.1)


def test_time_of_a_busy_program_is_its_neighbours_and_none_when_it_is_ours(
    spinner: subprocess.Popen[bytes],
) -> None:
    with Watch() as stranger, Watch() as parent:
        start = stranger.snapshot(), parent.snapshot([spinner.pid])
        _wait_until_it_has_used(spinner, 1.0)
        others, without = (start[0], stranger.snapshot()), (start[1], parent.snapshot([spinner.pid]))
        found = stranger.conditions([others])
    # Both saw the same other programs of this machine, and only one of them this one.
    told, rest = neighbours([others]), neighbours([without])
    assert told is not None
    assert rest is not None
    assert told.cores * elapsed([others]) - rest.cores * elapsed([without]) > 0.7
    assert "neighbours" in {caveat.kind for caveat in found.warnings}


def test_busiest_programs_are_told_by_name_without_our_children(spinner: subprocess.Popen[bytes]) -> None:
    stranger, parent = ProcessorMeter(), ProcessorMeter()
    parent.read([spinner.pid])
    _wait_until_it_has_used(spinner, 0.3)
    told = {program.name: program.cores for program in stranger.busiest(0.0, 1000)}
    assert told[SPINNER] > 0
    assert SPINNER not in {program.name for program in parent.busiest(0.0, 1000)}
    ranked = stranger.busiest(0.0, 3)
    assert [program.cores for program in ranked] == sorted((p.cores for p in ranked), reverse=True)
    assert stranger.busiest(100.0, 3) == []


def test_time_of_a_child_stays_ours_when_it_has_ended(spinner: subprocess.Popen[bytes]) -> None:
    with Watch() as watch:
        before = watch.snapshot([spinner.pid])
        _wait_until_it_has_used(spinner, 0.3)
        running = watch.snapshot([spinner.pid])
        spinner.kill()
        spinner.wait()
        after = watch.snapshot([spinner.pid])
    assert before.processor is not None
    assert running.processor is not None
    assert after.processor is not None
    assert running.processor.ours - before.processor.ours > 0.25
    assert after.processor.ours >= running.processor.ours


def test_watch_without_psutil_says_that_neighbours_are_not_known_and_how_to_know(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    found = board.conditions()
    assert (found.neighbours, found.neighbours_max) == (None, None)
    (caveat,) = found.warnings
    assert caveat.kind == "neighbours"
    assert "pip install psutil" in caveat.text
    assert "apt install python3-psutil" in caveat.text


@pytest.mark.parametrize(
    ("mean", "most", "seconds", "busy"),
    [
        (0.06, 0.14, 6.0, False),  # Nothing else ran on the machine where the limits were measured.
        (0.1, 0.3, 6.0, False),
        (1.0, 1.1, 6.0, True),
        (0.05, 1.0, 20.0, True),  # Busy for one second of twenty.
        (0.5, 0.5, 6.0, True),  # A neighbour that has to share its core with us.
        (0.4, 0.4, 0.05, False),  # Two ticks of the clock.
        (1.0, 1.0, 0.05, True),
    ],
)
def test_neighbours_are_too_busy_on_average_or_for_half_a_second_but_not_by_the_ticks_of_the_clock(
    mean: float, most: float, seconds: float, busy: bool
) -> None:
    assert are_too_busy(Neighbours(mean, 0.0), most, seconds) is busy


def test_caveat_about_neighbours_names_figures_programs_and_the_hypervisor_in_printable_letters() -> None:
    programs = [Program("ffmpeg", 0.9), Program("evil\x1b[2J\n", 0.1)]
    caveat = about_neighbours(Neighbours(1.2, 0.2), 1.5, programs)
    assert caveat.value == 1.2
    assert caveat.text == (
        "Other programs kept 1.20 cores busy (ffmpeg 0.90, evil\\x1b[2J\\x0a 0.10, other machines on the "
        "same hardware 0.20), 1.50 at times: end them, or measure when nothing else runs"
    )


def test_board_at_its_best_has_figures_and_no_caveats(board: Board) -> None:
    found = board.conditions()
    assert _caveats(found) == {}
    assert found.clock_mhz == (1800.0, 1800.0)
    assert found.temperature_c == (48.7, 48.7)
    assert (found.throttled, found.governor) == ((), "performance")


def test_machine_that_tells_nothing_has_no_figures_and_no_caveats(tmp_path: Path) -> None:
    with Watch(tmp_path) as watch:
        found = watch.conditions([(watch.snapshot(), watch.snapshot())])
        energy = watch.energy([], 1)
    assert _caveats(found) == {}
    assert (found.clock_mhz, found.temperature_c, found.throttled, found.governor) == (None, None, None, None)
    assert energy.per_inference_mj is None
    assert energy.reason


def test_clock_that_was_low_before_the_turn_is_no_caveat_and_at_its_end_is_one(board: Board) -> None:
    idle = board.conditions({_CPUFREQ + "scaling_cur_freq": "600000"}, scaling_cur_freq="1800000")
    assert _caveats(idle) == {}
    held = _caveats(board.conditions(scaling_cur_freq="600000"))["clock"]
    assert "stayed at 600 of 1800 MHz" in held.text


def test_clock_that_changes_between_turns_is_a_caveat_with_both_figures(board: Board) -> None:
    spans = []
    with Watch(board.root) as watch:
        for khz in ("1800000", "1500000") * 2:
            start = watch.snapshot()
            board.write(_CPUFREQ + "scaling_cur_freq", khz)
            spans.append((start, watch.snapshot()))
        found = watch.conditions(spans)
    assert found.clock_mhz == (1500.0, 1800.0)
    assert "between 1500 and 1800 MHz" in _caveats(found)["clock"].text


def test_cores_that_share_a_clock_count_once_and_a_faster_cluster_tells_for_all(board: Board) -> None:
    assert len(clock_domains(board.root)) == 1
    board.write("sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "2400000")
    (board.root / "sys/devices/system/cpu/cpu4").mkdir()
    (board.root / "sys/devices/system/cpu/cpu4/cpufreq").symlink_to("../cpufreq/policy4")
    assert len(clock_domains(board.root)) == 2
    assert board.conditions().clock_mhz == (2400.0, 2400.0)


def test_sensor_that_is_slow_is_not_read_at_each_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[float] = []

    def slow(sensors: list[Sensor]) -> tuple[float, str]:
        time.sleep(0.05)
        read.append(50.0)
        return 50.0, "cpu-thermal"

    monkeypatch.setattr(watch_module, "hottest", slow)
    with Watch(tmp_path) as watch:
        seen = [watch.snapshot().temperature_c for _ in range(20)]
    assert seen[:2] == [50.0, None]
    assert len(read) == len(seen) - seen.count(None)


def test_board_that_got_hot_is_a_caveat_with_the_highest_figure(board: Board) -> None:
    found = board.conditions({_HEAT: "84321"}, temp="79000")
    assert found.temperature_c == (79.0, 84.3)
    caveat = _caveats(found)["hot"]
    assert caveat.value == 84.3
    assert "84 °C" in caveat.text


@pytest.mark.parametrize(
    ("before", "during", "after", "said"),
    [
        ("50000", "50000", "50000", ()),  # Under-voltage when it was started, long ago.
        ("0", "50005", "50000", ("under-voltage", "it is throttled")),
        ("0", "0", "20000", ("its clock is held down",)),  # Between two looks.
        ("80000", "80008", "80000", ("it is too hot",)),
    ],
)
def test_throttling_is_what_is_so_at_a_look_or_occurred_since_the_first(
    board: Board, before: str, during: str, after: str, said: tuple[str, ...]
) -> None:
    board.write(_THROTTLED, before)
    found = board.conditions({_THROTTLED: during}, get_throttled=after)
    assert found.throttled == said
    assert ("throttled" in _caveats(found)) == bool(said)


def test_throttling_that_only_vcgencmd_tells_is_asked_before_and_after_but_not_at_each_look(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (board.root / _THROTTLED).unlink()
    program, asked = tmp_path / "bin/vcgencmd", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ $1 = get_throttled ] || exit\nif [ -e "{asked}" ]; then echo throttled=0x50000; '
        f'else echo throttled=0x0; fi\necho >> "{asked}"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    with Watch(board.root) as watch:
        spans = [(watch.snapshot(), watch.snapshot()) for _ in range(5)]
        found = watch.conditions(spans)
    assert found.throttled == ("under-voltage", "it is throttled")
    assert "power supply" in _caveats(found)["throttled"].text
    assert len(asked.read_text()) == 2


@pytest.mark.parametrize(
    ("governor", "driver", "said"),
    [
        ("ondemand", "cpufreq-dt", "the clock follows the load, or stays low"),
        ("powersave", "intel_pstate", "with intel_pstate the processor chooses its clock"),
    ],
)
def test_governor_other_than_performance_is_a_caveat_that_says_how_to_set_it_and_set_it_back(
    board: Board, governor: str, driver: str, said: str
) -> None:
    board.write(_CPUFREQ + "scaling_governor", governor)
    board.write(_CPUFREQ + "scaling_driver", driver)
    found = board.conditions()
    text = _caveats(found)["governor"].text
    assert found.governor == governor
    assert said in text
    assert text.index("echo performance | sudo tee") < text.index(f"echo {governor} | sudo tee")


def test_memory_swapped_in_the_turn_is_a_caveat_and_swapped_before_is_none(board: Board) -> None:
    before = {"proc/vmstat": "pswpin 100\npswpout 100"}
    assert _caveats(board.conditions(before)) == {}
    caveat = _caveats(board.conditions(before, vmstat="pswpin 100\npswpout 1100"))["swap"]
    assert caveat.value == pytest.approx(mmap.PAGESIZE / 1000, abs=0.1)
    assert "MB of memory were swapped" in caveat.text


# The first is of a Raspberry Pi with too weak a supply: https://pastebin.com/xRpwmYYs.
def test_bits_of_the_firmware_are_read_in_both_spellings_and_named() -> None:
    assert parse_throttled("0x50005") == parse_throttled("50005") == 0x50005
    assert problems_now(0x50005) == ("under-voltage", "it is throttled")
    assert parse_throttled("0x0") == 0
    assert parse_throttled('error=1 error_msg="Command not registered"') is None
    assert problems_between(0x10000, 0x50005) == 0b0100
