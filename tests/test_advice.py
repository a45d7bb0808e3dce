"""What is to be shipped on each device, by the results of a run."""

from __future__ import annotations

import dataclasses

from edge_classify.benchmarks.budget import Budget
from edge_classify.benchmarks.recommend import advise

from .support.benchmark_results import LAPTOP, accuracy, failure, pairing, result


def test_each_device_has_its_own_advice_and_failures_are_no_candidates() -> None:
    here = result(file="a.tflite", median_ms=10.0)
    there = result(file="b.tflite", median_ms=5.0, device="pi.local")
    found = advise([here, there, failure(device="pi.local"), result(file="c.tflite", host=LAPTOP)], Budget())
    assert [(one.device, one.recommendation.name) for one in found] == [
        (here.host.name, "a.tflite"), ("pi.local", "b.tflite"), (LAPTOP.name, "c.tflite"),
    ]  # fmt: skip


def test_names_hold_what_tells_results_apart_and_nothing_else() -> None:
    twice = [result(file="m/a.tflite", threads=1), result(file="m/a.tflite", threads=2, median_ms=5.0)]
    (found,) = advise(twice, Budget())
    assert found.names == ("a.tflite, 1 thread", "a.tflite, 2 threads")
    (found,) = advise([result(file="x/a.tflite"), result(file="y/a.tflite")], Budget())
    assert found.names == ("x/a.tflite", "y/a.tflite")
    delegated = [result(file="a.tflite"), result(file="a.tflite", delegate="/lib/libedgetpu.so.1")]
    (found,) = advise([*delegated, delegated[0]], Budget())
    assert found.names == ("a.tflite, no delegate (1)", "a.tflite, edgetpu", "a.tflite, no delegate (2)")


def test_two_machines_of_the_same_name_have_advice_of_their_own() -> None:
    more_memory = dataclasses.replace(LAPTOP, memory_mb=33_000, fingerprint="cafecafecafe")
    found = advise(
        [result(file="a.tflite", host=LAPTOP), result(file="b.tflite", host=more_memory)], Budget()
    )
    assert [(one.device, one.recommendation.name) for one in found] == [
        (f"{LAPTOP.name} (1)", "a.tflite"), (f"{LAPTOP.name} (2)", "b.tflite"),
    ]  # fmt: skip


def test_drop_is_what_a_file_lost_to_its_float_model_and_not_to_another_one() -> None:
    scored = accuracy(0.9)
    worse = dataclasses.replace(scored, pairing=pairing(changes=30))
    int8 = result(file="int8.tflite", variant="int8", accuracy=worse)
    float32 = result(file="float32.tflite", variant="float32", accuracy=worse)
    (found,) = advise([int8, float32], Budget(drop=1.0))
    assert found.recommendation.misses == {"int8.tflite": ["loses 3.00 points, and more than 1 is no chance"]}
    record = found.to_record()["recommendation"]
    assert record["ship"] == "float32.tflite" and "int8.tflite" in record["why_not"]
