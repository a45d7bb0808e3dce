"""A camera on loopback whose answers are given byte by byte, also against the standards."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RawRequest:
    """The first line of a request, and its headers with names in lower case."""

    line: str
    headers: dict[str, str]


@dataclass
class RawCamera:
    """`answer` makes the pieces of an answer, which are sent one by one; `requests` are those that came.

    `answering` are the threads whose answers have not ended.
    """

    answer: Callable[[RawRequest], Iterator[bytes]]
    tls: ssl.SSLContext | None = None
    port: int = 0
    requests: list[RawRequest] = field(default_factory=list)
    answering: set[threading.Thread] = field(default_factory=set)

    @property
    def address(self) -> str:
        """Its URL."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/camera"

    def serve(self, listening: socket.socket) -> None:
        """Answer until the socket is closed."""
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        self.answering.add(threading.current_thread())
        try:
            self._answer(connection)
        finally:
            self.answering.discard(threading.current_thread())

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            request = _read_request(connection)
            if request is not None:
                self.requests.append(request)
                for piece in self.answer(request):
                    connection.sendall(piece)
            connection.close()


def _read_request(connection: socket.socket) -> RawRequest | None:
    lines: list[str] = []
    with connection.makefile("rb") as file:
        while (line := file.readline().decode("latin-1").strip()) != "":
            lines.append(line)
    if not lines:
        return None
    headers = (line.partition(":") for line in lines[1:])
    return RawRequest(lines[0], {name.lower(): value.strip() for name, _, value in headers})


@contextmanager
def raw_camera(
    answer: Callable[[RawRequest], Iterator[bytes]], tls: ssl.SSLContext | None = None
) -> Iterator[RawCamera]:
    """Serve while the block runs."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        camera = RawCamera(answer, tls, listening.getsockname()[1])
        threading.Thread(target=camera.serve, args=(listening,), daemon=True).start()
        yield camera
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def head(kind: str | None = None, length: int | None = None, status: str = "200 OK", **headers: str) -> bytes:
    """Return the head of an answer; underscores in the names of `headers` become dashes."""
    lines = [f"HTTP/1.1 {status}"]
    lines += [] if kind is None else [f"Content-Type: {kind}"]
    lines += [] if length is None else [f"Content-Length: {length}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
