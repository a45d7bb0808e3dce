"""Cameras that send without end, or ever more slowly, take neither memory nor threads nor the password."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import repeat
from time import sleep

import pytest
from edge_classify.edge.errors import SourceError
from edge_classify.edge.sources import http_camera
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.live import LiveSource
from edge_classify.edge.sources.opening import open_source

from .support.encoded import encoded, part
from .support.raw_camera import RawRequest, head, raw_camera
from .support.waiting import PATIENCE, wait_until

MULTIPART = "multipart/x-mixed-replace; boundary=frame"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
)
Answer = Callable[[RawRequest], Iterator[bytes]]


def endless(*pieces: bytes, pause: float = 0.0) -> Answer:
    """Return an answer of these pieces, of which the last is repeated without end."""

    def answer(_: RawRequest) -> Iterator[bytes]:
        yield from pieces[:-1]
        while True:
            yield pieces[-1]
            sleep(pause)

    return answer


def pictures(count: int = 3) -> bytes:
    return head(MULTIPART) + b"".join(part(encoded(number)) for number in range(count))


def challenged(_: RawRequest) -> Iterator[bytes]:
    yield b"HTTP/1.1 401 Unauthorized\r\n"
    yield from repeat(b"WWW-Authenticate: " + b"a b," * 16_000 + b"\r\n", 90)
    yield b"\r\n"


def redirected(request: RawRequest) -> Iterator[bytes]:
    yield head(status="302 Found", Location=f"{request.line.split()[1]}x")
    yield from repeat(b"x" * 1_000_000)


JPEG = encoded(0)
TAKING: dict[str, Answer] = {
    "short lines": endless(head(MULTIPART), b"a\r\n" * 20_000),
    "short lines after pictures": endless(pictures(), b"a\r\n" * 20_000),
    "headers of a part": endless(pictures(), b"Content-X: y\r\n" * 9000),
    "boundaries": endless(pictures(), b"--frame\r\n" * 9000),
    "beginnings of pictures": endless(pictures(), b"\xff\xd8\xff\xe0" * 9000),
    "a picture": endless(pictures(), part(JPEG)[:-4], b"\x01" * 1_000_000),
    "chunks of a byte": endless(CHUNKED, b"1;" + b"e" * 1000 + b"\r\na\r\n"),
    "a chunk's extension": endless(CHUNKED + b"5;", b"e" * 1_000_000),
    "trailers": endless(CHUNKED + b"0\r\n", b"X: y\r\n" * 9000),
    "headers": endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 9000),
    "a header": endless(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1_000_000),
    "100 Continue": endless(b"HTTP/1.1 100 Continue\r\nX: " + b"y" * 60_000 + b"\r\n\r\n"),
    "a redirect's body": redirected,
    "challenges": challenged,
}
_CHILD = """
import resource, sys, time
from edge_classify.edge.errors import EdgeClassifyError
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.http_camera import open_http
from edge_classify.edge.sources.live import LiveSource
def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def idle():
    if time.monotonic() > end:
        raise TimeoutError
before, end = most(), time.monotonic() + 3
options = CameraOptions(frozen_after=1)
try:
    opening = lambda: open_http(sys.argv[1], options)
    for frame in LiveSource("it", opening, options, idle=idle, pauses=(0.01,)):
        idle()
except (EdgeClassifyError, TimeoutError):
    pass
print(most() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss counts kilobytes on Linux")
@pytest.mark.parametrize("kind", TAKING)
def test_camera_that_sends_without_end_takes_little_memory(kind: str) -> None:
    with raw_camera(TAKING[kind]) as camera:
        address = camera.address.replace("//", "//user:geheim@")
        result = subprocess.run(
            [sys.executable, "-c", _CHILD, address],
            capture_output=True, text=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
    # MB. One picture is 32 MB at most, and is there four times; of all else only a part is kept.
    assert float(result.stdout) < (180 if kind == "a picture" else 30)


SLOW = {
    "status": endless(b"H", pause=0.1),
    "a header": endless(b"HTTP/1.1 200 OK\r\nX: ", b"x", pause=0.1),
    "headers": endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause=0.1),
    "100 Continue": endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.1),
    "the first bytes": endless(head("image/jpeg"), b"x", pause=0.1),
    "a chunk's length": endless(head("image/jpeg") + CHUNKED, b"0", pause=0.1),
    "redirects": endless(head(status="302 Found", Location="/a"), b"x", pause=0.1),
}


@pytest.mark.parametrize("kind", SLOW)
def test_camera_that_answers_byte_by_byte_is_given_up_in_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_camera, "TIMEOUT", 0.5)
    with raw_camera(SLOW[kind]) as camera, pytest.raises(SourceError) as error:
        http_camera.open_http(camera.address, CameraOptions(frozen_after=0.5))
    assert "0.5 s" in str(error.value) or kind == "redirects"


GIVEN_UP = {
    "a picture that never ends": endless(pictures(), part(JPEG)[:-4], b"\x01", pause=0.05),
    "trailers": endless(
        CHUNKED, b"%x\r\n" % len(pictures()) + pictures() + b"\r\n0\r\n", b"X: y\r\n", pause=0.01
    ),
}


@pytest.mark.parametrize("kind", GIVEN_UP)
def test_reader_that_was_given_up_ends_with_its_socket(kind: str) -> None:
    options = CameraOptions(frozen_after=0.2)
    others = set(threading.enumerate())
    with raw_camera(GIVEN_UP[kind]) as camera:
        source = LiveSource(
            "it", lambda: http_camera.open_http(camera.address, options), options, pauses=(0.01,)
        )
        losses = 0
        for frame in source:
            losses += frame.error is not None
            if losses == 20:
                break
        assert len(_readers() - others) <= 3
        wait_until(lambda: len(camera.answering) <= 1, "the connections are closed")
        source.close()
        wait_until(lambda: not camera.answering, "all connections are closed")
        wait_until(lambda: not _readers() - others, "threads have ended")


def _readers() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name == "camera"}


def test_password_without_tls_draws_one_remark_though_the_camera_is_lost_again_and_again() -> None:
    remarks: list[str] = []
    with raw_camera(lambda _: iter([pictures()])) as camera:
        address = camera.address.replace("//", "//user:geheim@")
        source = open_source(address, report=remarks.append)
        frames = iter(source)
        wait_until(lambda: next(frames).error is not None, "it is lost")
        source.close()
    shown = f"http://***@127.0.0.1:{camera.port}/camera"
    assert remarks[0] == (
        f"--camera {shown} is not encrypted: whoever listens on the way can read its password. "
        "Where the other side has it, use https://"
    )
    assert sum("not encrypted" in remark for remark in remarks) == 1


@pytest.mark.parametrize("address", ["/pictures?usr=a&pwd=geheim", "/pictures?room=3"])
def test_token_without_tls_draws_a_remark_and_another_parameter_none(address: str) -> None:
    remarks: list[str] = []
    with raw_camera(lambda _: iter([pictures()])) as camera:
        open_source(camera.address.replace("/camera", address), report=remarks.append).close()
    assert [remark.count('can read the "pwd" in its address') for remark in remarks] == [1] * (
        "pwd" in address
    )


def test_compressed_answer_is_never_unpacked() -> None:
    def answer(request: RawRequest) -> Iterator[bytes]:
        asked.append(request.headers["accept-encoding"])
        yield head("image/jpeg", Content_Encoding="gzip") + b"\x1f\x8b\x08" + bytes(600)

    asked: list[str] = []
    with raw_camera(answer) as camera, pytest.raises(SourceError, match="gives no pictures"):
        next(iter(open_source(camera.address)))
    assert asked == ["identity"]
