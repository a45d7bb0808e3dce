"""What the outputs that send over a network share."""

from __future__ import annotations

import ssl

# How long a run that ends still tries to bring what is left to a receiver: a camera's must stop when it is
# told to; one of files has waited for the receiver all along.
_CLOSING_SECONDS, _PATIENT_CLOSING_SECONDS = 5.0, 60.0


def closing_seconds(wait: bool) -> float:
    """Return how long close() may take, for sources that wait for a receiver and for those that don't."""
    return _PATIENT_CLOSING_SECONDS if wait else _CLOSING_SECONDS


def program_version() -> str:
    """Return the version of the installed package."""
    from importlib.metadata import version

    return version("edge-classify")


def to_reason(error: OSError) -> str:
    """Say in a clause that follows the receiver's name why it cannot be reached."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"shows a TLS certificate that is not trusted ({error.verify_message}). Where it is one of your "
            "own, name the file of its authority in the environment variable SSL_CERT_FILE"
        )
    if isinstance(error, ssl.SSLError):
        return f"does not speak TLS as it should ({(error.reason or 'broken off').replace('_', ' ').lower()})"
    if isinstance(error, TimeoutError):
        return "cannot be reached (no answer in time)"
    return f"cannot be reached ({error.strerror or type(error).__name__})"
