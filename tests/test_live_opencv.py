"""Video files in real time, and what OpenCV cannot open."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from edge_classify.edge.errors import MissingPackageError, SourceError
from edge_classify.edge.sources import opencv
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.frames import Frame
from edge_classify.edge.sources.opening import open_source

from .support.films import write_mp4
from .support.streams import CameraServer, linux_only, own_certificate, serving, write_video

FPS = 25


def number_of(frame: Frame) -> int:
    assert frame.picture is not None
    return round(float(np.asarray(frame.picture.image()).mean()) / 5)


def test_video_file_gives_its_frames_in_order_and_at_its_pace_and_ends(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v 1.avi", 15)
    began = time.monotonic()
    frames = list(open_source(str(path)))
    elapsed = time.monotonic() - began
    indices = [frame.index for frame in frames if frame.index is not None]
    assert indices == sorted(set(indices)) and indices[-1] == 14
    assert [number_of(frame) for frame in frames] == indices
    assert elapsed >= 14 / FPS  # The last is due then; a busy machine may take longer.
    assert {frame.source for frame in frames} == {str(path)}


def test_video_file_of_a_variable_rate_is_played_by_its_time_stamps(tmp_path: Path) -> None:
    path = write_mp4(tmp_path / "v.mp4", [0, 0.1, 0.2, 0.8, 1.6])
    frames = list(open_source(str(path)))
    taken = {frame.index: frame.grabbed for frame in frames}
    assert frames[0].index == 0 and frames[-1].index == 4
    first, last = taken[0], taken[4]
    assert first is not None and last is not None and last - first >= 1.59


def test_video_file_read_slowly_skips_what_is_too_late(tmp_path: Path) -> None:
    indices: list[int] = []
    for frame in open_source(str(write_video(tmp_path / "v.avi", 30))):
        assert frame.index is not None and number_of(frame) == frame.index
        indices.append(frame.index)
        time.sleep(0.2)
    assert len(indices) < 15
    assert indices == sorted(indices)


def test_video_file_that_stands_still_is_no_frozen_camera(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (32, 24))
    for _ in range(FPS):
        writer.write(np.full((24, 32, 3), 90, np.uint8))
    writer.release()
    frames = list(open_source(str(tmp_path / "v.avi"), CameraOptions(frozen_after=0.2)))
    assert [frame.error for frame in frames if frame.error] == []
    assert frames[-1].index == FPS - 1


@pytest.mark.parametrize("data", [b"", b"not a video" * 99])
def test_video_file_that_is_none_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.avi").write_bytes(data)
    with pytest.raises(
        SourceError, match=r"v\.avi cannot be opened: OpenCV cannot decode it: is it a video\?"
    ):
        open_source(str(tmp_path / "v.avi"))


@pytest.mark.parametrize("name", ["none.avi", "", "²", "-1", "a" * 300, "a\0b", "picamera:x", "picamera2"])
def test_name_that_is_no_number_address_or_file_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="there is no such video file"):
        open_source(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a FIFO")
def test_fifo_and_folder_are_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.avi")
    for path in (tmp_path / "pipe.avi", tmp_path):
        with pytest.raises(SourceError, match="there is no such video file"):
            open_source(str(path))


@linux_only
@pytest.mark.parametrize("number", ["97", "99999999999999999999"])
def test_camera_that_is_missing_is_refused_and_the_others_named(number: str) -> None:
    with pytest.raises(
        SourceError, match=f"--camera {number} cannot be opened: /dev/video{number} does not exist"
    ):
        open_source(number)


@linux_only
def test_device_that_is_no_camera_is_refused() -> None:
    with pytest.raises(SourceError, match="--camera /dev/null cannot be opened: /dev/null is no camera"):
        open_source("/dev/null")


def test_missing_opencv_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingPackageError, match=r'pip install "opencv-python>='):
        open_source("rtsp://admin:geheim@127.0.0.1/")


def test_certificate_that_nobody_signed_is_refused_by_ffmpeg_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = own_certificate(tmp_path)
    with serving(CameraServer(write_video(tmp_path / "v.avi", 25), tls=context)) as camera:
        with pytest.raises(SourceError, match="it sends no pictures"):
            opencv.open_stream(camera.address("/film"), CameraOptions())
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        opencv.open_stream(camera.address("/film"), CameraOptions()).close()
    assert "OPENCV_FFMPEG_CAPTURE_OPTIONS" not in os.environ


def test_nothing_of_a_stream_that_does_not_open_is_printed() -> None:
    code = (
        "from edge_classify.edge.errors import SourceError\n"
        "from edge_classify.edge.sources.opening import open_source\n"
        "for scheme in ('rtsp', 'http', 'rtmp', 'nonsense', 'file'):\n"
        "    try: open_source(f'{scheme}://admin:geheim@127.0.0.1:9/live?key=geheim')\n"
        "    except SourceError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 5
    assert "geheim" not in result.stdout and result.stderr == ""


class FakeCapture:
    """Takes the place of cv2.VideoCapture for a camera: no machine of the tests has one."""

    def __init__(self, frames: int = 9) -> None:
        self.asked: dict[int, float] = {}
        self.frames = frames
        self.released = False

    def isOpened(self) -> bool:
        return True

    def set(self, key: int, value: float) -> bool:
        self.asked[key] = value
        return True

    def get(self, key: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 640.0, cv2.CAP_PROP_FRAME_HEIGHT: 480.0}[key]

    def grab(self) -> bool:
        self.frames -= 1
        return self.frames >= 0

    def retrieve(self) -> tuple[bool, Any]:
        return (self.frames != 5), np.full((480, 640, 3), self.frames, np.uint8)

    def release(self) -> None:
        self.released = True


def test_camera_is_asked_for_size_and_rate_and_what_it_gives_instead_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capture = FakeCapture()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    remarks: list[str] = []
    source = open_source("0", CameraOptions(size=(1280, 720), fps=30), remarks.append)
    frames = list(islice(source, 1))
    source.close()
    assert frames[0].source == "0"
    assert capture.asked[cv2.CAP_PROP_FRAME_WIDTH] == 1280
    assert capture.asked[cv2.CAP_PROP_FRAME_HEIGHT] == 720
    assert capture.asked[cv2.CAP_PROP_FPS] == 30
    assert capture.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert remarks[0] == "--camera 0 has no 1280x720, and gives 640x480. See --list-cameras"
    assert capture.released


def test_camera_that_opens_and_sends_nothing_is_refused_and_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    capture = FakeCapture(frames=0)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    with pytest.raises(SourceError, match="--camera 0 cannot be opened: it opens, but gives no picture"):
        open_source("0")
    assert capture.released


def test_frame_that_cannot_be_converted_counts_as_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: FakeCapture(frames=9))
    remarks: list[str] = []
    source = open_source("0", CameraOptions(), remarks.append)
    error = next(frame.error for frame in source if frame.error)
    source.close()
    assert "it ended after 8 pictures" in error
    assert source.damaged == 1 and "sent a damaged picture" in remarks[0]
