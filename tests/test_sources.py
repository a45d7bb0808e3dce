"""Pictures from folders, and frames from real video files and a real MJPEG server on loopback."""

from __future__ import annotations

import http.server
import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.errors import SourceError
from edge_classify.edge.sources import CameraSource, FileSource, find_images, natural_key, redact
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

FPS = 25


def write_video(path: Path, frames: int) -> Path:
    """Write a video at 25 frames a second whose frame n is grey with value 5 * n (mod 250)."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (32, 24))
    for number in range(frames):
        writer.write(np.full((24, 32, 3), 5 * number % 250, np.uint8))
    writer.release()
    return path


def number_of(image: Image.Image) -> int:
    return round(float(np.asarray(image).mean()) / 5)


def jpeg(colour: tuple[int, int, int]) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (320, 240), colour).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


class MjpegHandler(http.server.BaseHTTPRequestHandler):
    """Sends a frame each 20 ms: /red ones, three of them at /short, at /clock with the time as grey."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        began = time.monotonic()
        try:
            for number in itertools.count():
                if self.path.startswith("/short") and number == 3:
                    return
                grey = min(255, int((time.monotonic() - began) * 20))
                data = jpeg((grey, grey, grey) if self.path == "/clock" else (250, 10, 10))
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(0.02)
        except OSError:
            return

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def mjpeg() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MjpegHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path, recursive: bool = False) -> list[str]:
    return [path.relative_to(root).as_posix() for path in find_images([root], recursive)]


def test_folder_gives_its_images_in_natural_order_without_hidden_and_other_files(tmp_path: Path) -> None:
    touch(tmp_path, "10.png", "9.JPG", "b 2.webp", "a 11.png", "a 2.png", ".x.png", "notes.txt", "sub/1.png")
    assert found(tmp_path) == ["9.JPG", "10.png", "a 2.png", "a 11.png", "b 2.webp"]


def test_folder_searched_recursively_gives_sub_folders_too_but_follows_no_links(tmp_path: Path) -> None:
    touch(tmp_path, "2.png", "sub 10/1.png", "sub 9/ü/1.png", ".git/1.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.png").symlink_to(tmp_path / "none.png")
    assert found(tmp_path, recursive=True) == ["2.png", "sub 9/ü/1.png", "sub 10/1.png"]


def test_folder_without_images_is_refused_with_a_hint_at_recursion(tmp_path: Path) -> None:
    touch(tmp_path, "sub/notes.txt")
    with pytest.raises(SourceError, match=r"holds no images \(sub-folders are searched with --recursive\)"):
        find_images([tmp_path], recursive=False)
    with pytest.raises(SourceError, match=r"holds no images$"):
        find_images([tmp_path], recursive=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every folder")
def test_folder_that_may_not_be_read_is_refused_instead_of_called_empty(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        with pytest.raises(SourceError, match=r"cannot be read \(Permission denied\)"):
            find_images([tmp_path], recursive=False)
    finally:
        tmp_path.chmod(0o700)


def test_paths_that_are_no_folders_stay_as_they_are(tmp_path: Path) -> None:
    paths = [tmp_path / "none.png", tmp_path / ("a" * 300), touch(tmp_path, ".x") / ".x"]
    assert find_images(paths, recursive=False) == paths


def test_files_that_cannot_be_read_are_frames_with_an_error_between_the_others(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", touch(tmp_path, "bad.png") / "bad.png"
    Image.new("RGB", (4, 3)).save(good)
    first, second, third = FileSource([good, bad, good])
    assert (first.source, first.error, first.index, first.grabbed) == (str(good), None, None, None)
    assert first.image is not None and first.image.size == (4, 3)
    assert second.image is None
    assert second.error == f"{bad} is no BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP image: it is empty (0 bytes)"
    assert third.image is not None


@given(st.text(st.characters(exclude_categories=["Nd"]), max_size=5), st.integers(0), st.integers(0))
def test_natural_order_of_numbered_names_is_the_numbers_order(prefix: str, a: int, b: int) -> None:
    first, second = Path(f"{prefix}{a}.png"), Path(f"{prefix}{b}.png")
    assert (natural_key(first) < natural_key(second)) == (a < b)


@given(st.lists(st.text(max_size=8)))
def test_natural_order_exists_for_names_of_every_kind(names: list[str]) -> None:
    paths = [Path(name.replace("\0", "")) for name in names]
    ordered = sorted(paths, key=natural_key)
    paths.reverse()
    assert sorted(paths, key=natural_key) == ordered
    assert sorted(map(str, ordered)) == sorted(map(str, paths))


def test_video_file_gives_its_frames_in_order_and_at_its_pace(tmp_path: Path) -> None:
    began = time.monotonic()
    frames = list(CameraSource(str(write_video(tmp_path / "v 1.avi", 15))))
    elapsed = time.monotonic() - began
    indices = [frame.index for frame in frames if frame.index is not None]
    assert indices == sorted(set(indices)) and indices[0] == 0
    assert [number_of(frame.image) for frame in frames if frame.image] == indices
    assert elapsed >= 14 / FPS  # The last is due then; a busy machine may take longer.
    assert {frame.source for frame in frames} == {str(tmp_path / "v 1.avi")}


def test_video_file_read_slowly_skips_what_is_too_late(tmp_path: Path) -> None:
    indices: list[int] = []
    for frame in CameraSource(str(write_video(tmp_path / "v.avi", 30))):
        assert frame.index is not None
        indices.append(frame.index)
        time.sleep(0.2)
    assert len(indices) < 15
    assert indices == sorted(indices)


@pytest.mark.parametrize("data", [b"", b"not a video" * 99])
def test_video_file_that_is_none_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "v.avi").write_bytes(data)
    with pytest.raises(SourceError, match=r"v\.avi cannot be opened.*is it a video\?"):
        CameraSource(str(tmp_path / "v.avi"))


@pytest.mark.parametrize("name", ["none.avi", "", "²", "-1", "a" * 300])
def test_camera_name_that_is_no_number_url_or_file_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="no such video file"):
        CameraSource(name)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the message looks into /dev")
@pytest.mark.parametrize("number", ["97", "99999999999999999999"])
def test_camera_that_is_missing_is_refused(number: str) -> None:
    with pytest.raises(SourceError, match=f"--camera {number} cannot be opened. (This machine|Found)"):
        CameraSource(number)


def test_mjpeg_stream_gives_frames_in_rgb(mjpeg: str) -> None:
    source = CameraSource(f"http://{mjpeg}/red")
    frames = list(itertools.islice(source, 3))
    for frame in frames:
        assert frame.image is not None and frame.grabbed is not None
        red, green, blue = np.asarray(frame.image).reshape(-1, 3).mean(0)
        assert red > 230 and green < 40 and blue < 40
    indices = [frame.index for frame in frames if frame.index is not None]
    assert indices == sorted(set(indices))


def test_mjpeg_stream_that_ends_is_an_error_after_its_last_frame(mjpeg: str) -> None:
    last = None
    with pytest.raises(SourceError, match="gave no more frames after 3"):
        for frame in CameraSource(f"http://{mjpeg}/short"):
            last = frame.index
    assert last == 2


def test_mjpeg_stream_read_slowly_shows_the_present_and_not_a_queue(mjpeg: str) -> None:
    seen = []
    for frame in CameraSource(f"http://{mjpeg}/clock"):
        assert frame.image is not None
        seen.append(float(np.asarray(frame.image).mean()) / 20)
        if len(seen) == 8:
            break
        time.sleep(0.4)
    # Seven waits of 0.4 s went by; frame for frame, at 20 ms each, the eighth would show about 0.2 s.
    assert seen[-1] - seen[0] > 1.4


def test_stream_that_nobody_serves_is_refused_without_showing_its_secrets() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(SourceError) as error:
            CameraSource(f"http://admin:geheim@{address}/video?token=geheim")
    assert "geheim" not in str(error.value)
    assert f"http://***@{address}/video?*** cannot be opened" in str(error.value)


@given(st.text(), st.text(), st.sampled_from(["", "?"]))
def test_secrets_in_an_address_are_hidden_whatever_they_hold(user: str, password: str, mark: str) -> None:
    shown = redact(f"rtsp://{user}:{password}@camera:554/live{mark}{password if mark else ''}")
    assert shown == f"rtsp://***@camera:554/live{mark and '?***'}" or ("@" in password and mark)
    assert redact(f"rtsp://camera/live{mark}") == f"rtsp://camera/live{mark and '?***'}"


@pytest.mark.parametrize("name", ["0", "video 1.avi", "me@home.avi", "what?.avi"])
def test_names_that_are_no_address_are_shown_as_they_are(name: str) -> None:
    assert redact(name) == name
