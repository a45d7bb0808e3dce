"""The examples run as they stand, and stay short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from .support.streams import write_video
from .support.tiny_model import COLOURS, write_sealed

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite")


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def test_examples_have_at_most_25_lines_and_say_how_they_are_called() -> None:
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 25, path.name
        assert f"python examples/{path.name}" in text


def test_classify_photo_prints_the_best_labels(model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), COLOURS["green"]).save(tmp_path / "photo.png")
    assert run("classify_photo.py", model, tmp_path / "photo.png").startswith("green: ")


def test_watch_camera_prints_changes_until_the_video_ends(model: Path, tmp_path: Path) -> None:
    told = run("watch_camera.py", model, write_video(tmp_path / "film.avi", 10)).splitlines()
    assert told[0].startswith("frame 0: ")
    assert len(told) < 10


def test_sort_photos_copies_each_into_its_class(model: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (9, 9), colour).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos" / "bad.png").write_bytes(b"none")
    told = run("sort_photos.py", model, tmp_path / "photos", tmp_path / "sorted")
    assert {path.parent.name for path in (tmp_path / "sorted").glob("*/*")} == set(COLOURS)
    assert told.startswith("Left out: ") and "bad.png" in told


def test_smooth_video_prints_a_label_a_frame(model: Path, tmp_path: Path) -> None:
    told = run("smooth_video.py", model, write_video(tmp_path / "film.avi", 5)).splitlines()
    assert [line[:6] for line in told] == ["0.00 s", "0.04 s", "0.08 s", "0.12 s", "0.16 s"]
