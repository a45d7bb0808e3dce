"""HTTP and HTTPS requests to a camera, with its password, its certificate, proxies and time limits."""

from __future__ import annotations

from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import (
    BaseHandler,
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    OpenerDirector,
    Request,
)

from ..errors import SourceError
from ..timed_sockets import Exchange
from .addresses import redact
from .http_errors import behind, explain, explain_status
from .http_login import SUPPORTED, Login, read_challenges, strongest
from .https import HttpHandler
from .proxies import CameraProxies

_URL_LETTERS = "%/:=&?~#+!$,;'@()*[]"  # Characters with a meaning in URLs, and %, which are not escaped.
_MOST_REQUESTS = 4  # For one answer: without password, with it, and after nonces that were too old.
_CHUNK = 65_536
_LONGEST_CHALLENGE = 8192  # Bytes: each of them may ask for an object of its own.


class HttpClient:
    """Sends requests to one address."""

    def __init__(self, url: str, timeout: float, fingerprint: str | None = None) -> None:
        """Prepare for a URL, whose user name and password are sent only when the server asks for them.

        `timeout` limits all until an answer begins, and then each wait for bytes, in seconds. With
        `fingerprint`, as parse_fingerprint returns it, the server must have this certificate. Raises
        SourceError for an invalid URL.
        """
        self.timeout = timeout
        self._ended = False
        self._url, self._login = _split_login(url)
        self._proxies = CameraProxies()
        self._handler = HttpHandler(fingerprint)
        self._opener = OpenerDirector()
        # Only urllib's handlers for HTTP, so that a redirect to file: or ftp: fails.
        others = _Redirects(), HTTPErrorProcessor(), HTTPDefaultErrorHandler()
        self._handlers: tuple[BaseHandler, ...] = (self._proxies, self._handler, *others)
        for handler in self._handlers:
            self._opener.add_handler(handler)

    def get(self) -> HttpAnswer:
        """Send a request; return the answer, its body unread. Raises SourceError with only the reason."""
        url, authorization = self._url, None
        self._handler.exchange = exchange = Exchange(self.timeout)
        if self._ended:
            exchange.abort()
        for _ in range(_MOST_REQUESTS):
            try:
                return HttpAnswer(self._open(url, authorization), self, exchange)
            except HTTPError as error:
                error.close()  # No context manager: a redirect too many is closed already.
                signed_in = authorization is not None and error.filename == url
                url, authorization = self._sign_in(error, signed_in)
            except (OSError, HTTPException, ValueError) as error:
                raise SourceError(
                    self.explain(error.reason if isinstance(error, URLError) else error)
                ) from None
        raise SourceError(explain_status(401, self._login is not None, self._proxies.used))

    def abort(self) -> None:
        """End the present request or answer, and all later ones, from any thread: they raise SourceError."""
        self._ended = True
        self._handler.exchange.abort()

    def close(self) -> None:
        """Send nothing any more; without it all would stay in memory until the next garbage collection."""
        for handler in self._handlers:
            vars(handler).pop("parent", None)  # Handlers and openers of urllib refer to each other.
        self._handlers = ()

    def explain(self, error: object) -> str:
        """Return why the connection failed, in plain words and without the address."""
        return explain(error, self.timeout, self._proxies.used)

    def name_proxy(self, reason: str) -> str:
        """Return a reason with the proxy that the last answer came through, if any."""
        return behind(reason, self._proxies.used)

    def _open(self, url: str, authorization: str | None) -> HTTPResponse:
        request = Request(url, headers={"User-Agent": "edge-classify"})
        if authorization is not None:
            request.add_unredirected_header("Authorization", authorization)
        response: HTTPResponse = self._opener.open(request, timeout=self.timeout)
        return response

    def _sign_in(self, refusal: HTTPError, signed_in: bool) -> tuple[str, str]:
        """Return the URL that asked for a login, and the header that answers; raises SourceError.

        `signed_in` is whether this URL got the password: a wrong one is tried once, since cameras lock out
        who tries again and again.
        """
        url = refusal.filename
        if refusal.code != 401 or self._login is None:
            raise SourceError(explain_status(refusal.code, self._login is not None, self._proxies.used))
        if not _is_same_server(self._url, url):
            raise SourceError(
                f"it redirects to {redact(url)}, which asks for a login (401 Unauthorized), and a password "
                "goes to no other scheme, host or port than its own. Give the address that it redirects to"
            )
        challenges = refusal.headers.get_all("WWW-Authenticate", [])
        if sum(map(len, challenges)) > _LONGEST_CHALLENGE:
            raise SourceError(f"it asks for a login in more than {_LONGEST_CHALLENGE} bytes")
        asked = read_challenges(challenges)
        chosen = strongest(asked)
        if signed_in and not (chosen and chosen.is_stale):
            raise SourceError(explain_status(401, self._login is not None, self._proxies.used))
        if chosen is None:
            methods = " or ".join(sorted({str(each) for each in asked})) or "no method at all"
            raise SourceError(f"it asks for a login by {methods}, which is not supported: {SUPPORTED} are")
        return url, chosen.answer(self._login, url)


class HttpAnswer:
    """An answer to a request, read as its bytes arrive."""

    def __init__(self, response: HTTPResponse, client: HttpClient, exchange: Exchange) -> None:
        """Read `response`, whose errors `client` explains; `peek` still belongs to `exchange`."""
        self.declared: str | None = None
        if "Content-Type" in response.headers:
            self.declared = response.headers.get_content_type()
        self._response = response
        self._client = client
        self._exchange = exchange
        # http.client itself counts the bytes of `read1` only since Python 3.11.
        self._left: int | None = response.length
        self._ahead = b""

    @property
    def is_endless(self) -> bool:
        """Whether it has no length."""
        return self._left is None

    def read(self) -> bytes:
        """Wait for bytes and return those that are there; none at the end. Raises SourceError."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        if (sock := self._exchange.socket) is not None:
            sock.deadline, sock.wait = None, self._client.timeout
        return self._read()

    def _read(self) -> bytes:
        if self._left == 0:
            return b""
        try:
            data = self._response.read1(_CHUNK)
        except (OSError, HTTPException, ValueError) as error:
            raise SourceError(self._client.explain(error)) from None
        if self._left is not None:
            self._left -= len(data)
        return data

    def peek(self, size: int) -> bytes:
        """Return the first `size` bytes, fewer at the end, which `read` returns again. Raises SourceError."""
        ahead, self._ahead = self._ahead, b""
        while len(ahead) < size and (data := self._read()):
            ahead += data
        self._ahead = ahead
        return ahead[:size]

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but from https: to nothing that is not encrypted."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.full_url.startswith("https:") and not newurl.lower().startswith("https:"):
            raise SourceError("it redirects from https:// to http://, which is not encrypted")
        fp.close()  # Else urllib reads all of a body that may have no end.
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_same_server(first: str, second: str) -> bool:
    """Return whether a password for the first URL may be sent to the second."""
    one, other = urlsplit(first), urlsplit(second)
    return (one.scheme, one.netloc) == (other.scheme, other.netloc)


def _split_login(url: str) -> tuple[str, Login | None]:
    """Return a URL without its user name and password, and these; None where it has none."""
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
    return address, None if user is None else Login(unquote(user), unquote(password or ""))
