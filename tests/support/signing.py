"""Keys, and model files that are signed with them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from edge_classify.edge.tflite.signing import sign

from .tiny_model import write_sealed


class KeyPair(NamedTuple):
    """A private key, its file, and the file with the public key, as ssh-keygen writes both."""

    key: Ed25519PrivateKey
    path: Path
    public: Path

    @property
    def raw(self) -> bytes:
        """The public key, 32 bytes."""
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def line(self) -> str:
        """The line of the public key, without a comment."""
        return self.key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def make_key(folder: Path, name: str = "anna") -> KeyPair:
    """Write a key pair into a folder; the comment of the public key is its name."""
    key = Ed25519PrivateKey.generate()
    pair = KeyPair(key, folder / name, folder / f"{name}.pub")
    pair.path.touch(0o600)
    pair.path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    pair.public.write_text(f"{pair.line} {name}\n")
    return pair


def write_signed(path: Path, pair: KeyPair, version: int = 7, flatbuffer: bytes | None = None) -> Path:
    """Write a sealed file with two golden examples, signed."""
    write_sealed(path, flatbuffer)
    path.write_bytes(sign(path.read_bytes(), pair.key, version, path.name))
    return path
