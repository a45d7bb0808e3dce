"""What this machine gives to --untrusted."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import ImageError
from ..isolation.pictures import IsolatedDecoder
from .finding import OK, WARNING, Finding


def check_sandbox() -> Iterator[Finding]:
    """Report what a process of --untrusted gives up here; it is started and asked.

    A kernel without Landlock is no fault: only who runs strangers' files needs it.
    """
    decoder = IsolatedDecoder()
    try:
        missing = decoder.missing
    except ImageError as error:
        yield Finding("sandbox", WARNING, f"--untrusted does not work: {error}", "Run without --untrusted")
        return
    finally:
        decoder.close()
    held = "files, network, processes, code and memory are taken from its processes"
    yield Finding("sandbox", OK, f"--untrusted: {'; '.join(missing) if missing else held}")
