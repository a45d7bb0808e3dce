"""A zip behind a model is anyone's: it is refused in one sentence, costs little memory, reaches no disk."""

from __future__ import annotations

import json
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.convert.inspection.inspection import inspect
from edge_classify.edge.appended import MAX_ENTRY_BYTES, check_entries, read_directory, read_entry
from edge_classify.edge.errors import CardError, ModelFileError
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.proof import self_check
from PIL import Image

from .support.tiny_model import LABELS, SIDE, classifier, golden_pixels

MIB = 1024 * 1024
CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
CARD: dict[str, Any] = {
    "format": "1.1",
    "name": "m",
    "labels": list(LABELS),
    "input": {"height": SIDE, "width": SIDE, "dtype": "float32"},
}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place for a model, in a folder in which nothing else may appear."""
    work = tmp_path / "deep" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    return work / "m.tflite"


def append(path: Path, entries: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    """Write a good model with a zip of `entries` behind it, whatever their names."""
    buffer = BytesIO(classifier())
    with zipfile.ZipFile(buffer, "a", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of duplicate names.
        for name, data in entries:
            archive.writestr(name, data)
    path.write_bytes(buffer.getvalue())
    return path


def patch(path: Path, signature: bytes, offset: int, layout: str, value: int) -> Path:
    """Overwrite a field of the first record with `signature`."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, data.index(signature) + offset, value)
    path.write_bytes(data)
    return path


def peak_mib(call: Callable[[], object]) -> float:
    """Return the memory that Python asked for at most during a call that ends in a refusal."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            call()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../evil.txt", r"'../evil.txt' has a name that leads out of its folder"),
        ("a/../../evil.txt", r"leads out of its folder"),
        ("/etc/evil.txt", r"'/etc/evil.txt' has a name that leads out"),
        ("..\\evil.txt", r"leads out of its folder"),
        ("C:evil.txt", r"leads out of its folder"),
        ("evil\x1b[2J.txt", r"'evil\\x1b\[2J.txt' has control characters in its name"),
        ("two\nlines.txt", r"'two\\nlines.txt' has control characters"),
    ],
)
def test_entry_whose_name_is_hostile_is_refused_and_listed_escaped(
    name: str, sentence: str, model: Path
) -> None:
    append(model, [(name, b"x"), ("card.json", json.dumps(CARD).encode())])
    with pytest.raises(ModelFileError, match=sentence):
        ModelFile.read(model)
    with pytest.raises(ModelFileError, match=sentence):
        read_entry(model, name)
    found = inspect(model)
    assert found.appended[0].name == name
    assert found.card is None
    assert len(found.problems) == 1
    assert [path for path in model.parent.parent.parent.rglob("*") if path.is_file()] == [model]


def test_entry_whose_name_goes_on_behind_a_nul_is_refused(model: Path) -> None:
    append(model, [("card.jsonX.txt", b"{}")])
    model.write_bytes(model.read_bytes().replace(b"card.jsonX.txt", b"card.json\0.txt"))
    with pytest.raises(ModelFileError, match=r"'card\.json\\x00\.txt' has control characters in its name"):
        ModelFile.read(model)


def test_entry_whose_name_is_not_utf8_is_refused(model: Path) -> None:
    append(model, [("grün.txt", b"x")])
    model.write_bytes(model.read_bytes().replace("ü".encode(), b"\xff\xff"))
    with pytest.raises(ModelFileError, match=r"m\.tflite: its appended files are damaged \('utf-8'"):
        ModelFile.read(model)


def test_two_entries_of_one_name_are_refused(model: Path) -> None:
    append(model, [("card.json", json.dumps(CARD).encode()), ("card.json", b"{}")])
    with pytest.raises(ModelFileError, match=r"two of its appended files are called 'card\.json'"):
        ModelFile.read(model)


def test_entry_that_is_encrypted_is_refused(model: Path) -> None:
    patch(append(model, [("card.json", b"{}")]), CENTRAL, 8, "<H", 1)
    with pytest.raises(ModelFileError, match=r"'card\.json' is encrypted"):
        ModelFile.read(model)


def test_entries_that_overlap_are_refused(model: Path) -> None:
    append(model, [("a.txt", b"a" * 100), ("b.txt", b"b" * 100)])
    patch(model, CENTRAL, 20, "<I", 150)
    with pytest.raises(ModelFileError, match=r"'a\.txt' overlaps what follows it"):
        ModelFile.read(model)


def test_zip_that_claims_the_whole_file_is_refused(model: Path) -> None:
    patch(append(model, [("card.json", json.dumps(CARD).encode())]), CENTRAL, 42, "<I", 0)
    with pytest.raises(ModelFileError, match="its appended files start at byte 0, inside the model"):
        ModelFile.read(model)
    assert "inside the model" in inspect(model).problems[0]


def test_thousands_of_entries_are_refused_by_their_number(model: Path) -> None:
    append(model, [(f"{number}.txt", b"") for number in range(5000)])
    with pytest.raises(ModelFileError, match="has 5000 appended files; 256 are allowed"):
        ModelFile.read(model)


def test_directory_of_many_megabytes_is_refused_before_it_is_read(model: Path) -> None:
    name = b"n" * 60_000
    entry = (
        struct.pack("<4s6H3I5H2I", CENTRAL, 20, 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0) + name
    )
    count = 500
    size = len(entry) * count
    start = len(classifier())
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)
    model.write_bytes(classifier() + entry * count + end)
    assert peak_mib(lambda: ModelFile.read(model)) < 5
    with pytest.raises(ModelFileError, match=r"damaged \(a directory of 30,023,000 bytes, and 1,048,576 are"):
        ModelFile.read(model)


def test_bomb_that_states_its_size_is_refused_without_unpacking(model: Path) -> None:
    append(model, [("card.json", bytes(100 * MIB))], zipfile.ZIP_DEFLATED)
    assert model.stat().st_size < MIB
    assert peak_mib(lambda: ModelFile.read(model)) < 5
    with pytest.raises(ModelFileError, match=r"unpack to 104,857,600 bytes \('card\.json' alone"):
        ModelFile.read(model)


def test_bomb_that_lies_about_its_size_is_unpacked_no_further_than_it_states(model: Path) -> None:
    append(model, [("card.json", bytes(200 * MIB))], zipfile.ZIP_DEFLATED)
    patch(model, CENTRAL, 24, "<I", 1000)
    assert peak_mib(lambda: ModelFile.read(model)) < 5
    with pytest.raises(ModelFileError, match=r"damaged \(Bad CRC-32 for file 'card\.json'"):
        ModelFile.read(model)
    with pytest.raises(ModelFileError, match="Bad CRC-32"):
        check_entries(model)


def test_entry_larger_than_the_reader_wants_is_refused(model: Path) -> None:
    append(model, [("picture.png", bytes(MAX_ENTRY_BYTES + 1))], zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match=r"picture\.png has 16,777,217 bytes; 16,777,216 are allowed"):
        read_entry(model, "picture.png")


def test_zip64_that_spans_disks_is_refused_as_damaged(model: Path) -> None:
    append(model, [("a.txt", b"a")])
    data = model.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 51, end - 51)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 9)
    model.write_bytes(data[:end] + record + locator + data[end:])
    with pytest.raises(ModelFileError, match="its appended files are damaged"):
        ModelFile.read(model)


def test_zip_inside_the_zip_is_a_file_like_any_other(model: Path) -> None:
    inner = BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("card.json", json.dumps(CARD | {"name": "inner"}))
    append(model, [("inner.zip", inner.getvalue())])
    assert ModelFile.read(model).card is None
    assert read_directory(model).names == ("inner.zip",)


@pytest.mark.parametrize(
    ("golden", "sentence"),
    [
        ({"image": "none.png"}, r"golden example 0 is a file that is not there: 'none\.png'"),
        ({"image": "../card.json"}, r"is a file that is not there: '\.\./card\.json'"),
        ({"expected": [0.5, 0.5]}, r"golden example 0 has 2 probabilities for 4 labels"),
        ({"expected": [0.5, 0.5, float("nan"), 0]}, r"has probabilities that are no numbers"),
        ({"tolerance": 7.0}, r"a tolerance that is not 0 to 1\. Received: 7\.0"),
        ({"tolerance": float("nan")}, r"a tolerance that is not 0 to 1"),
    ],
)
def test_card_with_an_absurd_golden_example_is_refused(
    golden: dict[str, Any], sentence: str, model: Path
) -> None:
    example = {"image": "golden.png", "expected": [0.25] * 4, "tolerance": 0.1} | golden
    text = json.dumps(CARD | {"golden": [example]}).encode()
    append(model, [("card.json", text), ("golden.png", b"")])
    with pytest.raises(CardError, match=rf"m\.tflite: card\.json.*{sentence}"):
        ModelFile.read(model)


def test_card_with_more_golden_examples_than_files_is_refused(model: Path) -> None:
    example = {"image": "card.json", "expected": [0.25] * 4, "tolerance": 0.1}
    append(model, [("card.json", json.dumps(CARD | {"golden": [example] * 1000}).encode())])
    with pytest.raises(CardError, match="names 1000 golden examples, more than there are files"):
        ModelFile.read(model)


def _png(pixels: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def _huge_png() -> bytes:
    """Return a picture of 60,000 x 60,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.parametrize(
    ("picture", "sentence"),
    [
        (_huge_png(), "exceeds limit"),
        (_png(np.zeros((9, 8, 3), np.uint8)), r"must be RGB of 8x8 pixels\. Received: RGB of 8x9"),
        (_png(np.zeros((8, 8), np.uint8)), r"Received: L of 8x8"),
        (_png(golden_pixels(0))[:-40], "it is no PNG that can be read"),
        (b"\xff\xd8\xff" + bytes(99), "it is no PNG that can be read"),
    ],
    ids=["huge", "higher", "grey", "cut off", "no PNG"],
)
def test_golden_picture_that_cannot_be_the_input_fails_the_self_check(
    picture: bytes, sentence: str, model: Path
) -> None:
    example = {"image": "golden.png", "expected": [0.25] * 4, "tolerance": 1.0}
    append(model, [("card.json", json.dumps(CARD | {"golden": [example]}).encode()), ("golden.png", picture)])
    last = self_check(model).checks[-1]
    assert last.status == "failed"
    assert sentence.replace("\\", "") in last.detail
