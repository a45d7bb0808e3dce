"""HTTPS to a camera: its certificate is verified, or compared with a fingerprint before anything is sent."""

from __future__ import annotations

import ssl
from functools import partial
from http.client import HTTPResponse
from typing import Any
from urllib.request import AbstractHTTPHandler, Request

from ..timed_sockets import Exchange, TimedConnection, TimedSocket
from .fingerprints import fingerprint_of


class UntrustedCertificateError(OSError):
    """A certificate is not trusted: why, and its fingerprint, None where it could not be read."""

    def __init__(self, reason: str, fingerprint: str | None) -> None:
        super().__init__(reason)
        self.reason, self.fingerprint = reason, fingerprint


class OtherCertificateError(OSError):
    """A certificate has another fingerprint than the one that is expected."""

    def __init__(self, arrived: str, expected: str) -> None:
        super().__init__(arrived)
        self.arrived, self.expected = arrived, expected


class HttpHandler(AbstractHTTPHandler):
    """Opens http: and https: addresses, each within the present `exchange`.

    https: is opened to trusted certificates, or with a `fingerprint` to this one alone, whoever signed it.
    """

    exchange: Exchange
    http_request = https_request = AbstractHTTPHandler.do_request_

    def __init__(self, fingerprint: str | None) -> None:
        super().__init__()
        self._tls: ssl.SSLContext | None = None  # Made when it is needed: it holds all authorities.
        self._fingerprint = fingerprint

    def http_open(self, req: Request) -> HTTPResponse:
        """Open a request, as urllib's handlers do."""
        return self._open(req, TimedConnection)

    def https_open(self, req: Request) -> HTTPResponse:
        """Open a request, as urllib's handlers do."""
        if self._tls is None:
            self._tls = ssl.create_default_context() if self._fingerprint is None else _unverified()
        return self._open(req, partial(_Connection, tls=self._tls, fingerprint=self._fingerprint))

    def _open(self, req: Request, connection: Any) -> HTTPResponse:
        return self.do_open(connection, req, exchange=self.exchange)


class _Connection(TimedConnection):
    _tunnel_port: int
    _tunnel_headers: dict[str, str]
    sock: TimedSocket

    def __init__(self, host: str, *, fingerprint: str | None = None, **options: Any) -> None:
        super().__init__(host, **options)
        self._fingerprint = fingerprint

    def connect(self) -> None:
        """Connect and check the certificate; the request, with its password, is sent after it."""
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise UntrustedCertificateError(error.verify_message, self._fingerprint_there()) from None
        if self._fingerprint is not None and (arrived := self._arrived()) != self._fingerprint:
            self.close()
            raise OtherCertificateError(arrived, self._fingerprint)

    def _arrived(self) -> str:
        return fingerprint_of(self.sock.peer_certificate())

    def _fingerprint_there(self) -> str | None:
        """Return the fingerprint of a certificate that is not trusted; nothing is sent to its owner."""
        other = _Connection(self.host, port=self.port, exchange=self.exchange, tls=_unverified())
        if self._tunnel_host:
            other.set_tunnel(self._tunnel_host, self._tunnel_port, self._tunnel_headers)
        try:
            other.connect()
            return other._arrived()
        except OSError:
            return None
        finally:
            other.close()


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
