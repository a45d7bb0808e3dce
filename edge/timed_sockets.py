"""Connections with one moment by which all must be over, however slowly the other side goes on.

The time limit of a socket is that of one wait: a server that sends a byte now and then never exceeds it.
"""

from __future__ import annotations

import errno
import io
import os
import socket
import ssl
import threading
import time
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any


class Deadline:
    """A moment by which something must be over."""

    def __init__(self, seconds: float) -> None:
        """Set it this number of seconds from now."""
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, above 0; raises TimeoutError where none are."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for all of it is over")
        return left


class TimedSocket:
    """What http.client needs of a socket; each wait is limited to what its `deadline` leaves.

    Without a deadline (None) each wait is limited by itself, to `wait` seconds. Another thread may call
    `abort`, which ends a wait with an error at once.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline | None, wait: float | None = None) -> None:
        """Take a connected socket, which `close` closes."""
        self.deadline = deadline
        self.wait = wait
        self._socket = sock

    def limit(self) -> socket.socket:
        """Return the socket with the limit for its next wait; raises TimeoutError where none is left."""
        self._socket.settimeout(self.wait if self.deadline is None else self.deadline.left())
        return self._socket

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Agree on TLS with `host`; raises OSError, of which ssl.SSLError is one."""
        self._socket = context.wrap_socket(self.limit(), server_hostname=host)

    def sendall(self, data: Any) -> None:
        """Send all of it."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.limit().send(rest) :]

    def makefile(self, mode: str = "rb", *_: Any, **__: Any) -> io.BufferedReader:
        """Return a file to read from, which stays open when this is closed."""
        return io.BufferedReader(_Reader(self, self._socket.makefile(mode, buffering=0)))  # type: ignore[call-overload]

    def peer_certificate(self) -> bytes:
        """Return the certificate of the other side, DER; empty where it has shown none."""
        return (isinstance(self._socket, ssl.SSLSocket) and self._socket.getpeercert(binary_form=True)) or b""

    def has_something_to_read(self) -> bool:
        """Whether bytes are there, or the end: between two requests either is a reason to close."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        return True

    def abort(self) -> None:
        """End the connection, and with it every wait, from any thread."""
        with suppress(OSError):
            # Not SSLSocket.shutdown, which forgets the state of TLS while another thread uses it.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, once no file reads from it any more."""
        self._socket.close()


class _Reader(io.RawIOBase):
    """Reads from a socket, with the limits of its owner."""

    def __init__(self, owner: TimedSocket, raw: io.RawIOBase) -> None:
        self._owner, self._raw = owner, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._owner.limit()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def connect_timed(host: str, port: int, deadline: Deadline) -> TimedSocket:
    """Connect to the first address of a host that answers; raises OSError.

    Each of its addresses gets an equal share of the time that is left. The name is looked up by the system,
    with the system's own time limit.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    reason: OSError = OSError(f"{host} has no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left() / (len(addresses) - number))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            reason = error
        except BaseException:
            sock.close()
            raise
        else:
            return TimedSocket(sock, deadline)
    raise reason


class Exchange:
    """What a request and its answer share: the deadline, and the socket, which another thread may abort."""

    def __init__(self, seconds: float) -> None:
        """Begin now; all must be over in this number of seconds."""
        self.deadline = Deadline(seconds)
        self.socket: TimedSocket | None = None
        self._aborted = False
        self._changing = threading.Lock()

    def use(self, sock: TimedSocket) -> None:
        """Take a new socket, or one that is used again; raises ConnectionAbortedError after abort()."""
        with self._changing:
            self.socket = sock
            sock.deadline = self.deadline
            if self._aborted:
                raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))

    def abort(self) -> None:
        """End it from any thread: what waits for the other side raises OSError, now and later."""
        with self._changing:
            self._aborted = True
            if self.socket is not None:
                self.socket.abort()


class TimedConnection(HTTPConnection):
    """A connection of http.client, with TLS where it gets a context; `exchange` sets its limits."""

    _tunnel_host: str | None

    def __init__(
        self, host: str, *, exchange: Exchange, tls: ssl.SSLContext | None = None, **options: Any
    ) -> None:
        """Take what HTTPConnection takes; the port is that of https by default where `tls` is given."""
        self.default_port = 443 if tls else 80
        super().__init__(host, **options)
        self.exchange = exchange
        self.tls = tls

    def connect(self) -> None:
        """Connect, through the proxy where there is one, and agree on TLS; raises OSError."""
        timed = connect_timed(self.host, self.port, self.exchange.deadline)
        self.sock = timed
        try:
            self.exchange.use(timed)
            if self._tunnel_host:
                self._tunnel()  # type: ignore[attr-defined]
            if self.tls is not None:
                timed.start_tls(self.tls, self._tunnel_host or self.host)
        except BaseException:
            self.close()
            raise
