"""What an HTTP camera sends is told by its bytes; its headers may be wrong, or missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count, islice

import pytest
from edge_classify.edge.errors import MissingPackageError, SourceError
from edge_classify.edge.sources import opencv
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.frames import EncodedPicture
from edge_classify.edge.sources.opening import open_source

from .support.encoded import encoded, part
from .support.raw_camera import RawRequest, head, raw_camera

MIXED = "multipart/x-mixed-replace; boundary=frame"
Answer = Callable[[RawRequest], Iterator[bytes]]


def stream(
    kind: str | None, send: Callable[[bytes], bytes], make: Callable[[int], bytes] = encoded
) -> Answer:
    def answer(_: RawRequest) -> Iterator[bytes]:
        yield head(kind)
        for number in count():
            yield send(make(number))
            time.sleep(0.02)

    return answer


def snapshot(kind: str | None, send: Callable[[int], bytes], with_length: bool = True) -> Answer:
    numbers = count()

    def answer(_: RawRequest) -> Iterator[bytes]:
        data = send(next(numbers))
        yield head(kind, len(data) if with_length else None) + data

    return answer


def assert_are_in_order(found: list[bytes], make: Callable[[int], bytes] = encoded) -> None:
    known = [make(number) for number in range(100)]
    numbers = [known.index(data) for data in found]
    assert numbers == sorted(set(numbers))


def first_pictures(answer: Answer, frames: int = 3) -> list[bytes]:
    """Return the bytes of frames, of which some between them may have been left out: the newest counts."""
    with raw_camera(answer) as camera:
        source = open_source(camera.address, CameraOptions(fps=50))
        taken = list(islice(source, frames))
        source.close()
    data = []
    for frame in taken:
        assert isinstance(frame.picture, EncodedPicture), frame.error
        assert frame.picture.image().size == (96, 64)
        data.append(frame.picture.data)
    return data


def wordy(data: bytes) -> bytes:
    return part(
        data, b"frame\r\nServer: camera\r\nX-Timestamp: 1234567890.123456\r\nX-Note: " + b"x" * 99 + b"\r\n"
    )


@pytest.mark.parametrize("send", [part, wordy, bytes], ids=["parts", "wordy", "one behind the other"])
@pytest.mark.parametrize(
    "kind",
    [MIXED, "multipart/x-mixed-replace", 'multipart/x-mixed-replace; boundary="other"', "image/jpeg",
     "video/x-motion-jpeg", "application/octet-stream", "text/plain", "text/html", None],
)  # fmt: skip
def test_stream_is_read_whatever_its_header_says(kind: str | None, send: Callable[[bytes], bytes]) -> None:
    assert_are_in_order(first_pictures(stream(kind, send)))


def test_chunks_of_the_transfer_are_no_part_of_the_pictures() -> None:
    def answer(_: RawRequest) -> Iterator[bytes]:
        yield head(MIXED, Transfer_Encoding="chunked")
        for number in count():
            data = part(encoded(number))
            for at in range(0, len(data), 999):
                piece = data[at : at + 999]
                yield b"%x\r\n" % len(piece) + piece + b"\r\n"
            time.sleep(0.02)

    assert_are_in_order(first_pictures(answer))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_parts_may_be_of_another_format(kind: str) -> None:
    def make(number: int) -> bytes:
        return encoded(number, kind)

    assert_are_in_order(first_pictures(stream(MIXED, part, make)), make)


def test_newest_of_several_frames_that_come_at_once_is_shown() -> None:
    together = threading.Event()

    def answer(_: RawRequest) -> Iterator[bytes]:
        yield head(MIXED) + part(encoded(0))
        together.wait(60)
        yield b"".join(part(encoded(number)) for number in range(1, 6))
        time.sleep(60)

    with raw_camera(answer) as camera:
        source = open_source(camera.address)
        frames = iter(source)
        assert next(frames).index == 0
        together.set()
        last = next(frame for frame in frames if frame.index == 5)
        source.close()
    assert isinstance(last.picture, EncodedPicture) and last.picture.data == encoded(5)


@pytest.mark.parametrize("with_length", [True, False])
@pytest.mark.parametrize(
    "kind", ["image/jpeg", "application/octet-stream", "text/plain", "video/mjpeg", None]
)
def test_snapshot_is_told_by_its_bytes(kind: str | None, with_length: bool) -> None:
    assert_are_in_order(first_pictures(snapshot(kind, encoded, with_length)))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("declared", ["image/jpeg", None])
def test_snapshot_may_be_of_any_format_that_is_read(kind: str, declared: str | None) -> None:
    def make(number: int) -> bytes:
        return encoded(number, kind)

    assert_are_in_order(first_pictures(snapshot(declared, make)), make)


def test_snapshot_is_its_first_picture_whatever_follows() -> None:
    for behind in (b"\r\nmeta=1\r\n", encoded(99)):
        made = snapshot("image/jpeg", lambda number, behind=behind: encoded(number) + behind)  # type: ignore[misc]
        assert_are_in_order(first_pictures(made))


def test_snapshot_may_lack_its_end_marker_and_not_its_last_pixels() -> None:
    assert_are_in_order(
        [data + b"\xff\xd9" for data in first_pictures(snapshot(None, lambda n: encoded(n)[:-2]))]
    )
    with pytest.raises(
        SourceError, match=r"none of its first 10 pictures can be read: .* before its last pixels"
    ):
        first_pictures(snapshot(None, lambda number: encoded(number)[:-300]))


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("text/html", b"<!DOCTYPE html><html>", "a web page (HTML) as text/html"),
        ("video/mp4", b"<!DOCTYPE html><html>", "a web page (HTML) as video/mp4"),
        ("image/jpeg", b"\n <html>no camera</html>", "a web page (HTML) as image/jpeg"),
        ("application/json", b'{"error": "geheim"}', "JSON as application/json"),
        (None, b"[1, 2]", "JSON"),
        ("text/xml", b"<?xml version='1.0'?><a/>", "XML as text/xml"),
        ("application/sdp", b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n", "the description of an RTSP stream"),
        ("text/plain", b"rtsp://camera/live", "the description of an RTSP stream"),
        ("text/plain", b"Too many users", "text that begins with 'Too many users'"),
        ("image/jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "an image of the format JPEG 2000"),
        ("image/jpeg", b"", "its answer is empty (0 bytes)"),
    ],
)
def test_answer_without_pictures_is_refused_with_what_it_is(kind: str | None, body: bytes, said: str) -> None:
    with (
        raw_camera(snapshot(kind, lambda _: body)) as camera,
        pytest.raises(SourceError, match="cannot be opened: ") as error,
    ):
        open_source(camera.address)
    assert said in str(error.value) and "geheim" not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"RTSP/1.0 400 Bad Request\r\n\r\n", "it speaks RTSP at this port"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "its answer is not HTTP: it begins with 'SSH-2.0-OpenSSH_'"),
        (b"", "it closed the connection without an answer"),
    ],
)
def test_answer_that_is_not_http_is_said_to_be_none(answer: bytes, said: str) -> None:
    with raw_camera(lambda _: iter([answer])) as camera, pytest.raises(SourceError, match=said):
        open_source(camera.address)


def test_film_needs_opencv_and_pictures_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(purpose: str) -> None:
        raise MissingPackageError("OpenCV", purpose, 'pip install "opencv-python"')

    monkeypatch.setattr(opencv, "import_opencv", missing)
    assert len(first_pictures(snapshot(None, encoded))) == 3
    films = {
        "": b"\x1a\x45\xdf\xa3" + bytes(99),
        ", an HLS playlist (#EXTM3U),": b"#EXTM3U\n#EXT-X-VERSION:3\n",
    }
    for what, body in films.items():
        answer = snapshot(None, lambda _, body=body: body)  # type: ignore[misc]
        with raw_camera(answer) as camera, pytest.raises(MissingPackageError) as error:
            open_source(camera.address)
        assert f"{camera.address}{what}" in str(error.value) and "needs OpenCV" in str(error.value)


def test_stream_of_something_else_says_what_came_though_little_comes() -> None:
    def answer(_: RawRequest) -> Iterator[bytes]:
        yield head(MIXED)
        while True:
            yield b"--frame\r\nbusy\r\n"
            time.sleep(0.05)

    with raw_camera(answer) as camera:
        source = open_source(camera.address, CameraOptions(frozen_after=1))
        with pytest.raises(
            SourceError, match=r"it gave no picture for 1 s: in \d+ bytes came no JPEG, PNG or WebP, but"
        ):
            next(iter(source))


def test_headers_of_the_next_picture_are_not_said_to_have_come_in_its_place() -> None:
    def answer(_: RawRequest) -> Iterator[bytes]:
        yield head(MIXED) + part(encoded(0)) + part(b"", after=b"")
        time.sleep(60)

    with raw_camera(answer) as camera:
        source = open_source(camera.address, CameraOptions(frozen_after=1))
        errors = [frame.error for frame in islice(source, 2)]
        source.close()
    assert errors[0] is None and "it gave no picture for 1 s. Trying again" in str(errors[1])


def test_camera_whose_first_pictures_are_cut_off_is_read_from_the_first_whole_one_on() -> None:
    made = stream(MIXED, part, lambda number: encoded(number)[: None if number > 3 else 2000])
    known = [encoded(number) for number in range(100)]
    assert all(known.index(data) > 3 for data in first_pictures(made))
