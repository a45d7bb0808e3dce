"""The file of --require-signature: whose keys are read from it, and which lines are refused, and why."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from edge_classify.edge.errors import ModelFileError, OptionError, SignatureError
from edge_classify.edge.trusted_keys import TrustedKey, TrustedKeys, fingerprint, to_line

from .support.signature_reader import ORDER, PRIME, decode, multiply
from .support.signing import KeyPair, make_key, write_signed
from .support.system import require

PEM, SSH = Encoding.PEM, Encoding.OpenSSH


@pytest.fixture
def anna(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


def read(folder: Path, text: str | bytes) -> TrustedKeys:
    path = folder / "keys"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return TrustedKeys.read(path)


def pem(pair: KeyPair) -> str:
    return pair.key.public_key().public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_lines_of_ssh_keygen_and_blocks_of_openssl_are_read_with_comments_between(tmp_path: Path) -> None:
    pairs = [make_key(tmp_path, name) for name in ("a", "b", "c")]
    text = (
        f"# the workshop\n\n{pairs[0].line} anna at work\r\n{pem(pairs[1])}\n"
        f"min-version=12  {pairs[2].line}\n"
    )
    assert read(tmp_path, b"\xef\xbb\xbf" + text.encode()).keys == (
        TrustedKey(pairs[0].raw, "anna at work"),
        TrustedKey(pairs[1].raw),
        TrustedKey(pairs[2].raw, min_version=12),
    )


def test_fingerprint_and_line_are_those_of_ssh_keygen(anna: KeyPair) -> None:
    keygen = require("ssh-keygen")
    shown = subprocess.run([keygen, "-l", "-f", anna.public], capture_output=True, text=True, check=True)
    assert fingerprint(anna.raw) == shown.stdout.split()[1]
    assert to_line(anna.raw, "anna") == anna.public.read_text().strip()


def test_key_among_ten_thousand_is_found(tmp_path: Path, anna: KeyPair) -> None:
    others = [to_line(os.urandom(32), f"key {number}") for number in range(10_000)]
    keys = read(tmp_path, "\n".join([*others, anna.line]))
    assert len(keys.keys) == 10_001
    data = write_signed(tmp_path / "m.tflite", anna).read_bytes()
    assert keys.signer(data, "m").key.key == anna.raw


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no public key"),
        ("# nothing\n\n", "holds no public key"),
        ("ssh-ed25519", "line 1: no public key"),
        ("ssh-ed25519 AAAA anna", "line 1: the key cannot be read"),
        ("hello world", "line 1: no public key"),
        ("\n\ncommand=x {line}", "line 3: the only option of a key is min-version=N. Received: 'command=x'"),
        ("min-version=-1 {line}", "the only option of a key is min-version=N"),
        ("min-version=\u0667 {line}", "the only option of a key is min-version=N"),
        ("min-version=7", "line 1: no public key"),
        ("{pem_cut}", "ends inside a PEM block"),
        ("{pem_broken}", "the PEM block that ends here cannot be read"),
        ("{private}", "line 1: this is a private key, which belongs on no device"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "a block CERTIFICATE is no Ed25519"),
        (b"\xff\xfes\0s\0h\0", "is no text"),
    ],
)
def test_file_of_something_else_is_refused_by_its_line(
    text: str | bytes, said: str, tmp_path: Path, anna: KeyPair
) -> None:
    if isinstance(text, str):
        block = pem(anna)
        text = text.replace("{line}", anna.line).replace("{private}", anna.path.read_text())
        text = text.replace("{pem_cut}", block[:60]).replace("{pem_broken}", block.replace("MCow", "MCox"))
    with pytest.raises(OptionError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    secret = anna.path.read_text().splitlines()[2]
    assert secret not in str(caught.value)


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256", "pem of rsa", "pem of ed448", "sk"])
def test_key_of_another_kind_is_refused(kind: str, tmp_path: Path) -> None:
    if kind == "pem of ed448":
        public = Ed448PrivateKey.generate().public_key()
        text = public.public_bytes(PEM, PublicFormat.SubjectPublicKeyInfo)
    elif kind == "ecdsa-sha2-nistp256":
        text = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(SSH, PublicFormat.OpenSSH)
    elif kind == "sk":
        text = b"sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t"
    else:
        rsa_key = rsa.generate_private_key(65537, 2048).public_key()
        form = (SSH, PublicFormat.OpenSSH) if kind == "ssh-rsa" else (PEM, PublicFormat.SubjectPublicKeyInfo)
        text = rsa_key.public_bytes(*form)
    with pytest.raises(OptionError, match="Ed25519"):
        read(tmp_path, text)


def small_order_keys() -> list[bytes]:
    """Return all encodings of the points whose order divides 8, also those that no honest encoder writes."""
    small = {0, 1, PRIME - 1}
    y = 2
    while len(small) < 5:
        point = decode(y.to_bytes(32, "little"))
        if point is not None:
            small.add(multiply(ORDER, point)[1])
        y += 1
    wide = [number + extra for number in small for extra in (0, PRIME) if number + extra < 2**255]
    return [(number | sign << 255).to_bytes(32, "little") for number in wide for sign in (0, 1)]


def test_key_that_anybody_can_sign_for_is_refused(tmp_path: Path) -> None:
    keys = small_order_keys()
    assert len(keys) == 14
    for key in keys:
        with pytest.raises(OptionError, match="the key is of small order"):
            read(tmp_path, to_line(key))


@pytest.mark.parametrize("separator", ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029", "\r"])
def test_comment_hides_no_second_key(separator: str, tmp_path: Path, anna: KeyPair) -> None:
    hidden = make_key(tmp_path, "mallory")
    keys = read(tmp_path, f"{anna.line} anna{separator}{hidden.line} mallory\n")
    assert [key.key for key in keys.keys] == [anna.raw]


@pytest.mark.parametrize("comment", ["\x1b[2Jred", "\u202egnp.exe", "x" * 100_000, "a\tb\x07", "{x} %s \\n"])
def test_hostile_comment_is_shown_short_and_harmless(comment: str, tmp_path: Path, anna: KeyPair) -> None:
    described = read(tmp_path, f"{anna.line} {comment}").keys[0].describe()
    assert described.isprintable()
    assert len(described) < 400


def test_strictest_line_of_a_key_holds(tmp_path: Path, anna: KeyPair) -> None:
    keys = read(tmp_path, f"{anna.line} old line\nmin-version=7 {anna.line} anna\n{anna.line}\n")
    data = write_signed(tmp_path / "m.tflite", anna, 7).read_bytes()
    assert keys.signer(data, "m").key.min_version == 7
    older = write_signed(tmp_path / "m.tflite", anna, 6).read_bytes()
    with pytest.raises(SignatureError, match=r"m is version 6 of 'anna' .* takes 7 or later"):
        keys.signer(older, "m")


def test_file_that_everybody_may_write_is_refused(anna: KeyPair) -> None:
    anna.public.chmod(0o666)
    with pytest.raises(
        OptionError, match=r"can be written by everybody, who could add a key. Run: chmod o-w"
    ):
        TrustedKeys.read(anna.public)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(OptionError, match="is not a file"):
            TrustedKeys.read(path)
    with pytest.raises(OptionError, match="No such file"):
        TrustedKeys.read(tmp_path / "nothing")


def test_model_that_no_signer_makes_is_not_read_into_memory(tmp_path: Path, anna: KeyPair) -> None:
    huge = tmp_path / "m.tflite"
    with huge.open("wb") as file:
        file.truncate(2**31 + 1000)
    with pytest.raises(ModelFileError, match="is larger than 2 GB"):
        TrustedKeys.read(anna.public).read_model(huge)


def test_line_with_a_longer_key_than_its_kind_has_is_refused(tmp_path: Path) -> None:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    wire = base64.b64decode(to_line(raw).split()[1]) + b"\0"
    with pytest.raises(OptionError, match="the key cannot be read"):
        read(tmp_path, f"ssh-ed25519 {base64.b64encode(wire).decode()}")
