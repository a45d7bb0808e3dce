"""For network outputs: results, remarks, and a web server whose answers a test chooses."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from edge_classify.edge.answers.result import Answer, FrameResult
from edge_classify.edge.classifier import Prediction, Score
from edge_classify.edge.sources.frames import Frame


def make_result(number: int = 0, label: str = "red", models: tuple[str, ...] = ("tiny",)) -> FrameResult:
    """Return the result of a camera's frame."""
    prediction = Prediction((Score(label, 0, 0.75),), None, np.array([0.75, 0.25], np.float32), 1.5)
    answers = tuple(Answer(model, prediction, 2.5) for model in models)
    return FrameResult(Frame("camera 0", None, None, number), answers, 12.0)


class Remarks:
    """Keeps the remarks that are reported."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> None:
        self.texts.append(text)

    def holding(self, part: str) -> list[str]:
        """Return the remarks that hold this text."""
        return [text for text in self.texts if part in text]


@dataclass
class Reply:
    """The server's answer to one request."""

    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Received:
    """A request that the server received."""

    path: str
    headers: dict[str, str]
    body: bytes
    time: float


class WebServer:
    """Answers each request with the next reply, and with 200 when there is none left; keeps the requests."""

    def __init__(self, replies: list[Reply], port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.requests.append(
                    Received(self.path, dict(self.headers.items()), body, time.monotonic())
                )
                reply = replies.pop(0) if replies else Reply()
                self.send_response(reply.code)
                for name, value in {"Content-Length": "0", **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Print nothing: clients that refuse our certificate are expected."""

        self._server = Quiet(("127.0.0.1", port), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def web_server(*replies: Reply, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[WebServer]:
    """Run a server while the block runs."""
    server = WebServer(list(replies), port, tls)
    try:
        yield server
    finally:
        server.stop()
