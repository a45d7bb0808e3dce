"""Puts a signature at the end of a sealed model file, or takes it off; no other byte of the model changes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..errors import ConversionError
from ..modelfile import ModelFile
from ..signature import (
    BLOCK_BYTES,
    MOST_VERSIONS,
    SIGNATURE_LINE_BYTES,
    build_block,
    find_signature,
    message,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_END_RECORD = struct.Struct("<4s16sH")  # Of a zip, up to the length of its comment (APPNOTE.TXT 4.3.16).
_END_MAGIC = b"PK\x05\x06"
_NO_SIGNATURE = bytes(64)


def sign(sealed: bytes, key: Ed25519PrivateKey, version: int, name: str) -> bytes:
    """Return a sealed file, which may be signed already, with a signature of all its bytes and `version`.

    Ed25519 needs no random numbers: the same arguments give the same bytes. Raises ConversionError for a file
    without a card or with a comment of another program in its zip, and as ModelFile.read does; and ValueError
    for a version that is negative or too large.
    """
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if not 0 <= version < MOST_VERSIONS:
        raise ValueError(f"version must be 0 to {MOST_VERSIONS - 1}. Received: {version}")
    plain = without_signature(sealed, name)
    if ModelFile.read(plain, name).card is None:
        raise ConversionError(f"{name} has no card, and only sealed files are signed. Give --seal too")
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    opened = _with_comment_length(plain, BLOCK_BYTES, name)
    signed = (opened + build_block(version, public, _NO_SIGNATURE))[:-SIGNATURE_LINE_BYTES]
    value = key.sign(message(hashlib.sha256(signed).digest()))
    finished = opened + build_block(version, public, value)
    found = find_signature(finished, name)
    assert found is not None
    assert found.holds()
    ModelFile.read(finished, name)
    return finished


def without_signature(sealed: bytes, name: str) -> bytes:
    """Return a file as it was before it was signed; raises SignatureError as find_signature does."""
    if find_signature(sealed, name) is None:
        return sealed
    return _with_comment_length(sealed[:-BLOCK_BYTES], 0, name, BLOCK_BYTES)


def _with_comment_length(data: bytes, length: int, name: str, expected: int = 0) -> bytes:
    """Return a file whose zip, the end of `data`, says another length of its comment."""
    magic, record, found = _END_RECORD.unpack(data[-_END_RECORD.size :])
    if (magic, found) != (_END_MAGIC, expected):
        raise ConversionError(
            f"{name} cannot be signed: there is something behind the files appended to it, or they have a "
            "comment. Seal it again: edge-convert --seal"
        )
    return data[: -_END_RECORD.size] + _END_RECORD.pack(magic, record, length)
