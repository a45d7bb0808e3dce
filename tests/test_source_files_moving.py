"""Animations and videos give every frame in order, and say so where they break off."""

from __future__ import annotations

import builtins
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from edge_classify.edge.answers.pacing import paced
from edge_classify.edge.errors import ImageError, MissingPackageError, SourceError
from edge_classify.edge.image import load_image
from edge_classify.edge.sources.files import FileSource
from edge_classify.edge.sources.frames import FilePicture, Frame
from edge_classify.edge.sources.interlaced import is_affected
from edge_classify.edge.sources.opencv import import_opencv
from edge_classify.edge.sources.opening import open_source
from PIL import Image, ImageDraw

from .support.films import write_interlaced, write_matroska, write_mp4
from .support.streams import write_video

FPS = 25
COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]


def squares() -> list[Image.Image]:
    """Return four pictures, each with one square more, so that an encoder stores only what changes."""
    pictures = [Image.new("RGB", (40, 10), "white")]
    for number, colour in enumerate(COLOURS):
        pictures.append(pictures[-1].copy())
        ImageDraw.Draw(pictures[-1]).rectangle((10 * number, 0, 10 * number + 9, 9), colour)
    return pictures[1:]


def write_squares(path: Path, **options: Any) -> Path:
    first, *others = squares()
    first.save(path, save_all=True, append_images=others, **options)
    return path


def mean_of(frame: Frame) -> float:
    assert frame.picture is not None
    return float(np.asarray(frame.picture.image()).mean())


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif", ".tiff", ""])
def test_animation_gives_every_frame_as_a_viewer_shows_it(suffix: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "format": {".webp": "WEBP", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}.get(suffix, "GIF")
    }
    if options["format"] != "TIFF":
        options["duration"] = [100, 200, 300, 400]
    if suffix == ".webp":
        options["lossless"] = True
    path = write_squares(tmp_path / f"moves{suffix}", **options)
    frames = list(FileSource([path]))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    times = [None] * 4 if options["format"] == "TIFF" else [0, 0.1, 0.3, 0.6]
    assert [frame.time for frame in frames] == pytest.approx(times)
    for frame, expected in zip(frames, squares(), strict=True):
        assert frame.picture is not None and frame.error is None
        np.testing.assert_allclose(np.asarray(frame.picture.image()), np.asarray(expected), atol=1)
    first = frames[0].picture
    assert first is not None and first.image().tobytes() == load_image(path).tobytes()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif", ".jpg"])
def test_still_image_is_left_to_be_decoded_by_whoever_wants_it(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"still{suffix}"
    squares()[0].save(path)
    (frame,) = FileSource([tmp_path])
    assert (frame.picture, frame.index, frame.time) == (FilePicture(path), None, None)


def test_webp_of_a_few_bytes_is_no_animation(tmp_path: Path) -> None:
    (tmp_path / "a.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8X\0")
    (frame,) = FileSource([tmp_path / "a.webp"])
    with pytest.raises(ImageError, match="damaged or cut off"):
        assert frame.picture is not None
        frame.picture.image()


def test_animated_png_gives_its_animation_without_the_picture_for_old_programs(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    first, *others = squares()
    Image.new("RGB", (40, 10), "black").save(
        path, save_all=True, append_images=[first, *others], default_image=True
    )
    frames = list(FileSource([path]))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert mean_of(frames[0]) == pytest.approx(np.asarray(first).mean())


def test_pages_of_a_tiff_keep_their_own_sizes(tmp_path: Path) -> None:
    small, large = Image.new("L", (5, 4)), Image.new("RGB", (50, 40))
    small.save(tmp_path / "a.tif", save_all=True, append_images=[large])
    sizes = [frame.picture.image().size for frame in FileSource([tmp_path]) if frame.picture]
    assert sizes == [(5, 4), (50, 40)]


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_animation_that_breaks_off_gives_what_is_there_and_then_an_error(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)) for _ in range(5)]
    path = tmp_path / f"cut{suffix}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    *whole, last = FileSource([path])
    assert last.picture is None
    assert last.error is not None and last.error.startswith(str(path)) and last.index == len(whole)
    assert all(frame.error is None for frame in whole)
    # libwebp takes no part of a file that is shorter than it says.
    assert len(whole) == (0 if suffix == ".webp" else 3)


def test_video_gives_every_frame_in_order_with_its_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v 1.avi", 40)
    source = FileSource([path])
    assert source.total is None
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.time for frame in frames] == pytest.approx([n / FPS for n in range(40)])
    assert [round(mean_of(frame) / 5) for frame in frames] == list(range(40))


# Seconds: a phone's film in changing light, or a screen that stands still.
VARIABLE = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 3.0, 5.0, 7.0, 9.0]


@pytest.mark.parametrize("write", [write_mp4, write_matroska])
def test_video_of_a_variable_rate_gives_its_own_time_stamps_and_is_not_called_cut_off(
    write: Callable[[Path, list[float]], Path], tmp_path: Path
) -> None:
    suffix = ".mp4" if write is write_mp4 else ".mkv"
    frames = list(FileSource([write(tmp_path / f"v{suffix}", VARIABLE)]))
    assert [frame.error for frame in frames] == [None] * 10
    assert [frame.time for frame in frames] == pytest.approx(VARIABLE, abs=0.002)
    # One frame in a second of the film's own time: none before 1 s but the first.
    assert [frame.index for frame in paced(frames, 1.0)] == [0, 5, 6, 7, 8, 9]


def test_video_of_a_variable_rate_that_is_cut_off_is_called_so_where_the_file_states_its_frames(
    tmp_path: Path,
) -> None:
    path = write_mp4(tmp_path / "v.mp4", VARIABLE)
    data = path.read_bytes()
    media, moov = data.index(b"mdat") - 4, data.index(b"moov") - 4
    # The table of frames stays whole, and the last frames' bytes are lost: a download that broke off.
    start = media + (moov - media) // 2
    path.write_bytes(data[:start] + bytes(moov - start) + data[moov:])
    *whole, last = FileSource([path])
    assert 2 <= len(whole) <= 7
    assert last.error == f"{path} is cut off after {len(whole)} of about 10 frames"


def test_matroska_video_that_breaks_off_is_said_to_be_cut_off_or_to_stand_still(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", 100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *whole, last = FileSource([path])
    assert 30 < len(whole) < 60
    assert last.error == (
        f"{path} shows nothing new from {whole[-1].seconds:.1f} s to its end at 4.0 s: "
        "it is cut off, or stands still"
    )


def test_video_without_a_suffix_is_known_by_its_first_bytes_and_those_in_folders_are_errors(
    tmp_path: Path,
) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "1.png")
    path = write_video(tmp_path / "v.avi", 3).rename(tmp_path / "video")
    assert len(list(FileSource([path]))) == 3
    write_video(tmp_path / "v.avi", 3)
    image, *films = FileSource([tmp_path])
    assert Path(image.source).name == "1.png" and image.error is None
    assert [Path(film.source).name for film in films] == ["v.avi", "video"]
    assert all("is a film, and those in folders are not read" in str(film.error) for film in films)


@pytest.mark.parametrize("live", [False, True])
def test_interlaced_film_is_decoded_or_refused_for_what_it_is(live: bool, tmp_path: Path) -> None:
    # OpenCV 4.12 decodes it; 4.14 and 5.0 give the same bytes of memory for each frame.
    path = write_interlaced(tmp_path / "camcorder.mkv", 6)
    try:
        frames = list(open_source(str(path)) if live else FileSource([path]))
    except SourceError as error:
        frames = [Frame(str(path), None, str(error))]
    if frames[0].error:
        assert "interlaced" in frames[0].error and "yadif" in frames[0].error and len(frames) == 1
    else:
        assert [round(mean_of(frame) / 5) for frame in frames] == list(range(6))


def test_film_that_stands_still_is_read(tmp_path: Path) -> None:
    path = tmp_path / "still.mkv"
    cv2 = import_opencv("a test")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 25, (32, 24))
    for _ in range(3):
        writer.write(np.full((24, 32, 3), 90, np.uint8))
    writer.release()
    assert [mean_of(frame) for frame in FileSource([path])] == pytest.approx([90] * 3, abs=2)


def test_film_with_the_name_of_a_photo_is_told_to_be_renamed(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "a.mp4", [0.0, 0.1]).rename(tmp_path / "a.jpg")
    (frame,) = FileSource([path])
    assert frame.picture is not None
    with pytest.raises(ImageError, match=r"is a film.*rename it, since \.jpg is for images"):
        frame.picture.image()


@pytest.mark.parametrize(
    "name", ["50%d of 100%.avi", "%03d.avi", "http:v.avi", "concat:v.avi", "0", "-x.avi", "é.avi"]
)
def test_video_whose_name_looks_like_something_else_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "v.avi", 3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert [frame.error for frame in FileSource([name])] == [None] * 3


def test_video_that_breaks_off_gives_what_is_there_and_then_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", 100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    *whole, last = FileSource([path])
    assert 30 < len(whole) < 60
    assert [round(mean_of(frame) / 5) for frame in whole[:-1]] == list(range(len(whole) - 1))
    assert last.error == f"{path} is cut off after {len(whole)} of about 100 frames"


@pytest.mark.parametrize(
    "data",
    [b"", b"not a video" * 99, b"RIFF\0\0\0\0AVI LIST" + bytes(99)],
    ids=["empty", "text", "header"],
)
def test_video_that_is_none_is_one_frame_with_an_error(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.avi").write_bytes(data)
    (frame,) = FileSource([tmp_path / "v.avi"])
    reason = "cannot be decoded by OpenCV: is it a video, and whole?" if data else "is empty (0 bytes)"
    assert frame.error == f"{tmp_path / 'v.avi'} {reason}"


def test_video_whose_name_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", 3).rename(tmp_path / os.fsdecode(b"\xff.avi"))
    (frame,) = FileSource([path])
    assert frame.error is not None and frame.error.endswith("OpenCV accepts only names in UTF-8. Rename it")


@pytest.mark.parametrize(
    "playlist", ["#EXTM3U\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {}\n"]
)
def test_playlist_that_calls_itself_a_video_reaches_no_network(playlist: str, tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    frames: list[Frame] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        path.write_text(playlist.format(f"http://127.0.0.1:{server.getsockname()[1]}/1.ts"))
        thread = threading.Thread(target=lambda: frames.extend(FileSource([path])), daemon=True)
        thread.start()
        with pytest.raises(TimeoutError):
            server.accept()
        thread.join(60)
    assert [frame.picture for frame in frames] == [None]


def test_video_without_opencv_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_cv2(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "cv2":
            raise ModuleNotFoundError(name)
        return real_import(name, *args, **kwargs)

    real_import = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_cv2)
    (tmp_path / "v.mp4").touch()
    with pytest.raises(MissingPackageError, match=r'v\.mp4 needs OpenCV.*pip install "opencv-python>='):
        FileSource([tmp_path / "v.mp4"])
    Image.new("RGB", (4, 3)).save(tmp_path / "1.jpg")
    photo, film = FileSource([tmp_path / "1.jpg", tmp_path / "v.mp4"])
    assert photo.error is None and "needs OpenCV" in str(film.error)
    (frame,) = FileSource(["-"], listing=[os.fsencode(tmp_path / "v.mp4")])
    assert "needs OpenCV" in str(frame.error)


@pytest.mark.parametrize(
    ("version", "affected"),
    [("4.6.0", False), ("4.12.0", False), ("4.13.0", True), ("5.0.0", True), ("5.0.0-pre", True)],
)
def test_films_are_checked_for_interlacing_only_where_opencv_is_affected(
    version: str, affected: bool
) -> None:
    # Measured: 4.12.0 gives the pictures, 4.14.0 and 5.0.0 do not.
    assert is_affected(SimpleNamespace(__version__=version)) == affected
