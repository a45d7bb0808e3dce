"""SHA-256 fingerprints of certificates, as browsers, cameras and openssl show them."""

from __future__ import annotations

import re

from ..errors import OptionError

_DIGITS = 64  # Hexadecimal digits of SHA-256.
_LABEL = re.compile(r"\s*sha-?256([ _]?fingerprint)?\s*[:=]", re.IGNORECASE)


def parse_fingerprint(text: str) -> str:
    """Read a fingerprint, with or without colons or spaces, in letters of either case.

    What openssl writes before it ("sha256 Fingerprint=") is allowed. Returns it as AA:BB:..., and raises
    OptionError for anything but 64 hexadecimal digits.
    """
    digits = re.sub(r"[:\s-]", "", _LABEL.sub("", text, count=1))
    if not re.fullmatch(rf"[0-9a-fA-F]{{{_DIGITS}}}", digits):
        sha1 = " (40 digits are SHA-1, which is not safe)" if re.fullmatch(r"[0-9a-fA-F]{40}", digits) else ""
        raise OptionError(
            f"a certificate's SHA-256 fingerprint has {_DIGITS} hexadecimal digits, with or without "
            f"colons{sha1}. Received: {text}"
        )
    return _with_colons(digits)


def fingerprint_of(certificate: bytes) -> str:
    """Return the fingerprint of a certificate in DER, as parse_fingerprint does."""
    import hashlib

    return _with_colons(hashlib.sha256(certificate).hexdigest())


def _with_colons(digits: str) -> str:
    return ":".join(re.findall("..", digits.upper()))
