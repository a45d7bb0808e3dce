"""The file of public keys that --require-signature names: whose models may be run, and from which version on.

Its lines are those of OpenSSH's authorized_keys, and PEM blocks of openssl are read too:

    # the workshop
    ssh-ed25519 AAAAC3Nza... anna@workshop
    min-version=7 ssh-ed25519 AAAAC3Nza... release key
"""

from __future__ import annotations

import base64
import hashlib
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import ModelFileError, OptionError, SignatureError, model_name
from .modelfile import ModelFile
from .signature import ModelSignature, ed25519, find_signature
from .small_files import read_small

_MOST_BYTES = 4 * 1024 * 1024
_MOST_MODEL_BYTES = 2**31 - 1  # As tflite/model.py writes them.
_KIND = "ssh-ed25519"
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_MIN_VERSION = re.compile(r"min-version=([0-9]{1,18})", re.ASCII)
# Words that a line with a key of another kind has: of OpenSSH's key types.
_OTHER_KIND = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa|rsa|webauthn)-[a-z0-9@.-]+")
_MOST_NAME = 60
_P = 2**255 - 19
# The y of the eight points whose order divides the cofactor 8 (RFC 8032, 5.1): whoever trusts one of them as
# a key trusts signatures that anybody can compute. The last two are those of order 8.
_SMALL_ORDER = {
    0,
    1,
    _P - 1,
    int.from_bytes(
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
    ),
    int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    ),
}


class TrustedKey(NamedTuple):
    """A key whose models are run from `min_version` on; `name` is the comment beside it, or empty."""

    key: bytes
    name: str = ""
    min_version: int = 0

    def describe(self) -> str:
        """Return the name, where there is one, and the fingerprint."""
        return f"{self.name!r} ({fingerprint(self.key)})" if self.name else fingerprint(self.key)


class Signer(NamedTuple):
    """A file's signature, which holds, and the key that is trusted."""

    signature: ModelSignature
    key: TrustedKey


class TrustedKeys(NamedTuple):
    """The keys of a file; `path` is its name in messages."""

    path: Path
    keys: tuple[TrustedKey, ...]

    @classmethod
    def read(cls, path: Path) -> TrustedKeys:
        """Read a file of public keys.

        Raises OptionError for a file that cannot be read or that everybody may write, and as `parse` does.
        """
        if path.exists() and not path.is_file():
            raise OptionError(f"{path} is not a file. Name one that holds the public keys")
        raw = read_small(path, _MOST_BYTES, "a file of public keys", OptionError)
        if path.stat().st_mode & stat.S_IWOTH:
            raise OptionError(
                f"{path} can be written by everybody, who could add a key. Run: chmod o-w {path}"
            )
        return cls.parse(raw, path)

    @classmethod
    def parse(cls, raw: bytes, path: Path) -> TrustedKeys:
        """Read the bytes of a file of public keys, called `path`.

        Raises OptionError where they hold no key, or anything but comments and Ed25519 public keys; and
        MissingPackageError without cryptography.
        """
        ed25519("--require-signature")
        try:
            # Not splitlines: a comment could hide a key behind a character that ends no line in editors.
            lines = raw.decode("utf-8-sig").split("\n")
        except UnicodeDecodeError:
            raise OptionError(f"{path} is no text, and a file of public keys is") from None
        keys = tuple(_keys(path, lines))
        if not keys:
            raise OptionError(
                f"{path} holds no public key. Append one a line, as ssh-keygen writes it into a .pub file"
            )
        return cls(path, keys)

    def signer(self, data: bytes, name: str) -> Signer:
        """Return who vouches for a file's bytes, called `name`; raises SignatureError where nobody does."""
        signature = find_signature(data, name)
        if signature is None:
            raise SignatureError(
                f"{name} is not signed, and --require-signature asks for it. Sign it where it was made: "
                f"edge-convert {Path(name).name} --sign KEY -o DIR"
            )
        found = [key for key in self.keys if key.key == signature.key]
        if not found:
            raise SignatureError(
                f"{name} says that {fingerprint(signature.key)} signed it, which is none of the keys in "
                f"{self.path}. Add the signer's key only if you have it from the signer"
            )
        if not signature.holds():
            raise SignatureError(
                f"{name} was changed or damaged after {found[0].describe()} signed it: its signature does "
                "not fit it. Copy it again from where it was signed"
            )
        strictest = max(found, key=lambda key: key.min_version)
        if signature.version < strictest.min_version:
            raise SignatureError(
                f"{name} is version {signature.version} of {strictest.describe()}, and {self.path} takes "
                f"{strictest.min_version} or later. Copy the newer file"
            )
        return Signer(signature, strictest)

    def read_model(self, model: Path | bytes) -> ModelFile:
        """Read a .tflite, or its bytes, whose signature is checked before anything else in it is looked at.

            file = TrustedKeys.read(Path("release.pub")).read_model(Path("cnn_int8.tflite"))
            Classifier(file).classify("photo.jpg")

        A file is read once: `model` of what is returned are the bytes that were checked. Raises
        SignatureError, and as ModelFile.read does.
        """
        name = model_name(model)
        data = model if isinstance(model, bytes) else read_whole(model)
        self.signer(data, name)
        return ModelFile.read(data, name)


def read_whole(path: Path) -> bytes:
    """Return the bytes of a model file; raises ModelFileError where it cannot be read or is too large."""
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file" if not path.exists() else f"{path} is not a file")
    try:
        if path.stat().st_size > _MOST_MODEL_BYTES:
            raise ModelFileError(f"{path} is larger than 2 GB, and no sealed or signed model is")
        with path.open("rb") as file:
            return file.read(_MOST_MODEL_BYTES)
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror})") from None
    except MemoryError:
        raise ModelFileError(f"{path} does not fit into the memory of this machine") from None


def fingerprint(key: bytes) -> str:
    """Return a public key's fingerprint, as ssh-keygen -l shows it."""
    digest = hashlib.sha256(_wire(key)).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def to_line(key: bytes, comment: str = "") -> str:
    """Return the line of a public key for a file of keys."""
    return f"{_KIND} {base64.b64encode(_wire(key)).decode()} {comment}".rstrip()


def _wire(key: bytes) -> bytes:
    """Return a public key as SSH sends it (RFC 8709, section 4)."""
    parts = (_KIND.encode(), key)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _keys(path: Path, lines: Sequence[str]) -> Iterator[TrustedKey]:
    block: list[str] = []
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        text = line.strip()
        if block:
            block.append(text)
            if text.startswith("-----END "):
                yield TrustedKey(_from_pem(block, where))
                block = []
        elif begin := _PEM.fullmatch(text):
            _require_public(begin[1], where)
            block = [text]
        elif text and not text.startswith("#"):
            yield _from_line(text, where)
    if block:
        raise OptionError(f"{path} ends inside a PEM block. Copy the key again")


def _require_public(kind: str, where: str) -> None:
    if "PRIVATE" in kind:
        raise OptionError(
            f"{where}: this is a private key, which belongs on no device. Give its public half: "
            "ssh-keygen -y -f KEY, or openssl pkey -in KEY -pubout"
        )
    if kind != "PUBLIC KEY":
        raise OptionError(f"{where}: a block {kind} is no Ed25519 public key. {_WANTED}")


_WANTED = "Lines begin with ssh-ed25519, and PEM blocks with BEGIN PUBLIC KEY"


def _from_pem(block: Sequence[str], where: str) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key("\n".join(block).encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise OptionError(
            f"{where}: the PEM block that ends here cannot be read. Copy the key again"
        ) from None
    return _raw(key, where)


def _from_line(text: str, where: str) -> TrustedKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    first, _, rest = text.partition(" ")
    least = 0
    if "=" in first:
        option = _MIN_VERSION.fullmatch(first)
        if option is None:
            raise OptionError(
                f"{where}: the only option of a key is min-version=N. Received: {first[:_MOST_NAME]!r}"
            )
        least, text = int(option[1]), rest.strip()
    parts = text.split(maxsplit=2)
    if len(parts) < 2 or parts[0] != _KIND:
        other = parts and parts[0] != _KIND and _OTHER_KIND.fullmatch(parts[0])
        what = f"a key of kind {parts[0]}" if other else "no public key"
        raise OptionError(f"{where}: {what}, and Ed25519 is asked for. {_WANTED}")
    try:
        key = load_ssh_public_key(" ".join(parts[:2]).encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise OptionError(f"{where}: the key cannot be read. Copy the line again, whole") from None
    return TrustedKey(_raw(key, where), parts[2][:_MOST_NAME] if len(parts) > 2 else "", least)


def _raw(key: object, where: str) -> bytes:
    """Return the 32 bytes of an Ed25519 key that somebody can have; raises OptionError for another one."""
    if not isinstance(key, ed25519("--require-signature")):
        raise OptionError(f"{where}: the key is no Ed25519 key. Make one with: ssh-keygen -t ed25519 -f KEY")
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    y = int.from_bytes(raw, "little") % 2**255 % _P  # The highest bit is the sign of x (RFC 8032, 5.1.2).
    if y in _SMALL_ORDER:
        raise OptionError(f"{where}: the key is of small order: anybody can sign for it. Remove it")
    return raw
