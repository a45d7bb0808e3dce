"""`edge-convert --seal`: a finished .tflite gets labels, metadata and card, and its graph stays as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from edge_classify.convert.inspection.inspection import inspect
from edge_classify.edge.appended import read_entry
from edge_classify.edge.card import ModelCard
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.doctor.feeding import ways_to_feed
from edge_classify.edge.errors import CardError, ModelFileError
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.modelfile import ModelFile, Normalization
from edge_classify.edge.proof import self_check
from edge_classify.edge.runtime import load_interpreter
from edge_classify.edge.tflite.builder import TableBuilder
from edge_classify.edge.tflite.metadata import add_metadata, append_files
from numpy.typing import NDArray

from .support.conversion import convert
from .support.finished_files import IMAGENET, KINDS, LABELS, SIDE
from .support.foreign import require_refusal, write_labels
from .support.tflite_contents import contents

FLOAT_KINDS = [name for name, kind in KINDS.items() if kind.quantized is None and kind.dtype == "float32"]
# A pixel goes in as it is, RGB in rows, and probabilities come out: readers of 1.x know what to do.
WITHIN_CONTRACT = {"uint8", "symmetric_uint8", "uint8_without_scale"}
IMAGES = np.random.default_rng(3).integers(0, 256, (8, SIDE, SIDE, 3), np.uint8)


def options(facts: ForeignFacts, labels: Path) -> list[object]:
    """Return the options that say `facts`; the labels are written to a file."""
    words: list[object] = ["--labels", write_labels(labels, facts.labels)] if facts.labels else []
    if facts.normalization is not None:
        words += ["--normalization", facts.normalization.to_text()]
    for name in ("color", "outputs", "output_index"):
        if (value := getattr(facts, name)) is not None:
            words += [f"--{name.replace('_', '-')}", value]
    return words


def seal(path: Path, output: Path, facts: ForeignFacts, *more: object) -> Result:
    return convert("--seal", path, "-o", output, *options(facts, output.parent / "labels.txt"), *more)


def sealed(name: str, files: dict[str, Path], folder: Path, *more: object) -> Path:
    """Return a sealed copy of a file of a kind; "compiled" is what "uint8" was compiled to."""
    result = seal(files[name], folder / "out", KINDS["uint8" if name == "compiled" else name].facts, *more)
    assert (result.exit_code, result.stdout) == (0, f"{folder / 'out' / name}.tflite\n"), result.stderr
    return folder / "out" / f"{name}.tflite"


def card_of(path: Path) -> ModelCard:
    found = ModelFile.read(path).card
    assert found is not None
    return found


def flatbuffer(path: Path) -> bytes:
    return path.read_bytes()[: ModelFile.read(path).zip_offset]


def answers(classifier: Classifier) -> NDArray[np.float32]:
    return np.stack([classifier.classify_pixels(image).probabilities for image in IMAGES])


def raw_outputs(model: bytes) -> list[bytes]:
    """Return the bytes of all outputs of a model for random inputs."""
    interpreter = load_interpreter(model, 1)
    (given,) = interpreter.get_input_details()
    found, rng = [], np.random.default_rng(0)
    for _ in range(8):
        interpreter.set_tensor(given["index"], rng.integers(0, 100, given["shape"]).astype(given["dtype"]))
        interpreter.invoke()
        found += [interpreter.get_tensor(one["index"]).tobytes() for one in interpreter.get_output_details()]
    return found


@pytest.mark.parametrize("name", KINDS)
def test_sealed_file_needs_no_options_and_answers_bit_for_bit_as_the_original_with_them(
    name: str, finished_files: dict[str, Path], tmp_path: Path
) -> None:
    original = finished_files[name]
    before = original.read_bytes()
    path = sealed(name, finished_files, tmp_path)
    with_options = Classifier(ModelFile.read(original), KINDS[name].facts)
    without = Classifier.from_file(path)
    assert without.labels == KINDS[name].facts.labels
    assert (answers(without) == answers(with_options)).all()
    assert original.read_bytes() == before
    assert self_check(path).passed


@pytest.mark.parametrize("name", [*KINDS, "compiled"])
def test_graph_of_a_sealed_file_is_untouched(
    name: str, finished_files: dict[str, Path], tmp_path: Path
) -> None:
    old, new = finished_files[name].read_bytes(), flatbuffer(sealed(name, finished_files, tmp_path))
    before, after = contents(old), contents(new)
    added = after.pop("metadata").pop("TFLITE_METADATA")
    before.pop("metadata"), before.pop("metadata", None)
    assert after == before and len(added) < len(new) - len(old) + 2000
    if name != "compiled":
        assert raw_outputs(new) == raw_outputs(old)


@pytest.mark.parametrize("name", KINDS)
def test_card_is_of_a_format_that_older_readers_refuse_where_they_would_feed_the_file_wrongly(
    name: str, finished_files: dict[str, Path], tmp_path: Path
) -> None:
    card = card_of(sealed(name, finished_files, tmp_path))
    assert card.keeps_contract == (name in WITHIN_CONTRACT)
    assert card.format.startswith("1." if card.keeps_contract else "2.")
    assert ModelCard.from_json(card.to_json()) == card
    if not card.keeps_contract:
        with pytest.raises(CardError, match=r"are not raw RGB pixels and probabilities, which format 1\.4"):
            replace(card, format="1.4")


# The metadata's normalization, the colour space, and the range of the input's values, as the metadata
# standard has them: (pixel - mean) / std, then the tensor's quantization, gives what the tensor takes.
METADATA = {
    "float32": ((0.0,), (255.0,), "RGB", 0, 1),
    "uint8": ((0.0,), (255.0,), "RGB", 0, 255),
    "int8": ((0.0,), (255.0,), "RGB", 0, 1),
    "symmetric_uint8": ((127.0,), (127.5,), "RGB", 0, 255),
    "uint8_without_scale": ((0.0,), (1.0,), "RGB", 0, 255),
    "bgr": (IMAGENET.mean[::-1], IMAGENET.std[::-1], "unknown", -1.8044, 2.64),
    "grey": ((0.0,), (255.0,), "grayscale", 0, 1),
    "compiled": ((0.0,), (255.0,), "RGB", 0, 255),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_says_to_other_readers_what_the_input_takes(
    name: str, finished_files: dict[str, Path], tmp_path: Path
) -> None:
    found = inspect(sealed(name, finished_files, tmp_path))
    assert found.problems == () and found.metadata is not None
    mean, std, color, low, high = METADATA[name]
    (given,) = found.metadata.inputs
    (unit,) = given.process_units
    assert unit.mean == pytest.approx(mean) and unit.std == pytest.approx(std)
    assert given.content == f"{color} image {SIDE}x{SIDE}"
    assert [given.minimum[0], given.maximum[0]] == pytest.approx([low, high], abs=1e-4)
    assert [file.name for file in found.metadata.outputs[0].files] == ["labels.txt"]
    assert read_entry(found.path, "labels.txt").decode().split() == list(LABELS)


def test_metadata_of_several_outputs_describes_each_and_names_the_labels_of_one(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    path = sealed("two_outputs", finished_files, tmp_path)
    found = inspect(path)
    assert found.problems == () and found.not_a_classifier is None and found.metadata is not None
    assert [len(output.files) for output in found.metadata.outputs] == [0, 1]
    shown = convert("--inspect", path).stdout
    assert "classes in output 1, activation linear" in shown and "format 2.0" in shown


def test_one_output_for_two_classes_gets_no_labels_that_other_readers_would_count(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    result = seal(finished_files["one_sigmoid"], tmp_path / "out", KINDS["one_sigmoid"].facts)
    assert "one output value for two classes" in result.stderr
    found = inspect(tmp_path / "out" / "one_sigmoid.tflite")
    assert found.metadata is not None and found.metadata.outputs[0].files == () and found.problems == ()
    assert found.metadata.outputs[0].description == "Probability of green; the other class is red"


def described(path: Path, labels: Sequence[str], mean: float, std: float) -> bytes:
    """Return a file with metadata as the tools of TensorFlow write it, with an author and a file of notes.

    Fields by their numbers in metadata_schema.fbs.
    """
    b = TableBuilder()
    options = b.add_table({0: b.add_numbers([mean], "<f4"), 1: b.add_numbers([std], "<f4")})
    units = [b.add_table({0: ("int8", 1), 1: options}), b.add_table({0: ("int8", 3)})]
    given = b.add_table({4: b.add_references(units)})
    files = [
        b.add_table({0: b.CreateString("names.txt"), 2: ("int8", 2)}),
        b.add_table({0: b.CreateString("namen.txt"), 2: ("int8", 2), 3: b.CreateString("de")}),
    ]
    result = b.add_table({6: b.add_references(files)})
    graph = b.add_table({2: b.add_references([given]), 3: b.add_references([result])})
    texts = {0: "Colours", 1: "Tells colours apart", 2: "v7", 4: "Ada", 5: "CC-BY 4.0"}
    fields: dict[int, Any] = {number: b.CreateString(text) for number, text in texts.items()}
    b.Finish(b.add_table({**fields, 3: b.add_references([graph])}), file_identifier=b"M001")
    entries = [("names.txt", "\n".join(labels).encode()), ("namen.txt", b"rot\ngr\xc3\xbcn\nblau")]
    return append_files(add_metadata(path.read_bytes(), bytes(b.Output())), entries)


def test_metadata_that_a_file_has_is_used_and_what_people_wrote_in_it_stays(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "float32.tflite"
    path.write_bytes(described(finished_files["float32"], LABELS, 0, 255))
    result = convert("--seal", path, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    copy = tmp_path / "out" / "float32.tflite"
    assert (answers(Classifier.from_file(copy)) == answers(Classifier.from_file(path))).all()
    found = inspect(copy)
    assert found.problems == () and found.metadata is not None and found.labels == LABELS
    said = (found.metadata.name, found.metadata.description, found.metadata.version)
    assert said == ("Colours", "Tells colours apart", "v7")
    assert (found.metadata.author, found.metadata.license) == ("Ada", "CC-BY 4.0")
    assert [(file.name, file.locale) for file in found.metadata.files] == [("namen.txt", "de")]
    assert {file.name for file in found.appended} >= {"labels.txt", "card.json", "namen.txt"}
    assert "names.txt" not in {file.name for file in found.appended}
    assert "what else is appended to it stays: 'namen.txt'" in result.stderr
    assert "does not take are left out: score thresholding" in result.stderr
    shown = convert("--inspect", copy).stdout
    assert "author 'Ada', license 'CC-BY 4.0', name 'Colours', description 'Tells colours apart'" in shown


def test_options_replace_what_the_metadata_says_and_that_is_told(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "float32.tflite"
    path.write_bytes(described(finished_files["float32"], ("r", "g", "b"), 127.5, 127.5))
    result = seal(path, tmp_path / "out", KINDS["float32"].facts)
    assert result.exit_code == 0, result.stderr
    assert (
        "its metadata says normalization -1..1, and edge-classify feeds 0..1, as the copy says"
        in result.stderr
    )
    assert "names other labels ('r', ...): those of --labels replace them" in result.stderr
    file = ModelFile.read(tmp_path / "out" / "float32.tflite")
    assert (file.labels, file.normalization) == (LABELS, Normalization((0.0,), (255.0,)))


def test_file_compiled_for_an_accelerator_is_sealed_without_golden_examples_and_that_is_told(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    result = seal(finished_files["compiled"], tmp_path / "out", KINDS["uint8"].facts)
    assert result.exit_code == 0, result.stderr
    assert (
        "the runtime here lacks its operation edgetpu-custom-op. So it gets no golden examples, and that its "
        "outputs are probabilities is not tried: its 8-bit outputs are multiples of 1/256 from 0 on"
    ) in " ".join(result.stderr.split())
    card, twin = (
        card_of(tmp_path / "out" / "compiled.tflite"),
        card_of(sealed("uint8", finished_files, tmp_path)),
    )
    assert card.golden == () and replace(twin, golden=(), name="compiled", sha256=card.sha256) == card


OPEN = {
    "float32": ForeignFacts(LABELS),
    "imagenet_int8": ForeignFacts(LABELS),
    "sigmoids": replace(KINDS["sigmoids"].facts, outputs=None),
    "two_outputs": replace(KINDS["two_outputs"].facts, output_index=None),
    "grey": replace(KINDS["grey"].facts, color="BGR"),
    "uint8": ForeignFacts(("a", "b")),
}


@pytest.mark.parametrize("name", OPEN)
def test_fact_that_is_open_or_does_not_fit_is_told_in_the_words_of_the_runner(
    name: str, finished_files: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError) as refused:
        answers(Classifier(ModelFile.read(finished_files[name]), OPEN[name]))
    result = seal(finished_files[name], tmp_path / "out", OPEN[name])
    assert (result.exit_code, result.stderr) == (1, f"Error: {refused.value}\n")
    assert not (tmp_path / "out").exists()


def test_labels_are_asked_for(finished_files: dict[str, Path], tmp_path: Path) -> None:
    result = convert("--seal", finished_files["uint8"], "-o", tmp_path / "out")
    require_refusal(result, "does not name its 3 classes. Give --labels FILE", tmp_path / "out")


def test_quantized_file_is_sealed_unless_something_else_was_asked_for(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    words = [finished_files["uint8"], "-o", tmp_path / "out", *options(KINDS["uint8"].facts, tmp_path / "l")]
    for more in (["--variant", "int8"], ["--data", tmp_path]):
        refusal = r"is quantized already \(int8, uint8\).*labels and metadata as it is: --seal"
        require_refusal(convert(*words, *more), refusal, tmp_path / "out")
    result = convert(*words, "--json")
    assert result.exit_code == 0 and "is quantized already, and is not converted: it gets" in result.stderr
    line = json.loads(result.stdout)
    assert (line["file"], line["golden"]) == (str(tmp_path / "out" / "uint8.tflite"), 2)
    again = convert(tmp_path / "out" / "uint8.tflite", "-o", tmp_path / "again")
    require_refusal(again, "is quantized already .*Give the float32 model$", tmp_path / "again")


def test_classes_of_a_file_with_a_card_are_renamed_and_nothing_else_of_it_changes(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    path = sealed("bgr", finished_files, tmp_path)
    german = ("rot", "grün", "blau")
    result = seal(path, tmp_path / "again", ForeignFacts(german))
    assert result.exit_code == 0, result.stderr
    old, new = card_of(path), card_of(tmp_path / "again" / "bgr.tflite")
    assert new == replace(old, labels=german, sha256=new.sha256)
    assert self_check(tmp_path / "again" / "bgr.tflite").passed
    assert inspect(tmp_path / "again" / "bgr.tflite").problems == ()


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (ForeignFacts(), "carries a card already, .* Give --labels to rename its classes"),
        (ForeignFacts(LABELS, IMAGENET), "--normalization is for models that carry none"),
        (ForeignFacts(("a", "b")), "names 2 classes, and the model has 3 outputs"),
    ],
)
def test_what_contradicts_a_card_is_refused(
    facts: ForeignFacts, sentence: str, finished_files: dict[str, Path], tmp_path: Path
) -> None:
    path = sealed("uint8", finished_files, tmp_path)
    require_refusal(seal(path, tmp_path / "again", facts), sentence, tmp_path / "again")


def test_nothing_is_overwritten_unasked_and_the_input_never(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    path = sealed("uint8", finished_files, tmp_path)
    before, facts = path.read_bytes(), KINDS["uint8"].facts
    result = seal(finished_files["uint8"], path.parent, facts)
    assert result.exit_code == 1 and "replace what is there with --force" in result.stderr
    result = seal(finished_files["uint8"], path.parent, facts, "--resize", "crop", "--force")
    assert result.exit_code == 0 and path.read_bytes() != before
    assert card_of(path).preprocess.resize == "crop"
    path.write_bytes(finished_files["uint8"].read_bytes())
    result = seal(path, path.parent, facts, "--force")
    assert result.exit_code == 1 and "lies in --output itself, and stays as it is" in result.stderr
    assert path.read_bytes() == finished_files["uint8"].read_bytes()


@pytest.mark.parametrize("name", ["m.keras", "folder", "keras:mobilenet_v2", "nothing.tflite"])
def test_other_models_than_tflite_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "m.keras").write_bytes(b"PK\x03\x04")
    path = name if ":" in name else tmp_path / name
    result = convert("--seal", path, "-o", tmp_path / "out")
    require_refusal(result, "--seal is for .tflite files", tmp_path / "out")


@pytest.mark.parametrize("name", FLOAT_KINDS)
def test_sealed_float_file_is_converted_by_what_its_card_says(
    name: str, finished_files: dict[str, Path], tmp_path: Path
) -> None:
    path = sealed(name, finished_files, tmp_path)
    result = convert(path, "-o", tmp_path / "made", "--variant", "float32")
    if name == "condition":
        assert result.exit_code == 1 and "several" in result.stderr
        return
    assert result.exit_code == 0, result.stderr
    made = Classifier.from_file(tmp_path / "made" / f"{name}_float32.tflite")
    assert card_of(tmp_path / "made" / f"{name}_float32.tflite").keeps_contract
    # Grey is rounded to whole numbers by Pillow, and not inside a graph.
    allowed = 0.02 if name in ("grey", "rank3") else 1e-4
    np.testing.assert_allclose(answers(made), answers(Classifier.from_file(path)), atol=allowed)


def test_doctor_exchanges_the_colours_of_a_sealed_file_and_keeps_its_scaling(
    finished_files: dict[str, Path], tmp_path: Path
) -> None:
    used, exchanged = ways_to_feed(Classifier.from_file(sealed("bgr", finished_files, tmp_path)), True)
    assert used.normalization == exchanged.normalization and used.normalization is not None
    assert (used.color, exchanged.color, exchanged.options) == ("BGR", "RGB", ("--color RGB",))
