"""The private key of --sign: read from a file that others cannot read, and never shown."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..edge.errors import MissingPackageError, OptionError
from ..edge.extras import pip_install
from ..edge.printable import one_line
from ..edge.signature import ed25519
from ..edge.small_files import read_small

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PASSWORD_VARIABLE = "EDGE_CONVERT_KEY_PASSWORD"
_MOST_BYTES = 64 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OPENSSH = b"BEGIN OPENSSH PRIVATE KEY"
_HOW = "Make one with: ssh-keygen -t ed25519 -f KEY, or openssl genpkey -algorithm ed25519 -out KEY"


def read_signing_key(path: Path, password_file: Path | None = None) -> Ed25519PrivateKey:
    """Read an Ed25519 private key, in PEM (PKCS 8) or OpenSSH's format.

    The password of an encrypted one is the first line of `password_file`, or else that of the environment, or
    else asked for on the terminal. Raises OptionError for a file that others may read, that holds no such key
    or whose password is wrong, and MissingPackageError without cryptography.
    """
    ed25519("--sign")
    raw, mode = _read(path)
    if not raw.lstrip().startswith(b"-----BEGIN ") or b"PRIVATE KEY" not in raw:
        what = (
            "a public key" if raw.lstrip().startswith((b"ssh-", b"-----BEGIN PUBLIC")) else "no private key"
        )
        raise OptionError(
            f"{path} holds {what}, and --sign needs a private one in PEM or OpenSSH's format. {_HOW}"
        )
    if os.name == "posix" and mode & _OTHERS:
        raise OptionError(
            f"{path} can be used by others (mode {mode:04o}), and a private key must not. "
            f"Run: chmod 600 {path}"
        )
    key = _load(path, raw, None)
    if key is None:
        key = _load(path, raw, _password(path, password_file))
    elif password_file is not None:
        raise OptionError(f"{path} is not encrypted: leave --key-password out")
    if key is None:
        raise OptionError(f"{path} needs a password, and got an empty one")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not isinstance(key, Ed25519PrivateKey):
        kind = type(key).__name__.strip("_").removesuffix("PrivateKey").replace("EllipticCurve", "EC")
        raise OptionError(f"{path} is a private key of kind {kind}, and Ed25519 is asked for. {_HOW}")
    return key


def _read(path: Path) -> tuple[bytes, int]:
    """Return the bytes of a small regular file, and its mode."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        handle = os.open(path, flags)
        with os.fdopen(handle, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise OptionError(f"{path} is not a regular file, and --sign names one with a private key")
            raw = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise OptionError(f"{path} cannot be read as a private key: {error.strerror}") from None
    if len(raw) > _MOST_BYTES:
        raise OptionError(f"{path} is too large for a private key. {_HOW}")
    return raw, stat.S_IMODE(mode)


def _load(path: Path, raw: bytes, password: bytes | None) -> Any:
    """Return the key; None where it is encrypted and there is no password.

    Messages of the library are left out: nothing of a private key can get into a log.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    load = load_ssh_private_key if _OPENSSH in raw else load_pem_private_key
    try:
        return load(raw, password or None)
    except TypeError:  # "Password was not given but private key is encrypted"
        return None
    except UnsupportedAlgorithm as error:
        if "bcrypt" in str(error):
            raise MissingPackageError(
                "the package bcrypt", f"The encrypted key {path}", pip_install("sign")
            ) from None
        raise OptionError(
            f"{path} is a private key of a kind that cryptography does not read. {_HOW}"
        ) from None
    except ValueError as error:
        if not password and "password" in str(error).lower():
            return None
        wrong = "the password is wrong, or the file is damaged" if password else "the file is damaged"
        raise OptionError(f"{path} cannot be read as a private key: {wrong}") from None


def _password(path: Path, file: Path | None) -> bytes:
    if file is not None:
        raw = read_small(file, _MOST_BYTES, "a file with a password", OptionError)
        return raw.splitlines()[0] if raw.strip() else b""
    if (given := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return os.fsencode(given)
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError(
            f"{path} is encrypted, and there is no terminal to ask for its password. Give it as "
            f"--key-password FILE, or in the environment as {PASSWORD_VARIABLE}"
        )
    text: str = click.prompt(one_line(f"Password of {path}"), hide_input=True, err=True)
    return text.encode()
