from __future__ import annotations

import errno
import io
import json
import os
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.answers.result import Answer, FrameResult
from edge_classify.edge.classifier import Classifier, Doubt, Prediction, top_scores
from edge_classify.edge.collect.collector import RETRY_SECONDS, Collector
from edge_classify.edge.collect.folder import CollectFolder
from edge_classify.edge.collect.rules import CollectRules
from edge_classify.edge.errors import OptionError
from edge_classify.edge.labelled import scan_class_folders
from edge_classify.edge.sources.frames import (
    EncodedPicture,
    FilePicture,
    Frame,
    Picture,
    PixelPicture,
    ReadyPicture,
)
from PIL import Image

from .support.system import small_disk
from .support.tiny_model import LABELS, write_sealed


def scene(seed: int, size: tuple[int, int] = (90, 80)) -> Image.Image:
    """Return a picture of large blocks: no two seeds show the same scene."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST)


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=70)
    return buffer.getvalue()


def frame_result(
    picture: Picture | None, best: float = 0.3, source: str = "a.jpg", **frame: Any
) -> FrameResult:
    rest = (1 - best) / 3
    array = np.array([best, rest, rest, rest], np.float32)
    prediction = Prediction(top_scores(array, LABELS, 3), Doubt.UNSURE if best < 0.5 else None, array, 1.0)
    return FrameResult(Frame(source, picture, **frame), (Answer("tiny", prediction, 1.0),))


def unsure(seed: int, **frame: Any) -> FrameResult:
    return frame_result(ReadyPicture(scene(seed)), **frame)


def live(seed: int, time: float) -> FrameResult:
    return unsure(seed, source="http://me:secret@camera/stream?token=x", index=seed, grabbed=time)


@dataclass
class Setting:
    """A collector, what it said, and a clock that only the test moves."""

    folder: Path
    model: Classifier
    said: list[str] = field(default_factory=list)
    now: float = 0.0

    def collector(self, **rules: Any) -> Collector:
        return Collector(
            self.folder, CollectRules(**rules), [self.model], self.said.append, seed=0, clock=lambda: self.now
        )

    def pictures(self) -> list[Path]:
        return sorted(self.folder.glob("unsure/*.jpg"))

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(path.with_suffix(".json").read_text()) for path in self.pictures()]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier.from_file(write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite"))


@pytest.fixture
def setting(tmp_path: Path, model: Classifier) -> Setting:
    return Setting(tmp_path / "kept" / "here", model)


def test_unsure_frame_is_kept_with_a_record_and_a_sure_one_is_not(setting: Setting) -> None:
    collector = setting.collector()
    collector.show(frame_result(ReadyPicture(scene(1)), best=0.9))
    collector.show(live(2, 10.0))
    collector.show(frame_result(None, error="camera lost"))
    collector.close()
    (record,) = setting.records()
    assert record["source"] == "http://***@camera/stream?***"
    assert record["frame"] == 2
    assert record["reasons"] == [
        "tiny: 0.300 is below 0.5",
        "tiny: the two best are 0.067 apart, less than 0.1",
    ]
    (said,) = record["models"]
    assert (said["model"], said["unknown"], said["unsure"]) == ("tiny", False, True)
    assert said["predictions"][0] == {"label": "red", "index": 0, "score": pytest.approx(0.3)}
    assert datetime.fromisoformat(record["time"]).utcoffset() is not None
    assert record["scene"] in setting.pictures()[0].name
    assert setting.said == [f"Collected 1 picture in {setting.folder / 'unsure'}"]


def test_jpeg_bytes_are_kept_as_they_came_and_other_pictures_are_encoded(setting: Setting) -> None:
    setting.folder.mkdir(parents=True)
    given = [jpeg(scene(seed)) for seed in (1, 2)]
    photo, drawing = setting.folder.parent / "photo.jpg", setting.folder.parent / "drawing.png"
    photo.write_bytes(given[0])
    scene(3).save(drawing)
    bgr = np.asarray(scene(4))[:, :, ::-1]
    collector = setting.collector()
    for picture in (FilePicture(photo), EncodedPicture(given[1]), FilePicture(drawing), PixelPicture(bgr)):
        collector.show(frame_result(picture))
    kept = [path.read_bytes() for path in setting.pictures()]
    assert len(kept) == 4
    assert set(given) <= set(kept)
    assert all(Image.open(io.BytesIO(data)).format == "JPEG" for data in kept)
    pixels = [np.asarray(Image.open(io.BytesIO(data))).astype(int) for data in kept]
    assert sum(np.abs(each - scene(4)).mean() < 10 for each in pixels) == 1  # Red is not blue.


def test_same_scene_is_never_kept_twice_also_not_by_the_next_run(setting: Setting) -> None:
    first = setting.collector()
    for _ in range(3):
        first.show(unsure(1))
    setting.collector().show(unsure(1))
    assert len(setting.pictures()) == 1


@pytest.mark.parametrize("kept", ["jpg", "json"])
def test_scene_stays_known_while_its_sorted_picture_or_its_record_is_there(
    setting: Setting, kept: str
) -> None:
    setting.collector().show(unsure(1))
    (picture,) = setting.pictures()
    if kept == "jpg":
        picture.rename(setting.folder / "labelled" / "red" / picture.name)
        picture.with_suffix(".json").unlink()
    else:
        picture.unlink()
    setting.collector().show(unsure(1))
    assert not setting.pictures()


def test_camera_gives_no_more_pictures_than_the_rate_by_its_own_clock(setting: Setting) -> None:
    collector = setting.collector(per_minute=6)
    for number in range(300):
        collector.show(live(number, 1000 + number / 10))
    assert sorted(record["frame"] for record in setting.records()) == [0, 100, 200]


def test_known_scene_uses_nothing_of_the_rate(setting: Setting) -> None:
    setting.collector().show(live(1, 0.0))
    collector = setting.collector(per_minute=6)
    collector.show(live(1, 0.0))
    collector.show(live(2, 1.0))
    assert len(setting.pictures()) == 2


def test_photos_are_kept_at_any_rate(setting: Setting) -> None:
    collector = setting.collector(per_minute=1)
    for seed in range(5):
        collector.show(unsure(seed))
    assert len(setting.pictures()) == 5


def test_only_frames_that_may_be_kept_are_decoded(setting: Setting) -> None:
    class Costly:
        def image(self, cover: Any = None) -> Image.Image:
            raise AssertionError("decoded")

    collector = setting.collector(per_minute=6)
    collector.show(frame_result(Costly(), best=0.9))
    collector.show(live(1, 0.0))
    collector.show(frame_result(Costly(), source=live(1, 0).frame.source, index=2, grabbed=1.0))
    assert len(setting.pictures()) == 1


def test_folder_that_holds_enough_takes_no_more_until_somebody_makes_room(setting: Setting) -> None:
    setting.collector().show(unsure(1))
    collector = setting.collector(max_files=2)
    for seed in range(2, 6):
        collector.show(unsure(seed))
    assert len(setting.pictures()) == 2
    assert collector.failed == 0
    assert setting.said == [
        f"--collect: {setting.folder} holds 2 pictures, and --collect-max is 2. No more are kept until there "
        "is room; trying again every minute"
    ]
    setting.pictures()[0].unlink()
    collector.show(unsure(6))
    assert len(setting.pictures()) == 1
    setting.now += RETRY_SECONDS
    collector.show(unsure(7))
    assert len(setting.pictures()) == 2
    assert setting.said[1:] == [f"--collect: pictures are kept in {setting.folder} again"]


def test_bytes_are_limited_with_all_that_lies_in_the_folder(setting: Setting) -> None:
    setting.collector().show(unsure(1))
    (setting.folder / "labelled" / "red" / "from elsewhere.bin").write_bytes(bytes(50_000))
    collector = setting.collector(max_bytes=90_000)
    for seed in range(2, 40):
        collector.show(unsure(seed))
    total = sum(path.stat().st_size for path in setting.folder.rglob("*") if path.is_file())
    assert 80_000 < total <= 90_000
    assert "--collect-bytes is 90,000" in setting.said[0]
    assert len(setting.said) == 1


def check_full_disk(setting: Setting, collector: Collector) -> None:
    """Fill the disk with pictures that don't compress, and see that nothing half done stays."""
    for seed in range(2, 12):
        noise = np.random.default_rng(seed).integers(0, 256, (200, 200, 3), np.uint8)
        blocks = np.asarray(scene(seed, (200, 200))) // 2 + noise // 2
        collector.show(frame_result(ReadyPicture(Image.fromarray(blocks))))
        setting.now += RETRY_SECONDS
    assert [text for text in setting.said if "cannot be written" in text] == setting.said
    assert len(setting.said) == 1
    assert collector.failed > 1
    names = {path.stem for path in setting.pictures()}
    assert {path.stem for path in setting.folder.glob("unsure/*.json")} == names
    assert not list(setting.folder.rglob("*.part"))


def test_full_disk_is_said_once_leaves_nothing_half_done_and_ends_nothing(setting: Setting) -> None:
    """A real file system that is full; it needs the right to mount one."""
    setting.folder.mkdir(parents=True)
    with small_disk(setting.folder, "128k"):
        collector = setting.collector()
        check_full_disk(setting, collector)
        assert os.strerror(errno.ENOSPC) in setting.said[0]
        kept = setting.pictures()
        kept[0].unlink()
        collector.show(unsure(1))
        assert len(setting.pictures()) == len(kept)
        assert setting.said[1:] == [f"--collect: pictures are kept in {setting.folder} again"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_picture_that_the_system_refuses_takes_its_record_with_it(setting: Setting) -> None:
    """As a full disk does, for everyone: records are written, pictures are larger than any file may be."""
    collector = setting.collector()
    with largest_file(10_000):
        check_full_disk(setting, collector)
    assert os.strerror(errno.EFBIG) in setting.said[0]
    assert not list(setting.folder.glob("unsure/*"))


def test_folder_that_is_removed_is_made_again_but_not_on_a_disk_that_is_gone(setting: Setting) -> None:
    collector = setting.collector()
    collector.show(unsure(1))
    shutil.rmtree(setting.folder.parent)
    for seed in range(2, 5):
        collector.show(unsure(seed))
        setting.now += RETRY_SECONDS
    assert not setting.folder.parent.exists()
    assert len(setting.said) == 1
    assert f"{setting.folder}" in setting.said[0]
    setting.folder.parent.mkdir()
    collector.show(unsure(5))
    assert len(setting.pictures()) == 1
    assert (setting.folder / "labelled" / "red").is_dir()


def test_photo_that_vanished_is_said_and_the_next_one_is_kept(setting: Setting, tmp_path: Path) -> None:
    collector = setting.collector()
    collector.show(frame_result(FilePicture(tmp_path / "gone.jpg")))
    collector.show(unsure(1))
    assert setting.said == [f"--collect: {tmp_path / 'gone.jpg'}: no such file"]
    assert len(setting.pictures()) == 1


def test_folder_that_cannot_be_made_is_refused_at_once(setting: Setting) -> None:
    setting.folder.parent.write_text("a file")
    with pytest.raises(OptionError, match=r"^--collect .*here cannot be used \(.*Name a folder"):
        setting.collector()


def test_what_a_person_sorted_is_what_edge_train_reads(setting: Setting) -> None:
    collector = setting.collector()
    for seed in range(4):
        collector.show(unsure(seed))
    for picture, label in zip(setting.pictures(), ("red", "red", "green", "blue"), strict=True):
        for path in (picture, picture.with_suffix(".json")):
            path.rename(setting.folder / "labelled" / label / path.name)
    found = scan_class_folders(setting.folder / "labelled")
    assert set(found.labels) == set(LABELS)
    counts = {label: len(paths) for label, paths in found.subsets["all"].items()}
    assert counts == {"red": 2, "green": 1, "blue": 1, "grey": 0}
    assert len((setting.folder / "README.txt").read_text().splitlines()) == 4


HOSTILE = (
    "a/b",
    "a_b",
    "..",
    ".hidden",
    " space",
    "line\nbreak",
    "",
    "x" * 300,
    "\ud800",
    "con.",
    "train",
    "test",
)
PLAIN = ("grüne Fläche", "Cat", "cat", "101 dalmatians", "a, b: c?")


def test_every_label_has_a_folder_of_its_own_and_plain_ones_are_exact(tmp_path: Path) -> None:
    root = tmp_path / "kept"
    for _ in range(2):
        CollectFolder(root, (*PLAIN, *HOSTILE, *PLAIN)).prepare()
    folders = {path.name for path in (root / "labelled").iterdir()}
    assert set(PLAIN) | {"a_b", "train", "test"} <= folders
    assert len(folders) == len(PLAIN) + len(HOSTILE)
    told = {json.loads(_quoted(path)) for path in root.glob("labelled/*/README.txt")}
    assert told == set(HOSTILE) - {"a_b", "train", "test"}
    assert set(tmp_path.iterdir()) == {root}


def _quoted(path: Path) -> str:
    text = path.read_text()
    return text[text.index('"') : text.rindex('"') + 1]


def test_what_a_person_wrote_into_the_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("mine")
    (tmp_path / "unsure").mkdir()
    (tmp_path / "unsure" / "20240101-000000-00000000000000zz.json").write_text("{not json")
    folder = CollectFolder(tmp_path, LABELS)
    folder.prepare()
    assert (tmp_path / "README.txt").read_text() == "mine"
    assert not folder.scenes.holds(0)
    assert folder.pictures == 0


def test_two_pictures_of_one_second_and_scene_do_not_replace_each_other(tmp_path: Path) -> None:
    folder = CollectFolder(tmp_path, LABELS)
    folder.prepare()
    for number in range(3):
        folder.add(b"picture %d" % number, 5, {})
    assert folder.commit() == []
    assert {path.read_bytes() for path in tmp_path.glob("unsure/*.jpg")} == {
        b"picture 0", b"picture 1", b"picture 2"
    }  # fmt: skip
    assert len(list(tmp_path.glob("unsure/*.json"))) == 3


@pytest.mark.parametrize("damage", [b"", bytes(3000)])
@pytest.mark.parametrize("suffix", [".jpg", ".json"])
def test_scene_of_a_file_that_a_power_cut_left_empty_is_collected_again_and_the_file_named(
    suffix: str, damage: bytes, setting: Setting
) -> None:
    setting.collector().show(unsure(1))
    (picture,) = setting.pictures()
    picture.with_suffix(suffix).write_bytes(damage)
    again = setting.collector()
    assert f"unsure/{picture.stem}{suffix}" in setting.said[-1] and "power cut" in setting.said[-1]
    again.show(unsure(1))
    again.close()
    assert len(setting.pictures()) == 2


def test_collected_picture_takes_two_syncs(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = setting.collector()
    synced: list[str] = []
    real = os.fsync

    def note(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    collector.show(unsure(1))
    assert len(setting.pictures()) == 1
    # Beside one syncfs, which covers picture and record.
    assert synced == [str(setting.folder / "unsure")]


def test_no_link_in_the_folder_is_followed(setting: Setting, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    setting.folder.mkdir(parents=True)
    (setting.folder / "README.txt").symlink_to(elsewhere / "not there")
    setting.collector().show(unsure(1))
    assert len(setting.pictures()) == 1 and list(elsewhere.iterdir()) == []
    shutil.rmtree(setting.folder / "unsure")
    (setting.folder / "unsure").symlink_to(elsewhere)
    with pytest.raises(OptionError, match=r"unsure is a link, and is not followed"):
        setting.collector()
    assert list(elsewhere.iterdir()) == []


def test_parts_of_a_killed_run_are_named(setting: Setting) -> None:
    setting.collector().close()
    (setting.folder / "unsure" / ".x.jpg.abcd1234.part").write_bytes(b"x")
    setting.collector().close()
    assert ".x.jpg.abcd1234.part" in setting.said[-1]
