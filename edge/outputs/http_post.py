"""POST requests to one address over a connection that is kept, each within one time limit."""

from __future__ import annotations

import base64
import errno
import os
import ssl
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import OptionError
from ..log import keep_secret
from ..sources.addresses import Address, keep_secrets
from ..timed_sockets import Deadline, Exchange, TimedConnection, TimedSocket

_PORTS = {"http": 80, "https": 443}
_LONGEST_BODY = 65_536  # Bytes of an answer that are read, so that its connection can be kept.
_BODY_SECONDS = 1.0  # The longest wait for it: what the server thinks of the request is known before.
# Characters that RFC 3986 allows in a path or query, and % of those that are escaped already.
_URL_CHARACTERS = "/%:@!$&'()*+,;=~?"


class PostAnswer(NamedTuple):
    """The status of an answer, and its header Retry-After."""

    status: int
    retry_after: str | None


class _Proxy(NamedTuple):
    host: str
    port: int
    headers: dict[str, str]


class PostClient:
    """Sends requests to one address, one after the other.

    The connection is kept while the server allows it, and opened again after any failure. Proxies are those
    of the environment. Certificates are verified with the system's authorities, or those of SSL_CERT_FILE.
    `was_sent` is whether all of the last request was sent.
    """

    def __init__(self, address: Address, seconds: float) -> None:
        """Take an http:// or https:// address, and the time limit for all of one request and its answer."""
        self.was_sent = False
        self._seconds = seconds
        self._host = address.host.encode("idna").decode()
        self._port = address.port or _PORTS[address.scheme]
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        query = f"?{address.query}" if address.query else ""
        self._target = quote((address.path or "/") + query, safe=_URL_CHARACTERS)
        self._headers: dict[str, str] = {}
        self._proxy = _proxy_for(address)
        if self._proxy is not None and self._tls is None:
            self._target = f"http://{address.place.encode('idna').decode()}{self._target}"
            self._headers = self._proxy.headers
        if address.user is not None:
            self._headers = {**self._headers, "Authorization": basic(address.user, address.password or "")}
        self._connection: TimedConnection | None = None
        self._exchange = Exchange(seconds)
        self._ended = False
        self._waits_for_bodies = True  # Until one has not come.

    def post(self, body: bytes, headers: dict[str, str]) -> PostAnswer:
        """Send a request, and return its answer; raises OSError and HTTPException."""
        self.was_sent = False
        self._exchange = Exchange(self._seconds)
        if self._ended:
            self._exchange.abort()
        if self._can_be_used_again():
            try:
                return self._post(body, headers)
            except ConnectionError:  # The server has closed the connection meanwhile.
                self.was_sent = False
        return self._post(body, headers)

    def abort(self) -> None:
        """End the present request and all later ones, from any thread."""
        self._ended = True
        self._exchange.abort()

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes, headers: dict[str, str]) -> PostAnswer:
        try:
            connection = self._connection = self._connection or self._connect()
            connection.request("POST", self._target, body, {**self._headers, **headers})
            self.was_sent = True
            response = connection.getresponse()
            if self._ended:  # The end of the connection is taken for that of the headers.
                raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
            if not self._is_read(response, connection.sock):
                self.close()
        except BaseException:
            self.close()
            raise
        return PostAnswer(response.status, response.headers.get("Retry-After"))

    def _is_read(self, response: HTTPResponse, sock: object) -> bool:
        """Read the body, and return whether the connection can be used again."""
        ends = response.will_close or response.status < 200
        if ends or not self._waits_for_bodies or not isinstance(sock, TimedSocket):
            response.close()
            return False
        with suppress(OSError, HTTPException, ValueError):
            if sock.deadline is not None:
                sock.deadline = Deadline(min(_BODY_SECONDS, sock.deadline.left()))
            response.read(_LONGEST_BODY)
        is_read = self._waits_for_bodies = response.isclosed() or response.length == 0
        response.close()
        return is_read

    def _can_be_used_again(self) -> bool:
        """Whether a connection is open on which nothing has come that belongs to no request."""
        if self._connection is None or not isinstance(sock := self._connection.sock, TimedSocket):
            return False
        if sock.has_something_to_read():
            self.close()
            return False
        self._connection.exchange = self._exchange
        self._exchange.use(sock)
        return True

    def _connect(self) -> TimedConnection:
        host, port = (self._host, self._port) if self._proxy is None else self._proxy[:2]
        connection = TimedConnection(host, port=port, exchange=self._exchange, tls=self._tls)
        if self._proxy is not None and self._tls is not None:
            connection.set_tunnel(self._host, self._port, self._proxy.headers)
        connection.connect()
        return connection


def basic(user: str, password: str) -> str:
    """Return the value of the header Authorization for Basic (RFC 7617), and keep it out of the log."""
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    keep_secret(login)
    return f"Basic {login}"


def _proxy_for(address: Address) -> _Proxy | None:
    """Return the proxy that the environment names for an address; raises OptionError for another kind."""
    url = getproxies().get(address.scheme)
    if url is None or proxy_bypass(address.place):
        return None
    keep_secrets(url)
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise OptionError(
            f"--webhook {address.shown}: the environment names a proxy that is none of http://, which no "
            f"other can replace: {parts.scheme}://{parts.hostname}. Without it: no_proxy={address.host}"
        )
    headers = {}
    if parts.username is not None:
        headers["Proxy-Authorization"] = basic(unquote(parts.username), unquote(parts.password or ""))
    return _Proxy(parts.hostname, parts.port or 80, headers)
