"""The stages of a camera's frames, from a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from edge_classify.benchmarks.stages.camera import CameraRequest, time_camera
from edge_classify.benchmarks.stages.measure import measure_camera
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import BenchmarkError, SourceError
from edge_classify.edge.runtime import Execution
from edge_classify.edge.sources.camera import CameraOptions

from .support.streams import PASSWORD, USER, CameraServer, serving, write_video
from .support.tiny_model import write_sealed

NORMAL = CameraOptions()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite")


@pytest.fixture
def camera() -> Iterator[CameraServer]:
    with serving(CameraServer()) as server:
        yield server


def test_camera_is_measured_frame_by_frame_without_showing_its_password(
    model: Path, camera: CameraServer
) -> None:
    stages = measure_camera(model, Execution(), camera.address("/basic", USER, PASSWORD), frames=12)
    assert (stages.images, stages.workers, stages.per_second_all) == (12, 1, None)
    assert stages.source.endswith(f"127.0.0.1:{camera.port}/basic")
    assert PASSWORD not in str(asdict(stages))
    assert stages.waited is not None and stages.age is not None
    assert stages.waited.median > 0 and stages.per_second > 0
    # A frame arrives before it is taken, and a whole is no less than any of its parts.
    assert stages.age.median >= stages.whole.median >= stages.decode.median > 0


def test_camera_that_is_not_there_is_an_error_that_names_it(model: Path) -> None:
    with pytest.raises(SourceError, match=r"--camera http://127\.0\.0\.1:9/stream cannot be opened"):
        measure_camera(model, Execution(), "http://127.0.0.1:9/stream", frames=5)


@pytest.mark.alone  # Some frames must come within a second.
def test_camera_that_gives_nothing_is_an_error_when_its_time_is_up(model: Path, camera: CameraServer) -> None:
    request = CameraRequest(camera.address("/stream"), NORMAL, 20, 1.0)
    classifier = Classifier.from_file(model)
    assert time_camera(classifier, request).images > 0
    camera.mode = "stalled"
    with pytest.raises(SourceError, match=r"gave 0 pictures of 20 within 1 s: too few for a result"):
        time_camera(classifier, request)


@pytest.mark.alone  # Some frames must come within a second.
def test_camera_that_is_lost_for_good_is_an_error_or_a_remark_by_the_number_of_its_frames(
    model: Path, camera: CameraServer
) -> None:
    camera.mode = "frozen"
    classifier = Classifier.from_file(model)
    few = CameraRequest(camera.address("/stream"), CameraOptions(frozen_after=0.1), 50, 1.0)
    with pytest.raises(SourceError, match=r"of 50 within 1 s.*has shown the same picture"):
        time_camera(classifier, few)
    enough = CameraRequest(camera.address("/stream"), CameraOptions(frozen_after=1), 1000, 2.0)
    (remark,) = time_camera(classifier, enough).remarks
    assert "has shown the same picture" in remark


def test_damaged_pictures_are_counted_and_not_timed(model: Path, camera: CameraServer) -> None:
    camera.mode = "half"
    stages = time_camera(
        Classifier.from_file(model), CameraRequest(camera.address("/stream"), NORMAL, 12, 30.0)
    )
    assert stages.images == 12
    assert stages.skipped > 3


@pytest.mark.alone  # Frames of a video that come too late are left out.
def test_video_that_ends_early_gives_what_it_holds_or_too_little(model: Path, tmp_path: Path) -> None:
    classifier = Classifier.from_file(model)
    video = write_video(tmp_path / "film.avi", 30)
    stages = time_camera(classifier, CameraRequest(str(video), NORMAL, 1000, 30.0))
    assert 10 <= stages.images <= 27
    short = write_video(tmp_path / "short.avi", 6)
    with pytest.raises(SourceError, match=r"short\.avi gave [0-3] pictures of 1000 before it ended"):
        time_camera(classifier, CameraRequest(str(short), NORMAL, 1000, 30.0))


def test_model_that_fails_is_not_blamed_on_the_camera(camera: CameraServer, tmp_path: Path) -> None:
    path = tmp_path / "broken.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(BenchmarkError, match=r"broken\.tflite"):
        measure_camera(path, Execution(), camera.address("/stream"))
