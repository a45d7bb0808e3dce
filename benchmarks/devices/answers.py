"""What the agent on another machine answers, checked before it is believed.

The other machine may be broken, or somebody else's: whatever it sends ends in one sentence. Texts that end up
in commands that we advise have the form that they should have, or are refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...edge.json_files import JsonError, parse_json
from ...edge.printable import one_line
from .ssh import LinkError

_LONGEST, _SHOWN = 4096, 300  # Characters of a text that is kept, and of one that is shown.
_STREAMS = ("out", "err")
_STEPS = ("venv", "pip")
# PEP 440 and PEP 508, as far as requirements of ours need them.
_VERSION = r"\d{1,3}\.\d{1,3}[0-9A-Za-z.+]{0,40}"
_REQUIREMENT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}[A-Za-z0-9.,<>=!~*+]{0,120}"
_WORD = r"[A-Za-z0-9_.-]{0,60}"
_FACTS: Mapping[str, str] = {
    "python": _VERSION, "implementation": _WORD, "system": _WORD, "machine": _WORD,
}  # fmt: skip
_LISTS = {"libc": 2, "environments": 1000, "missing": 10, "missing_from_debian": 10}


def parse_reply(text: str) -> dict[str, Any]:
    """Read a line behind the mark; raises LinkError."""
    try:
        reply = parse_json(text, most_values=100_000)
    except JsonError as error:
        raise _nonsense(f"{error}") from None
    if not isinstance(reply, dict):
        raise _nonsense("it is no JSON object")
    return reply


def facts_of(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about the other machine, as far/environment.py gives them; raises LinkError."""
    facts = reply.get("facts")
    if not isinstance(facts, dict):
        raise _nonsense("its first line holds no facts")
    for name, pattern in _FACTS.items():
        if not re.fullmatch(pattern, _text(facts, name)):
            raise _nonsense(f"{name} is {facts[name]!r}")
    for name, most in _LISTS.items():
        values = facts.get(name)
        right = isinstance(values, list) and len(values) <= most
        if not right or not all(isinstance(each, str) and re.fullmatch(_WORD, each) for each in values or ()):
            raise _nonsense(f"{name} is {values!r}")
    if len(facts["libc"]) != 2:
        raise _nonsense(f"libc is {facts['libc']!r}")
    if _count(facts, "bits") not in (32, 64):
        raise _nonsense(f"bits is {facts['bits']!r}")
    _count(facts, "free")
    folder = _text(facts, "folder")
    if not folder.startswith("/") or not folder.isprintable() or len(folder) > _LONGEST:
        raise _nonsense(f"folder is {folder!r}")
    return facts


def present_of(reply: Mapping[str, Any], sizes: Sequence[int]) -> list[int]:
    """Return how many bytes of each file are there; raises LinkError."""
    present = reply.get("present")
    if not isinstance(present, list) or len(present) != len(sizes):
        raise _nonsense("present is no list of a number for each file")
    for here, size in zip(present, sizes, strict=True):
        if not _is_int(here) or not 0 <= here <= size:
            raise _nonsense(f"of a file of {size} bytes, {here!r} are there")
    return present


def arrived_of(reply: Mapping[str, Any]) -> bool | str:
    """Return whether a file arrived with the right checksum, or why it could not be written there."""
    if "failed" in reply:
        return shortened(_text(reply, "failed"))
    right = reply.get("right")
    if not isinstance(right, bool):
        raise _nonsense(f"right is {right!r}")
    return right


def installation_of(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to "prepare"; its `requires` is a list where there is one. Raises LinkError."""
    if "failed" not in reply:
        return {}
    if reply["failed"] not in _STEPS:
        raise _nonsense(f"failed is {reply['failed']!r}")
    requires: Any = []
    if "requires" in reply:
        try:
            requires = parse_json(_text(reply, "requires"))
        except JsonError as error:
            raise _nonsense(f"requires: {error}") from None
    if not isinstance(requires, list) or not all(
        isinstance(each, str) and re.fullmatch(_REQUIREMENT, each) for each in requires
    ):
        raise _nonsense(f"requires is {requires!r}")
    return {"failed": reply["failed"], "text": _text(reply, "text"), "requires": requires}


def output_of(part: Mapping[str, Any]) -> tuple[str, bytes]:
    """Return the stream, "out" or "err", and the bytes of a part of the program's output."""
    if part.get("stream") not in _STREAMS:
        raise _nonsense(f"stream is {part.get('stream')!r}")
    try:
        return str(part["stream"]), base64.b64decode(_text(part, "data"), validate=True)
    except (binascii.Error, ValueError):
        raise _nonsense("data is no base64") from None


def status_of(part: Mapping[str, Any]) -> int | None:
    """Return the program's exit status, None where it ended without one."""
    status = part.get("status", "")
    if status is not None and (not _is_int(status) or not 0 <= status <= 255):
        raise _nonsense(f"status is {status!r}")
    return None if status is None else int(status)


def left_of(reply: Mapping[str, Any]) -> str | None:
    """Return why the job's folder is left there, None where it is gone."""
    return None if reply.get("left", "") is None else shortened(_text(reply, "left"))


def shortened(text: str) -> str:
    """Return the start of a text of the other machine, in one line, without codes that a terminal obeys."""
    shown = one_line(text.strip())
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} ..."


def last_line(text: str) -> str:
    """Return the last line of a text that is not empty, shortened; "" where there is none."""
    lines = [line for line in text.splitlines() if line.strip()]
    return shortened(lines[-1]) if lines else ""


def _text(reply: Mapping[str, Any], name: str) -> str:
    value = reply.get(name)
    if not isinstance(value, str):
        raise _nonsense(f"{name} is {value!r}")
    return value


def _count(reply: Mapping[str, Any], name: str) -> int:
    value = reply.get(name)
    if not _is_int(value) or value < 0:  # type: ignore[operator]  # It is a number.
        raise _nonsense(f"{name} is {value!r}")
    return int(value)  # type: ignore[arg-type]


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _nonsense(what: str) -> LinkError:
    return LinkError(f"what it answers is not of edge-classify's agent: {shortened(what)}", lasting=True)
