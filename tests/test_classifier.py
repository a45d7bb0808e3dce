"""A model file in, predictions out, by the real interpreter."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from edge_classify.edge import Classifier, EdgeClassifyError
from edge_classify.edge.classifier import load_classifiers, top_scores
from edge_classify.edge.errors import CardError, LabelError, ModelFileError
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.meanings import OutputMeaning
from edge_classify.edge.modelfile import ModelFile, Normalization
from edge_classify.edge.output_meaning import to_probabilities
from edge_classify.edge.runtime import Execution
from edge_classify.edge.tensors import TensorSpec, dequantize, to_tensor
from edge_classify.edge.tflite.metadata import add_metadata
from edge_classify.edge.tflite.sealing import seal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from .support.tiny_model import CARD, golden_pixels, with_zip, write_sealed
from .support.tiny_model import classifier as tiny

COLOURS = ("red", "green", "blue")
LABELS = ("r", "g", "b")
SYMMETRIC = Normalization((127.5,), (127.5,))
VARIANTS = ("float32", "float16", "dynamic", "int8")


def picture(colour: str) -> Image.Image:
    return Image.new(
        "RGB", (20, 12), {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}[colour]
    )


def table(builder: Any, fields: dict[int, int], numbers: dict[int, int]) -> int:
    builder.StartObject(10)
    for field, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    for field, number in numbers.items():
        builder.PrependUint8Slot(field, number, 0)
    return int(builder.EndObject())


def vector(builder: Any, values: Sequence[float] | Sequence[int], refs: bool = False) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependUOffsetTRelative(value) if refs else builder.PrependFloat32(value)
    return int(builder.EndVector())


def described(model: Path, mean: Sequence[float], std: Sequence[float]) -> bytes:
    """Return the model with TFLite metadata as MediaPipe Model Maker writes it: normalization, label file.

    Fields by their number in metadata_schema.fbs.
    """
    b = flatbuffers.Builder()
    options = table(b, {0: vector(b, mean), 1: vector(b, std)}, {})
    unit = table(b, {1: options}, {0: 1})
    given = table(b, {4: vector(b, [unit], True)}, {})
    file = table(b, {0: b.CreateString("names.txt")}, {2: 2})
    result = table(b, {6: vector(b, [file], True)}, {})
    graph = table(b, {2: vector(b, [given], True), 3: vector(b, [result], True)}, {})
    b.Finish(table(b, {3: vector(b, [graph], True)}, {}), file_identifier=b"M001")
    return add_metadata(model.read_bytes(), bytes(b.Output()))


@pytest.mark.parametrize("name", ["float32", "uint8", "int8", "logits"])
@pytest.mark.parametrize("colour", COLOURS)
def test_foreign_model_with_normalization_names_the_colour_with_probabilities(
    name: str, colour: str, foreign_models: dict[str, Path]
) -> None:
    prediction = Classifier.from_file(foreign_models[name], LABELS, SYMMETRIC).classify(picture(colour))
    assert prediction.best.label == colour[0]
    assert prediction.best.index == COLOURS.index(colour)
    # The model is softmax(4 * mean colour in -1..1): 230 and 20 are 0.804 and -0.843.
    np.testing.assert_allclose(prediction.best.score, 1 / (1 + 2 * np.exp(-4 * 210 / 127.5)), atol=0.005)
    assert prediction.probabilities.sum() == pytest.approx(1, abs=0.01)
    assert not prediction.unknown


@pytest.mark.parametrize("name", ["uint8", "int8"])
def test_foreign_integer_model_without_normalization_takes_pixels_as_they_are(
    name: str, foreign_models: dict[str, Path]
) -> None:
    classifier = Classifier.from_file(foreign_models[name])
    assert [classifier.classify(picture(colour)).best.index for colour in COLOURS] == [0, 1, 2]
    assert classifier.labels == ("class 0", "class 1", "class 2")


@pytest.mark.parametrize("name", ["float32", "logits"])
def test_foreign_float_model_without_normalization_is_refused_with_the_choices(
    name: str, foreign_models: dict[str, Path]
) -> None:
    with pytest.raises(ModelFileError, match=r"does not say how pixels are scaled.*--normalization 0\.\.255"):
        Classifier.from_file(foreign_models[name])


@pytest.mark.parametrize(("mean", "std"), [([127.5], [127.5]), ([127.5] * 3, [127.5] * 3)])
def test_foreign_float_model_with_metadata_needs_nothing_else(
    mean: list[float], std: list[float], foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(described(foreign_models["float32"], mean, std))
    path = with_zip(bare, tmp_path / "m.tflite", {"names.txt": b"red\r\ngreen\r\nblue\r\n"})
    classifier = Classifier.from_file(path)
    assert [classifier.classify(picture(colour)).best.label for colour in COLOURS] == list(COLOURS)
    plain = Classifier.from_file(foreign_models["float32"], None, SYMMETRIC).classify(picture("red"))
    np.testing.assert_array_equal(classifier.classify(picture("red")).probabilities, plain.probabilities)


@pytest.mark.parametrize(
    ("mean", "std"), [([], []), ([0.0, 0.0], [1.0, 1.0]), ([0.0], [0.0]), ([float("nan")], [1.0])]
)
def test_foreign_float_model_with_unusable_metadata_is_asked_for_normalization(
    mean: list[float], std: list[float], foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(described(foreign_models["float32"], mean, std))
    with pytest.raises(ModelFileError, match="does not say how pixels are scaled"):
        Classifier.from_file(path)


def test_labels_of_another_number_than_outputs_are_refused(foreign_models: dict[str, Path]) -> None:
    with pytest.raises(LabelError, match=r"--labels for .*uint8\.tflite names 2 classes.* 3 outputs"):
        Classifier.from_file(foreign_models["uint8"], ("a", "b"))


def test_model_that_gives_no_numbers_is_refused_instead_of_answered(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    weights = struct.pack("<f", 4.0)  # The model's only weights are the unit matrix times 4.
    data = foreign_models["float32"].read_bytes()
    assert data.count(weights) == 3
    path = tmp_path / "m.tflite"
    path.write_bytes(data.replace(weights, struct.pack("<f", float("nan"))))
    with pytest.raises(ModelFileError, match="values that are no numbers"):
        Classifier.from_file(path, None, SYMMETRIC).classify(picture("red"))


def test_model_with_an_open_input_size_is_refused_instead_of_fed_one_pixel(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    inputs = keras.Input(batch_shape=(1, None, None, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    path = tmp_path / "open.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    with pytest.raises(ModelFileError, match=r"open\.tflite has no fixed input size"):
        Classifier.from_file(path, None, SYMMETRIC)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b"]}, "names 2 classes, and the model has 3 outputs"),
        ({"input": {"height": 9, "width": 8, "dtype": "uint8"}}, r"promises input \(1, 9, 8, 3\) uint8"),
        ({"output": {"dtype": "float32"}}, "promises float32 output, and the model gives uint8"),
    ],
)
def test_card_that_contradicts_its_model_is_refused(
    changes: dict[str, Any], message: str, foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    card = json.dumps({**CARD, "output": {"dtype": "uint8"}, **changes}).encode()
    path = with_zip(foreign_models["uint8"], tmp_path / "m.tflite", {"card.json": card})
    with pytest.raises((CardError, LabelError), match=message):
        Classifier.from_file(path)


@pytest.mark.parametrize(("threshold", "unsure"), [(0.3, False), (0.99, True), (None, False)])
def test_answer_below_the_cards_threshold_is_unsure(
    threshold: float | None, unsure: bool, foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    card = json.dumps({**CARD, "output": {"dtype": "uint8", "threshold": threshold}}).encode()
    path = with_zip(foreign_models["uint8"], tmp_path / "m.tflite", {"card.json": card})
    grey = Image.new("RGB", (8, 8), (150, 120, 120))
    prediction = Classifier.from_file(path).classify(grey)
    assert (prediction.best.label, prediction.unsure, prediction.unknown) == ("r", unsure, False)


def test_answer_exactly_at_the_cards_threshold_is_given(tmp_path: Path) -> None:
    path = write_sealed(tmp_path / "m.tflite")
    pixels = golden_pixels(1)
    plain = Classifier.from_file(path)
    score = plain.classify_pixels(pixels).best.score
    assert plain.file.card is not None
    for threshold, unsure in ((score, False), (float(np.nextafter(score, 1)), True)):
        output = replace(plain.file.card.output, threshold=threshold)
        path.write_bytes(seal(tiny(), replace(plain.file.card, output=output)))
        assert Classifier.from_file(path).classify_pixels(pixels).unsure == unsure


def test_card_refuses_a_normalization_from_outside(foreign_models: dict[str, Path], tmp_path: Path) -> None:
    card = json.dumps({**CARD, "output": {"dtype": "uint8"}}).encode()
    path = with_zip(foreign_models["uint8"], tmp_path / "m.tflite", {"card.json": card})
    with pytest.raises(ModelFileError, match="carries its own labels and preprocessing"):
        Classifier.from_file(path, None, SYMMETRIC)


def test_picture_of_another_mode_is_classified_as_its_rgb(foreign_models: dict[str, Path]) -> None:
    classifier = Classifier.from_file(foreign_models["uint8"])
    assert classifier.classify(picture("green").convert("RGBA")).best.index == 1
    assert classifier.classify(picture("green").convert("P")).best.index == 1


def plain_answer(model: Path, image: Path) -> NDArray[Any]:
    """Do what the documentation tells other programs to do, with nothing of this project."""
    from ai_edge_litert.interpreter import Interpreter

    with zipfile.ZipFile(model) as archive:
        card = json.loads(archive.read("card.json"))
    interpreter = Interpreter(str(model))
    interpreter.allocate_tensors()
    size = (card["input"]["width"], card["input"]["height"])
    pixels = np.asarray(Image.open(image).convert("RGB").resize(size, Image.Resampling.BILINEAR))
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], pixels.astype(card["input"]["dtype"])[None]
    )
    interpreter.invoke()
    stored = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    output = card["output"]
    return np.asarray((stored.astype(np.float32) - output["zero_point"]) * output["scale"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_sealed_file_gives_what_a_plain_interpreter_gives_from_the_file_alone(
    variant: str, converted: Path, shapes: Path
) -> None:
    path = converted / f"cnn_{variant}.tflite"
    classifier = Classifier.from_file(path)
    for image in sorted(shapes.rglob("bild 00[0-2].png")):
        expected = plain_answer(path, image)
        np.testing.assert_allclose(classifier.classify(image).probabilities, expected, atol=1e-6)


def test_damaged_tensor_name_is_refused_without_a_traceback(
    foreign_models: dict[str, Path], tmp_path: Path
) -> None:
    data = foreign_models["uint8"].read_bytes()
    name = b"StatefulPartitionedCall"
    assert name in data
    path = tmp_path / "m.tflite"
    path.write_bytes(data.replace(name, b"\xff" * len(name)))
    with pytest.raises(EdgeClassifyError, match=r"m\.tflite is damaged"):
        Classifier.from_file(path)


def test_scores_that_tie_are_ordered_by_index() -> None:
    scores = top_scores(np.array([0.2, 0.4, 0.4], np.float32), LABELS, 5)
    assert [score.label for score in scores] == ["g", "b", "r"]


@given(
    arrays(np.uint8, (2, 3, 3)),
    st.sampled_from(["uint8", "int8"]),
    st.floats(0, 255),
    st.floats(1, 255),
    st.floats(0.002, 1),
    st.integers(-128, 255),
)
def test_quantized_input_is_the_nearest_value_that_its_dtype_holds(
    pixels: NDArray[np.uint8], dtype: str, mean: float, std: float, scale: float, zero_point: int
) -> None:
    spec = TensorSpec(0, (1, 2, 3, 3), dtype, scale, zero_point)
    tensor = to_tensor(pixels, spec, Normalization((mean,), (std,)))
    assert (tensor.dtype, tensor.shape) == (np.dtype(dtype), spec.shape)
    exact = (pixels.astype(np.float64) - mean) / std / scale + zero_point
    limits = np.iinfo(dtype)
    nearest = exact.clip(limits.min, limits.max)
    np.testing.assert_allclose(tensor[0].astype(np.float64), nearest, atol=0.501)


@given(arrays(np.uint8, (2, 3, 3)))
def test_pixels_without_normalization_keep_their_order_in_every_dtype(pixels: NDArray[np.uint8]) -> None:
    for dtype, shift in (("uint8", 0), ("float32", 0), ("int8", 128)):
        tensor = to_tensor(pixels, TensorSpec(0, (1, 2, 3, 3), dtype, 0.5, 3), None)
        assert tensor.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(tensor[0].astype(np.int64) + shift, pixels)


@given(arrays(np.uint8, 4), st.floats(1e-3, 1), st.integers(0, 255))
def test_stored_outputs_are_dequantized_as_the_tensor_says(
    stored: NDArray[np.uint8], scale: float, zero_point: int
) -> None:
    expected = (stored.astype(np.float64) - zero_point) * scale
    spec = TensorSpec(0, (1, 4), "uint8", scale, zero_point)
    np.testing.assert_allclose(dequantize(stored, spec), expected, rtol=1e-5)


@given(arrays(np.float32, 4, elements=st.floats(-1e6, 1e6, width=32)))
def test_logits_of_any_size_become_probabilities_in_the_same_order(logits: NDArray[np.float32]) -> None:
    probabilities = to_probabilities(logits, OutputMeaning.LOGITS)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert (np.diff(probabilities[np.argsort(logits)]) >= 0).all()


def test_model_file_can_be_read_before_it_is_loaded(foreign_models: dict[str, Path]) -> None:
    classifier = Classifier(ModelFile.read(foreign_models["uint8"]), ForeignFacts(LABELS))
    assert (classifier.name, classifier.classes, classifier.threshold) == ("uint8", 3, None)


@pytest.mark.parametrize("variant", VARIANTS)
def test_model_in_memory_answers_as_its_file(variant: str, converted: Path) -> None:
    path = converted / f"cnn_{variant}.tflite"
    in_memory = Classifier(ModelFile.read(path.read_bytes(), "shapes"))
    assert (in_memory.name, in_memory.file.name) == ("shapes", "shapes")
    for colour in COLOURS:
        own, theirs = (c.classify(picture(colour)) for c in (in_memory, Classifier.from_file(path)))
        assert own.top == theirs.top
        assert (own.probabilities == theirs.probabilities).all()
    twin = in_memory.clone().classify(picture("red"))
    assert (twin.probabilities == in_memory.classify(picture("red")).probabilities).all()


def test_models_in_memory_without_a_name_are_called_the_model(foreign_models: dict[str, Path]) -> None:
    data = foreign_models["uint8"].read_bytes()
    both = load_classifiers([data, foreign_models["uint8"]], ForeignFacts(LABELS))
    assert [classifier.name for classifier in both] == ["the model", "uint8"]
    with pytest.raises(ModelFileError, match=r"^the model is not a TFLite model"):
        Classifier.from_file(b"nothing")


def test_untrusted_model_in_memory_is_sent_to_its_process_and_answers_as_the_file(
    foreign_models: dict[str, Path],
) -> None:
    path, pixels = foreign_models["uint8"], np.full((64, 64, 3), (200, 30, 40), np.uint8)
    untrusted = Execution(untrusted=True)
    sent = Classifier.from_file(path.read_bytes(), LABELS, execution=untrusted)
    assert sent.classify(pixels).top == Classifier.from_file(path, LABELS).classify(pixels).top
