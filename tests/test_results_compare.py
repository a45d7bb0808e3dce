from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from edge_classify.benchmarks.options import parse_share
from edge_classify.benchmarks.results.compare import check, compare
from edge_classify.benchmarks.results.comparison import Comparison
from edge_classify.benchmarks.results.result import Caveat, Conditions, Failure, Memory, Result
from edge_classify.edge.errors import BenchmarkError

from .support.benchmark_results import LAPTOP, ORIGIN, PI, accuracy, failure, result, yardstick


def _disturbed(cores: float, kind: str = "neighbours") -> Conditions:
    caveat = Caveat(kind, f"Something was in the way: {cores}", cores)
    return Conditions(cores, cores, (600.0, 1500.0), (50.0, 81.0), (), "performance", (caveat,))


def _verdict(before: Result, after: Result) -> str:
    (pair,) = compare([before], [after], 0.05).pairs
    return pair.latency.verdict


def _kinds(comparison: Comparison) -> list[str]:
    return [finding.kind for pair in comparison.pairs for finding in pair.findings]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "same"), (1.01, "same"), (1.04, "unclear"), (1.1, "slower"), (0.9, "faster"), (0.96, "unclear")],
)
def test_change_of_the_median_is_judged_by_the_limit(factor: float, verdict: str) -> None:
    assert _verdict(result(median_ms=20.0), result(median_ms=20.0 * factor)) == verdict


def test_slower_model_is_a_regression_and_named_with_its_interval() -> None:
    comparison = compare([result(median_ms=20.0)], [result(median_ms=23.0)], 0.05)
    (text,) = comparison.regressions
    assert text.startswith("flowers_int8.tflite is 15.0% slower (95 % interval +11.9% to +18.2%)")
    assert text.endswith("; its file is the same as before")
    assert compare([result(median_ms=20.0)], [result(median_ms=23.0)]).regressions == ()


def test_machine_that_is_slower_today_is_recognized_by_the_yardstick() -> None:
    before = result(median_ms=20.0)
    times = tuple(tuple(1.5 * block for block in process) for process in before.latency.blocks)
    slowed = replace(before, latency=replace(before.latency, median_ms=30.0, blocks=times))
    (pair,) = compare([before], [slowed], 0.05).pairs
    assert pair.latency.verdict == "same" and pair.latency.change == pytest.approx(0)
    assert (pair.latency.before_ms, pair.latency.after_ms) == (20.0, 30.0)


@pytest.mark.parametrize(
    "change",
    [
        {"runtime": "ai-edge-litert 2.1.0"},
        {"yardstick": None},
        {"host": replace(PI, fingerprint="ffffffffffff")},
    ],
)
def test_other_runtime_machine_or_yardstick_leaves_the_medians_to_compare(change: dict[str, Any]) -> None:
    (pair,) = compare([result()], [result(**change)], 0.05).pairs
    assert pair.latency.basis == "medians"


def test_yardstick_of_another_release_is_no_yardstick() -> None:
    beside = result().yardstick
    assert beside is not None
    (pair,) = compare([result()], [result(yardstick=replace(beside, sha256="0" * 64))], 0.05).pairs
    assert pair.latency.basis == "medians"
    assert any("not measured beside the same yardstick" in remark for remark in pair.remarks)


def test_neighbours_may_explain_a_slower_run_but_not_a_slower_baseline() -> None:
    crowded = _disturbed(3.4)  # Of four cores: 0.6 of one are left.
    slow, disturbed = result(median_ms=26.0), result(median_ms=26.0, conditions=crowded)
    assert _verdict(result(), disturbed) == "unclear"
    assert _verdict(result(), result(median_ms=40.0, conditions=crowded)) == "slower"
    assert _verdict(result(conditions=crowded), slow) == "slower"
    assert _verdict(disturbed, result()) == "unclear"
    assert _verdict(result(conditions=crowded), result()) == "unclear"
    assert _verdict(result(), result(conditions=crowded)) == "same"


def test_neighbours_on_other_cores_excuse_hardly_anything() -> None:
    assert _verdict(result(), result(median_ms=22.2, conditions=_disturbed(1.0))) == "slower"
    assert _verdict(result(), result(median_ms=21.4, conditions=_disturbed(1.0))) == "unclear"


def test_neighbours_slow_several_threads_down_by_more_than_their_share() -> None:
    before = result(threads=2)
    assert _verdict(before, result(threads=2, median_ms=90.0, conditions=_disturbed(3.0))) == "unclear"
    assert _verdict(before, result(threads=2, median_ms=200.0, conditions=_disturbed(3.0))) == "slower"
    assert _verdict(before, result(threads=2, median_ms=25.0, conditions=_disturbed(1.5))) == "slower"


def test_clock_that_fell_explains_a_slower_run_only_without_a_yardstick() -> None:
    slow = result(median_ms=26.0, conditions=_disturbed(0.4, "throttled"))
    assert _verdict(result(), slow) == "slower"
    assert _verdict(result(yardstick=None), replace(slow, yardstick=None)) == "unclear"


def test_neighbours_that_could_not_be_measured_excuse_nothing() -> None:
    unknown = replace(_disturbed(0.0), neighbours=None, neighbours_max=None)
    assert _verdict(result(), result(median_ms=23.0, conditions=unknown)) == "slower"


def test_unclear_verdict_says_how_to_get_a_clear_one() -> None:
    (pair,) = compare([result()], [result(median_ms=20.8)], 0.05).pairs
    assert pair.remarks == (
        "whether it is more than 5% slower is not clear (+1.2% to +6.9%): measure once more, and join "
        "the files: results of one model count together",
    )
    (pair,) = compare([result()], [result(median_ms=26.0, conditions=_disturbed(3.4))], 0.05).pairs
    assert "see to that, and measure again" in pair.remarks[0]


def test_results_of_several_runs_in_one_file_count_together() -> None:
    once = compare([result()], [result(median_ms=20.8)], 0.05).pairs[0].latency
    thrice = compare([result()] * 3, [result(median_ms=20.8)] * 3, 0.05).pairs[0].latency
    assert thrice.change == pytest.approx(once.change)
    assert thrice.ci95[1] - thrice.ci95[0] < 0.6 * (once.ci95[1] - once.ci95[0])


def test_older_results_of_another_model_of_that_name_are_left_out_and_said() -> None:
    old, new = result(median_ms=40.0, sha256="0" * 64), result(median_ms=20.0)
    comparison = compare([old, new], [new], 0.05)
    assert comparison.pairs[0].latency.verdict == "same"
    assert "before: older results of flowers_int8.tflite are left out" in comparison.remarks[0]


def test_subjects_are_paired_by_name_without_folders_threads_runtime_and_delegate() -> None:
    before = [
        result(file="a/m.tflite"),
        result(file="a/m.tflite", threads=2),
        result(file="a/old.tflite"),
        result(file="a/m.tflite", runtime="tflite-runtime 2.14.0"),
        result(file="a/m.tflite", delegate="/usr/lib/libedgetpu.so.1"),
        result(file="a/m.tflite", device="pi"),
    ]
    after = [
        result(file="b/m.tflite", device="pi"),
        result(file="b/m.tflite", delegate="libedgetpu.so.1"),
        result(file="b/m.tflite", threads=2),
        result(file="b/m.tflite"),
        result(file="b/new.tflite"),
        result(file="b/m.tflite", runtime="tflite-runtime 2.15.0"),
    ]
    comparison = compare(before, after, 0.05)
    assert {pair.after: pair.before for pair in comparison.pairs} == {
        after[0]: before[5],
        after[1]: before[4],
        after[2]: before[1],
        after[3]: before[0],
        after[5]: before[3],
    }
    assert (comparison.only_before, comparison.only_after) == ((before[2],), (after[4],))


def test_different_models_of_one_name_are_distinguished_by_their_folders() -> None:
    one, other = result(file="1/m.tflite", median_ms=9.0), result(file="2/m.tflite", median_ms=30.0)
    comparison = compare([one, other], [other, one], 0.05)
    assert [pair.latency.verdict for pair in comparison.pairs] == ["same", "same"]


def test_nothing_in_common_is_refused_with_both_names() -> None:
    with pytest.raises(BenchmarkError, match=r"before: a\.tflite; after: b\.tflite"):
        compare([result(file="a.tflite")], [result(file="b.tflite")])


def test_model_that_fails_now_and_did_not_before_is_a_regression() -> None:
    measured = result(file="x/m.tflite", runtime="tflite-runtime 2.14.0")
    broken, unknown = failure(file="y/m.tflite"), failure(file="y/never.tflite")
    comparison = compare([measured, result()], [result(), broken, unknown], 0.05)
    assert (comparison.broken, comparison.failing, comparison.only_before) == ((broken,), (unknown,), ())
    assert comparison.regressions[0].startswith("y/m.tflite could be measured before, and fails now: ")


def test_failure_after_which_the_model_was_measured_is_none() -> None:
    failed = failure(file="flowers_int8.tflite", runtime=None)
    assert compare([result()], [failed, result()], 0.05).broken == ()
    assert compare([result()], [result(), failed], 0.05).broken == (failed,)


def test_model_that_failed_before_and_is_measured_now_is_new() -> None:
    before: list[Result | Failure] = [result(), failure(file="m.tflite")]
    now = result(file="m.tflite", runtime="tflite-runtime 2.14.0")
    comparison = compare(before, [result(), now], 0.05)
    assert comparison.only_after == (now,) and comparison.regressions == ()


def _memory(peak: float) -> Memory:
    return Memory(peak, peak, peak, 0.0)


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ({"size_bytes": 1_000_000}, {"size_bytes": 1_049_000}, []),
        ({"size_bytes": 1_000_000}, {"size_bytes": 1_051_000}, ["larger"]),
        ({"memory": _memory(30.0)}, {"memory": _memory(31.9)}, []),
        ({"memory": _memory(30.0)}, {"memory": _memory(32.1)}, ["memory"]),
        ({"memory": _memory(300.0)}, {"memory": _memory(310.0)}, []),
        ({"memory": _memory(30.0)}, {"memory": None}, []),
        ({"p99_ms": 25.0}, {"p99_ms": 70.0}, []),
        ({"p99_ms": 25.0}, {"p99_ms": 80.0}, ["tail"]),
        ({"p99_ms": 25.0}, {"p99_ms": 80.0, "runs": 100}, []),
        ({"p99_ms": 25.0}, {"p99_ms": 80.0, "conditions": _disturbed(0.3)}, []),
        ({"accuracy": accuracy(0.90)}, {"accuracy": accuracy(0.85)}, ["less accurate"]),
        ({"accuracy": accuracy(0.90)}, {"accuracy": accuracy(0.89)}, []),
        ({"accuracy": accuracy(0.85)}, {"accuracy": accuracy(0.95)}, []),
        ({"accuracy": accuracy(0.90)}, {"accuracy": accuracy(0.80, images=999)}, []),
        ({"accuracy": accuracy(0.90)}, {"accuracy": accuracy(0.80, labels=("a", "b", "c"))}, []),
        ({"accuracy": accuracy(0.90)}, {"accuracy": None}, []),
    ],
)
def test_what_else_got_worse_is_found(
    before: dict[str, Any], after: dict[str, Any], kinds: list[str]
) -> None:
    assert _kinds(compare([result(**before)], [result(**after)], 0.05)) == kinds


def test_scores_on_other_images_are_not_compared_which_is_said() -> None:
    (pair,) = compare([result(accuracy=accuracy(0.9))], [result(accuracy=accuracy(0.8, images=500))]).pairs
    assert pair.remarks == ("scored on other images than before: accuracies are not compared",)


def test_warnings_of_one_set_only_are_reported() -> None:
    hot, swap = _disturbed(81.0, "hot"), _disturbed(12.0, "swap")
    (pair,) = compare([result(conditions=hot)], [result(conditions=swap)], 0.05).pairs
    assert (pair.new_warnings, pair.gone_warnings) == (swap.warnings, hot.warnings)


def test_baseline_of_another_machine_is_refused_unless_forced() -> None:
    with pytest.raises(BenchmarkError) as error:
        check([result(host=LAPTOP)], [result()], 0.05)
    assert "Intel(R) Core(TM) i5-8250U" in str(error.value) and "Raspberry Pi 4" in str(error.value)
    assert "--force" in str(error.value)
    comparison = check([result(host=LAPTOP)], [result()], 0.05, force=True)
    assert comparison.pairs[0].latency.basis == "medians"
    assert comparison.remarks[0].startswith(
        "two machines, whose times are compared as they are: before: Intel"
    )


def test_machines_are_compared_device_by_device() -> None:
    before = [result(), result(host=LAPTOP, device="desk")]
    assert check(before, [result(host=LAPTOP, device="desk")], 0.05).remarks == ()
    with pytest.raises(BenchmarkError, match="The baseline of desk is of another machine"):
        check(before, [result(), result(host=PI, device="desk")], 0.05)


def test_other_system_python_and_release_are_remarks() -> None:
    updated = result(
        host=replace(PI, system="Linux 6.12.0", python="3.13.1"), origin=replace(ORIGIN, version="0.2.0")
    )
    assert check([result()], [updated], 0.05).remarks == (
        "another version of system: Linux 6.6.31 before, Linux 6.12.0 now",
        "another version of Python: 3.11.2 before, 3.13.1 now",
        "another version of edge-classify: 0.1.0 before, 0.2.0 now",
    )


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), (" 5 % ", 0.05), ("0.5%", 0.005), ("0%", 0.0), ("250%", 2.5)]
)
def test_percentage_is_read_as_a_fraction(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "text", ["0.05", "5", "", "%", "-5%", "nan%", "1e3%", "5%%", "\u0665%", "1001%", "5% 6%"]
)
def test_share_that_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a percentage with its sign, such as 5%"):
        parse_share(text)


def test_sides_of_the_yardstick_fixture_agree_with_the_times() -> None:
    made = result()
    assert made.yardstick == yardstick(made.latency)
