"""What a .tflite says about itself; both the flatbuffer and the appended zip are untrusted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import flatbuffers
import pytest
from edge_classify.edge.appended import MAX_ENTRIES, read_entry
from edge_classify.edge.errors import CardError, ModelFileError
from edge_classify.edge.meanings import OutputMeaning, Statement
from edge_classify.edge.modelfile import MAX_TEXT_BYTES, ModelFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .support.pictures import SHAPES
from .support.tiny_model import CARD, with_zip

PROBABILITIES, LOGITS = OutputMeaning.PROBABILITIES, OutputMeaning.LOGITS


def overlapping(operators: int) -> bytes:
    """Return a model whose operators share one vector of as many outputs: a file of n bytes, n² to read."""
    builder = flatbuffers.Builder()
    builder.StartVector(4, operators, 4)
    for _ in range(operators):
        builder.PrependInt32(0)
    outputs = builder.EndVector()
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(2, outputs, 0)
    operator = builder.EndObject()
    builder.StartVector(4, operators, 4)
    for _ in range(operators):
        builder.PrependUOffsetTRelative(operator)
    shared = builder.EndVector()
    builder.StartObject(5)
    builder.PrependUOffsetTRelativeSlot(2, outputs, 0)
    builder.PrependUOffsetTRelativeSlot(3, shared, 0)
    graph = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(graph)
    graphs = builder.EndVector()
    builder.StartObject(8)
    builder.PrependUOffsetTRelativeSlot(2, graphs, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("name", "meaning", "last"),
    [
        ("float32", PROBABILITIES, "SOFTMAX"),
        ("uint8", PROBABILITIES, "SOFTMAX"),
        ("int8", PROBABILITIES, "SOFTMAX"),
        ("logits", LOGITS, "FULLY_CONNECTED"),
    ],
)
def test_foreign_model_without_a_card_tells_only_what_its_outputs_mean(
    name: str, meaning: OutputMeaning, last: str, foreign_models: dict[str, Path]
) -> None:
    path = foreign_models[name]
    outputs = (Statement(meaning, True, f"its graph ends in {last}"),)
    assert ModelFile.read(path) == ModelFile(path, str(path), None, None, None, outputs, path.stat().st_size)


def test_sealed_file_holds_card_labels_and_golden_examples(converted: Path) -> None:
    path = converted / "cnn_int8.tflite"
    file = ModelFile.read(path)
    assert file.card is not None
    assert file.labels == file.card.labels == tuple(sorted(SHAPES))
    assert file.gives_probabilities
    assert path.read_bytes()[file.zip_offset :].startswith(b"PK\x03\x04")
    assert read_entry(path, "labels.txt").decode().splitlines() == list(file.labels)
    assert file.card.golden
    for example in file.card.golden:
        assert read_entry(path, example.image).startswith(b"\x89PNG")
    with pytest.raises(ModelFileError, match=r"holds no file golden_99\.png"):
        read_entry(path, "golden_99.png")


@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_sealed_file_with_one_flipped_bit_fails_its_checksum(
    place: float, converted: Path, tmp_path: Path
) -> None:
    good = converted / "cnn_float32.tflite"
    data = bytearray(good.read_bytes())
    data[int(ModelFile.read(good).zip_offset * place)] ^= 1
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(data)
    with pytest.raises(ModelFileError, match=r"bad\.tflite is damaged: its checksum is .* Copy or convert"):
        ModelFile.read(bad)


def test_sealed_file_that_is_cut_off_is_refused(converted: Path, tmp_path: Path) -> None:
    data = (converted / "cnn_int8.tflite").read_bytes()
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFileError, match="is damaged"):
        ModelFile.read(bad)


@pytest.mark.parametrize("data", [b"abc", b"GGUF" * 9, b"\x1c\0\0\0TFL2" + b"\0" * 99])
def test_file_that_is_no_model_is_refused_with_what_it_starts_with(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as error:
        ModelFile.read(path)
    assert f"m.tflite is not a TFLite model: it starts with {data[:8]!r}" in str(error.value)


def test_path_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        ModelFile.read(tmp_path / "none.tflite")
    with pytest.raises(ModelFileError, match="is not a file"):
        ModelFile.read(tmp_path)


@pytest.mark.parametrize("kept", [8, 12, 20, 100, 1000])
def test_foreign_model_that_is_cut_off_is_refused(
    kept: int, foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(foreign_models["uint8"].read_bytes()[:kept])
    with pytest.raises(ModelFileError, match="damaged: its tables cannot be read"):
        ModelFile.read(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(min_size=8, max_size=300))
def test_flatbuffer_of_garbage_is_refused_or_read_but_never_crashes(garbage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\x08\0\0\0TFL3" + garbage)
    try:
        assert ModelFile.read(path).card is None
    except ModelFileError as error:
        assert str(path) in str(error)


def test_flatbuffer_whose_vectors_overlap_is_refused_instead_of_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(overlapping(20_000))
    with pytest.raises(ModelFileError, match="damaged: its tables cannot be read"):
        ModelFile.read(path)


def test_zip_with_too_many_entries_is_refused(foreign_models: dict[str, Path], tmp_path: Path) -> None:
    entries = {f"{n}.txt": b"" for n in range(MAX_ENTRIES + 1)}
    path = with_zip(foreign_models["uint8"], tmp_path / "m.tflite", entries)
    with pytest.raises(ModelFileError, match="has 257 appended files; 256 are allowed"):
        ModelFile.read(path)


def test_card_that_is_too_large_to_be_one_is_refused_unread(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    entries = {"card.json": b" " * (MAX_TEXT_BYTES + 1)}
    path = with_zip(foreign_models["uint8"], tmp_path / "m.tflite", entries)
    assert path.stat().st_size < 100_000
    with pytest.raises(ModelFileError, match=r"card\.json has 4,194,305 bytes; 4,194,304 are allowed"):
        ModelFile.read(path)


def test_zip_that_is_damaged_or_of_another_method_is_refused(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    entries = {"card.json": json.dumps(CARD).encode() * 5}
    path = with_zip(foreign_models["uint8"], tmp_path / "lzma.tflite", entries, zipfile.ZIP_LZMA)
    with pytest.raises(ModelFileError, match="is neither stored nor deflated"):
        ModelFile.read(path)
    path = with_zip(foreign_models["uint8"], tmp_path / "m.tflite", entries, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b'"name": "m"', b'"name": "n"', 1))
    with pytest.raises(ModelFileError, match=r"m\.tflite: its appended files are damaged \(Bad CRC-32"):
        ModelFile.read(path)


def test_card_that_is_broken_is_refused_with_the_files_name(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    path = with_zip(foreign_models["uint8"], tmp_path / "m.tflite", {"card.json": b"{"})
    with pytest.raises(CardError, match=r"m\.tflite: card\.json is not valid JSON"):
        ModelFile.read(path)


def test_file_and_its_bytes_say_the_same(converted: Path) -> None:
    path = converted / "cnn_int8.tflite"
    on_disk, in_memory = ModelFile.read(path), ModelFile.read(path.read_bytes(), str(path))
    assert in_memory._replace(model=path) == on_disk
    assert isinstance(in_memory.model, bytes)
    assert on_disk.card is not None
    example = on_disk.card.golden[0].image
    assert read_entry(in_memory.model, example) == read_entry(path, example)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), number=st.integers(0, 255))
def test_damaged_bytes_are_refused_as_the_damaged_file_is(
    place: int, number: int, converted: Path, tmp_path: Path
) -> None:
    data = bytearray((converted / "cnn_int8.tflite").read_bytes())
    data[place % len(data)] = number
    path = tmp_path / "m.tflite"
    path.write_bytes(data)

    def outcome(model: Path | bytes) -> object:
        try:
            return ModelFile.read(model, "m")[1:]
        except ModelFileError as error:
            return type(error), str(error)

    assert outcome(bytes(data)) == outcome(path)
