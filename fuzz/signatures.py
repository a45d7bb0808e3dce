"""Readers of what decides whose models run: signatures, and files of public keys."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from edge_classify.edge.errors import OptionError, SignatureError
from edge_classify.edge.tflite.signing import sign
from edge_classify.edge.trusted_keys import TrustedKeys, to_line

from tests.support.tiny_model import write_sealed

from .target import Target

_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_PUBLIC = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
_NAME = Path("keys")


@cache
def _signed() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        sealed = write_sealed(Path(folder) / "m.tflite").read_bytes()
    return sign(sealed, _KEY, 7, "m")


@cache
def _trusted() -> TrustedKeys:
    return TrustedKeys.parse(to_line(_PUBLIC, "anna").encode(), _NAME)


def _signature(data: bytes) -> None:
    _ = _trusted().signer(data, "m")
    assert data == _signed(), "a file passes that nobody signed"


def _keys(data: bytes) -> None:
    for key in TrustedKeys.parse(data, _NAME).keys:
        assert len(key.key) == 32 and key.describe().isprintable(), "a signer who cannot be shown"


def _signature_seeds() -> Iterator[bytes]:
    yield _signed()


def _key_seeds() -> Iterator[bytes]:
    line = to_line(_PUBLIC)
    yield f"# anna\nmin-version=7 {line} anna\n{line}\n".encode()
    yield (
        b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
        b"-----END PUBLIC KEY-----\n"
    )


TARGETS = (
    Target("signature", _signature, (SignatureError,), _signature_seeds, 16384),
    Target("keys", _keys, (OptionError,), _key_seeds),
)
