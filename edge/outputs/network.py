"""Helpers of the outputs that send over a network."""

from __future__ import annotations

import ssl

# How long an ending run still sends the remaining results: a camera's run must stop at once, but a run of
# files has always waited for the receiver.
_CLOSING_SECONDS, _PATIENT_CLOSING_SECONDS = 5.0, 60.0


def closing_seconds(wait: bool) -> float:
    """Return how many seconds close() may take, with or without `wait` for the receiver."""
    return _PATIENT_CLOSING_SECONDS if wait else _CLOSING_SECONDS


def program_version() -> str:
    """Return the version of the installed package."""
    from importlib.metadata import version

    return version("edge-classify")


def to_reason(error: OSError) -> str:
    """Return why a receiver cannot be reached, as a phrase that follows its name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"shows a TLS certificate that is not trusted ({error.verify_message}). If it is your own, "
            "name the file of its authority in the environment variable SSL_CERT_FILE"
        )
    if isinstance(error, ssl.SSLError):
        return f"does not speak TLS as it should ({(error.reason or 'broken off').replace('_', ' ').lower()})"
    if isinstance(error, TimeoutError):
        return "cannot be reached (no answer in time)"
    return f"cannot be reached ({error.strerror or type(error).__name__})"
