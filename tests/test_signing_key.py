"""The private key of edge-convert --sign: where it may come from, and that nothing of it is shown."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from edge_classify.convert.signing_key import PASSWORD_VARIABLE, read_signing_key
from edge_classify.edge.errors import OptionError

from .support.signing import KeyPair, make_key
from .support.system import require

PASSWORD = "open sesame \u00e4"


@pytest.fixture
def anna(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


def write(folder: Path, key: object, form: PrivateFormat, password: str | None = None) -> Path:
    locked = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    path = folder / "key"
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, form, locked))  # type: ignore[attr-defined]
    return path


def same(one: Ed25519PrivateKey, other: Ed25519PrivateKey) -> bool:
    return one.sign(b"x") == other.sign(b"x")  # Ed25519 signs without random numbers.


def test_keys_of_ssh_keygen_and_openssl_are_read(tmp_path: Path) -> None:
    keygen, openssl = require("ssh-keygen"), require("openssl")
    by_ssh, by_openssl = tmp_path / "ssh", tmp_path / "pem"
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", by_ssh], check=True)
    subprocess.run([openssl, "genpkey", "-algorithm", "ed25519", "-out", by_openssl], check=True)
    for path in (by_ssh, by_openssl):
        assert isinstance(read_signing_key(path), Ed25519PrivateKey)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.OpenSSH])
@pytest.mark.parametrize("way", ["file", "environment"])
def test_encrypted_key_takes_its_password_from_a_file_or_the_environment(
    way: str, form: PrivateFormat, tmp_path: Path, anna: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, file = write(tmp_path, anna.key, form, PASSWORD), tmp_path / "password"
    for password in ("wrong", PASSWORD):
        file.write_text(f"{password}\nanother line\n", encoding="utf-8")
        monkeypatch.setenv(PASSWORD_VARIABLE, "ignored" if way == "file" else password)
        given = file if way == "file" else None
        if password == PASSWORD:
            assert same(read_signing_key(path, given), anna.key)
        else:
            with pytest.raises(OptionError, match="the password is wrong, or the file is damaged"):
                read_signing_key(path, given)


def test_encrypted_key_asks_on_the_terminal_without_showing_what_is_typed(
    tmp_path: Path, anna: KeyPair
) -> None:
    path = write(tmp_path, anna.key, PrivateFormat.PKCS8, "geheim")
    code = (
        "import sys; from pathlib import Path\n"
        "from edge_classify.convert.signing_key import read_signing_key\n"
        "print(read_signing_key(Path(sys.argv[1])).sign(b'x').hex())"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop(PASSWORD_VARIABLE, None)
        os.execv(sys.executable, [sys.executable, "-c", code, str(path)])
    shown = b""
    while b"Password of" not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, b"geheim\n")
    while True:
        try:
            part = os.read(terminal, 1024)
        except OSError:  # Linux's way to say that the other end is closed.
            break
        if not part:
            break
        shown += part
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert anna.key.sign(b"x").hex().encode() in shown
    assert b"geheim" not in shown


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.OpenSSH])
def test_encrypted_key_without_a_password_says_how_to_give_it(
    form: PrivateFormat, tmp_path: Path, anna: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, anna.key, form, PASSWORD)
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(
        OptionError, match=f"--key-password FILE, or in the environment as {PASSWORD_VARIABLE}"
    ):
        read_signing_key(path)
    empty = tmp_path / "empty"
    empty.write_text("\n")
    with pytest.raises(OptionError, match="needs a password, and got an empty one"):
        read_signing_key(path, empty)


def test_password_of_a_key_that_has_none_is_refused(tmp_path: Path, anna: KeyPair) -> None:
    file = tmp_path / "password"
    file.write_text("x")
    with pytest.raises(OptionError, match="is not encrypted: leave --key-password out"):
        read_signing_key(anna.path, file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o777])
def test_key_that_others_can_use_is_refused_with_the_remedy(mode: int, anna: KeyPair) -> None:
    anna.path.chmod(mode)
    with pytest.raises(OptionError, match=rf"mode {mode:04o}\), and a private key must not. Run: chmod 600"):
        read_signing_key(anna.path)


@pytest.mark.parametrize("kind", ["RSA", "EC", "Ed448"])
def test_key_of_another_kind_is_refused_by_its_kind(kind: str, tmp_path: Path) -> None:
    key = {
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
        "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
        "Ed448": Ed448PrivateKey.generate,
    }[kind]()
    path = write(tmp_path, key, PrivateFormat.PKCS8)
    with pytest.raises(OptionError, match=rf"of kind {kind}, and Ed25519 is asked for. Make one with"):
        read_signing_key(path)


def test_what_is_no_private_key_is_refused_at_once(tmp_path: Path, anna: KeyPair) -> None:
    with pytest.raises(OptionError, match="holds a public key, and --sign needs a private one"):
        read_signing_key(anna.public)
    pipe, text, large = tmp_path / "pipe", tmp_path / "text", tmp_path / "large"
    os.mkfifo(pipe)
    text.write_text("hello")
    large.write_bytes(anna.path.read_bytes() + bytes(1 << 20))
    for path, said in (
        (pipe, "is not a regular file"),
        (tmp_path, "is not a regular file|Is a directory"),
        (text, "holds no private key"),
        (large, "is too large"),
        (tmp_path / "nothing", "No such file"),
    ):
        with pytest.raises(OptionError, match=said):
            read_signing_key(path)


def test_no_part_of_a_damaged_key_is_shown(anna: KeyPair) -> None:
    lines = anna.path.read_text().splitlines()
    for place in range(1, len(lines) - 1):
        for changed in (lines[place][:-4] + "!!!!", lines[place][:20], lines[place].swapcase()):
            anna.path.write_text("\n".join([*lines[:place], changed, *lines[place + 1 :]]) + "\n")
            try:
                read_signing_key(anna.path)
            except OptionError as error:
                assert not any(line[:12] in str(error) for line in lines[1:-1])


def test_encrypted_key_of_ssh_keygen_names_the_package_that_it_needs(tmp_path: Path, anna: KeyPair) -> None:
    path = write(tmp_path, anna.key, PrivateFormat.OpenSSH, PASSWORD)
    code = (
        "import sys; sys.modules['bcrypt'] = None; from pathlib import Path\n"
        "from edge_classify.convert.signing_key import read_signing_key; read_signing_key(Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True, text=True, check=False, env={**os.environ, PASSWORD_VARIABLE: PASSWORD},
    )  # fmt: skip
    assert done.stderr.splitlines()[-1].endswith('"bcrypt>=3.2"')
