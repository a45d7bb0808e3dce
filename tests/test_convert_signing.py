"""edge-convert --sign: what it signs, what it leaves as it is, and where a signature ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from edge_classify.convert.without_photos import write_without_photos
from edge_classify.edge.card import ConversionInfo
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.signature import BLOCK_BYTES, find_signature
from edge_classify.edge.tflite.sealing import Golden, complete_card, seal
from edge_classify.edge.tflite.signing import sign, without_signature
from edge_classify.edge.trusted_keys import TrustedKeys, fingerprint, to_line

from .support.conversion import convert
from .support.signing import KeyPair, make_key, write_signed
from .support.tiny_model import LABELS, card, classifier, golden_pixels, write_sealed


@pytest.fixture
def anna(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(LABELS) + "\n")
    return path


def write_bare(folder: Path) -> Path:
    path = folder / "bare.tflite"
    path.write_bytes(classifier())
    return path


def write_with_photos(path: Path) -> Path:
    """Write a file as an older edge-convert did: its golden examples are photos."""
    info = ConversionInfo("float32", {})
    finished = replace(complete_card(classifier(), card(), "float32"), conversion=info)
    path.write_bytes(seal(classifier(), finished))
    loaded = Classifier.from_file(path)
    golden = [Golden(golden_pixels(1), loaded.classify_pixels(golden_pixels(1)).probabilities, 0.01)]
    path.write_bytes(seal(classifier(), finished, golden))
    return path


def test_finished_file_gets_a_signature_and_no_other_change(
    tmp_path: Path, output: Path, anna: KeyPair
) -> None:
    sealed = write_sealed(tmp_path / "m.tflite")
    result = convert(sealed, "--sign", anna.path, "--model-version", 7, "-o", output)
    assert (result.exit_code, result.stdout) == (0, f"{output / 'm.tflite'}\n")
    signed = (output / "m.tflite").read_bytes()
    assert without_signature(signed, "m") == sealed.read_bytes()
    assert TrustedKeys.read(anna.public).signer(signed, "m").signature.version == 7
    assert [path.name for path in output.iterdir()] == ["m.tflite"]
    assert result.stderr == (
        f"Signed by {fingerprint(anna.raw)}, as version 7. The line for the KEYS of --require-signature: "
        f"{to_line(anna.raw)}\n"
    )


def test_json_names_the_key_and_the_version(tmp_path: Path, output: Path, anna: KeyPair) -> None:
    sealed = write_sealed(tmp_path / "m.tflite")
    result = convert(sealed, "--sign", anna.path, "-o", output, "--json")
    assert json.loads(result.stdout) == {
        "file": str(output / "m.tflite"),
        "model": "tiny",
        "size_bytes": sealed.stat().st_size + BLOCK_BYTES,
        "signed_by": fingerprint(anna.raw),
        "model_version": 0,
    }
    assert "without a version (--model-version)" in result.stderr


def test_signature_is_replaced_by_a_new_one_and_that_is_said(
    tmp_path: Path, output: Path, anna: KeyPair
) -> None:
    bert = make_key(tmp_path, "bert")
    model = write_signed(tmp_path / "m.tflite", bert, 3)
    result = convert(model, "--sign", anna.path, "-o", output)
    assert result.exit_code == 0
    assert f"its signature by {fingerprint(bert.raw)}, as version 3, is replaced" in result.stderr
    found = find_signature((output / "m.tflite").read_bytes(), "m")
    assert found is not None
    assert found.key == anna.raw


@pytest.mark.parametrize("option", ["--sign", "--seal", "--without-photos"])
def test_nothing_is_made_of_a_file_that_was_changed_after_it_was_signed(
    option: str, tmp_path: Path, output: Path, anna: KeyPair, labels: Path
) -> None:
    model = write_with_photos(tmp_path / "m.tflite")
    data = sign(model.read_bytes(), anna.key, 3, "m")
    model.write_bytes(data.replace(b"version 000000000000000003", b"version 000000000000000004"))
    given: dict[str, list[object]] = {
        "--sign": [anna.path], "--seal": ["--labels", labels], "--without-photos": []
    }  # fmt: skip
    more = given[option]
    result = convert(model, option, *more, "-o", output)
    assert result.exit_code == 1
    assert (
        f"was changed or damaged after {fingerprint(anna.raw)} signed it, and nothing is made"
        in result.stderr
    )
    assert not output.exists()


def test_sealed_and_renamed_copies_are_signed_where_asked_and_else_lose_the_signature(
    tmp_path: Path, output: Path, anna: KeyPair, labels: Path
) -> None:
    bare = write_bare(tmp_path)
    sealing = ("--seal", "--labels", labels, "--normalization", "0..255")
    first = convert(bare, *sealing, "--sign", anna.path, "-o", output, "--json")
    assert json.loads(first.stdout)["signed_by"] == fingerprint(anna.raw)
    signed = output / "bare.tflite"
    assert ModelFile.read(signed).labels == LABELS
    labels.write_text("a\nb\nc\nd\n")
    second = convert(signed, "--seal", "--labels", labels, "-o", tmp_path / "renamed", "--json")
    assert (json.loads(second.stdout)["signed_by"], json.loads(second.stdout)["model_version"]) == (
        None,
        None,
    )
    assert (
        f"{signed} is signed by {fingerprint(anna.raw)}: what is made of it is another file" in second.stderr
    )
    renamed = tmp_path / "renamed" / "bare.tflite"
    assert find_signature(renamed.read_bytes(), "m") is None
    assert Classifier.from_file(renamed).labels == ("a", "b", "c", "d")


def test_copy_without_photos_loses_the_signature_or_is_signed(
    tmp_path: Path, output: Path, anna: KeyPair
) -> None:
    plain = write_with_photos(tmp_path / "old.tflite")
    signed = convert(plain, "--sign", anna.path, "-o", tmp_path / "signed")
    assert signed.exit_code == 0, signed.output
    without = convert(tmp_path / "signed" / "old.tflite", "--without-photos", "-o", output)
    assert (without.exit_code, "and not signed. --sign KEY signs it" in without.stderr) == (0, True)
    copy = write_without_photos(plain, tmp_path / "same", force=False)
    assert (output / "old.tflite").read_bytes() == copy.read_bytes()
    again = convert(plain, "--without-photos", "--sign", anna.path, "-o", output, "--force")
    assert again.exit_code == 0
    TrustedKeys.read(anna.public).read_model(output / "old.tflite")


def test_every_file_of_a_conversion_is_signed_and_listed_so(
    tmp_path: Path, output: Path, anna: KeyPair, labels: Path
) -> None:
    result = convert(
        write_bare(tmp_path), "--labels", labels, "--normalization", "0..255",
        "--variant", "float32", "--variant", "float16", "--sign", anna.path, "--model-version", 5,
        "-o", output,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    keys = TrustedKeys.read(anna.public)
    files = sorted(output.glob("*.tflite"))
    assert len(files) == 2
    assert [keys.signer(path.read_bytes(), "m").signature.version for path in files] == [5, 5]
    assert result.stderr.count("Signed by") == 1
    listed = json.loads((output / "conversion.json").read_text())["files"]
    assert [(item["signed_by"], item["model_version"]) for item in listed] == [(fingerprint(anna.raw), 5)] * 2
    assert [item["size_bytes"] for item in listed] == [
        (output / item["file"]).stat().st_size for item in listed
    ]
    again = convert(files[1], "--variant", "float32", "-o", tmp_path / "again")
    assert "what is made of it is another file, and not signed" in again.stderr


@pytest.mark.parametrize("which", ["its own folder", "a file that is there"])
def test_nothing_is_replaced_unasked(which: str, tmp_path: Path, output: Path, anna: KeyPair) -> None:
    sealed = write_sealed(tmp_path / "m.tflite")
    folder = tmp_path if which == "its own folder" else output
    if folder == output:
        output.mkdir()
        (output / "m.tflite").write_bytes(b"mine")
    result = convert(sealed, "--sign", anna.path, "-o", folder)
    assert result.exit_code == 1
    assert ("lies in --output itself" if folder == tmp_path else "exists. Name another") in result.stderr


def test_key_is_read_before_anything_is_converted(tmp_path: Path, output: Path, anna: KeyPair) -> None:
    anna.path.chmod(0o644)
    result = convert(tmp_path / "no model", "--sign", anna.path, "-o", output)
    assert "can be used by others" in result.stderr


def test_inspection_says_who_signed_and_what_that_does_not_show(tmp_path: Path, anna: KeyPair) -> None:
    model = write_signed(tmp_path / "m.tflite", anna, 7)
    shown = convert("--inspect", model)
    assert shown.exit_code == 0
    lines = {line.split()[0]: line for line in shown.stdout.splitlines() if line.strip()}
    assert "holds: the model is not damaged, whoever made it" in lines["checksum"]
    assert f"holds: every byte is as {fingerprint(anna.raw)}, as version 7, signed it" in lines["signature"]
    assert "whether the model is good, it does not show" in lines["signature"]
    assert f"the public key of who signed it, {fingerprint(anna.raw)}" in shown.stdout
    record = json.loads(convert("--inspect", model, "--json").stdout)
    assert record["signed"] == {
        "state": "holds",
        "by": fingerprint(anna.raw),
        "public_key": to_line(anna.raw),
        "version": 7,
    }


def test_inspection_of_a_broken_or_missing_signature_says_so(tmp_path: Path, anna: KeyPair) -> None:
    model = write_signed(tmp_path / "m.tflite", anna, 7)
    model.write_bytes(
        model.read_bytes().replace(b"version 000000000000000007", b"version 000000000000000008")
    )
    shown = convert("--inspect", model)
    assert shown.exit_code == 1
    assert f"PROBLEM     it was changed or damaged after {fingerprint(anna.raw)} signed it" in shown.stdout
    model.write_bytes(model.read_bytes() + b"x")
    shown = convert("--inspect", model)
    assert shown.exit_code == 1
    assert "PROBLEM     its signature cannot be read" in shown.stdout
    plain = convert("--inspect", write_sealed(model))
    assert "signature   none: nothing shows who made the file" in plain.stdout
    assert json.loads(convert("--inspect", model, "--json").stdout)["signed"] is None


def test_signed_file_is_read_by_the_reader_of_tflites_metadata(tmp_path: Path, anna: KeyPair) -> None:
    """Its flatbuffer, and in it the metadata, is that of the unsigned file, byte for byte."""
    plain = write_sealed(tmp_path / "plain.tflite")
    signed = write_signed(tmp_path / "signed.tflite", anna)
    cut = ModelFile.read(plain).zip_offset
    assert signed.read_bytes()[:cut] == plain.read_bytes()[:cut]
    plain_record, record = (
        json.loads(convert("--inspect", path, "--json").stdout) for path in (plain, signed)
    )
    assert record["metadata"] == plain_record["metadata"]
    assert record["appended"] == plain_record["appended"]
