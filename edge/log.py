"""Remarks on stderr: plain text for people, or one JSON object per line; secrets are replaced."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Literal

from .printable import one_line

Level = Literal["error", "warning", "info"]
Format = Literal["text", "json"]

# The priorities of sd-daemon(3); the journal removes them from the line.
_PRIORITIES: dict[Level, str] = {"error": "<3>", "warning": "<4>", "info": "<6>"}
# A shorter text would be replaced inside ordinary words.
_SHORTEST_SECRET = 4


class _Log:
    """How this process writes its remarks."""

    def __init__(self) -> None:
        self.format: Format = "text"
        self.secrets: tuple[str, ...] = ()


_log = _Log()


def use_format(chosen: Format) -> None:
    """Choose the format of all further remarks, as `--log` does; the first format is text."""
    _log.format = chosen


def is_text() -> bool:
    """Return whether remarks are written as text."""
    return _log.format == "text"


def keep_secret(text: str) -> None:
    """Replace `text` by *** in all remarks from now on; texts shorter than four characters are left alone."""
    if len(text) < _SHORTEST_SECRET or text in _log.secrets:
        return
    # The longest first, since one secret may be a part of another.
    _log.secrets = tuple(sorted((*_log.secrets, text), key=len, reverse=True))


def scrub(text: str) -> str:
    """Return `text` with every known secret replaced by ***."""
    for secret in _log.secrets:
        text = text.replace(secret, "***")
    return text


def to_line(message: str, level: Level = "info", **fields: Any) -> str:
    """Return a remark as it is written: one line of JSON or of printable text.

    JSON holds `time` (UTC, ISO 8601, milliseconds), `level`, `message` and the fields. Text is the message;
    it starts with its priority where stderr is the journal (JOURNAL_STREAM in systemd.exec(5)).
    """
    message = scrub(message)
    if _log.format == "json":
        safe = {name: scrub(value) if isinstance(value, str) else value for name, value in fields.items()}
        return json.dumps({"time": _now(), "level": level, "message": message, **safe})
    prefix = _PRIORITIES[level] if _stderr_is_journal() else ""
    return prefix + one_line(message)


def _now() -> str:
    milliseconds = time.time_ns() // 1_000_000
    moment = time.gmtime(milliseconds // 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{milliseconds % 1000:03d}Z"


def _stderr_is_journal() -> bool:
    """Return whether stderr still is the stream that systemd connected."""
    stream = os.environ.get("JOURNAL_STREAM")
    if not stream or sys.stderr is None:
        return False
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):  # Closed, or no file at all.
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"
