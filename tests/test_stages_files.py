"""The stages of pictures in files: which time is counted where, what is left out, and what goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from edge_classify.benchmarks.results.result import Spread
from edge_classify.benchmarks.stages import files, measure
from edge_classify.benchmarks.stages.camera import CameraRequest
from edge_classify.benchmarks.stages.files import MOST_PICTURES, pictures_per_second, sample, time_files
from edge_classify.benchmarks.stages.measure import StagesRequest, measure_stages
from edge_classify.edge import image
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import BenchmarkError
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.modelfile import Normalization
from edge_classify.edge.running.classify import ClassifiedFrame
from edge_classify.edge.runtime import Execution
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.frames import Frame
from hypothesis import given
from hypothesis import strategies as st

from .support.pictures import make_picture
from .support.tiny_model import LABELS, write_sealed
from .support.tiny_model import classifier as flatbuffer

RAW = Normalization((0.0,), (1.0,))
SLOW = 0.03
STAGES = ("decode", "resize", "invoke", "post")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Six pictures, and between them two files that are none."""
    paths = [tmp_path / f"bild {number}.{('png', 'jpg')[number % 2]}" for number in range(6)]
    for number, path in enumerate(paths):
        make_picture("red disc", number, (90, 70)).save(path)
    for name in ("böse.jpg", "leer.png"):
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 and no more" if name.endswith("jpg") else b"")
    return [*paths[:3], tmp_path / "böse.jpg", *paths[3:], tmp_path / "leer.png"]


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_RATE_SECONDS", 0.05)
    monkeypatch.setattr(files, "_WARM_UP_SECONDS", 0.0)


def delay(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    """Have a function sleep before it does its work."""
    original: Callable[..., Any] = getattr(owner, name)

    def slowed(*given: Any) -> Any:
        time.sleep(SLOW)
        return original(*given)

    monkeypatch.setattr(owner, name, slowed)


def test_pictures_that_cannot_be_read_are_left_out_counted_and_named(
    model: Path, pictures: list[Path]
) -> None:
    stages = measure_stages(model, Execution(), pictures, workers=2)
    assert (stages.source, stages.images, stages.skipped, stages.workers) == ("files", 6, 2, 2)
    assert len(stages.remarks) == 1
    assert stages.remarks[0].startswith("2 of 8 pictures could not be read, and are left out. The first: ")
    assert "böse.jpg is damaged" in stages.remarks[0] or "leer.png is no" in stages.remarks[0]
    for name in (*STAGES, "whole"):
        found: Spread = getattr(stages, name)
        assert 0 < found.median <= found.p90 <= found.p99 <= found.maximum
    assert stages.per_second > 0 and stages.per_second_all is not None and stages.per_second_all > 0
    assert stages.waited is None and stages.age is None


@pytest.mark.parametrize(
    ("stage", "owner", "name"),
    [
        ("decode", image, "decode"),
        ("resize", Classifier, "prepare"),
        ("invoke", Classifier, "invoke"),
        ("post", Classifier, "answer"),
    ],
)
@pytest.mark.alone  # The stages that are not slowed down must stay below the delay.
@pytest.mark.usefixtures("in_a_hurry")
def test_slow_stage_shows_in_that_stage_and_in_the_whole_and_nowhere_else(
    stage: str, owner: object, name: str, model: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier.from_file(model)
    delay(monkeypatch, owner, name)
    stages = time_files(classifier, pictures, 1)
    medians = {each: getattr(stages, each).median for each in (*STAGES, "whole")}
    assert {each for each, value in medians.items() if value >= SLOW * 1000} == {stage, "whole"}


@pytest.mark.alone  # Compares the rates of one worker and of four.
@pytest.mark.usefixtures("in_a_hurry")
def test_workers_answer_at_the_same_time(
    model: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier.from_file(model)
    delay(monkeypatch, Classifier, "invoke")
    stages = time_files(classifier, pictures[:3], 4)
    assert stages.per_second <= 1 / SLOW
    assert stages.per_second_all is not None
    assert 1.5 * stages.per_second < stages.per_second_all <= 4 / SLOW


@pytest.mark.usefixtures("in_a_hurry")
def test_single_worker_is_measured_once(model: Path, pictures: list[Path]) -> None:
    stages = time_files(Classifier.from_file(model), pictures, 1)
    assert stages.per_second_all == stages.per_second


def test_rate_leaves_out_the_pictures_at_both_ends(
    model: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers come 10 ms apart, the first and the last few much slower, and not in order."""

    def looked(frames: Iterator[Frame], _: Sequence[Classifier], workers: int) -> Iterator[ClassifiedFrame]:
        every = list(frames)
        settle = files._SETTLE * workers
        times = [1000.0 + 0.01 * number for number in range(len(every))]
        times[: settle - 1] = [float(number) for number in range(settle - 1)]
        times[-settle:] = [5000.0 + number for number in range(settle)]
        for number in range(0, len(times) - 1, 2):
            times[number], times[number + 1] = times[number + 1], times[number]
        yield from (ClassifiedFrame(frame, (), (), when) for frame, when in zip(every, times, strict=True))

    monkeypatch.setattr(files, "classify_in_parallel", looked)
    rate = pictures_per_second(Classifier.from_file(model), pictures[:3], 3, 10.0)
    assert rate == pytest.approx(100)


def test_pictures_of_which_none_can_be_read_are_refused_with_the_first_reason(
    model: Path, tmp_path: Path
) -> None:
    (tmp_path / "leer.png").write_bytes(b"")
    with pytest.raises(BenchmarkError, match=r"none of the 2 pictures could be read.*(leer|weg)\.png"):
        measure_stages(model, Execution(), [tmp_path / "leer.png", tmp_path / "weg.png"])


def test_model_that_takes_the_runtime_down_is_an_error_that_names_it(
    model: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_START", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(BenchmarkError, match=r"tiny\.tflite: measuring its stages was killed by SIGSEGV"):
        measure_stages(model, Execution(), pictures)


def test_model_that_never_answers_is_an_error_after_the_time_limit(
    model: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_START", "import time; time.sleep(60)")
    monkeypatch.setattr(measure, "_FILES_TIMEOUT_S", 0.5)
    with pytest.raises(BenchmarkError, match=r"tiny\.tflite: .* gave no answer within 0\.5 seconds"):
        measure_stages(model, Execution(), pictures)


def test_model_without_a_card_is_run_with_the_labels_and_normalization_given(
    pictures: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "foreign.tflite"
    path.write_bytes(flatbuffer())
    with pytest.raises(BenchmarkError, match=r"foreign\.tflite .*does not say how pixels are scaled"):
        measure_stages(path, Execution(), pictures)
    assert measure_stages(path, Execution(), pictures, ForeignFacts(LABELS, RAW), 1).images == 6
    with pytest.raises(BenchmarkError, match="names 2 classes"):
        measure_stages(path, Execution(), pictures, ForeignFacts(("a", "b"), RAW))


@pytest.mark.parametrize(
    "given",
    [
        StagesRequest("m.tflite", Execution()),
        StagesRequest(
            "ä\udcff.tflite",
            Execution("tensorflow", 3, "lib.so", (("a", "b"), ("c", "d")), True, True),
            ForeignFacts(("x", "y"), Normalization((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), "BGR", "logits", 2),
            ("1.png", "\n.png"),
            7,
        ),
        StagesRequest(
            "m",
            Execution(),
            ForeignFacts(normalization=RAW),
            camera=CameraRequest("0", CameraOptions((640, 480), 5.0, 90), 3, 1.5),
        ),
    ],
)
def test_request_reaches_the_child_process_unchanged(given: StagesRequest) -> None:
    assert StagesRequest.from_json(json.loads(json.dumps(given.to_json()))) == given


@given(st.integers(0, 2000), st.integers(1, 300))
def test_sample_is_evenly_spread_and_the_same_each_time(count: int, most: int) -> None:
    paths = [Path(f"{number}") for number in range(count)]
    chosen = sample(paths, most)
    assert chosen == sample(paths, most) and len(chosen) == min(count, most)
    numbers = sorted(int(path.name) for path in chosen)
    gaps = {after - before for before, after in pairwise(numbers)}
    assert 0 not in gaps and max(gaps, default=0) - min(gaps, default=0) <= 1


def test_sample_is_no_larger_than_what_is_measured_in_bearable_time() -> None:
    assert len(sample([Path("a.png")] * 5000)) == MOST_PICTURES
