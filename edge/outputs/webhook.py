"""Answers for a web server: one POST for each JSON line of the contract."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http.client import HTTPException, RemoteDisconnected
from typing import NamedTuple

from ..answers.result import FrameResult
from ..log import keep_secret
from ..sources.addresses import parse_address, unencrypted_remark
from .delivery import FILES, LIVE, Delivery, Pauses, Refused, Retry
from .http_post import PostAnswer, PostClient
from .json_lines import to_records
from .network import closing_seconds, program_version, to_reason

# Seconds for all of one request and its answer, from the look-up of the name to the last byte.
TIME_LIMIT = 10.0
# Request Timeout, Too Early, Too Many Requests: other answers from 400 to 499 mean a wrong request.
_RETRIED = (408, 425, 429)
# Seconds; results are kept for longer.
_LONGEST_RETRY_AFTER = 120.0


class _Line(NamedTuple):
    key: str
    body: bytes


class Webhook:
    """Posts every result in order, one POST per model, so that receivers need not split lists.

    The body is a line of --json. After network errors, 5xx, 408, 425 and 429 the line is sent again, for 429
    and 503 after their Retry-After (at most 2 minutes). A server that took a line and was cut off before its
    answer gets it twice: with the same header Idempotency-Key, which no two lines share. Other answers than
    2xx are refusals, also redirects: results must not go to an address that the user did not name. Messages
    name only scheme and host, since the paths of webhooks are tokens.
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
        self._client = PostClient(address, TIME_LIMIT)
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": f"edge-classify/{program_version()}",
        }
        self._run, self._count = secrets.token_hex(8), 0
        self._report, self._shown, self._wait = report, address.shown, wait
        if remark := unencrypted_remark(url, f"--webhook {address.shown}"):
            report(remark)
        self._delivery: Delivery[_Line] = Delivery(
            self._shown,
            self._post,
            report,
            FILES if wait else LIVE,
            pauses,
            size_of=lambda line: len(line.body),
            abort=self._client.abort,
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to be sent."""
        return self._delivery.is_idle

    def show(self, result: FrameResult) -> None:
        """Queue the lines of one result."""
        for record in to_records(result):
            self._count += 1
            self._delivery.put(_Line(f"{self._run}-{self._count}", json.dumps(record).encode()))

    def close(self) -> None:
        """Send the remaining results, for at most 5 seconds (60 with `wait`), and report lost results."""
        lost = self.failed = self._delivery.close(closing_seconds(self._wait))
        self._client.close()
        if lost:
            self._report(f"{self._shown}: results that never arrived: {lost}")

    def _post(self, line: _Line) -> None:
        """Send one line; raises Retry and Refused."""
        try:
            # The key as a string of RFC 8941, as draft-ietf-httpapi-idempotency-key-header has it.
            answer = self._client.post(line.body, {**self._headers, "Idempotency-Key": f'"{line.key}"'})
        except RemoteDisconnected:
            raise Retry("closes the connection without an answer", reached=True) from None
        except OSError as error:
            raise Retry(to_reason(error), reached=self._client.was_sent) from None
        except (HTTPException, ValueError) as error:
            reason = f"does not answer as a web server ({type(error).__name__})"
            raise Retry(reason, reached=True) from None
        _judge(answer)


def _judge(answer: PostAnswer) -> None:
    """Raise Refused or Retry for an answer other than 2xx."""
    code = answer.status
    if 200 <= code < 300:
        return
    if 300 <= code < 400:
        raise Refused(f"answers {code}, a redirect, which is not followed: give --webhook the final address")
    if code in (401, 403):
        raise Refused(f"answers {code}: it needs another user name, password or token")
    if 400 <= code < 500 and code not in _RETRIED:
        raise Refused(f"answers {code}")
    raise Retry(f"answers {code}", _retry_after(answer.retry_after), reached=True)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, limited; None where it is missing or unreadable."""
    if value is None:
        return None
    if value.strip().isdecimal():
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value[:100]).timestamp() - time.time()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(max(seconds, 1.0), _LONGEST_RETRY_AFTER)
