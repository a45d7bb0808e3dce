"""What an HTTP answer holds, by its first bytes: cameras name wrong types, or none."""

from __future__ import annotations

import re
from typing import Literal

from ..errors import SourceError
from ..picture_kinds import identify, is_film_start, kind_not_read, starts_as_picture
from .picture_ends import START

# Pictures that are found by themselves; a file of another format, which ends with its answer; a film.
Content = Literal["pictures", "file", "film"]
_TEXTS = (
    (re.compile(rb"<(!doctype html|html|head|body|script|meta|title)", re.IGNORECASE), "a web page (HTML)"),
    (re.compile(rb"<\?xml|<[a-z]", re.IGNORECASE), "XML"),
    (re.compile(rb"[{\[]"), "JSON"),
    (re.compile(rb"#EXTM3U"), "an HLS playlist (#EXTM3U)"),
    (re.compile(rb"v=0\r?\n|rtsps?://", re.IGNORECASE), "the description of an RTSP stream"),
)
LONGEST_HEAD = 512
_PLAYLIST = _TEXTS[3][0]
_PARTS = re.compile(rb"\A--\S|^[\w.-]*content-(type|length)\s*:", re.IGNORECASE | re.MULTILINE)
_ANY_TEXT = "text"
_SPACE = b"\xef\xbb\xbf \t\r\n"
_TEXT = re.compile(rb"[\t\n\r\x20-\x7e]+")


def content_of(declared: str | None, head: bytes) -> Content:
    """Return what an answer holds by its first LONGEST_HEAD bytes.

    `declared` is its Content-Type without parameters, None where it names none. Raises SourceError for
    what holds none, with what it is.
    """
    start = head.lstrip(_SPACE)
    if not head:
        raise SourceError("its answer is empty (0 bytes)")
    if START.search(head):
        return "pictures"
    if starts_as_picture(head) and identify(head) is not None:
        return "file"
    if is_film_start(head) or _PLAYLIST.match(start):
        return "film"
    kind = _text_kind(head) or kind_not_read(head)
    if _PARTS.search(start) and kind in (None, _ANY_TEXT):
        return "pictures"
    if kind:
        raise SourceError(f"it sends {describe(head, declared)}, and no pictures: {_remedy(start)}")
    return "pictures" if (declared or "").startswith("image/") else "film"  # FFmpeg knows many.


def describe(head: bytes, declared: str | None = None) -> str:
    """Return what bytes are that hold no picture; of pages, which may hold secrets, only the kind."""
    kind = _text_kind(head) or kind_not_read(head)
    if kind is None or kind == _ANY_TEXT:
        start = head[:16].decode() if kind else head[:16]
        kind = f"{kind or 'something'} that begins with {start!r}"
    return f"{kind} as {declared}" if declared else kind


def is_playlist(head: bytes) -> bool:
    """Return whether a film is an HLS playlist, which names other addresses."""
    return _PLAYLIST.match(head.lstrip(_SPACE)) is not None


def _text_kind(head: bytes) -> str | None:
    start = head.lstrip(_SPACE)
    text = _ANY_TEXT if _TEXT.fullmatch(head) else None
    return next((name for pattern, name in _TEXTS if pattern.match(start)), text)


def _remedy(start: bytes) -> str:
    if _TEXTS[4][0].match(start):
        return "give the address that begins with rtsp://"
    return "give the address of the stream or the picture itself"
