"""Tables of all commands on narrow and wide terminals: whole cells, none too wide, what is left out named."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.benchmarks.budget import Budget
from edge_classify.benchmarks.devices.android import print_tool_results
from edge_classify.benchmarks.operations.tables import print_operations
from edge_classify.benchmarks.recommend import advise
from edge_classify.benchmarks.results.compare import compare
from edge_classify.benchmarks.results.comparison import print_comparison
from edge_classify.benchmarks.results.result import Caveat, Conditions
from edge_classify.benchmarks.scoring.choice import RightAnswers
from edge_classify.benchmarks.scoring.loss import Loss
from edge_classify.benchmarks.summary import print_summary
from edge_classify.convert.inspection.inspection import inspect
from edge_classify.convert.inspection.view import run_inspection
from edge_classify.convert.output import Converted, TimedInference
from edge_classify.convert.repair.view import print_report, print_short_report
from edge_classify.convert.tables import choose, print_tables
from edge_classify.edge import checks, console, tables
from edge_classify.edge.card import Accuracy, OutputSpec
from edge_classify.edge.console import folded
from edge_classify.edge.default_model import DEFAULT_MODEL
from edge_classify.edge.outputs.text_lines import to_text
from edge_classify.edge.printable import one_line
from edge_classify.edge.sources.devices import CameraDevice
from edge_classify.edge.tables import TableColumn, lay_out, print_table
from edge_classify.train.report import ModelReport
from edge_classify.train.tables import print_models
from hypothesis import given, settings
from hypothesis import strategies as st

from .support.benchmark_results import (
    accuracy,
    cold_start,
    failure,
    operations,
    pairing,
    ratio,
    result,
    soak,
    stages,
)
from .support.output_results import answer
from .support.pictures import write_shapes
from .support.repair_reports import make_report
from .support.report_data import make_evaluation, make_labels, make_split
from .support.terminal import run_in_terminal, squashed, widest

WIDTHS = (40, 60, 80, 100, 130)
LONG = "运行/a folder/mobilenet_v2-with-a-name-that-is-longer-than-any-terminal-is-wide_" + "x" * 70
NAMES = ("cnn_float32", "mobilenet_v3_small_dynamic", "[red]cnn[/red]_int8", LONG)


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Show stdout on a terminal of so many columns."""
    for module in (console, tables, checks):
        monkeypatch.setattr(module, "terminal_width", lambda: request.param)
    return int(request.param)


def converted(name: str, place: int) -> Converted:
    scores = Accuracy(
        "data", 359, 0.97 - place / 20, (0.95 - place / 20, 0.99 - place / 20), 0.9, 0.03, 0.97, -0.01,
        mean_difference=0.01, largest_difference=0.9, only_float=9, only_this=1,
    )  # fmt: skip
    right = np.arange(400) >= 8 + 60 * (place == 2)
    return Converted(
        f"{name}.tflite", name, "int8", 4_000_000 >> place, 1.0, OutputSpec(threshold=0.5), scores, 0.9, 0.97,
        -0.01, None, Loss(0, 0, 359), TimedInference(9.0 - place, 19.0 - place, 60.0),
        answers=RightAnswers("validation", True, right, np.arange(400) >= 8),
    )  # fmt: skip


def print_conversion(details: bool) -> list[str]:
    files = [converted(name, place) for place, name in enumerate(NAMES)]
    advice = choose(files, Budget(), 0.01)
    print_tables(files, Path("models"), advice, details)
    assert {advice.verdict(item.file) for item in files} >= {"ship this", "less accurate"}
    why = advice.against if details else advice.verdict
    return [text for item in files for text in (item.file, why(item.file))]


def print_benchmark(details: bool) -> list[str]:
    busy = Caveat("neighbours", "Others kept 0.60 cores busy: end them", 0.6)
    disturbed = Conditions(0.6, 1.1, None, None, None, None, (busy,))
    made = [
        result(
            file=f"{name}.tflite", median_ms=9.0 - 2 * place, conditions=disturbed, soak=soak(minutes=2),
            ratio=ratio(0.5), stages=(stages(),), cold_start=cold_start(),
            accuracy=accuracy(0.9, make_labels(10), pairing=pairing()),
        )
        for place, name in enumerate(NAMES)
    ]  # fmt: skip
    (advice,) = advise(made, Budget(p99=3.0, size=1_000_000))
    print_summary([*made, failure()], [advice], details)
    found = advice.recommendation
    why = found.against if details else found.verdict
    return [*advice.names, *map(why, advice.names), "Others kept 0.60 cores busy"]


def print_comparisons(details: bool) -> list[str]:
    old = [result(file=f"{name}.tflite") for name in NAMES]
    new = [result(file=f"{name}.tflite", median_ms=25.0, accuracy=accuracy(0.8)) for name in NAMES]
    print_comparison(compare(old, new, 0.05), details)
    return [*NAMES[:3], "slower", "Regression: "]


def print_operators(details: bool) -> list[str]:
    print_operations(operations(), LONG, details)
    return ["DEPTHWISE_CONV_2D", "XNNPACK", "Outside XNNPACK"]


def print_android(_: bool) -> list[str]:
    record = {
        "device": "adb", "host": {"board": "Pixel", "cores": 8, "system": "Android 14"}, "tool": "tool",
        "remarks": ["Only means are known. " * 9], "threads": 1, "size_bytes": 9, "runs": 9,
        "memory_growth_mb": None,
        **dict.fromkeys(("load_ms", "first_ms", "mean_ms", "std_ms", "median_ms", "p95_ms"), 123_456.789),
    }  # fmt: skip
    print_tool_results([{**record, "file": f"{name}.tflite"} for name in NAMES])
    return [*NAMES[:2], "memory grew by"]


def print_repairs(details: bool) -> list[str]:
    report = make_report(name="a_layer/of_a_network/with_a_long_name", guilty=12)
    print_short_report(report)
    print_report(report, details)
    rest = report.harmful[-1].name if details else "and 2 more, which --details shows"
    return ["Ship the repaired file (12 layers in float)", report.harmful[0].name, rest]


def print_training(details: bool) -> list[str]:
    labels = make_labels(12)
    none: dict[str, Any] = {"curves": b"", "confusion": b"", "mistakes": ()}
    models = [
        ModelReport(
            name, 32, make_evaluation(labels, 60, seed), 9_999_999, [9], 9, 72.3, 9, False, "", **none
        )
        for seed, name in enumerate(("cnn", "resnet50"))
    ]
    print_models(models, make_split(labels), details)
    return [
        "cnn: accuracy",
        "resnet50: accuracy",
        "class 011" if details else "cannot be told from 60 images",
    ]


def print_cameras(_: bool) -> list[str]:
    formats = tuple(f"{name} 640x480, 1280x720, 1920x1080 at 30 pictures a second" for name in "ABCDE")
    with pytest.MonkeyPatch.context() as patch:
        cameras = [CameraDevice("A camera", "/dev/video0", "uvcvideo", "", formats)]
        patch.setattr("edge_classify.edge.sources.devices.list_cameras", lambda: cameras)
        checks.show_cameras(as_json=False)
    return ["/dev/video0", *formats]


def print_inspection(_: bool) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_classify.convert.inspection.view.inspect", inspected)
        run_inspection(DEFAULT_MODEL, as_json=False)
    return ["Travels inside:", "XNNPACK", "CONV_2D"]


inspected = lru_cache(inspect)
PRINTERS = (
    print_conversion, print_benchmark, print_comparisons, print_operators, print_android, print_repairs,
    print_training, print_cameras, print_inspection,
)  # fmt: skip


def on_one_line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("printer", PRINTERS)
def test_no_table_is_wider_than_the_terminal_and_names_and_verdicts_are_whole(
    printer: Callable[[bool], list[str]], details: bool, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = printer(details)
    out = capsys.readouterr().out
    assert widest(out.splitlines()) <= width
    missing = [text for text in wanted if squashed(text) not in squashed(out)]
    assert not missing, out


@dataclass(frozen=True)
class Grid:
    """What a table is made of."""

    columns: list[TableColumn]
    rows: list[list[str]]


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    text = st.text(st.sampled_from("ab 猫é-[]/\\x0a\n"), max_size=60)
    title = st.text(st.sampled_from("abc猫 \n"), min_size=1, max_size=20)
    columns = [
        TableColumn(draw(title), draw(st.integers(0, 3)), draw(st.booleans()))
        for _ in range(draw(st.integers(1, 9)))
    ]
    count = draw(st.integers(0, 3))
    return Grid(columns, [[draw(text) for _ in columns] for _ in range(count)])


@settings(max_examples=80)
@given(grids(), st.sampled_from(WIDTHS), st.booleans())
def test_whatever_a_table_holds_is_shown_whole_or_named_as_left_out(
    grid: Grid, width: int, whole: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setattr(tables, "terminal_width", lambda: width)
        print_table("A title", grid.columns, grid.rows, whole=whole)
    text = squashed(out.getvalue())
    assert widest(out.getvalue().splitlines()) <= width
    layout = lay_out(grid.columns, [[one_line(c) for c in row] for row in grid.rows], width, whole)
    for place, column in enumerate(grid.columns):
        if any(row[place] for row in grid.rows) and (place or layout.parts):  # A block needs no empty line.
            assert all(squashed(line) in text for line in column.title.split("\n"))
    shown = [place for place in range(len(grid.columns)) if place not in layout.left_out]
    assert all(squashed(one_line(row[place])) in text for row in grid.rows for place in shown)
    assert all(grid.columns[place].rank and place for place in layout.left_out)
    assert not (whole and layout.left_out)


def test_columns_of_the_highest_rank_are_left_out_first_and_named_and_details_go_on_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = [
        TableColumn("file", words=True),
        *(TableColumn(f"the rank {rank}", rank) for rank in (3, 0, 1)),
    ]
    rows = [["a" * 40, "3", "0", "1"]]
    monkeypatch.setattr(tables, "terminal_width", lambda: 72)
    print_table("T", columns, rows, whole=False)
    out = capsys.readouterr().out
    assert "the rank 0" in out and "the rank 1" in out
    assert "Left out, since the terminal is too narrow: the rank 3. --details shows all." in on_one_line(out)
    print_table("T", columns, rows)
    out = capsys.readouterr().out
    assert out.count("a" * 40) == 2 and "the rank 3" in out and "Left out" not in out
    monkeypatch.setattr(tables, "terminal_width", lambda: 50)
    print_table("T", columns, rows, whole=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["T", "", "a" * 40, "  the rank 3: 3", "  the rank 0: 0", "  the rank 1: 1", ""]


def test_sentence_is_folded_at_blanks_and_its_other_lines_hang() -> None:
    text = "one two three four five six"
    assert folded(text, 10, "  ", "    ") == ["  one two", "    three", "    four", "    five", "    six"]
    assert folded(text, None, "- ") == [f"- {text}"]
    assert folded("  a wide 猫猫猫猫猫猫", 8) == ["  a wide", "猫猫猫猫", "猫猫"]


def test_pipe_gets_every_column_on_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_conversion(details=False)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(LONG)]
    assert len(row) > 200 and row.split()[-2:] != [] and " ms" in row


def test_answers_of_several_models_get_a_line_each_where_one_is_too_narrow() -> None:
    frame = replace(_frame(), source="a.jpg")
    answers = [answer({"cat": 0.9, "dog": 0.1}, model=name) for name in ("one", "two")]
    wide = "a.jpg  one: cat 90.0%, dog 10.0%  |  two: cat 90.0%, dog 10.0%\n"
    assert to_text(frame, answers, None, None) == to_text(frame, answers, None, 80) == wide
    narrow = "a.jpg\n  one: cat 90.0%, dog 10.0%\n  two: cat 90.0%, dog 10.0%\n"
    assert to_text(frame, answers, None, 40) == narrow


def _frame() -> Any:
    from .support.output_results import photo

    return photo("a.jpg", answer({"cat": 0.9})).frame


def write_results(path: Path, results: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(one.to_record()) + "\n" for one in results))
    return path


@pytest.mark.parametrize("command", ["edge-benchmark", "edge-convert", "edge-classify", "edge-train"])
def test_command_on_a_real_terminal_keeps_to_its_width(command: str, tmp_path: Path) -> None:
    old = write_results(tmp_path / "old.jsonl", [result(file=f"{name}.tflite") for name in NAMES[:3]])
    words: dict[str, tuple[object, ...]] = {
        "edge-benchmark": ("--compare", old, old),
        "edge-convert": ("--inspect", DEFAULT_MODEL),
        "edge-classify": ("--doctor", "--model", DEFAULT_MODEL),
        "edge-train": (write_shapes(tmp_path / "shapes", 2), "--audit-only", "--cache", "none"),
    }
    plain = {"NO_COLOR": "1", "PYTHONIOENCODING": "ascii:backslashreplace", "PYTHONUTF8": "0"}
    settings = plain if command == "edge-benchmark" else {}
    given = [command, *map(str, words[command])]
    _, lines = run_in_terminal(given, tmp_path, columns=64, remarks=False, **settings)
    assert lines and widest(lines) <= 64
    if command == "edge-benchmark":
        out = " ".join(lines)
        assert "Left out, since the terminal is too narrow: 95 % interval, p99" in out and out.isascii()
