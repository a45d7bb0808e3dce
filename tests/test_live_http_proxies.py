"""A proxy of the environment is used for the internet alone, and named when it is the proxy that fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from edge_classify.edge.errors import SourceError
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.fingerprints import fingerprint_of
from edge_classify.edge.sources.frames import PixelPicture
from edge_classify.edge.sources.opening import open_source
from edge_classify.edge.sources.proxies import is_in_own_network

from .support.encoded import encoded
from .support.raw_camera import head, raw_camera
from .support.streams import CameraServer, own_certificate, serving, write_video

NOBODY = "http://127.0.0.1:9"  # Port 9, discard, where nothing listens.


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        (NOBODY, NOBODY),
        ("127.0.0.1:9", NOBODY),
        ("http://me:geheim@127.0.0.1:9/", NOBODY),
        ("http://proxy.invalid:3128", "http://proxy.invalid:3128"),
    ],
)
def test_proxy_that_does_not_answer_is_named_with_its_variable_and_without_its_password(
    monkeypatch: pytest.MonkeyPatch, scheme: str, proxy: str, shown: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    with pytest.raises(SourceError) as error:
        open_source(f"{scheme}://camera.example.com/stream")
    said = str(error.value)
    assert f"the proxy {shown} (from the environment variable {scheme}_proxy) does not answer" in said
    assert "no_proxy=camera.example.com" in said and "geheim" not in said and "nobody answers" not in said


def test_variable_is_named_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", NOBODY)
    with pytest.raises(SourceError, match="from the environment variable HTTPS_PROXY"):
        open_source("https://camera.example.com/stream")


def test_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://me:geheim@127.0.0.1:9")
    with pytest.raises(SourceError, match=r"the proxy socks5://127\.0\.0\.1:9 .* is no http:// proxy"):
        open_source("http://camera.example.com/stream")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("407 Proxy Authentication Required", "a proxy asks for a user name and a password (407"),
        ("503 Service Unavailable", "it is busy (503"),
        ("502 Bad Gateway", "it answers with status 502"),
    ],
)
def test_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, status: str, said: str) -> None:
    with raw_camera(lambda _: iter([head(status=status, length=0)])) as proxy:
        place = f"http://127.0.0.1:{proxy.port}"
        for scheme, reason in (("http", said), ("https", status.lower())):
            monkeypatch.setenv(f"{scheme}_proxy", place)
            with pytest.raises(SourceError) as error:
                open_source(f"{scheme}://camera.example.com/stream")
            assert reason in str(error.value) and f"the proxy {place} (from" in str(error.value)


def test_proxy_that_answers_with_a_page_of_its_own_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with raw_camera(lambda _: iter([head("text/html") + b"<html>Who are you?</html>"])) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(
            SourceError, match=rf"a web page .* went through the proxy http://127.*:{proxy.port}"
        ):
            open_source("http://camera.example.com/stream")


def test_proxy_that_works_is_used_with_its_login_and_is_not_mentioned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with raw_camera(lambda _: iter([head("image/jpeg") + encoded(0)])) as proxy:
        monkeypatch.setenv("http_proxy", f"http://me:geheim@127.0.0.1:{proxy.port}")
        source = open_source("http://camera.example.com/picture")
        assert next(iter(source)).source == "http://camera.example.com/picture"
        source.close()
    assert proxy.requests[0].line == "GET http://camera.example.com/picture HTTP/1.1"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6Z2VoZWlt"  # RFC 7617: me:geheim.


def test_fingerprint_is_that_of_the_camera_behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import ssl

    file, context = own_certificate(tmp_path)
    fingerprint = fingerprint_of(ssl.PEM_cert_to_DER_cert(file.read_text()))
    with serving(CameraServer(tls=context)) as camera, tunnel(camera.port) as port:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        with pytest.raises(SourceError, match=f"--tls-fingerprint {fingerprint}"):
            open_source("https://camera.example.com/stream")
        source = open_source("https://camera.example.com/stream", CameraOptions(tls_fingerprint=fingerprint))
        assert next(iter(source)).picture is not None
        source.close()


@contextmanager
def tunnel(target: int) -> Iterator[int]:
    """Run a proxy that connects all tunnels to a port of this machine."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += client.recv(1)
            assert asked.startswith(b"CONNECT camera.example.com:443 ")
            camera = socket.create_connection(("127.0.0.1", target))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for ends in ((client, camera), (camera, client)):
                threading.Thread(target=copy, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_camera_in_the_own_network_is_reached_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("http_proxy", NOBODY)
    film = write_video(tmp_path / "film.avi", 50)
    with serving(CameraServer(film)) as camera:
        for page in ("/stream", "/picture", "/film"):  # FFmpeg reads the last one.
            source = open_source(camera.address(page))
            frame = next(iter(source))
            source.close()
            assert frame.picture is not None and isinstance(frame.picture, PixelPicture) == (page == "/film")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("192.168.1.20", True), ("10.1.2.3", True), ("172.31.0.1", True), ("169.254.9.9", True),
        ("127.0.0.1", True), ("100.64.0.1", True), ("::1", True), ("fe80::1%eth0", True), ("fd00::5", True),
        ("camera", True), ("localhost", True), ("camera.local", True), ("Camera.LOCAL.", True),
        ("8.8.8.8", False), ("172.32.0.1", False), ("2606:4700::1111", False), ("camera.example.com", False),
        ("local.example.com", False),
    ],
)  # fmt: skip
def test_own_network_is_told_by_the_address_or_the_name(host: str, own: bool) -> None:
    assert is_in_own_network(host) == own
