"""make demo: progress while it runs, a log of everything, and a short end; a failure shows what failed."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from edge_classify.benchmarks.results.reading import write_results
from edge_classify.benchmarks.scoring.split import Split, SplitImage

from release.install import Installation, count_packages
from studies.demo import Demo
from studies.steps import StepError, Steps, duration

from .support.benchmark_results import accuracy, result

ROOT = Path(__file__).parent.parent
_TRAIN = """#!{python}
import sys
if "imagenet" in sys.argv:
    print("Error: The ImageNet weights of MobileNetV2 cannot be downloaded (no route)", file=sys.stderr)
    sys.exit(1)
print("trained", *sys.argv[1:])
"""


def write_command(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text.format(python=sys.executable), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_step_logs_all_and_says_one_line_with_its_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = Steps(tmp_path / "log.txt")
    code = "import sys; print('a table'); print('a remark', file=sys.stderr)"
    assert sorted(steps.run("Doing it", [sys.executable, "-c", code])) == ["a remark", "a table"]
    log = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "== Doing it" in log and "a table\n" in log and "a remark\n" in log and "-- exit status 0" in log
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.partition(":")[0] for line in err.splitlines()] == ["== Doing it", "   Doing it"]


def test_failed_step_tells_its_status_and_its_last_lines(tmp_path: Path) -> None:
    steps = Steps(tmp_path / "log.txt")
    with pytest.raises(StepError) as caught:
        steps.run("Failing", [sys.executable, "-c", "for n in range(99): print(n)\nraise SystemExit(3)"])
    assert caught.value.status == 3
    assert caught.value.lines == [str(number) for number in range(87, 99)]


@pytest.mark.skipif(os.name != "posix", reason="The stand-in is a script")
def test_demo_without_imagenet_weights_says_so_in_one_sentence_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_command(tmp_path / "bin", "edge-train", _TRAIN)
    write_command(tmp_path / "bin", "edge-convert", "#!{python}\nraise SystemExit('Error: no model')")
    demo = Demo(tmp_path / "demo", tmp_path / "bin")
    with pytest.raises(StepError, match="edge-convert ended with exit status 1"):
        demo.make()
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("==")]
    assert len(said) == 2
    assert "ImageNet weights cannot be downloaded, so MobileNetV2 starts from random ones" in said[0]
    log = (tmp_path / "demo" / "log.txt").read_text(encoding="utf-8")
    assert "--weights none" in log and "no route" in log


def test_demo_ends_with_a_screen_of_short_lines_that_name_the_file_to_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    demo = Demo(Path("demo"), tmp_path / ".venv" / "bin")
    demo.run.mkdir()
    images = tuple(SplitImage(f"{n}/0.png", "0" * 64, f"{n}", "test" if n else "train") for n in range(3))
    Split("images", ("0", "1", "2"), images).write(demo.run)
    long = "demo/models/mobilenet_v2_float32.tflite"
    measured = [result(file=long), result(file="demo/models/b.tflite", median_ms=40.0)]
    write_results(demo.results, [replace(each, accuracy=accuracy()) for each in measured])
    lines = demo.summary(415)
    assert len(lines) <= 15 and max(map(len, lines)) <= 100
    assert lines[0].startswith("Made in 6 min 55 s: 2 .tflite files in demo/models")
    assert lines[2].startswith(f"Ship {long} (2.85 MB): ")
    commands = lines[lines.index("Type next:") + 1 :][:3]
    assert [line.split()[0] for line in commands] == [
        f".venv/bin/edge-{name}" for name in ("classify", "benchmark", "train")
    ]
    assert commands[0].split()[1:] == ["-m", long, "demo/run/images/1/0.png"]
    assert "demo/run/report.html" in lines[-2] and "demo/benchmark.html" in lines[-2]
    assert lines[-1].endswith("demo/log.txt")


def test_durations_are_written_as_people_say_them() -> None:
    assert [duration(9.6), duration(60), duration(200)] == ["10 s", "1 min 0 s", "3 min 20 s"]


def test_installation_tells_which_package_it_is_at() -> None:
    lock = ROOT / "requirements" / "everything.txt"
    assert count_packages(lock) > 100
    installation = Installation(lock)
    for line in ("Collecting numpy==2.1 (from -r x)", "  Downloading numpy-2.1.whl (20 MB)",
                 "Progress 5000000 of 20000000"):  # fmt: skip
        installation.take(line)
    assert f"package 1 of {installation.packages}, numpy: 5 of 20 MB" == installation.state
    installation.take("Installing collected packages: numpy")
    assert installation.state == "unpacking"
    assert installation.said[-1].startswith("Installing")
