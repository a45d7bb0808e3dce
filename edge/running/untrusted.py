"""What --untrusted adds to a run: pictures decoded in other processes, and what could not be limited."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..classifier import Classifier
from ..console import say
from ..decoding import decoded_by
from ..isolation.pictures import IsolatedDecoder
from ..sources.addresses import redact

_OWN_PIXELS = "picamera"  # It delivers pixels, which nothing decodes.


@contextmanager
def isolated_pictures() -> Iterator[IsolatedDecoder]:
    """Decode what comes in files and from network cameras in other processes, inside the `with` block."""
    decoder = IsolatedDecoder()
    try:
        with decoded_by(decoder):
            yield decoder
    finally:
        decoder.close()


def say_what_is_missing(
    classifiers: Sequence[Classifier], decoder: IsolatedDecoder, camera: str | None
) -> None:
    """Print one remark with all that this machine, or this run, does not limit; nothing where all is.

    Raises ImageError where the decoder cannot be started.
    """
    missing = [sentence for classifier in classifiers for sentence in classifier.missing]
    missing += decoder.missing
    parts = list(dict.fromkeys(missing))
    if camera is not None and not _is_decoded_apart(camera):
        parts.append(f"what OpenCV reads from {redact(camera)} is decoded in this process")
    if parts:
        say(f"--untrusted does not hold in full here: {'; '.join(parts)}", "warning", not_limited=parts)


def _is_decoded_apart(camera: str) -> bool:
    """Return whether pictures of this camera are decoded in the other processes, or not at all."""
    kind = camera.lower().partition(":")[0]
    return kind in ("http", "https", _OWN_PIXELS)
