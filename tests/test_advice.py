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


def test_drop_is_what_a_file_lost_to_its_float_model_and_not_to_another_one() -> None:
    scored = accuracy(0.9)
    worse = dataclasses.replace(scored, pairing=pairing(changes=30))
    int8 = result(file="int8.tflite", variant="int8", accuracy=worse)
    float32 = result(file="float32.tflite", variant="float32", accuracy=worse)
    (found,) = advise([int8, float32], Budget(drop=1.0))
    assert found.recommendation.misses == {"int8.tflite": ["loses 3.00 points, more than 1"]}
    record = found.to_record()["recommendation"]
    assert record["ship"] == "float32.tflite" and "int8.tflite" in record["why_not"]
