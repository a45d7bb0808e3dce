from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from edge_classify.benchmarks.results.compare import compare
from edge_classify.benchmarks.results.comparison import print_comparison
from edge_classify.benchmarks.results.numbers import number
from edge_classify.benchmarks.results.result import Caveat, Conditions, Energy, Failure, Result
from edge_classify.benchmarks.results.tables import escape, to_markdown
from edge_classify.benchmarks.summary import print_summary
from hypothesis import given
from hypothesis import strategies as st

from .support.benchmark_results import (
    LAPTOP,
    accuracy,
    cold_start,
    failure,
    pairing,
    ratio,
    result,
    soak,
    stages,
)

BUSY = Conditions(
    0.6, 1.1, None, None, None, None, (Caveat("neighbours", "Other programs kept 0.60 cores busy", 0.6),)
)
HOSTILE = "a|b`[x](http://e.example)\n\x1b[31m<script>www.e.example @you.tflite"


def print_all(results: Sequence[Result | Failure]) -> None:
    """Print what --details shows, without advice."""
    print_summary(results, (), details=True)


def _rows(text: str, start: str) -> list[str]:
    """Return the cells of the lines that begin with a name, without the space between them."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip().startswith(start)]


def test_table_of_latency_shows_tails_ratio_and_memory_and_leaves_out_what_is_not_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = result(file="run/flowers_float32.tflite", median_ms=40.0)
    print_all([base, result(file="run/flowers_int8.tflite", ratio=ratio(0.5))])
    out = capsys.readouterr().out
    assert "Raspberry Pi 4 Model B Rev 1.4, 4 cores, ai-edge-litert 2.0.3, threads: 1, 2025-06-01" in out
    assert _rows(out, "flowers_") == [
        "flowers_float32 2.85 MB 32.0 ms 76.0 ms 40.0 ms 39.7 to 40.3 41.2 48.4 72.0 - - 64 MB",
        "flowers_int8 2.85 MB 16.0 ms 38.0 ms 20.0 ms 19.9 to 20.2 20.6 24.2 36.0 0.500 0.475 to 0.530 64 MB",
    ]
    assert "Ratios are to flowers_float32, of turns that followed each other." in out
    assert "Note: Energy was not measured: This board has no power" in out
    assert "energy" not in out and "top-1" not in out


def test_threads_are_named_where_they_differ_and_energy_where_it_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_all([result(energy=Energy(61.7, "RAPL", None)), result(threads=4)])
    one, four = _rows(capsys.readouterr().out, "flowers_")[:2]
    assert one.startswith("flowers_int8, 1 thread 2.85 MB") and one.endswith("61.7 mJ")
    assert four.startswith("flowers_int8, 4 threads 2.85 MB") and four.endswith("-")


def test_table_of_accuracy_says_whether_a_loss_is_real(capsys: pytest.CaptureFixture[str]) -> None:
    labels = tuple(f"label {number}" for number in range(10))
    print_all([
        result(file="flowers_float32.tflite", accuracy=accuracy(0.91, labels)),
        result(accuracy=accuracy(0.88, labels, pairing=pairing(), training_images=12, skipped=3)),
        result(file="flowers_mixed.tflite", accuracy=accuracy(0.91, labels, pairing=pairing(changes=4))),
    ])  # fmt: skip
    out = capsys.readouterr().out
    table = out[out.index("Accuracy on 1,000 images of flowers; answers compared with flowers_float32") :]
    assert _rows(table, "flowers_") == [
        "flowers_float32 91.00% 89.1 to 92.9% 99.00% 90.00% 88.0 to 92.0% label 9 73% 3.00% - - -",
        "flowers_int8 88.00% 86.1 to 89.9% 96.00% 87.00% 85.0 to 89.0% label 9 70% 3.00% 97.00% 30 "
        "yes, p = 0.004",
        "flowers_mixed 91.00% 89.1 to 92.9% 99.00% 90.00% 88.0 to 92.0% label 9 73% 3.00% 99.60% 4 "
        "not shown, p = 1.000",
    ]
    assert "flowers_int8: 3 images could not be read" in out


def test_top5_of_few_classes_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_all([result(accuracy=accuracy(0.9))])
    assert "top-5" not in capsys.readouterr().out


def test_stages_soak_cold_start_and_failures_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_all([result(stages=(stages(),), soak=soak(minutes=2), cold_start=cold_start()), failure()])
    out = capsys.readouterr().out
    row = f"flowers_int8 files 6.00 2.50 20.0 {number(0.05)} 28.6 42.8 35.0; 119 by 4"
    assert row in _rows(out, "flowers_int8 ")
    assert "flowers_int8: 2 minutes without a pause: +50.0% time at the end, 52 to 68 °C, 1500 MHz." in out
    assert "takes 480 ms from start to exit (466 to 538, 61 MB at most)." in out
    assert "Not measured: flowers_int16x8, 1 thread, tflite-runtime 2.14.0: " in out


def test_each_machine_has_its_own_tables_and_shared_notes_stand_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_all([
        result(conditions=BUSY), result(file="x.tflite", conditions=BUSY),
        result(host=LAPTOP, device="me@desk"),
    ])  # fmt: skip
    out = capsys.readouterr().out
    assert out.count("Note: Other programs kept 0.60 cores busy") == 1
    assert out.index("me@desk: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz, 8 cores") > out.index("Note: Other")


def test_failures_alone_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    print_all([failure()])
    assert capsys.readouterr().out.startswith("Not measured: flowers_int16x8")


def test_comparison_shows_both_medians_the_change_and_the_verdict(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [result(accuracy=accuracy(0.9)), result(file="gone.tflite")]
    after = [result(median_ms=23.0, accuracy=accuracy(0.8), conditions=BUSY), result(file="new.tflite")]
    quiet = replace(after[0], conditions=before[0].conditions)
    print_comparison(compare(before, [quiet, after[1]], 0.05))
    out = capsys.readouterr().out
    (row,) = _rows(out, "flowers_int8 ")
    assert row.startswith("flowers_int8 20.0 ms 23.0 ms +15.0% +11.9 to +18.2% slower 24.2 to 27.8 ms 64 MB")
    assert row.endswith("2.85 MB 90.00 to 80.00%")
    assert out.count("Regression: ") == 2 and "top-1 fell from 90.00% to 80.00%" in out
    assert "Only before: gone" in out and "Only now: new" in out
    print_comparison(compare(before, after))
    out = capsys.readouterr().out
    assert "Regression" not in out and out.count("Worse: ") == 2
    assert "new warning: Other programs kept 0.60 cores busy" in out


def test_comparison_without_a_regression_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(compare([result()], [result()], 0.05))
    assert capsys.readouterr().out.startswith("No regression of more than 5% was found.\n")
    print_comparison(compare([result()], [result(median_ms=20.8)], 0.05))
    said = "No regression of more than 5% was found; it is not clear for: flowers_int8.\n"
    assert capsys.readouterr().out.startswith(said)


def test_markdown_names_machine_versions_commit_and_command_and_numbers_its_notes() -> None:
    text = to_markdown(
        [result(accuracy=accuracy(0.9)), result(file="x.tflite", conditions=BUSY), failure()],
        "edge-benchmark *.tflite",
    )
    assert text.startswith(
        "**Raspberry Pi 4 Model B Rev 1.4, 4 cores** (ai-edge-litert 2.0.3, threads: 1, 2025-06-01; "
        "Linux 6.6.31, Python 3.11.2, edge-classify 0.1.0, commit 1a2b3c4)\n\n| file | size | load |"
    )
    assert "| flowers\\_int8 <sup>1</sup> | 2.85 MB | 16.0 ms |" in text
    assert "| x <sup>1,2</sup> |" in text
    assert "2. Other programs kept 0.60 cores busy" in text
    assert "| flowers\\_int8 <sup>1</sup> | 90.00% | 88.1 to 91.9% |" in text
    assert "- Not measured: flowers\\_int16x8, 1 thread" in text
    assert text.endswith("Measured by:\n\n    edge-benchmark *.tflite\n")


def test_hostile_names_break_neither_table_nor_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    label = accuracy(0.9, ("<img src=x>|", "b\nc", "@all"))
    hostile: list[Result | Failure] = [
        result(file=HOSTILE, accuracy=label, device="d|\x1b"),
        failure(file=HOSTILE, error="|\x1b\n"),
    ]
    print_all(hostile)
    print_comparison(compare(hostile, hostile, 0.05))
    assert "\x1b" not in capsys.readouterr().out
    text = to_markdown(hostile)
    assert "\x1b" not in text and "<script" not in text and "<img" not in text
    for table in text.split("\n\n"):
        lines = [line.replace("\\|", "") for line in table.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


@given(st.text(max_size=30))
def test_escaped_text_is_one_line_without_tags_cells_or_links(text: str) -> None:
    escaped = escape(text)
    assert "\n" not in escaped and "\r" not in escaped and "<" not in escaped and "://" not in escaped
    assert "|" not in escaped.replace("\\|", "")
