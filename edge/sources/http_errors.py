"""Why a request to a camera failed, in plain words and without its address."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from http.client import BadStatusLine, HTTPException
from typing import Any

from .https import OtherCertificateError, UntrustedCertificateError
from .proxies import ProxyName

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", None)
_CERTIFICATE_FILE = "name the certificate's file in the environment variable SSL_CERT_FILE"
_CUT_OFF = "its answer is not HTTP, or was cut off"
_STATUS = {
    401: "it asks for a user name and a password (401 Unauthorized): http://USER:PASSWORD@...",
    403: "it refuses access (403 Forbidden): may this user see the stream?",
    404: "there is no such page (404 Not Found): check the path",
    407: "a proxy asks for a user name and a password (407 Proxy Authentication Required)",
    503: "it is busy (503 Service Unavailable): does it serve one viewer only?",
}


def explain(error: object, timeout: float, proxy: ProxyName | None) -> str:
    """Return why a connection failed; `timeout` is its limit in seconds, `proxy` the one that it took."""
    text = next((words(error) for kind, words in _WORDS if isinstance(error, kind)), _CUT_OFF)
    if isinstance(error, TimeoutError) and not isinstance(error, ssl.SSLError):
        text = f"no whole answer came within {timeout:g} s"
    if proxy is None:
        return text
    if not isinstance(error, OSError) or isinstance(error, _BEHIND_THE_PROXY):
        return behind(text, proxy)
    # "Tunnel connection failed: 407 Proxy Authentication Required" has no number of an error.
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    login = ". Name its login: http://USER:PASSWORD@HOST:PORT" if " 407" in reason else ""
    return f"{proxy} does not answer, or does not reach the camera ({reason}){login}. {proxy.remedy}"


def explain_status(status: int, has_login: bool, proxy: ProxyName | None) -> str:
    """Return what the status of an answer means; `has_login` is whether a user name was given."""
    text = _STATUS.get(status, f"it answers with status {status}")
    if 300 <= status < 400:
        text = f"it redirects again and again, or to no address (status {status})"
    if status == 401 and has_login:
        text = "it refuses this user name or password (401 Unauthorized)"
    return behind(text, proxy)


def behind(reason: str, proxy: ProxyName | None) -> str:
    """Return why a request failed that a proxy passed on, or that the proxy answered itself."""
    return reason if proxy is None else f"{reason}. The request went through {proxy}. {proxy.remedy}"


def _untrusted(error: UntrustedCertificateError) -> str:
    text = f"its certificate is not trusted ({error.reason})"
    if error.fingerprint is None:
        return f"{text}. If it is your own, {_CERTIFICATE_FILE}"
    return (
        f"{text}. If the camera shows the same SHA-256 fingerprint, give it: --tls-fingerprint "
        f"{error.fingerprint}. Or {_CERTIFICATE_FILE}"
    )


def _other(error: OtherCertificateError) -> str:
    return (
        f"its certificate has the fingerprint {error.arrived}, and --tls-fingerprint is {error.expected}. "
        "Either the camera has a new certificate, or somebody else answers in its place"
    )


def _tls(error: ssl.SSLError) -> str:
    if error.reason in _NO_TLS:
        return "it does not use TLS at this port: is it http:// and not https://?"
    return f"TLS cannot be agreed on ({error.reason.replace('_', ' ').lower()})"


def _no_http(error: BadStatusLine) -> str:
    line = str(error).strip().strip("'")
    if line.upper().startswith("RTSP/"):
        return "it speaks RTSP at this port: give the address that begins with rtsp://"
    return f"its answer is not HTTP: it begins with {line[:16]!r}" if line else "its answer is empty"


# The first that fits.
_WORDS: tuple[tuple[type[Exception], Callable[[Any], str]], ...] = (
    (UntrustedCertificateError, _untrusted),
    (OtherCertificateError, _other),
    (ssl.SSLError, _tls),
    (socket.gaierror, lambda _: "the host is not known: check the address and the network"),
    (ConnectionRefusedError, lambda _: "nobody answers at this address and port (connection refused)"),
    (ConnectionResetError, lambda _: "it closed the connection without an answer, or in the middle of it"),
    (BadStatusLine, _no_http),
    (HTTPException, lambda _: _CUT_OFF),
    (OSError, lambda error: f"the connection failed ({error.strerror or error})"),
    (ValueError, lambda _: "it redirects to an address that is invalid, or its answer is not HTTP"),
)
_BEHIND_THE_PROXY = (UntrustedCertificateError, OtherCertificateError, ssl.SSLError)
