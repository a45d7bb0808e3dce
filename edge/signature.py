"""The signature at the end of a model file: who vouches for all of its bytes, and for which version.

It is the comment of the appended zip, so that readers of zips and of TFLite metadata pass over it. Its form
is written down in docs/reference/formats.md, from which others can check it too. Here it is found, and
checked with the public key that it names; whether that key is to be trusted is the business of
trusted_keys.py.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from typing import TYPE_CHECKING, NamedTuple

from .errors import MissingPackageError, NoPackageError, SignatureError
from .extras import pip_install
from .runtime_packages import PythonBuild

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

# Hashed in front of the file's checksum: a signature of anything else with the same key is none of a model.
CONTEXT = b"edge-classify model signature 1\0"
MOST_VERSIONS = 10**18
_START = b"edge-classify signature "
_BLOCK = re.compile(rb"%b1\nversion ([0-9]{18})\nkey ([0-9a-f]{64})\nsignature ([0-9a-f]{128})\n" % _START)
BLOCK_BYTES = 261
SIGNATURE_LINE_BYTES = 139  # The last line of the block, which alone is not signed.
_ANY_BLOCK = re.compile(rb"%b[0-9]+\n" % _START)
_MOST_COMMENT = 65535  # Of a zip (APPNOTE.TXT 4.4.12).


class ModelSignature(NamedTuple):
    """What a file says of its signer; nothing of it is checked.

    `version` is the model's, 0 where none was given. `key` is the Ed25519 public key, 32 bytes, and `digest`
    the SHA-256 of all that is signed. `value` are the 64 bytes of the signature.
    """

    version: int
    key: bytes
    value: bytes
    digest: bytes

    @property
    def of_version(self) -> str:
        """The version in words, as a part of a sentence."""
        return f"as version {self.version}" if self.version else "without a version"

    def holds(self) -> bool:
        """Return whether `key` signed these bytes; raises MissingPackageError without cryptography."""
        from cryptography.exceptions import InvalidSignature

        public_key = ed25519("Checking a signature")
        try:
            public_key.from_public_bytes(self.key).verify(self.value, message(self.digest))
        except (InvalidSignature, ValueError):
            return False
        return True


def find_signature(data: bytes | mmap.mmap, name: str) -> ModelSignature | None:
    """Return the signature of a file, unchecked; None where it has none.

    Raises SignatureError, which calls the file `name`, where it has one that is cut, changed, followed by
    something, or of a form that this version does not know.
    """
    block = bytes(data[-BLOCK_BYTES:])
    match = _BLOCK.fullmatch(block)
    if match is None:
        if _ANY_BLOCK.search(bytes(data[-_MOST_COMMENT:])):
            raise SignatureError(
                f"{name}: its signature cannot be read: the file was cut, changed or added to after it was "
                "signed, or a newer version of this program signed it. Copy it again from where it was signed"
            )
        return None
    with memoryview(data) as view, view[:-SIGNATURE_LINE_BYTES] as signed:
        digest = hashlib.sha256(signed).digest()
    version, key, value = match.groups()
    return ModelSignature(int(version), bytes.fromhex(key.decode()), bytes.fromhex(value.decode()), digest)


def build_block(version: int, key: bytes, value: bytes) -> bytes:
    """Return the block that stands at the end of a signed file."""
    return b"%b1\nversion %018d\nkey %b\nsignature %b\n" % (
        _START,
        version,
        key.hex().encode(),
        value.hex().encode(),
    )


def message(digest: bytes) -> bytes:
    """Return what the key signs, for the SHA-256 of a file up to the last line of its block."""
    return CONTEXT + digest


def ed25519(purpose: str) -> type[Ed25519PublicKey]:
    """Return the class of public keys; raises MissingPackageError, which says what `purpose` needs."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        if PythonBuild.here().bits == 32:
            raise NoPackageError(
                "the package cryptography",
                purpose,
                "PyPI does not have all that it takes on 32 bits. Run: sudo apt install python3-cryptography "
                "(it is found in environments that were made with --system-site-packages)",
            ) from None
        raise MissingPackageError("the package cryptography", purpose, pip_install("sign")) from None
    return Ed25519PublicKey
