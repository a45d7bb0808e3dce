from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.loss import Loss
from edge_classify.convert.repair.answers import answer
from edge_classify.convert.repair.report import Attempt, RepairReport, RepairRequest
from edge_classify.convert.repair.search import cheapest, find_repair
from edge_classify.convert.repair.sensitivity import LayerError, rank_layers
from edge_classify.convert.repair.view import print_report
from edge_classify.convert.tflite.quantizer import requantize
from edge_classify.convert.tflite.ranges import observe
from edge_classify.edge.errors import ConversionError
from edge_classify.edge.runtime import load_interpreter
from numpy.typing import NDArray

from .support.tiny_tflite import PLANTED, RELU6, colours, tiny_classifier

CALIBRATION, _ = colours(40, 0)
VALIDATION, TRUTH = colours(200, 1)
UNSEEN, UNSEEN_TRUTH = colours(300, 2)


def repair_request(
    model: bytes, max_drop: float = 0.01, truth: NDArray[np.int64] | None = TRUTH
) -> RepairRequest:
    int8 = requantize(model, "int8", observe(model, CALIBRATION))
    return RepairRequest(
        "tiny", model, int8, lambda: iter(CALIBRATION), lambda: iter(VALIDATION), truth, max_drop
    )


def top1(flatbuffer: bytes) -> float:
    return float((answer(flatbuffer, UNSEEN).argmax(1) == UNSEEN_TRUTH).mean())


@pytest.fixture(scope="module")
def equalizable() -> RepairReport:
    return find_repair(repair_request(tiny_classifier(PLANTED, residual=True)))


@pytest.fixture(scope="module")
def selective() -> RepairReport:
    return find_repair(repair_request(tiny_classifier(PLANTED, RELU6)))


def test_collapse_is_found_and_repaired_without_float_layers_where_channels_can_be_equalized(
    equalizable: RepairReport,
) -> None:
    assert equalizable.int8.drop > 0.2
    assert equalizable.harmful and equalizable.chosen is not None
    assert equalizable.chosen.kind == "equalization" and equalizable.chosen.kept_float == ()
    assert top1(equalizable.chosen.flatbuffer) >= top1(tiny_classifier()) - 0.01


def test_collapse_behind_relu6_is_repaired_by_the_guilty_layers_in_float(selective: RepairReport) -> None:
    assert selective.int8.drop > 0.2
    assert {error.name for error in selective.diagnosis[:2]} == {"project", "expand"}
    assert selective.chosen is not None and selective.chosen.kind == "selective"
    assert set(selective.chosen.kept_float) == {"project", "expand"}
    assert top1(selective.int8.flatbuffer) < 0.8
    assert top1(selective.chosen.flatbuffer) >= top1(tiny_classifier()) - 0.01


def test_repairs_are_tried_in_order_of_what_they_cost(selective: RepairReport) -> None:
    kinds = [attempt.kind for attempt in selective.attempts]
    assert kinds[:4] == ["int8", "calibration", "calibration", "calibration"]
    assert kinds.index("selective") > max(i for i, kind in enumerate(kinds) if kind == "calibration")
    assert all(attempt.latency_ratio is not None for attempt in selective.attempts)


def test_layers_that_need_not_stay_float_are_put_back_into_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    def misjudge(*arguments: Any) -> list[LayerError]:
        errors = rank_layers(*arguments)
        return [errors[-1], errors[0], errors[-2], *errors[1:-2]]

    monkeypatch.setattr("edge_classify.convert.repair.search.rank_layers", misjudge)
    report = find_repair(repair_request(tiny_classifier(PLANTED, RELU6)))
    fewest = min((a for a in report.attempts if a.passes), key=lambda attempt: len(attempt.kept_float))
    assert fewest.kept_float == ("project", "expand")


@pytest.mark.parametrize(("second", "chosen"), [(1.09, 0), (0.99, 0), (0.95, 1)])
def test_later_repair_is_chosen_only_if_it_is_clearly_faster(second: float, chosen: int) -> None:
    slow_and_wrong = Attempt("calibration", "", Loss(5, 0, 10), False, b"", latency_ratio=0.1)
    passing = [
        Attempt("selective", "", Loss(0, 0, 10), True, b"", latency_ratio=ratio) for ratio in (1.0, second)
    ]
    assert cheapest([slow_and_wrong, *passing]) is passing[chosen]
    assert cheapest([slow_and_wrong]) is None


@pytest.mark.parametrize(("kinds", "chosen"), [(("calibration",) * 2, 1), (("calibration", "selective"), 0)])
def test_of_files_that_do_the_same_work_the_one_of_least_divergence_is_chosen(
    kinds: tuple[str, str], chosen: int
) -> None:
    passing = [
        Attempt(kind, "", Loss(0, 0, 10), True, b"", latency_ratio=1.0, divergence=divergence)
        for kind, divergence in zip(kinds, (0.02, 0.01), strict=True)
    ]
    assert cheapest(passing) is passing[chosen]


def test_each_attempt_tells_its_seconds_divergence_and_same_answers(selective: RepairReport) -> None:
    int8, *others = selective.attempts
    assert selective.chosen is not None
    assert selective.chosen.divergence < int8.divergence and selective.chosen.same > int8.same
    assert all(attempt.seconds > 0 for attempt in others)
    assert {"divergence", "same", "seconds"} <= set(int8.to_json())


def test_report_is_plain_json_and_points_at_what_was_chosen(selective: RepairReport) -> None:
    record = json.loads(json.dumps(selective.to_json()))
    assert record["attempts"][record["chosen"]]["kept_float"] == ["project", "expand"]
    assert record["diagnosis"][0]["divergence"] == selective.diagnosis[0].divergence
    assert record["attempts"][0]["size_bytes"] == len(selective.int8.flatbuffer)


def test_impossible_limit_passes_nothing_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    report = find_repair(repair_request(tiny_classifier(PLANTED, RELU6), max_drop=-0.5))
    assert report.chosen is None and not any(attempt.passes for attempt in report.attempts)
    print_report(report)
    text = " ".join(capsys.readouterr().out.split())
    assert "Nothing brings the loss down" in text and "float16" in text and "weight decay" in text


def test_healthy_model_is_sent_home_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    report = find_repair(repair_request(tiny_classifier()))
    assert report.chosen is not None and report.chosen.kind == "int8" and len(report.attempts) == 1
    print_report(report)
    assert "nothing to repair" in " ".join(capsys.readouterr().out.split())


def test_unlabelled_images_are_judged_by_what_the_float_model_thinks_of_the_answers() -> None:
    report = find_repair(repair_request(tiny_classifier(PLANTED, RELU6), truth=None))
    assert not report.labelled and report.float_top1 is None
    assert report.int8.drop > 0.2 and report.chosen is not None


def test_repaired_file_has_the_input_and_output_that_were_asked_for(equalizable: RepairReport) -> None:
    asked = repair_request(tiny_classifier(PLANTED))
    repaired = find_repair(RepairRequest(**{**vars(asked), "io": "uint8"})).chosen
    assert repaired is not None and equalizable.chosen is not None
    dtypes = [
        load_interpreter(file, 1).get_input_details()[0]["dtype"]
        for file in (repaired.flatbuffer, equalizable.chosen.flatbuffer)
    ]
    assert dtypes == [np.uint8, np.float32]


def test_report_names_layers_attempts_and_the_file_to_ship(
    selective: RepairReport, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(selective)
    text = " ".join(capsys.readouterr().out.split())
    assert "Ship the repaired file (2 layers in float)" in text
    assert "project" in text and "CONV_2D" in text and "chosen" in text


def test_images_and_classes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ConversionError, match="200 validation images, and 3 classes"):
        find_repair(repair_request(tiny_classifier(), truth=TRUTH[:3]))


def test_no_validation_images_are_refused() -> None:
    def nothing() -> Iterator[NDArray[np.uint8]]:
        return iter(())

    asked = repair_request(tiny_classifier())
    with pytest.raises(ConversionError, match="No images"):
        find_repair(RepairRequest(**{**vars(asked), "validation": nothing}))
