"""A camera, a web server and an MQTT broker on loopback, each of which fails as it is told to."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from PIL import Image

FPS = 10
_TICK = 0.1
_GARBAGE = bytes(range(256)) * 64


class FaultyServer:
    """Listens on one port of loopback; `fail` sets the kind of its present fault, "" for none.

    During "refused" nobody listens. What a fault means is up to `serve`, which gets each connection.
    """

    def __init__(self) -> None:
        """Listen on a free port."""
        self.fault = ""
        self.faults: dict[str, int] = {}
        self._stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._changing = threading.Lock()
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]

    def fail(self, kind: str) -> None:
        """Begin a fault, which cuts all connections, or end the present one."""
        with self._changing:
            was_refused, self.fault = self.fault == "refused", kind
            if kind:
                self.faults[kind] = self.faults.get(kind, 0) + 1
            if kind == "refused":
                self._listener.close()
            elif was_refused:
                self._listener = self._listen(self.port)
            connections = list(self._connections)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Cut all connections, and listen no longer."""
        self._stopping.set()
        self.fail("refused")

    def wait_while(self, fault: str) -> None:
        """Wait until this fault is over."""
        while self.fault == fault and not self._stopping.is_set():
            time.sleep(_TICK)

    def serve(self, connection: socket.socket) -> None:
        """Talk with one client; errors of the connection end it."""
        raise NotImplementedError

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=20)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        listener.settimeout(_TICK)  # A closed listener would go on accepting in this thread.
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            connection.settimeout(None)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError):
            with self._changing:
                self._connections.add(connection)
            try:
                self.serve(connection)
            finally:
                with self._changing:
                    self._connections.discard(connection)


class Camera(FaultyServer):
    """Sends MJPEG, ten numbered pictures a second; fails by "refused", "stalled" and "lines"."""

    KINDS = ("refused", "stalled", "refused", "lines")

    def serve(self, connection: socket.socket) -> None:
        """Send pictures until the next fault."""
        connection.recv(65_536)
        if self.fault == "refused":
            return
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        )
        while self.fault == "lines":
            connection.sendall(b"a\r\n" * 10_000)
            time.sleep(_TICK)
        for data in _pictures():
            self.wait_while("stalled")
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            connection.sendall(head.encode() + data + b"\r\n")
            time.sleep(1 / FPS)


class Hook(FaultyServer):
    """A web server for POST; `received` holds the keys of all requests that it has answered with 2xx.

    It answers 500 or 503, closes, hangs, sends a byte a second, "100 Continue" without end, or no HTTP.
    """

    KINDS = ("500", "closed", "hang", "refused", "slow", "garbage", "continue", "503", "body")

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__()
        self.received: set[str] = set()
        self.repeated = 0

    def serve(self, connection: socket.socket) -> None:
        """Answer requests on one connection."""
        with connection.makefile("rb") as file:
            while (key := _read_request(file)) is not None:
                if not self._answer(connection, key, self.fault):
                    return

    def _answer(self, connection: socket.socket, key: str, fault: str) -> bool:
        """Answer one request; return whether the connection goes on."""
        if fault in ("", "body"):
            self.repeated += key in self.received
            length = 1000 if fault else 0
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
            self.received.add(key)
            if fault:
                self._send_slowly(connection, fault, b"x" * length)
        elif fault in ("500", "503", "404"):
            pause = "Retry-After: 5\r\n" if fault == "503" else ""
            connection.sendall(f"HTTP/1.1 {fault} No\r\n{pause}Content-Length: 0\r\n\r\n".encode())
        elif fault == "hang":
            self.wait_while(fault)
        elif fault == "slow":
            self._send_slowly(connection, fault, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 100)
        elif fault == "garbage":
            connection.sendall(_GARBAGE)
        while self.fault == fault == "continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            time.sleep(_TICK)
        return fault in ("", "500", "503", "404")

    def _send_slowly(self, connection: socket.socket, fault: str, data: bytes) -> None:
        for number in range(len(data)):
            if self.fault != fault:
                return
            connection.sendall(data[number : number + 1])
            time.sleep(1.0)


class Broker(FaultyServer):
    """An MQTT 3.1.1 broker without subscribers; `received` holds the frames that it has confirmed.

    It closes, confirms nothing, does not answer, sends no MQTT, refuses the login, and sends what nobody
    asked for: messages of QoS 2 without end, one message of 256 MB, confirmations without end.
    """

    KINDS = ("closed", "silent", "refused", "mute", "garbage", "login", "qos2", "large", "acks")

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__()
        self.received: set[int] = set()
        self.errors = self.repeated = 0
        self.attempts = 0

    def serve(self, connection: socket.socket) -> None:
        """Take messages on one connection."""
        self.attempts += 1
        with connection.makefile("rb") as file:
            while (packet := _read_packet(file)) is not None:
                if not self._take(connection, *packet):
                    return

    def _take(self, connection: socket.socket, kind: int, body: bytes) -> bool:
        """Answer one packet; return whether the connection goes on."""
        fault = self.fault
        if kind == 0xE0:
            return False
        if fault == "mute":
            self.wait_while(fault)
            return False
        if fault == "garbage":
            connection.sendall(_GARBAGE)
            return False
        if kind == 0x10:
            connection.sendall(bytes([0x20, 2, 0, 5 if fault == "login" else 0]))
            self._flood(connection, fault)
        elif kind == 0xC0 and fault != "silent":
            connection.sendall(b"\xd0\0")
        elif kind & 0xF0 == 0x30:
            return self._confirm(connection, body, fault)
        return fault != "login"

    def _confirm(self, connection: socket.socket, body: bytes, fault: str) -> bool:
        if fault == "closed":
            return False
        if fault == "silent":
            return True
        length = struct.unpack_from(">H", body)[0]
        topic, number = body[2 : 2 + length].decode(), body[2 + length : 4 + length]
        connection.sendall(b"\x40\x02" + number)
        if not topic.startswith("homeassistant/") and not topic.endswith("/status"):
            frame = json.loads(body[4 + length :]).get("frame")
            self.errors += frame is None
            self.repeated += frame in self.received
            if frame is not None:
                self.received.add(frame)
        return True

    def _flood(self, connection: socket.socket, fault: str) -> None:
        if fault == "large":
            connection.sendall(b"\x30\xff\xff\xff\x7f\0\1a")
        chunk = {"qos2": _message(2, b"x" * 1000), "large": bytes(65_536), "acks": b"\x40\x02\0\1" * 1000}
        while fault in chunk and self.fault == fault:
            connection.sendall(chunk[fault])


def _pictures() -> Iterator[bytes]:
    noise = np.random.default_rng(int.from_bytes(os.urandom(4), "big"))
    while True:
        buffer = io.BytesIO()
        Image.fromarray(noise.integers(0, 255, (48, 64, 3), np.uint8)).save(buffer, "JPEG")
        yield buffer.getvalue()


def _read_request(file: io.BufferedIOBase) -> str | None:
    """Read a request; return its key, None at the end."""
    lines = []
    while (line := file.readline(65_536)) not in (b"\r\n", b""):
        lines.append(line.decode("latin-1"))
    text = "".join(lines)
    length = re.search(r"(?im)^content-length: *(\d+)", text)
    key = re.search(r'(?im)^idempotency-key: *"(.*)"', text)
    if length is None or key is None or len(file.read(int(length[1]))) < int(length[1]):
        return None
    return key[1]


def _read_packet(file: io.BufferedIOBase) -> tuple[int, bytes] | None:
    """Read a packet of MQTT; return the first byte and its body, None at the end."""
    first, length, shift = file.read(1), 0, 0
    while first and (byte := file.read(1)):
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            body = file.read(length)
            kind = first[0] & 0xF0 if first[0] & 0xF0 == 0x30 else first[0]
            return (kind, body) if len(body) == length else None
    return None


def _message(qos: int, payload: bytes) -> bytes:
    body = b"\0\1a\0\1" + payload
    return bytes([0x30 | qos << 1, len(body) & 0x7F | 0x80, len(body) >> 7]) + body
