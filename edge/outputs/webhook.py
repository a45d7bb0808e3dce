"""Answers for a web server: one POST for each JSON line of the contract."""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from ..answers.result import FrameResult
from ..log import keep_secret
from ..sources.addresses import Address, parse_address
from .delivery import Delivery, Pauses, Refused, Retry
from .json_lines import to_records
from .network import closing_seconds, program_version, to_reason

TIME_LIMIT = 10.0
# Request Timeout, Too Early, Too Many Requests: other answers from 400 to 499 mean a wrong request.
_RETRIED = (408, 425, 429)
_LONGEST_RETRY_AFTER = 300.0
# Characters that RFC 3986 allows in a path or query, and % of those that are escaped already.
_URL_CHARACTERS = "/%:@!$&'()*+,;=~?"


class Webhook:
    """Posts every result in order, one POST per model, so that receivers need not split lists.

    The body is a line of --json. After network errors, 5xx, 408, 425 and 429 the line is sent again, for 429
    and 503 after their Retry-After (at most 5 minutes). Other answers than 2xx are refusals, also redirects:
    results must not go to an address that the user did not name. Messages name only scheme and host, since
    the paths of webhooks are tokens.
    """

    failed = 0

    def __init__(
        self, url: str, report: Callable[[str], None], pauses: Pauses | None = None, wait: bool = False
    ) -> None:
        """Take a http:// or https:// URL, with USER:PASSWORD@ for Basic authentication; nothing is sent yet.

        With `wait`, show() waits for a slow server instead of dropping results. Raises OptionError for an
        impossible URL.
        """
        address = parse_address(url, "--webhook", ("http", "https"), "https://example.org/hook")
        keep_secret(address.path)
        keep_secret(address.query)
        self._url = _to_request_url(address)
        self._headers = _to_headers(address)
        # With the system's certificates, or those of SSL_CERT_FILE.
        self._open = build_opener(_NoRedirects, HTTPSHandler(context=ssl.create_default_context())).open
        self._report, self._shown, self._wait = report, address.shown, wait
        self._delivery = Delivery(self._shown, self._post, report, pauses=pauses, wait=wait)

    def show(self, result: FrameResult) -> None:
        """Queue the lines of one result."""
        for record in to_records(result):
            self._delivery.put(json.dumps(record).encode())

    def close(self) -> None:
        """Send the remaining results, for at most 5 seconds (60 with `wait`), and report lost results."""
        lost = self.failed = self._delivery.close(closing_seconds(self._wait))
        if lost:
            self._report(f"{self._shown}: results that never arrived: {lost}")

    def _post(self, body: bytes) -> None:
        """Send one body; raises Retry and Refused."""
        request = Request(self._url, body, self._headers, method="POST")
        try:
            self._open(request, timeout=TIME_LIMIT).close()
        except HTTPError as error:
            with error:
                _judge(error.code, error.headers)
        except URLError as error:  # `reason` is the real error, or a text.
            reason = error.reason
            text = to_reason(reason) if isinstance(reason, OSError) else f"cannot be reached ({reason})"
            raise Retry(text) from None
        except OSError as error:
            raise Retry(to_reason(error)) from None
        except HTTPException as error:
            raise Retry(f"does not answer as a web server ({type(error).__name__})") from None


class _NoRedirects(HTTPRedirectHandler):
    """Raises HTTPError for a redirect."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _judge(code: int, headers: Message) -> None:
    """Raise Refused or Retry for an answer other than 2xx."""
    if 300 <= code < 400:
        raise Refused(f"answers {code}, a redirect, which is not followed: give --webhook the final address")
    if code in (401, 403):
        raise Refused(f"answers {code}: it needs another user name, password or token")
    if code < 500 and code not in _RETRIED:
        raise Refused(f"answers {code}")
    raise Retry(f"answers {code}", _retry_after(headers.get("Retry-After")))


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, limited; None where it is missing or unreadable."""
    if value is None:
        return None
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 1.0), _LONGEST_RETRY_AFTER)


def _to_request_url(address: Address) -> str:
    """Return the URL without user and password, and with escaped characters."""
    host = address.place.encode("idna").decode()
    query = f"?{address.query}" if address.query else ""
    return f"{address.scheme}://{host}{quote((address.path or '/') + query, safe=_URL_CHARACTERS)}"


def _to_headers(address: Address) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": f"edge-classify/{program_version()}"}
    if address.user is not None:
        login = base64.b64encode(f"{address.user}:{address.password or ''}".encode()).decode()
        keep_secret(login)
        headers["Authorization"] = f"Basic {login}"
    return headers
