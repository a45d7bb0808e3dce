from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.answers.result import FrameResult
from edge_classify.edge.errors import OptionError, OutputExistsError
from edge_classify.edge.outputs.annotated import Annotated
from edge_classify.edge.sources.frames import FilePicture, Frame, ReadyPicture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from .support.output_results import NOTHING, answer, failure, live, photo


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def clip(name: str, index: int) -> FrameResult:
    return FrameResult(Frame(name, NOTHING, index=index, seconds=index / 25), (answer(),))


def test_pictures_are_written_in_full_size_with_their_answers_on_them(tmp_path: Path) -> None:
    original = Image.effect_mandelbrot((900, 700), (-2, -1, 1, 1), 50).convert("RGB")
    for name in ("a.JPG", "b.png"):
        original.save(tmp_path / name)
    output = Annotated(tmp_path / "shown", force=False)
    for name in ("a.JPG", "b.png"):
        path = tmp_path / name
        output.show(FrameResult(Frame(str(path), FilePicture(path)), (answer(),)))
    output.close()
    for name, kind in (("a.JPG", "JPEG"), ("b.png", "PNG")):
        with Image.open(tmp_path / "shown" / name) as written:
            difference = np.abs(np.asarray(written).astype(int) - np.asarray(original))
            assert (written.format, written.size) == (kind, (900, 700))
        assert difference[:300].mean() < 8
        assert difference[600:, :200].mean() > 20


def test_names_are_kept_and_those_of_frames_and_cameras_get_their_number(tmp_path: Path) -> None:
    output = Annotated(tmp_path, force=False)
    results = [
        photo("x/photo.jpeg"),
        photo("x/scan.webp"),
        photo("x/no suffix"),
        clip("y/film.mp4", 123),
        live(7),
    ]
    for result in [*results, failure("x/bad.jpg", "is damaged")]:
        output.show(result)
    output.close()
    assert names(tmp_path) == [
        *("camera_000007.jpg", "film_000123.jpg", "no suffix.png", "photo.jpeg", "scan.png"),
    ]


def test_pictures_of_the_same_name_all_stay_and_get_numbers(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    (tmp_path / "photo-2.jpg").symlink_to("/nowhere/else")
    with pytest.raises(OutputExistsError, match="not empty"):
        Annotated(tmp_path, force=False)
    output = Annotated(tmp_path, force=True)
    for folder in range(12):
        output.show(photo(f"{folder}/photo.jpg"))
    output.close()
    assert names(tmp_path) == sorted(["photo.jpg", *(f"photo-{number}.jpg" for number in range(2, 15))])
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine" and (tmp_path / "photo-2.jpg").is_symlink()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("http://***@host/a/b.jpg?***", "b.png"),
        ("..", "picture.png"),
        ("../../../etc/..jpg", "jpg.png"),
        ("C:\\Users\\me\\nul\x00.jpg", "nul_.jpg"),
        ("/dir/a\x1b[2J\n.jpg", "a_[2J_.jpg"),
        ("/dir/" + os.fsdecode(b"gr\xc3\xbcn\xff.jpg"), "grün_.jpg"),
        ("/", "picture.png"),
        ("", "picture.png"),
        ("猫" * 100 + ".jpg", "猫" * 50 + ".jpg"),
        ("x.jpg" * 60, ("x.jpg" * 60)[:150] + ".jpg"),
    ],
)
def test_name_is_safe_whatever_the_source_is_called(tmp_path: Path, source: str, expected: str) -> None:
    Annotated(tmp_path / "shown", force=False).show(photo(source))
    assert [path.relative_to(tmp_path / "shown").as_posix() for path in tmp_path.rglob("*.*")] == [expected]


@given(st.text(st.characters(), max_size=300))
def test_nothing_is_written_outside_the_folder(tmp_path_factory: pytest.TempPathFactory, source: str) -> None:
    root = tmp_path_factory.mktemp("root")
    output = Annotated(root / "shown", force=False)
    output.show(photo(source))
    [written] = (path for path in root.rglob("*") if path.is_file())
    assert written.parent == root / "shown" and not output.failed


def test_picture_that_is_gone_is_said_once_and_counted(tmp_path: Path) -> None:
    said: list[str] = []
    output = Annotated(tmp_path, False, said.append)
    for name in ("gone.jpg", "lost.jpg"):
        output.show(FrameResult(Frame(name, FilePicture(tmp_path / name)), (answer(),)))
    output.show(photo("here.jpg"))
    output.close()
    assert names(tmp_path) == ["here.jpg"] and output.failed == 2
    assert "gone.jpg: no such file" in said[0] and said[1].endswith("2 pictures could not be written")
    assert len(said) == 2


def test_full_disk_is_said_once_leaves_no_half_picture_and_stops_nothing(tmp_path: Path) -> None:
    # A limit on the size of files ends a write in the middle, as a full disk does.
    code = (
        "import resource, sys, numpy as np\nfrom pathlib import Path\nfrom PIL import Image\n"
        "from edge_classify.edge.outputs.annotated import Annotated\n"
        "from edge_classify.edge.answers.result import FrameResult\n"
        "from edge_classify.edge.sources.frames import Frame, ReadyPicture\n"
        "noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), np.uint8)\n"
        "output = Annotated(Path(sys.argv[1]), False, print)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, resource.RLIM_INFINITY))\n"
        "for image in map(Image.fromarray, (noise, noise, noise * 0)):\n"
        "  output.show(FrameResult(Frame('x.png', ReadyPicture(image))))\n"
        "output.close()\n"
    )
    folder = tmp_path / "shown"
    result = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    first, last = result.stdout.splitlines()
    assert "File too large" in first and last == "--save-annotated: 2 pictures could not be written"
    assert names(folder) == ["x.png"]


def test_pictures_of_a_burst_share_their_syncs_and_all_have_names_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def slow(handle: int) -> None:
        synced.append(handle)
        time.sleep(0.2)
        real(handle)

    monkeypatch.setattr(os, "fsync", slow)
    output = Annotated(tmp_path / "shown", force=False)
    made = len(synced)
    for number in range(30):
        output.show(photo(f"{number}.jpg"))
    output.close()
    assert len(names(tmp_path / "shown")) == 30 and not output.failed
    assert 2 <= len(synced) - made <= 8


def test_pictures_of_a_killed_run_are_named_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".photo.jpg.abcd1234.part").write_bytes(b"most of a picture")
    said: list[str] = []
    Annotated(tmp_path, True, said.append).close()
    assert ".photo.jpg.abcd1234.part" in said[0]


def test_folder_that_cannot_be_made_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="cannot be made a folder: Not a directory"):
        Annotated(tmp_path / "file" / "inside", force=False)
    with pytest.raises(OutputExistsError, match="file exists"):
        Annotated(tmp_path / "file", force=False)
    with pytest.raises(OptionError, match="cannot be made a folder: File exists"):
        Annotated(tmp_path / "file", force=True)


def test_source_picture_is_not_drawn_on(tmp_path: Path) -> None:
    picture = Image.new("RGB", (60, 60), "white")
    output = Annotated(tmp_path, force=False)
    output.show(FrameResult(Frame("a.png", ReadyPicture(picture)), (answer(),)))
    assert picture.getextrema() == ((255, 255),) * 3
