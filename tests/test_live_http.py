"""Cameras on HTTP: from a real server on loopback that is stopped, frozen, stalled and lied about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.errors import OptionError, SourceError
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.frames import Frame, PixelPicture
from edge_classify.edge.sources.live import LiveSource
from edge_classify.edge.sources.opening import open_source

from .support.streams import (
    PASSWORD,
    USER,
    CameraServer,
    number_of,
    own_certificate,
    serving,
    write_video,
)
from .support.waiting import wait_until

QUICK = CameraOptions(frozen_after=1)


@pytest.fixture
def camera() -> Iterator[CameraServer]:
    with serving(CameraServer()) as server:
        yield server


class Watched:
    """An opened source whose remarks are kept, and which is closed in the end."""

    def __init__(self, name: str, options: CameraOptions = CameraOptions()) -> None:  # noqa: B008
        self.remarks: list[str] = []
        self.idle = 0
        self.source = open_source(name, options, self.remarks.append, self._count)

    def _count(self) -> None:
        self.idle += 1

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()


def next_error(frames: Iterator[Frame]) -> str:
    return next(frame.error for frame in frames if frame.error is not None)


@pytest.mark.parametrize("page", ["/stream", "/bare"])
def test_mjpeg_stream_gives_numbered_rgb_frames_that_are_not_decoded_yet(
    camera: CameraServer, page: str
) -> None:
    with Watched(camera.address(page)) as watched:
        frames = list(islice(watched.source, 5))
    assert [number_of(frame) for frame in frames] == sorted({number_of(frame) for frame in frames})
    indices = [frame.index for frame in frames if frame.index is not None]
    assert len(indices) == 5 and indices == sorted(set(indices))
    times = [frame.grabbed for frame in frames if frame.grabbed is not None]
    assert len(times) == 5 and times == sorted(times)
    for frame in frames:
        assert frame.picture is not None
        red, green, blue = np.asarray(frame.picture.image()).reshape(-1, 3).mean(0)
        assert red > 230 and green < 40 and blue < 40
    assert watched.source.live and watched.source.total is None and watched.remarks == []


def test_slow_consumer_sees_the_present_and_not_a_queue(camera: CameraServer) -> None:
    with Watched(camera.address("/stream")) as watched:
        frames = iter(watched.source)
        first = next(frames)
        seen = number_of(first)
        wait_until(lambda: camera.sent > seen + 60)
        second = next(frames)
    assert number_of(second) > seen + 30
    assert first.index is not None and second.index is not None
    assert second.index - first.index == number_of(second) - seen  # Skipped frames count too.


def test_stopped_camera_is_said_once_and_is_back_when_it_serves_again(camera: CameraServer) -> None:
    with Watched(camera.address("/stream?token=geheim")) as watched:
        frames = iter(watched.source)
        last = max(frame.index or 0 for frame in islice(frames, 3))
        camera.stop()
        error = next_error(frames)
        threading.Timer(2.5, camera.start).start()  # Two attempts fail before.
        back = next(frames)
    assert "--camera http://127.0.0.1" in error and "was lost: " in error
    assert back.error is None and back.index is not None and back.index > last
    unencrypted, is_back = watched.remarks
    assert "is not encrypted" in unencrypted and is_back.endswith(" s") and "is back" in is_back
    assert watched.idle > 0
    assert PASSWORD not in error + watched.remarks[0]


def test_frozen_camera_is_said_once_and_gives_nothing_until_it_moves_again(camera: CameraServer) -> None:
    with Watched(camera.address("/stream"), QUICK) as watched:
        frames = iter(watched.source)
        next(frames)
        camera.mode = "frozen"
        assert "it has shown the same picture for 1 s" in next_error(frames)
        frozen_at, requests = camera.sent, camera.requests

        def move() -> None:
            wait_until(lambda: camera.requests >= requests + 2)  # It was opened anew, stood still, and again.
            camera.mode = "normal"

        mover = threading.Thread(target=move)
        mover.start()
        back = next(frames)
        mover.join()
    assert number_of(back) > frozen_at
    assert len(watched.remarks) == 1 and "is back after" in watched.remarks[0]


def test_picture_that_may_stand_still_is_yielded_on_and_on(camera: CameraServer) -> None:
    camera.mode = "frozen"
    with Watched(camera.address("/stream"), CameraOptions(frozen_after=0)) as watched:
        frames = list(islice(watched.source, 5))
    assert {number_of(frame) for frame in frames} == {0}


def test_stalled_stream_is_lost_and_then_back(camera: CameraServer) -> None:
    with Watched(camera.address("/stream"), QUICK) as watched:
        frames = iter(watched.source)
        next(frames)
        camera.mode = "stalled"
        assert "it gave no picture for 1 s" in next_error(frames)
        camera.mode = "normal"
        assert next(frames).error is None


def test_half_jpegs_are_counted_and_left_out_and_that_is_said_once(camera: CameraServer) -> None:
    with Watched(camera.address("/stream")) as watched:
        frames = iter(watched.source)
        next(frames)
        camera.mode = "half"
        start = camera.sent
        seen = [next(frames) for _ in range(12)]
        wait_until(lambda: watched.source.damaged >= 3)
        seen.append(next(frames))
    even = [number_of(frame) for frame in seen if number_of(frame) > start + 1]
    assert even and all(number % 2 == 0 for number in even)
    name = camera.address("/stream")
    assert watched.remarks == [
        f"--camera {name} sent a damaged picture: it is left out, and so are later ones"
    ]


def test_resolution_that_changes_in_the_middle_is_followed(camera: CameraServer) -> None:
    with Watched(camera.address("/bare"), CameraOptions(rotate=90)) as watched:
        sizes = []
        for frame in watched.source:
            assert frame.picture is not None
            sizes.append(frame.picture.image().size)
            camera.mode = "large"
            if sizes[-1] == (96, 128):
                break
    assert sizes[0] == (48, 64)


def test_address_of_single_pictures_is_asked_again_at_the_rate_wanted(camera: CameraServer) -> None:
    with Watched(camera.address("/picture"), CameraOptions(fps=20)) as watched:
        frames = list(islice(watched.source, 4))
    numbers = [number_of(frame) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert frames[-1].grabbed is not None and frames[0].grabbed is not None
    assert frames[-1].grabbed - frames[0].grabbed > 2 / 20  # Three pauses; the first frame may have waited.


@pytest.mark.parametrize("page", ["/basic", "/digest"])
def test_stream_with_a_password_is_opened_and_the_password_shown_nowhere(
    camera: CameraServer, page: str
) -> None:
    with Watched(camera.address(page, USER, PASSWORD)) as watched:
        frame = next(iter(watched.source))
    assert frame.picture is not None
    assert frame.source == f"http://***@127.0.0.1:{camera.port}{page}"


@pytest.mark.parametrize(
    ("page", "user", "password", "reason"),
    [
        ("/digest", "", "", "it asks for a user name and a password (401 Unauthorized)"),
        ("/basic", "", "", "it asks for a user name and a password (401 Unauthorized)"),
        ("/digest", USER, "geheim2", "it refuses this user name or password (401 Unauthorized)"),
        ("/basic", USER, "geheim2", "it refuses this user name or password (401 Unauthorized)"),
        ("/digest", USER, "ge/heim", "the address is invalid. In a password, write / as %2F"),
        ("/none?token=geheim", USER, "geheim", "there is no such page (404 Not Found)"),
        (
            "/page",
            USER,
            "geheim",
            "it sends a web page (HTML) as text/html, and no pictures: give the address of the stream or",
        ),
    ],
)
def test_address_that_gives_no_pictures_is_refused_with_the_reason_and_without_the_password(
    camera: CameraServer, page: str, user: str, password: str, reason: str
) -> None:
    with pytest.raises(SourceError) as error:
        open_source(camera.address(page, user, password))
    assert f"cannot be opened: {reason}" in str(error.value)
    assert "heim" not in str(error.value)
    assert camera.requests <= 2  # A camera locks out who tries a wrong password again and again.


def test_password_with_escaped_signs_is_sent_as_it_is_meant(camera: CameraServer) -> None:
    with Watched(camera.address("/digest", "%61dmin", "%67eheim")) as watched:
        assert next(iter(watched.source)).error is None


def test_camera_that_is_off_is_refused_at_once(camera: CameraServer) -> None:
    address = camera.address("/stream", USER, PASSWORD)
    camera.stop()
    with pytest.raises(SourceError, match=r"nobody answers at this address and port \(connection refused\)"):
        open_source(address)


def test_certificate_that_nobody_signed_is_refused_until_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = own_certificate(tmp_path)
    film = write_video(tmp_path / "film.avi", 50)
    with serving(CameraServer(film, tls=context)) as camera:
        with pytest.raises(SourceError, match=r"its certificate is not trusted .*SSL_CERT_FILE"):
            open_source(camera.address("/stream"))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        for page in ("/stream", "/film"):  # FFmpeg reads the second one.
            with Watched(camera.address(page)) as watched:
                assert next(iter(watched.source)).error is None


def test_video_behind_http_is_read_by_ffmpeg(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.avi", 100)
    with (
        serving(CameraServer(film)) as camera,
        Watched(camera.address("/film", USER, PASSWORD)) as watched,
    ):
        frame = next(iter(watched.source))
    assert isinstance(frame.picture, PixelPicture)
    assert frame.picture.image().size == (32, 24)


def test_size_of_a_stream_cannot_be_asked_for(camera: CameraServer) -> None:
    with pytest.raises(OptionError, match="--size goes with cameras of this machine"):
        open_source(camera.address("/stream"), CameraOptions(size=(640, 480)))


def test_closing_from_another_thread_ends_an_iteration_that_waits(camera: CameraServer) -> None:
    source: LiveSource = open_source(camera.address("/stream"))
    frames = iter(source)
    next(frames)
    camera.mode = "stalled"
    closer = threading.Timer(0.5, source.close)
    closer.start()
    assert all(frame.error is None for frame in frames)  # It ends, and that is no loss.
    closer.join()
    source.close()
    assert list(source) == []
