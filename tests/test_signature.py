"""A signature covers every byte of a model file and holds for nothing else, to whoever reads the format."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import ConversionError, SignatureError
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.signature import BLOCK_BYTES, SIGNATURE_LINE_BYTES, find_signature
from edge_classify.edge.tflite.signing import sign, without_signature
from edge_classify.edge.trusted_keys import TrustedKeys

from .support.signature_reader import ORDER, base, encode, is_signed, multiply, verify
from .support.signing import KeyPair, make_key, write_signed
from .support.tiny_model import LABELS, classifier, golden_pixels, with_zip, write_sealed

Change = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signed")


@pytest.fixture(scope="module")
def anna(folder: Path) -> KeyPair:
    return make_key(folder)


@pytest.fixture(scope="module")
def mallory(folder: Path) -> KeyPair:
    """A key that nobody trusts."""
    return make_key(folder, "mallory")


@pytest.fixture(scope="module")
def trusted(anna: KeyPair) -> TrustedKeys:
    return TrustedKeys.read(anna.public)


@pytest.fixture(scope="module")
def signed(folder: Path, anna: KeyPair) -> bytes:
    return write_signed(folder / "m.tflite", anna).read_bytes()


@pytest.fixture(scope="module")
def other(folder: Path, anna: KeyPair) -> bytes:
    """Another model that the same key has signed."""
    return write_signed(folder / "other.tflite", anna, 9, classifier("CUMSUM")).read_bytes()


def accepts(trusted: TrustedKeys, data: bytes) -> bool:
    try:
        trusted.signer(data, "m")
    except SignatureError:
        return False
    return True


def test_signed_file_is_accepted_and_says_key_and_version(
    signed: bytes, anna: KeyPair, trusted: TrustedKeys
) -> None:
    signature, key = trusted.signer(signed, "m")
    assert (signature.version, signature.key, key.name) == (7, anna.raw, "anna")
    assert is_signed(signed)


def test_ed25519_of_the_second_reader_is_that_of_the_rfc() -> None:
    """RFC 8032, section 7.1, test 2."""
    key = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    value = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert verify(key, b"\x72", value)
    assert not verify(key, b"\x73", value)


@pytest.mark.parametrize("how", ["flipped", "doubled", "left out"])
def test_no_byte_of_a_signed_file_can_be_changed(how: str, signed: bytes, trusted: TrustedKeys) -> None:
    passed = []
    for place in range(len(signed)):
        head, byte, tail = signed[:place], signed[place], signed[place + 1 :]
        changed = {
            "flipped": head + bytes([byte ^ 1 << place % 8]) + tail,
            "doubled": head + bytes([byte, byte]) + tail,
            "left out": head + tail,
        }[how]
        if accepts(trusted, changed):
            passed.append(place)
    assert passed == []


def block(data: bytes) -> bytes:
    return data[-BLOCK_BYTES:]


def replaced(old: bytes, new: bytes) -> Change:
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new)

    return change


def in_line(pattern: bytes, new: Callable[[bytes], bytes]) -> Change:
    """Change what a pattern finds in the block."""

    def change(data: bytes) -> bytes:
        found = re.search(pattern, block(data))
        assert found is not None
        start = len(data) - BLOCK_BYTES
        return data[: start + found.start(1)] + new(found[1]) + data[start + found.end(1) :]

    return change


def with_order_added(value: bytes) -> bytes:
    """Return a signature in hexadecimal whose scalar is larger by the order: to lax readers the same."""
    raw = bytes.fromhex(value.decode())
    scalar = int.from_bytes(raw[32:], "little") + ORDER
    return (raw[:32] + scalar.to_bytes(32, "little")).hex().encode()


def second_zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("card.json", "{}")
    return data + buffer.getvalue()


def zip_comment(data: bytes) -> bytes:
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"harmless"
    return buffer.getvalue()


def zip_entry(name: str) -> Change:
    def change(data: bytes) -> bytes:
        buffer = io.BytesIO(data)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr(name, "x")
        return buffer.getvalue()

    return change


CHANGES: dict[str, Change] = {
    "a byte behind it": lambda data: data + b"\0",
    "a line end behind it": lambda data: data + b"\n",
    "64 KiB behind it": lambda data: data + bytes(65536),
    "a byte in front of it": lambda data: b"\0" + data,
    "cut by a byte": lambda data: data[:-1],
    "cut by the signature": lambda data: data[:-SIGNATURE_LINE_BYTES],
    "cut by the block": lambda data: data[:-BLOCK_BYTES],
    "nothing but the block": block,
    "empty": lambda _: b"",
    "the block twice": lambda data: data + block(data),
    "the whole file twice": lambda data: data + data,
    "a second zip behind it": second_zip,
    "another comment of the zip": zip_comment,
    "another entry of the zip": zip_entry("note.txt"),
    "an entry that differs in case": zip_entry("CARD.JSON"),
    "a byte between flatbuffer and zip": lambda data: data.replace(b"PK\x03\x04", b"\0PK\x03\x04", 1),
    "another label": replaced(b"green", b"greem"),
    "another picture": replaced(b"\x89PNG", b"\x88PNG"),
    "another tolerance": replaced(b'"tolerance": 0.01', b'"tolerance": 0.99'),
    "another description": replaced(b"tiny", b"tony"),
    "a higher version": in_line(rb"version (\d+)", lambda _: b"%018d" % 8),
    "a version of other digits": in_line(rb"version (\d+)", lambda _: "\u0667".encode() * 9),
    "a signed version": in_line(rb"version (\d+)", lambda _: b"+00000000000000007"),
    "another form": in_line(rb"signature (1)\n", lambda _: b"2"),
    "the signature's hexadecimal in capitals": in_line(rb"\nsignature (\w+)", bytes.upper),
    "a signature of zeros": in_line(rb"\nsignature (\w+)", lambda _: b"0" * 128),
    "a scalar larger by the order": in_line(rb"\nsignature (\w+)", with_order_added),
    "the neutral point as key": in_line(rb"key (\w+)", lambda _: b"01" + b"0" * 62),
    "Windows line ends": lambda data: data[:-BLOCK_BYTES] + block(data).replace(b"\n", b"\r\n"),
    "without its signature": lambda data: without_signature(data, "m"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_file_is_refused_by_us_and_by_whoever_reads_the_format(
    change: Change, signed: bytes, trusted: TrustedKeys
) -> None:
    changed = change(signed)
    assert changed != signed
    assert not accepts(trusted, changed)
    assert not is_signed(changed)


@pytest.mark.parametrize("part", ["block", "zip", "flatbuffer"])
def test_parts_of_two_files_of_one_signer_make_no_signed_file(
    part: str, signed: bytes, other: bytes, trusted: TrustedKeys
) -> None:
    cuts = [ModelFile.read(data).zip_offset for data in (signed, other)]
    mixed = {
        "block": signed[:-BLOCK_BYTES] + block(other),
        "zip": signed[: cuts[0]] + other[cuts[1] :],
        "flatbuffer": other[: cuts[1]] + signed[cuts[0] :],
    }[part]
    assert accepts(trusted, other)
    assert not accepts(trusted, mixed)
    assert not is_signed(mixed)


def test_file_of_an_unknown_signer_is_refused_by_its_fingerprint(
    signed: bytes, mallory: KeyPair, trusted: TrustedKeys
) -> None:
    theirs = sign(signed, mallory.key, 99, "m")
    assert is_signed(theirs)
    with pytest.raises(
        SignatureError, match=r"m says that SHA256:[\w+/]{43} signed it, which is none of the keys"
    ):
        trusted.signer(theirs, "m")


def test_key_of_another_signer_in_the_block_does_not_help(
    signed: bytes, mallory: KeyPair, trusted: TrustedKeys
) -> None:
    theirs = sign(signed, mallory.key, 7, "m")
    signer = find_signature(signed, "m")
    assert signer is not None
    claimed = theirs.replace(mallory.raw.hex().encode(), signer.key.hex().encode())
    with pytest.raises(SignatureError, match="was changed or damaged after 'anna'"):
        trusted.signer(claimed, "m")


def test_signature_of_the_bare_bytes_or_checksum_is_none_of_a_model(
    signed: bytes, anna: KeyPair, trusted: TrustedKeys
) -> None:
    """Whoever has the key sign something else must not get a signed model."""
    head = signed[:-SIGNATURE_LINE_BYTES]
    digest = hashlib.sha256(head)
    for message in (head, digest.digest(), digest.hexdigest().encode()):
        forged = head + b"signature %b\n" % anna.key.sign(message).hex().encode()
        assert not accepts(trusted, forged)
        assert not is_signed(forged)


def test_scalar_larger_by_the_order_is_the_same_number(signed: bytes) -> None:
    """The change above is the one that it is meant to be: without the rule S < L it would pass."""
    value = block(signed)[-129:-1]
    lax = [
        int.from_bytes(bytes.fromhex(text.decode())[32:], "little")
        for text in (value, with_order_added(value))
    ]
    assert lax[0] != lax[1]
    assert encode(multiply(lax[0], base())) == encode(multiply(lax[1], base()))


def test_signing_changes_no_byte_of_the_model_and_is_undone_without_a_trace(
    folder: Path, anna: KeyPair
) -> None:
    plain = write_sealed(folder / "plain.tflite").read_bytes()
    signed = sign(plain, anna.key, 7, "m")
    cut = ModelFile.read(plain).zip_offset
    assert signed[:cut] == plain[:cut]
    assert len(signed) == len(plain) + BLOCK_BYTES
    assert without_signature(signed, "m") == plain
    assert sign(signed, anna.key, 7, "m") == signed
    assert without_signature(sign(signed, anna.key, 8, "m"), "m") == plain


def test_signed_file_is_read_and_answers_as_before_by_us_and_by_readers_of_zips(
    folder: Path, anna: KeyPair
) -> None:
    plain = write_sealed(folder / "plain.tflite")
    signed = folder / "signed.tflite"
    signed.write_bytes(sign(plain.read_bytes(), anna.key, 7, "m"))
    files = [ModelFile.read(path) for path in (plain, signed)]
    assert files[0]._replace(model=b"", name="") == files[1]._replace(model=b"", name="")
    answers = [Classifier(file).classify_pixels(golden_pixels(5)).probabilities for file in files]
    assert np.array_equal(answers[0], answers[1])
    with zipfile.ZipFile(signed) as archive, zipfile.ZipFile(plain) as old:
        assert archive.testzip() is None
        assert archive.namelist() == old.namelist()
        assert archive.read("labels.txt").decode().split() == list(LABELS)
        assert archive.comment == block(signed.read_bytes())


def test_file_without_a_card_is_not_signed(folder: Path, anna: KeyPair) -> None:
    with pytest.raises(ConversionError, match=r"^m has no card, and only sealed files are signed"):
        sign(classifier(), anna.key, 1, "m")
    path = folder / "bare.tflite"
    path.write_bytes(classifier())
    with pytest.raises(ConversionError, match="has no card"):
        sign(with_zip(path, folder / "zip.tflite", {"a": b"b"}).read_bytes(), anna.key, 1, "m")


@pytest.mark.parametrize("change", [lambda data: data + b"\0", zip_comment], ids=["bytes", "comment"])
def test_file_with_something_behind_its_zip_is_not_signed(
    change: Change, folder: Path, anna: KeyPair
) -> None:
    sealed = write_sealed(folder / "tail.tflite").read_bytes()
    with pytest.raises(ConversionError, match="there is something behind the files appended to it"):
        sign(change(sealed), anna.key, 1, "m")


@pytest.mark.parametrize("version", [0, 1, 10**18 - 1])
def test_every_version_that_can_be_given_is_read_again(version: int, signed: bytes, anna: KeyPair) -> None:
    found = find_signature(sign(signed, anna.key, version, "m"), "m")
    assert found is not None
    assert found.version == version


@pytest.mark.parametrize("version", [-1, 10**18])
def test_version_that_does_not_fit_is_refused(version: int, signed: bytes, anna: KeyPair) -> None:
    with pytest.raises(ValueError, match="version must be"):
        sign(signed, anna.key, version, "m")
