"""The output for unknown things, on a model whose features are the mean colour of a picture.

Its three classes are red, green and blue things; white, grey and black ones are none of these.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.convert.tflite.unknown_output import (
    MOST,
    STEEPNESS,
    UnknownGraph,
    add_unknown_output,
    takes_unknown_output,
)
from edge_classify.convert.unknown import choose_operating_point
from edge_classify.edge.appended import read_entry
from edge_classify.edge.card import (
    InputSpec,
    ModelCard,
    OutputSpec,
    TrainingInfo,
    UnknownOutput,
    unknown_label,
)
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import CardError
from edge_classify.edge.proof import self_check
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from .support.commands import run_command
from .support.conversion import convert
from .support.tiny_model import classifier

LABELS = ("red", "green", "blue")
VARIANTS = ("float32", "float16", "dynamic", "int8", "int8-float-io")
COLOURS = {"white": (250, 250, 250), "grey": (120, 120, 120), "black": (0, 0, 0), "violet": (230, 20, 230)}


def write_run(run: Path, labels: tuple[str, ...] = LABELS, validation: int = 120) -> None:
    """Write a run of edge-train: pictures of one colour each, and a model that is sure of the strongest."""
    import keras

    rng = np.random.default_rng(0)
    images = []
    for subset, count in {"train": 60, "validation": validation, "test": 60}.items():
        (run / "images" / subset).mkdir(parents=True)
        for number in range(count):
            colour = rng.integers(0, 60, 3)
            colour[number % 3] = rng.integers(150, 256)
            name = f"{subset}/{number:03d}.png"
            Image.new("RGB", (8, 8), tuple(map(int, colour))).save(run / "images" / name)
            digest = hashlib.sha256((run / "images" / name).read_bytes()).hexdigest()
            images.append(SplitImage(name, digest, labels[number % 3], subset))
    Split("images", labels, tuple(images)).write(run)
    inputs = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    dense = keras.layers.Dense(3, activation="softmax")
    outputs = dense(pooled)
    dense.set_weights([np.eye(3) * 12, np.zeros(3)])
    (run / "net").mkdir()
    keras.Model(inputs, outputs).save(run / "net" / "model.keras")
    (run / "net" / "card.json").write_text(ModelCard("net", labels, InputSpec(8, 8, "float32")).to_json())


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("colours")
    write_run(run)
    return run


@pytest.fixture(scope="module")
def files(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the variants with an output for unknown things."""
    output = tmp_path_factory.mktemp("files")
    variants = [part for name in VARIANTS for part in ("--variant", name)]
    result = convert(colours / "net", "--output", output, "--max-drop", "100", "--unknown", *variants)
    assert result.exit_code == 0, result.stderr
    return output


@pytest.fixture(scope="module")
def plain(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The int8 file without."""
    output = tmp_path_factory.mktemp("plain")
    result = convert(colours / "net", "--output", output, "--max-drop", "100", "--variant", "int8")
    assert result.exit_code == 0, result.stderr
    return output / "net_int8.tflite"


def flat(colour: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((8, 8, 3), colour, np.uint8)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_knows_its_classes_and_that_other_colours_are_none_of_them(
    files: Path, variant: str
) -> None:
    model = Classifier.from_file(files / f"net_{variant}.tflite")
    assert (model.labels, model.unknown_label) == (LABELS, "unknown")
    for label, colour in zip(LABELS, ((220, 20, 30), (20, 200, 40), (30, 10, 240)), strict=True):
        found = model.classify_pixels(flat(colour))
        assert (found.best.label, found.doubt) == (label, None)
        assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
    for name, colour in COLOURS.items():
        assert model.classify_pixels(flat(colour)).unknown, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_first_of_all_outputs_is_the_answer_for_any_program(files: Path, variant: str) -> None:
    """A plain interpreter and the lines of labels.txt are all that another program has."""
    path = files / f"net_{variant}.tflite"
    lines = read_entry(path, "labels.txt").decode().splitlines()
    assert lines == [*LABELS, "unknown"]
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    model = Classifier.from_file(path)
    rng = np.random.default_rng(1)
    answers = set()
    for colour in rng.integers(0, 256, (300, 3)):
        interpreter.set_tensor(given["index"], flat(tuple(colour))[None].astype(given["dtype"]))
        interpreter.invoke()
        values = interpreter.get_tensor(result["index"])[0]
        assert values.shape == (4,)
        found = model.classify_pixels(flat(tuple(colour)))
        first = lines[int(values.argmax())]
        assert first == ("unknown" if found.unknown else found.best.label)
        answers.add(first)
    assert answers == set(lines)


def test_class_that_is_likeliest_stays_the_same_as_without_the_output(files: Path, plain: Path) -> None:
    with_output, without = Classifier.from_file(files / "net_int8.tflite"), Classifier.from_file(plain)
    for colour in np.random.default_rng(2).integers(0, 256, (60, 3)):
        one, other = (each.classify_pixels(flat(tuple(colour))) for each in (with_output, without))
        # A quarter is left to the classes at least: 64 steps of 8 bits, and half of one on either side.
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1.5 / 64)
        if np.ptp(np.sort(other.probabilities)[-2:]) > 3 / 64:
            assert one.best.label == other.best.label


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_card_says_what_the_output_is_called_and_how_sure_its_operating_point_is(
    files: Path, variant: str
) -> None:
    path = files / f"net_{variant}.tflite"
    card = Classifier.from_file(path).file.card
    assert card is not None and card.output.unknown is not None and card.accuracy is not None
    assert (card.labels, card.output_labels) == (LABELS, (*LABELS, "unknown"))
    assert (card.output.unknown.label, card.output.unknown.images) == ("unknown", 120)
    assert 0.02 < card.output.unknown.lost_at_most < 0.08  # None of 120: 1 - 0.05 ** (1 / 120) = 0.025.
    assert card.accuracy.top1 == 1.0 and card.accuracy.unknown == card.accuracy.lost_to_unknown
    assert card.accuracy.unknown is not None and card.accuracy.unknown <= 0.05
    assert self_check(path).passed
    assert all(example.unknown is not None for example in card.golden)
    shown = run_command("edge-convert", path, "--inspect").stdout
    assert "the last output, 'unknown', for what is none of the 3 classes" in " ".join(shown.split())


def test_without_the_option_files_have_one_output_a_class(plain: Path) -> None:
    model = Classifier.from_file(plain)
    assert model.unknown_label is None and model.output.shape[-1] == 3
    assert model.classify_pixels(flat(COLOURS["white"])).none_of_these is None


def test_conversion_is_repeated_with_the_same_bytes(colours: Path, files: Path, tmp_path: Path) -> None:
    result = convert(
        colours / "net", "-o", tmp_path, "--max-drop", "100", "--unknown", "--variant", "float16"
    )
    assert result.exit_code == 0, result.stderr
    name = "net_float16.tflite"
    assert (tmp_path / name).read_bytes() == (files / name).read_bytes()


def test_users_own_class_called_unknown_keeps_its_name(tmp_path: Path) -> None:
    write_run(tmp_path / "run", ("red", "green", "unknown"))
    result = convert(tmp_path / "run" / "net", "-o", tmp_path, "--unknown", "--variant", "float32")
    assert result.exit_code == 0, result.stderr
    model = Classifier.from_file(tmp_path / "net_float32.tflite")
    assert (model.labels[-1], model.unknown_label) == ("unknown", "none of these")
    assert model.classify_pixels(flat((30, 10, 240))).best.label == "unknown"
    assert model.classify_pixels(flat(COLOURS["white"])).unknown


def test_renamed_class_that_is_called_unknown_takes_the_name_from_the_output(
    files: Path, tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text("unknown\nb\nc\n")
    source = files / "net_int8.tflite"
    result = convert(source, "--seal", "--labels", tmp_path / "labels.txt", "-o", tmp_path)
    assert result.exit_code == 0, result.stderr
    (copy,) = tmp_path.glob("*.tflite")
    model = Classifier.from_file(copy)
    assert (model.labels, model.unknown_label) == (("unknown", "b", "c"), "none of these")
    assert read_entry(copy, "labels.txt").decode().splitlines()[-1] == "none of these"


def test_too_few_validation_images_give_no_output_and_this_is_said(tmp_path: Path) -> None:
    write_run(tmp_path / "run", validation=6)
    result = convert(tmp_path / "run" / "net", "-o", tmp_path, "--unknown", "--variant", "float32")
    assert "net: float32 cannot answer unknown: it has 6 validation images right, and 10" in result.stderr
    assert Classifier.from_file(tmp_path / "net_float32.tflite").unknown_label is None


def test_model_from_before_its_refit_chooses_where_known_things_end(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    folder = tmp_path / "run" / "net"
    shutil.copy(folder / "model.keras", folder / "before_refit.keras")
    card = ModelCard.from_json((folder / "card.json").read_text())
    training = TrainingInfo(
        "net", "none", "images", 0, Split.read(tmp_path / "run").sha256, learned_validation=True
    )
    (folder / "card.json").write_text(replace(card, training=training).to_json())
    result = convert(folder, "-o", tmp_path, "--unknown", "--variant", "dynamic")
    assert "net has learned from the validation images: the model from before answers them" in result.stderr
    assert (
        Classifier.from_file(tmp_path / "net_dynamic.tflite").classify_pixels(flat(COLOURS["grey"])).unknown
    )


def test_class_whose_training_images_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    for number in range(1, 60, 3):
        (tmp_path / "run" / "images" / "train" / f"{number:03d}.png").write_bytes(b"broken")
    result = convert(tmp_path / "run" / "net", "-o", tmp_path, "--unknown", "--variant", "float32")
    assert "net: 20 of these cannot be read, and are left out" in result.stderr
    assert "net: float32 cannot answer unknown: none of the training images of green can" in result.stderr
    assert Classifier.from_file(tmp_path / "net_float32.tflite").unknown_label is None


def test_without_training_images_no_file_can_answer_unknown_and_this_is_said(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    for path in (tmp_path / "run" / "images" / "train").iterdir():
        path.unlink()
    result = convert(tmp_path / "run" / "net", "-o", tmp_path, "--unknown", "--variant", "float32")
    assert "net: the files cannot answer unknown: there are no training images of red here" in result.stderr


def test_benchmark_tells_how_many_images_are_answered_unknown(
    colours: Path, files: Path, tmp_path: Path
) -> None:
    for label, colour in (("red", (220, 20, 30)), ("green", COLOURS["white"]), ("blue", (30, 10, 240))):
        (tmp_path / label).mkdir()
        Image.new("RGB", (8, 8), colour).save(tmp_path / label / "1.png")
    model = files / "net_int8.tflite"
    result = run_command("edge-benchmark", model, "--data", tmp_path, "--runs", "10", "--json")
    accuracy = json.loads(result.stdout.splitlines()[-1])["accuracy"]
    assert accuracy["unknown"] == pytest.approx(1 / 3)
    assert accuracy["outputs"] == 3


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_graph_computes_what_its_formula_says(storage: str) -> None:
    plain = classifier()
    assert takes_unknown_output(plain)
    directions = np.array([[1, 0, 0, 0], [0, 0.6, 0.8, 0]], np.float32)
    made = add_unknown_output(plain, UnknownGraph(directions, 0.95, 1000.0), storage)  # type: ignore[arg-type]
    for seed in range(20):
        colour = np.random.default_rng(seed).integers(0, 256, 3)
        features, p = run(plain, colour, feature=True)
        (values,) = run(made, colour)
        cosine = float((directions @ features).max() / max(float(np.linalg.norm(features)), 1e-9))
        share = 1 / (1 + np.exp(-STEEPNESS * (0.95 - cosine)))
        expected = np.append(p * (1 - min(share, MOST)), min(share, MOST))
        np.testing.assert_allclose(values, expected, atol=0.03 if storage == "int8" else 0.01)
        assert values.sum() == pytest.approx(1, abs=1e-5)


def test_features_of_nothing_but_zeros_are_unknown() -> None:
    directions = np.eye(4, dtype=np.float32)
    (values,) = run(
        add_unknown_output(classifier(), UnknownGraph(directions, 0.5, 1.0), "float32"), (0, 0, 0)
    )
    assert np.isfinite(values).all() and values.argmax() == 4


def run(
    flatbuffer: bytes,
    colour: tuple[int, ...] | np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    *,
    feature: bool = False,
) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return the output for a picture of one colour, after what the last layer reads if that is asked for."""
    interpreter = Interpreter(model_content=flatbuffer, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    pixels = np.broadcast_to(np.asarray(colour, np.float32), (1, 8, 8, 3))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    if not feature:
        return [result]
    names = {each["name"]: each["index"] for each in interpreter.get_tensor_details()}
    return [interpreter.get_tensor(names["mean"])[0], result]


@given(st.lists(st.floats(0, 1), min_size=50, max_size=400), st.lists(st.floats(0, 1), max_size=40))
def test_operating_point_loses_at_most_two_per_cent_and_its_limit_covers_what_it_lost(
    right: list[float], made_up: list[float]
) -> None:
    scores, empty = np.array(right), np.array(made_up)
    point = choose_operating_point(scores, empty)
    lost = float((scores < point.threshold).mean())
    assert lost <= 0.02 and lost < point.lost_at_most <= 1
    plain = choose_operating_point(scores, np.empty(0))
    assert point.threshold <= plain.threshold  # The margin only lowers it.


def test_limit_of_few_images_is_wide_and_that_of_many_is_not() -> None:
    """1 - 0.05 ** (1 / n), where none of n is lost: Clopper and Pearson's limit."""
    few = choose_operating_point(np.linspace(0.8, 0.9, 12), np.empty(0))
    assert few.threshold < 0.8 and few.lost_at_most == pytest.approx(1 - 0.05 ** (1 / 12))
    many = choose_operating_point(np.linspace(0.8, 0.9, 1001), np.empty(0))
    assert many.threshold == pytest.approx(0.802) and 0.02 < many.lost_at_most < 0.03


def test_name_of_the_output_is_the_first_that_is_no_label() -> None:
    assert unknown_label(("cat", "dog")) == "unknown"
    assert unknown_label(("cat", " Unknown ")) == "none of these"
    with pytest.raises(CardError, match="an output for unknown things needs a name"):
        unknown_label(("unknown", "none of these", "none of the other labels"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "red"}, "must be none of the labels"),
        ({"label": ""}, "non-empty"),
        ({"images": 0}, "at least 1"),
        ({"lost_at_most": 1.5}, "0 to 1"),
    ],
)
def test_card_refuses_an_impossible_output_for_unknown_things(
    changes: dict[str, object], message: str
) -> None:
    unknown = UnknownOutput("unknown", 100, 0.03)
    with pytest.raises(CardError, match=message):
        changed = replace(unknown, **changes)  # type: ignore[arg-type]
        ModelCard("net", LABELS, InputSpec(8, 8, "uint8"), output=OutputSpec("uint8", unknown=changed))
