"""HTTP and HTTPS requests to a camera, with its password, verified certificates and time limits."""

from __future__ import annotations

import io
import socket
import ssl
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import (
    HTTPBasicAuthHandler,
    HTTPDefaultErrorHandler,
    HTTPDigestAuthHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPPasswordMgrWithDefaultRealm,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from ..errors import SourceError

_URL_LETTERS = "%/:=&?~#+!$,;'@()*[]"  # Characters with a meaning in URLs, and %, which are not escaped.
_CAUSES: dict[type[Exception], str] = {
    ssl.SSLError: "it does not use TLS at this port: is it http:// and not https://?",
    socket.gaierror: "the host is not known: check the address and the network",
    ConnectionRefusedError: "nobody answers at this address and port (connection refused)",
    HTTPException: "its answer is not HTTP, or was cut off",
}
_STATUS = {
    403: "it refuses access (403 Forbidden): may this user see the stream?",
    404: "there is no such page (404 Not Found): check the path",
    503: "it is busy (503 Service Unavailable): does it serve one viewer only?",
}


class HttpClient:
    """Sends requests to one address."""

    def __init__(self, url: str, timeout: float) -> None:
        """Prepare for a URL, whose user name and password are sent only when the server asks for them.

        `timeout` limits connecting and each wait for bytes, in seconds. Raises SourceError for an invalid
        URL.
        """
        self._timeout = timeout
        address, passwords = _split_login(url)
        self._signs_in = passwords is not None
        self._request = Request(address, headers={"User-Agent": "edge-classify"})
        self._opener = OpenerDirector()
        # Only urllib's handlers for HTTP, so that a redirect to file: or ftp: fails.
        for handler in (
            ProxyHandler(),
            HTTPHandler(),
            HTTPSHandler(context=ssl.create_default_context()),
            HTTPRedirectHandler(),
            HTTPErrorProcessor(),
            HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)
        if passwords is not None:
            self._opener.add_handler(_DigestOnce(passwords))
            self._opener.add_handler(HTTPBasicAuthHandler(passwords))

    def get(self) -> HTTPResponse:
        """Send a request; return the answer, its body unread. Raises SourceError with only the reason."""
        # A new copy, since urllib keeps the last answer to a challenge in the request.
        request = Request(self._request.full_url, headers=dict(self._request.header_items()))
        try:
            response: HTTPResponse = self._opener.open(request, timeout=self._timeout)
        except HTTPError as error:
            error.close()
            raise SourceError(self._explain_status(error.code)) from None
        except (OSError, HTTPException, ValueError) as error:
            cause = error.reason if isinstance(error, URLError) else error
            raise SourceError(self.explain(cause)) from None
        return response

    def explain(self, error: object) -> str:
        """Return why the connection failed, in plain words and without the address."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({error.verify_message}). If it is your own, name its "
                "file in the environment variable SSL_CERT_FILE"
            )
        for kind, text in _CAUSES.items():
            if isinstance(error, kind):
                return text
        if isinstance(error, TimeoutError):
            return f"it sent nothing for {self._timeout:g} s"
        if isinstance(error, OSError):
            return f"the connection failed ({error.strerror or type(error).__name__})"
        return "it asks for a login method that is not supported: only Basic and Digest (MD5) are"

    def _explain_status(self, status: int) -> str:
        if status == 401 and self._signs_in:
            return "it refuses this user name or password (401 Unauthorized)"
        if status == 401:
            return "it asks for a user name and a password (401 Unauthorized): http://USER:PASSWORD@..."
        return _STATUS.get(status, f"it answers with status {status}")


class _DigestOnce(HTTPDigestAuthHandler):
    """Tries a password once: urllib would try a wrong one six times, and cameras lock such users out."""

    def http_error_auth_reqed(self, auth_header: str, host: str, req: Request, headers: HTTPMessage) -> Any:
        # A server may offer several methods, in headers of the same name, and urllib reads only the first.
        offered = headers.get_all(auth_header, [])
        digests = [method for method in offered if method.lower().startswith("digest")]
        known = [method for method in digests if "sha-" not in method.lower()]
        chosen = HTTPMessage()
        chosen[auth_header] = (known or offered or [""])[0]
        return super().http_error_auth_reqed(auth_header, host, req, chosen)

    def retry_http_digest_auth(self, req: Request, auth: str) -> Any:
        answered = "Authorization" in req.unredirected_hdrs
        if answered and "stale=true" not in auth.lower().replace('"', ""):
            self.reset_retry_count()
            raise HTTPError(req.full_url, 401, "refused", HTTPMessage(), io.BytesIO())
        return super().retry_http_digest_auth(req, auth)


def _split_login(url: str) -> tuple[str, HTTPPasswordMgrWithDefaultRealm | None]:
    """Return a URL without its user name and password, and these for urllib; None where it has none."""
    try:
        parts = urlsplit(quote(url, safe=_URL_LETTERS))
        user, password, host = parts.username, parts.password, parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if not host:
        raise SourceError(
            "the address is invalid. In a password, write / as %2F, ? as %3F, # as %23 and @ as %40"
        )
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    if user is None:
        return address, None
    passwords = HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, address, unquote(user), unquote(password or ""))
    return address, passwords
