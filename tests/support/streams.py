"""Streams on loopback whose pictures carry a number, and that misbehave when a test wants it."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from urllib.request import parse_http_list, parse_keqv_list

import numpy as np
import pytest
from edge_classify.edge.sources.frames import EncodedPicture, Frame
from edge_classify.edge.sources.opencv import import_opencv
from PIL import Image

from .system import require

USER, PASSWORD = "admin", "geheim"
_INTERVAL = 0.02


def numbered_jpeg(number: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """Return a red JPEG that holds its number in a comment."""
    buffer = BytesIO()
    Image.new("RGB", size, (250, 10, 10)).save(buffer, "JPEG", comment=f"number {number}.".encode())
    return buffer.getvalue()


def number_of(frame: Frame) -> int:
    """Return the number in a frame's JPEG."""
    assert isinstance(frame.picture, EncodedPicture), frame.error
    found = re.search(rb"number (\d+)\.", frame.picture.data)
    assert found is not None
    return int(found[1])


def write_video(path: Path, frames: int, codec: str = "MJPG") -> Path:
    """Write a video at 25 frames a second whose frame n is grey with value 5 * n (mod 250)."""
    cv2 = import_opencv(
        "a test's video"
    )  # It sets how much FFmpeg prints, which works only before FFmpeg's first use.
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 25, (32, 24))
    for number in range(frames):
        writer.write(np.full((24, 32, 3), 5 * number % 250, np.uint8))
    writer.release()
    return path


class CameraServer:
    """A camera on HTTP. `mode` sets what it sends next; `sent` is the newest picture's number.

    /stream has parts with a length, /bare without; /picture is a single JPEG, /film a video file; /page is
    HTML; /basic and /digest are streams that ask for the password.
    """

    def __init__(self, film: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.mode = "normal"  # or "frozen", "stalled", "half", "large"
        self.sent = 0
        self.requests = 0
        self.film = film
        self.port = 0
        self._tls = tls
        self._stopping = threading.Event()
        self._server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen; after a stop, on the same port as before."""
        self._stopping.clear()
        camera = self

        class Handler(_Handler):
            server_camera = camera

        self._server = _Server(("127.0.0.1", self.port), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def address(self, path: str, user: str = "", password: str = "") -> str:
        """Return the URL of a page."""
        login = f"{user}:{password}@" if user else ""
        return f"http{'s' if self._tls else ''}://{login}127.0.0.1:{self.port}{path}"

    def pictures(self) -> Iterator[bytes]:
        """Yield pictures at a camera's rate, until it is stopped."""
        data = numbered_jpeg(self.sent)
        while not self._stopping.wait(_INTERVAL):
            if self.mode == "stalled":
                continue
            if self.mode != "frozen":
                self.sent += 1
                data = numbered_jpeg(self.sent, (128, 96) if self.mode == "large" else (64, 48))
            yield data[: len(data) // 2] if self.mode == "half" and self.sent % 2 else data


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: clients that refuse a certificate are expected."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server_camera: CameraServer

    def do_GET(self) -> None:
        camera = self.server_camera
        camera.requests += 1
        page = self.path.partition("?")[0]
        if page in ("/basic", "/digest") and not self._signed_in(page):
            challenge = 'Basic realm="camera"'
            if page == "/digest":
                challenge = 'Digest realm="camera", nonce="0a1b", qop="auth", algorithm=MD5'
            self._answer(401, "text/html", b"<html>who are you?</html>", {"WWW-Authenticate": challenge})
        elif page == "/page":
            self._answer(200, "text/html; charset=utf-8", b"<html>geheim</html>")
        elif page == "/picture":
            self._answer(200, "image/jpeg", next(camera.pictures()))
        elif page == "/film" and camera.film is not None:
            self._answer(200, "video/x-msvideo", camera.film.read_bytes())
        elif page in ("/stream", "/bare", "/basic", "/digest"):
            self._stream(with_length=page != "/bare")
        else:
            self._answer(404, "text/html", b"<html>nothing here</html>")

    def _answer(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, with_length: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", 'multipart/x-mixed-replace; boundary="--a frame"')
        self.end_headers()
        try:
            for data in self.server_camera.pictures():
                length = f"content-length: {len(data)}\r\n" if with_length else ""
                head = f"--a frame\r\nContent-Type: image/jpeg\r\n{length}\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
        except OSError:
            return

    def _signed_in(self, page: str) -> bool:
        given = self.headers.get("Authorization", "")
        if page == "/basic":
            return given == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if not given.startswith("Digest "):
            return False
        fields = parse_keqv_list(parse_http_list(given[7:]))
        first = _md5(f"{USER}:camera:{PASSWORD}")
        second = _md5(f"GET:{self.path}")
        middle = f"{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth"
        return fields["response"] == _md5(f"{first}:{middle}:{second}")

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # RFC 2617, section 3.2.2.1.


@contextmanager
def serving(camera: CameraServer) -> Iterator[CameraServer]:
    """Run a camera while the block runs."""
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


def own_certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return the file of a certificate that no authority signed, and a server's context with it."""
    file, key = folder / "camera.pem", folder / "camera.key"
    subprocess.run(
        [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=camera", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", file],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return file, context


_RTSP_SERVER = """
import sys, time, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)

def picture():
    "Sixteen stripes, dark for 0 and light for 1: milliseconds of the monotonic clock, modulo 65536."
    now = int(time.monotonic() * 1000) & 0xFFFF
    row = b"".join((b"\\xf0" if now >> (15 - i) & 1 else b"\\x10") * 20 for i in range(16))
    return row * 240 + b"\\x80" * (320 * 240 // 2)  # I420: no colour.

def configure(factory, media):
    source = media.get_element().get_child_by_name("source")
    def push():
        return source.emit("push-buffer", Gst.Buffer.new_wrapped(picture())) == Gst.FlowReturn.OK
    GLib.timeout_add(33, push)

server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(
    "( appsrc name=source is-live=true do-timestamp=true format=time "
    "caps=video/x-raw,format=I420,width=320,height=240,framerate=30/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph264pay name=pay0 pt=96 )"
)
factory.set_shared(True)
factory.connect("media-configure", configure)
auth = GstRtspServer.RTSPAuth()
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "user")
basic = GstRtspServer.RTSPAuth.make_basic("admin", "geheim")
auth.add_basic(basic, token)
server.set_auth(auth)
permissions = GstRtspServer.RTSPPermissions()
permissions.add_permission_for_role("user", "media.factory.access", True)
permissions.add_permission_for_role("user", "media.factory.construct", True)
factory.set_permissions(permissions)
server.get_mount_points().add_factory("/camera", factory)
if not server.attach(None):
    sys.exit("cannot listen")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


class RtspServer:
    """Debian's GStreamer RTSP server, with a password; its pictures show the time at which they were made."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Listen; after a stop, on the same port as before."""
        if self.port == 0:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        command = [_python_with_gstreamer(), "-c", _RTSP_SERVER, str(self.port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == str(self.port)

    def stop(self) -> None:
        """End the server without a goodbye, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def address(self, password: str = PASSWORD) -> str:
        """Return the stream's URL."""
        return f"rtsp://{USER}:{password}@127.0.0.1:{self.port}/camera"


def _python_with_gstreamer() -> str:
    python = "/usr/bin/python3"  # Debian's, which has the bindings.
    inspect = require("gst-inspect-1.0", python)
    if subprocess.run([inspect, "x264enc"], capture_output=True, check=False).returncode != 0:
        require("gstreamer1.0-plugins-ugly")
    code = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if subprocess.run([python, "-c", code], capture_output=True, check=False).returncode != 0:
        require("gir1.2-gst-rtsp-server-1.0")
    return python


def age_ms(frame: Frame) -> int:
    """Return how old a picture of RtspServer was when it was grabbed, in milliseconds."""
    assert frame.picture is not None and frame.grabbed is not None, frame.error
    stripes = np.asarray(frame.picture.image())[120, 10::20, 0] > 128
    made = int("".join("1" if light else "0" for light in stripes), 2)
    return (int(frame.grabbed * 1000) - made) & 0xFFFF


linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /dev")
