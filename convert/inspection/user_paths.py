"""Paths in a file that name a user of the machine that made it, as some converters leave them behind."""

from __future__ import annotations

import re

# Bytes of weights match by chance once in 2^48 or more.
_HOME = re.compile(rb"(?:/home/|/Users/|[A-Z]:\\\\?Users\\\\?)[\w .@-]{1,64}")


def find_user_paths(data: bytes | memoryview) -> tuple[str, ...]:
    """Return the different beginnings of such paths, such as "/home/anna", in order."""
    found = (bytes(match.group()).decode("ascii", "backslashreplace") for match in _HOME.finditer(data))
    return tuple(dict.fromkeys(found))
