"""--model auto: networks are measured on this machine, compared on the training images, and one is taken."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.benchmarks.budget import Budget
from edge_classify.edge.card import ModelCard
from edge_classify.edge.errors import OptionError
from edge_classify.train.backbones import BACKBONES
from edge_classify.train.budget_probe import Cost, CostProbe, within_budget
from edge_classify.train.output import REQUEST, UNFINISHED
from edge_classify.train.request import TrainingRequest
from edge_classify.train.starting_point_choice import Finalist, choose
from edge_classify.train.starting_points import FAMILIES, StartingPoint
from edge_classify.train.weights import build_base
from numpy.typing import NDArray

from .support.train_options import make_options
from .support.training import RUN_FILES, train

GET_FILE = "keras.src.utils.file_utils.get_file"  # What downloads the published weights.
POINTS = [point for family in FAMILIES for point in family]
AT_96, AT_128 = (
    next(p for p in POINTS if (p.backbone, p.alpha, p.size) == ("mobilenet_v2", 0.35, side))
    for side in (96, 128)
)


def test_each_starting_point_has_published_weights_and_families_get_faster() -> None:
    for family in FAMILIES:
        macs = [point.macs for point in family]
        assert macs == sorted(macs, reverse=True)
    for point in POINTS:
        backbone = BACKBONES[point.backbone]
        assert point.alpha in backbone.widths and point.size in backbone.sizes
    offered = {point.alpha for point in POINTS if point.backbone == "mobilenet_v2"}
    assert offered == set(BACKBONES["mobilenet_v2"].widths)


WIDTHS = {(point.backbone, point.alpha): point for point in POINTS}
QUICK = [("mobilenet_v2", 0.35), ("efficientnet_lite0", 1.0)]


@pytest.mark.parametrize(
    "point", [pytest.param(p, marks=() if key in QUICK else pytest.mark.slow) for key, p in WIDTHS.items()],
    ids=lambda point: point.title,
)  # fmt: skip
def test_weights_of_kernels_are_counted_as_the_network_has_them(point: StartingPoint) -> None:
    network = build_base(point.backbone, "none", 96, point.alpha).network
    kernels = sum(math.prod(weight.shape) for weight in network.weights if len(weight.shape) > 1)
    assert point.kernel_weights == kernels


def cost(point: StartingPoint, median: float, size: int = 1_000_000) -> Cost:
    return Cost(point, size, median, median * 1.1, 60.0, ())


class Timed(CostProbe):
    """Takes 10 ms for each 100 million multiply-accumulates, and notes what was asked for."""

    def __init__(self) -> None:
        super().__init__(make_options(), ("a", "b"), [], Path())

    def _measure(self, point: StartingPoint) -> Cost:
        return cost(point, point.macs / 10)


def _ignore(count: int = 1, note: str = "") -> None:
    pass


@pytest.mark.parametrize("limit", [0.5, 1.5, 10.0, 45.0, 1000.0])
def test_halving_finds_all_that_is_fast_enough_and_measures_few(limit: float) -> None:
    probe = Timed()
    found = within_budget(probe, Budget(median=limit), _ignore)
    assert set(found) == {point for point in POINTS if point.macs / 10 <= limit}
    assert [point.top1 for point in found] == sorted((point.top1 for point in found), reverse=True)
    assert len(probe.costs) <= 7


def test_limit_of_size_alone_needs_no_measuring_of_time() -> None:
    probe = Timed()
    assert len(within_budget(probe, Budget(size=1e6), _ignore)) == len(POINTS) and not probe.costs


@pytest.mark.parametrize(
    ("limits", "keeps"),
    [("median=5ms", True), ("median=4ms", False), ("p99=5.5ms", True), ("p99=5.4ms", False),
     ("size=1MB", True), ("size=999kB", False), ("ram=60MB", True), ("ram=59MB,median=9ms", False)],
)  # fmt: skip
def test_budget_is_kept_where_each_limit_is(limits: str, keeps: bool) -> None:
    assert cost(AT_96, 5.0).keeps(Budget.parse(limits)) is keeps


def test_memory_that_is_not_known_keeps_no_limit_of_memory() -> None:
    unknown = replace(cost(AT_96, 5.0), memory=None)
    assert not unknown.keeps(Budget(memory=100.0)) and unknown.keeps(Budget(median=6.0))


def _finalist(point: StartingPoint, wrong: Sequence[int]) -> Finalist:
    right: NDArray[np.bool_] = np.ones(100, bool)
    right[list(wrong)] = False
    return Finalist(cost(point, 1.0), right)


def test_finalist_that_is_shown_to_be_better_is_taken_whatever_was_published() -> None:
    """Six images that only one has right, and none that only the other has: p = 2 / 2^6 = 0.031."""
    chosen, reason = choose([_finalist(AT_128, range(6)), _finalist(AT_96, [])])
    assert chosen.cost.point is AT_96 and "shown to be worse" in reason


def test_of_finalists_that_are_not_shown_to_differ_the_one_that_knows_imagenet_best_is_taken() -> None:
    """Five to none: p = 2 / 2^5 = 0.063."""
    chosen, reason = choose([_finalist(AT_96, []), _finalist(AT_128, range(5))])
    assert chosen.cost.point is AT_128 and "not shown to be better" in reason and "p = 0.062" in reason
    same, reason = choose([_finalist(AT_96, [1]), _finalist(AT_128, [1])])
    assert same.cost.point is AT_128
    alone, reason = choose([_finalist(AT_96, [])])
    assert alone.cost.point is AT_96 and "nothing else keeps the budget" in reason


@pytest.mark.slow
def test_budget_that_nothing_keeps_ends_with_the_nearest_and_what_they_cost(
    few: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = train(few, "-o", run, "--model", "auto", "--budget", "size=100kB", "--cache", "none")
    assert result.exit_code == 1 and not run.exists()
    error = result.stderr.splitlines()[-1]
    assert error.startswith("Error: --budget size=100kB: no starting point of --model auto keeps it")
    assert "efficientnet_lite0 at 224: median " in error and "mobilenet_v2 0.35 at 96: median " in error
    assert re.search(r"mobilenet_v2 0\.35 at 96: median .* 0\.[67]\d MB", error)
    assert "Give a larger budget" in error


@pytest.fixture
def two_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Let there be two starting points, with random weights in a file; return the names of missing files."""
    for module in ("budget_probe", "starting_point_choice"):
        monkeypatch.setattr(f"edge_classify.train.{module}.FAMILIES", ((AT_128, AT_96),))
    keras.utils.set_random_seed(0)
    path, missing = tmp_path / "weights.h5", list[str]()
    keras.applications.MobileNetV2(
        (96, 96, 3), 0.35, include_top=False, pooling="avg", weights=None
    ).save(path)  # fmt: skip

    def get_file(name: str, *_: Any, **__: Any) -> str:
        if any(part in name for part in missing):
            raise Exception(f"URL fetch failure on https://host/{name}: None -- no network")  # As Keras does.
        return str(path)

    monkeypatch.setattr(GET_FILE, get_file)
    return missing


QUICKLY = ("--preset", "fast", "--epochs", "1,0", "--folds", "0", "--cache", "none", "--seed", "1")


@pytest.mark.slow
def test_auto_trains_one_network_and_keeps_what_was_measured(
    two_networks: list[str], shapes: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = train(shapes, "-o", run, "--model", "auto", "--budget", "median=5s,size=4MB", *QUICKLY)
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in run.iterdir()} == {*RUN_FILES, "mobilenet_v2", "starting_points.json"}
    record = json.loads((run / "starting_points.json").read_text())
    assert record["budget"] == "median=5s,size=4MB" and record["without_weights"] == []
    chosen = record["chosen"]
    assert chosen in (AT_96.text, AT_128.text)
    assert {row["options"] for row in record["measured"]} == {AT_96.text, AT_128.text}
    for row in record["measured"]:
        assert row["median"] > 0 and 400_000 < row["size"] < 1_000_000
        assert 0 <= row["right"] <= row["images"] <= 58  # Of the training images, one of each group of twins.
        assert row["images"] > 50
    card = ModelCard.from_json((run / "mobilenet_v2" / "card.json").read_bytes())
    assert f"--image-size {card.input.height}" in chosen and card.training is not None
    assert card.training.options["alpha"] == 0.35 and card.training.options["budget"] == "median=5s,size=4MB"
    said = f"auto: {chosen}, of 2 that keep median=5s,size=4MB on this machine"
    assert said in " ".join(result.stderr.split()) and said in (run / "report.html").read_text(
        encoding="utf-8"
    )


@pytest.mark.slow
def test_network_whose_weights_cannot_be_had_is_named_and_left_out(
    two_networks: list[str], shapes: Path, tmp_path: Path
) -> None:
    two_networks.append("0.35_128")
    run = tmp_path / "run"
    result = train(shapes, "-o", run, "--model", "auto", "--budget", "size=4MB", *QUICKLY)
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stderr.split())
    assert "Left out, since their weights cannot be had: mobilenet_v2 0.35 at 128. For the first: " in text
    assert json.loads((run / "starting_points.json").read_text())["chosen"] == AT_96.text


def test_auto_without_any_weights_ends_with_the_ways_out(
    two_networks: list[str], few: Path, tmp_path: Path
) -> None:
    two_networks.append("mobilenet_v2")
    result = train(few, "-o", tmp_path / "run", "--model", "auto", "--budget", "size=4MB", *QUICKLY)
    assert result.exit_code == 1 and not (tmp_path / "run").exists()
    assert "cannot be downloaded (no network). Fetch https://host/" in result.stderr


def _request(**changes: Any) -> TrainingRequest:
    options = make_options(models=("auto",), image_size={}, alpha=1.0, weights="imagenet", budget="size=4MB")
    return TrainingRequest("data", replace(options, **changes), "edge-train", ".", {})


def test_resumed_run_trains_what_was_chosen_before(tmp_path: Path) -> None:
    work = tmp_path / UNFINISHED
    work.mkdir()
    _request().with_starting_point(AT_128).with_finished("mobilenet_v2").write(work)
    again = TrainingRequest.read(tmp_path)
    assert again.starting_point == AT_128
    options = again.trained_options
    assert (options.models, options.alpha, options.image_size) == (
        ("mobilenet_v2",), 0.35, {"mobilenet_v2": 128}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "changes", "said"),
    [
        (_request().with_starting_point(AT_96), {"size": 100}, "starting_point"),
        (_request().with_starting_point(AT_96), {"backbone": "../etc"}, "starting_point"),
        (_request(budget=None), {}, "--budget go together"),
        (_request(budget="size=much"), {}, "--budget"),
        (_request(models=("cnn",), image_size={}, budget=None).with_starting_point(AT_96), {}, "starting"),
    ],
)  # fmt: skip
def test_request_that_edge_train_would_not_have_written_is_refused(
    tmp_path: Path, request_: TrainingRequest, changes: dict[str, Any], said: str
) -> None:
    work = tmp_path / UNFINISHED
    work.mkdir()
    request_.write(work)
    values = json.loads((work / REQUEST).read_text())
    if values["starting_point"]:
        values["starting_point"].update(changes)
    (work / REQUEST).write_text(json.dumps(values))
    with pytest.raises(OptionError, match=said):
        TrainingRequest.read(tmp_path)
