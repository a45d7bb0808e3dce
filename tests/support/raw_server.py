"""A TCP server on loopback that a test plays itself, connection by connection, also against the standards."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class RawServer:
    """Its port, and how many connections it has had and has."""

    port: int
    connections: int = 0
    present: set[socket.socket] = field(default_factory=set)


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[RawServer]:
    """Call `serve` with each connection, in a thread, while the block runs; then cut all of them."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        server = RawServer(listening.getsockname()[1])

        def talk(connection: socket.socket) -> None:
            with suppress(OSError, EOFError), connection:
                serve(connection)
            server.present.discard(connection)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                server.connections += 1
                server.present.add(connection)
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server
        finally:
            for each in (listening, *server.present):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def read_post(connection: socket.socket) -> bytes:
    """Return the next request with its body; raises EOFError at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < _length(data):
        more = connection.recv(65_536)
        if not more:
            raise EOFError
        data += more
    return data


def read_mqtt(connection: socket.socket) -> tuple[int, bytes]:
    """Return the first byte and the body of the next MQTT packet (MQTT 3.1.1, 2.2); raises EOFError."""
    first, length, shift = _exactly(connection, 1)[0], 0, 0
    while True:
        byte = _exactly(connection, 1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return first, _exactly(connection, length)


def mqtt_message(qos: int, payload: bytes) -> bytes:
    """Return a PUBLISH packet, of QoS 1 or 2 (MQTT 3.1.1, 3.3)."""
    body = b"\0\1a\0\1" + payload
    return struct.pack("BBB", 0x30 | qos << 1, len(body) & 0x7F | 0x80, len(body) >> 7) + body


def _length(data: bytes) -> int:
    found = re.search(rb"(?i)\ncontent-length: *(\d+)", data)
    return int(found[1]) if found else 0


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
