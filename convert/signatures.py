"""Signing what is written, and what becomes of the signature of a file that is written again."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..edge.console import say
from ..edge.durable import make_folders
from ..edge.errors import MissingPackageError, OutputExistsError, SignatureError
from ..edge.files import refuse_to_replace, require_writable, write_result
from ..edge.modelfile import ModelFile, mapped
from ..edge.signature import ModelSignature, find_signature
from ..edge.tflite.signing import sign
from ..edge.trusted_keys import fingerprint, read_whole, to_line
from .signing_key import read_signing_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class ModelSigner:
    """Signs files with a private key, as a version of the model; 0 for none."""

    key: Ed25519PrivateKey
    version: int

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> ModelSigner | None:
        """Return what --sign, --key-password and --model-version ask for; raises as read_signing_key does."""
        if options["signing_key"] is None:
            return None
        key = read_signing_key(options["signing_key"], options["key_password"])
        return cls(key, options["model_version"])

    @property
    def public_key(self) -> bytes:
        """The public half, 32 bytes."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, sealed: bytes, name: str) -> bytes:
        """Return a sealed file, called `name`, with its signature."""
        return sign(sealed, self.key, self.version, name)

    def tell(self) -> None:
        """Say who signed, and what devices need to check it."""
        version = f"as version {self.version}" if self.version else "without a version (--model-version)"
        say(
            f"Signed by {fingerprint(self.public_key)}, {version}. "
            f"The line for the KEYS of --require-signature: {to_line(self.public_key)}"
        )


def signed(sealed: bytes, name: str, signer: ModelSigner | None) -> bytes:
    """Return a sealed file with a signature, where there is a signer."""
    return sealed if signer is None else signer.sign(sealed, name)


def signature_record(signer: ModelSigner | None) -> dict[str, Any]:
    """Return what records of a file say of its signature: null where it has none."""
    if signer is None:
        return {"signed_by": None, "model_version": None}
    return {"signed_by": fingerprint(signer.public_key), "model_version": signer.version}


def leave_signature_out(path: Path, signer: ModelSigner | None) -> None:
    """Say that the signature of a file does not hold for what is made of it.

    Raises SignatureError for a file that was changed after it was signed: from such a one nothing is made.
    """
    with mapped(path) as data:
        signature = _own_signature(path, data)
    if signature is not None and signer is None:
        say(
            f"{path} is signed by {fingerprint(signature.key)}: what is made of it is another file, and not "
            "signed. --sign KEY signs it"
        )


def _own_signature(path: Path, data: bytes | mmap.mmap) -> ModelSignature | None:
    """Return a file's signature, if any; raises SignatureError where it does not hold."""
    signature = find_signature(data, str(path))
    if signature is None:
        return None
    try:
        holds = signature.holds()
    except MissingPackageError:  # Nothing is signed either.
        return signature
    if not holds:
        raise SignatureError(
            f"{path} was changed or damaged after {fingerprint(signature.key)} signed it, and nothing is "
            "made of it. Copy it again from where it was signed"
        )
    return signature


@dataclass(frozen=True)
class SignedCopy:
    """The file that was written."""

    path: Path
    model: str
    size_bytes: int
    signer: ModelSigner

    def to_json(self) -> dict[str, Any]:
        """Return the object that --json prints."""
        return {
            "file": str(self.path),
            "model": self.model,
            "size_bytes": self.size_bytes,
            **signature_record(self.signer),
        }


def write_signed_copy(path: Path, output: Path, force: bool, signer: ModelSigner) -> SignedCopy:
    """Write a sealed file with a signature into the folder `output`; nothing else in it changes.

    A signature that it has is replaced. Raises SignatureError for one that was changed after it was signed,
    ConversionError as `sign` does, and OutputExistsError.
    """
    target = output / path.name
    if target.resolve() == path.resolve():
        raise OutputExistsError(f"{path} lies in --output itself, and stays as it is. Name another --output")
    refuse_to_replace(target, force)
    data = read_whole(path)
    old = _own_signature(path, data)
    finished = signer.sign(data, str(path))
    if old is not None:
        say(f"{path}: its signature by {fingerprint(old.key)}, {old.of_version}, is replaced")
    make_folders(output)
    require_writable(target)
    write_result(target, finished, replace=force)
    card = ModelFile.read(finished, str(path)).card
    assert card is not None
    return SignedCopy(target, card.name, len(finished), signer)
