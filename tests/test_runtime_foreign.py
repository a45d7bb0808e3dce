"""Every .tflite classifier that people have: right answers, or a clear question; nothing is guessed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import LabelError, ModelFileError
from edge_classify.edge.labels import read_label_file
from edge_classify.edge.modelfile import Normalization
from edge_classify.edge.runtime import Execution
from edge_classify.edge.tensors import TensorSpec, to_tensor
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from .support.tiny_foreign import RGB, Foreign
from .support.tiny_model import SIDE

SYMMETRIC = Normalization((127.5,), (127.5,))
DTYPES = ("float32", "uint8", "int8", "int16")
NAMES = ("red", "green", "blue")
GREYS = ("dark", "middle", "bright")


def picture(strongest: int, seed: int = 0) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(seed).integers(0, 150, RGB[1:], np.uint8)
    pixels[:, :, strongest] += 60
    return pixels


def expected(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the network's probabilities by its definition."""
    logits = 4 * (pixels.astype(np.float64).mean((0, 1)) - 127.5) / 127.5
    return np.asarray(np.exp(logits) / np.exp(logits).sum())


@pytest.mark.parametrize(("stored", "result"), list(product(DTYPES, DTYPES)))
@pytest.mark.parametrize("ending", ["SOFTMAX", None])
def test_same_network_gives_the_same_answers_in_every_mixture_of_dtypes(
    stored: str, result: str, ending: str | None, tmp_path: Path
) -> None:
    path = Foreign(stored, result, ending=ending).write(tmp_path / "m.tflite")
    classifier = Classifier.from_file(path, NAMES, SYMMETRIC)
    for strongest, name in enumerate(NAMES):
        pixels = picture(strongest)
        prediction = classifier.classify_pixels(pixels)
        assert prediction.best.label == name
        np.testing.assert_allclose(prediction.probabilities, expected(pixels), atol=0.02)


@pytest.mark.parametrize("stored", ["uint8", "int8"])
def test_8_bit_model_needs_no_normalization_for_the_same_answer(stored: str, tmp_path: Path) -> None:
    path = Foreign(stored, stored).write(tmp_path / "m.tflite")
    prediction = Classifier.from_file(path, NAMES).classify_pixels(picture(1))
    np.testing.assert_allclose(prediction.probabilities, expected(picture(1)), atol=0.02)


@pytest.mark.parametrize("stored", ["uint8", "int8", "int16"])
@pytest.mark.parametrize("said", ["0..255", "0,50"])
def test_normalization_that_leads_beyond_the_numbers_of_an_input_is_refused(
    stored: str, said: str, tmp_path: Path
) -> None:
    """The input holds -1 to 1: of such a normalization most brightnesses would become the same number."""
    path = Foreign(stored).write(tmp_path / "m.tflite")
    with pytest.raises(ModelFileError, match=r"only \d of 256 brightnesses|leads beyond them for 20. of 256"):
        Classifier.from_file(path, NAMES, Normalization.parse(said))
    Classifier.from_file(path, NAMES, Normalization.parse("0..1"))


@pytest.mark.parametrize(("stored", "kind"), [("float32", "float"), ("int16", r"16-bit \(-1 to 1\)")])
def test_model_whose_scaling_nobody_knows_is_a_question(stored: str, kind: str, tmp_path: Path) -> None:
    path = Foreign(stored).write(tmp_path / "m.tflite")
    with pytest.raises(ModelFileError, match=rf"takes {kind} input and does not say how.*--normalization"):
        Classifier.from_file(path, NAMES)


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 3), (3,), (1, 3, 1, 1), (1, 1, 3)])
def test_vector_of_classes_in_any_shape_is_read(shape: Sequence[int], tmp_path: Path) -> None:
    path = Foreign(output_shape=shape).write(tmp_path / "m.tflite")
    prediction = Classifier.from_file(path, NAMES, SYMMETRIC).classify_pixels(picture(2))
    assert prediction.best.label == "blue"
    np.testing.assert_allclose(prediction.probabilities, expected(picture(2)), atol=1e-5)


@pytest.mark.parametrize("stored", DTYPES)
def test_model_with_the_channels_first_gets_them_first(stored: str, tmp_path: Path) -> None:
    first = Foreign(stored, input_shape=(1, 3, SIDE, SIDE)).write(tmp_path / "first.tflite")
    last = Foreign(stored).write(tmp_path / "last.tflite")
    classifiers = [Classifier.from_file(path, NAMES, SYMMETRIC) for path in (first, last)]
    assert {(c.spec.height, c.spec.width, c.size) for c in classifiers} == {(SIDE, SIDE, (SIDE, SIDE))}
    for strongest in range(3):
        answers = [c.classify_pixels(picture(strongest)).probabilities for c in classifiers]
        np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)
        assert int(answers[0].argmax()) == strongest


@pytest.mark.parametrize("shape", [(1, SIDE, SIDE, 1), (1, 1, SIDE, SIDE), (1, SIDE, SIDE)])
@pytest.mark.parametrize("stored", ["float32", "uint8"])
def test_grey_model_sees_the_luma_of_a_picture_in_colour(
    shape: Sequence[int], stored: str, tmp_path: Path
) -> None:
    path = Foreign(stored, input_shape=shape).write(tmp_path / "m.tflite")
    classifier = Classifier.from_file(path, GREYS, SYMMETRIC)
    for colour, answer in (((0, 0, 90), "dark"), ((90, 255, 90), "bright"), ((250, 250, 250), "bright")):
        image = Image.new("RGB", (30, 20), colour)
        prediction = classifier.classify(image)
        assert prediction.best.label == answer
        luma = float(np.array([299, 587, 114]) @ np.array(colour)) / 1000  # ITU-R BT.601, section 2.5.1.
        logits = np.array([-4, 0, 4]) * (luma - 127.5) / 127.5
        wanted = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(prediction.probabilities, wanted, atol=0.02)


def test_grey_model_with_a_normalization_for_three_channels_is_a_question(tmp_path: Path) -> None:
    path = Foreign(input_shape=(1, SIDE, SIDE, 1)).write(tmp_path / "m.tflite")
    with pytest.raises(ModelFileError, match=r"takes grey pictures.*Received: 3 and 3; give --normalization"):
        Classifier.from_file(path, GREYS, Normalization((1.0,) * 3, (2.0,) * 3))


def test_model_with_an_open_batch_gets_a_batch_of_one(tmp_path: Path) -> None:
    path = Foreign(signature=(-1, SIDE, SIDE, 3)).write(tmp_path / "m.tflite")
    assert Classifier.from_file(path, NAMES, SYMMETRIC).classify_pixels(picture(1)).best.label == "green"


@pytest.mark.parametrize("result", DTYPES)
@pytest.mark.parametrize("ending", ["LOGISTIC", None])
def test_single_output_is_the_second_of_two_classes(result: str, ending: str | None, tmp_path: Path) -> None:
    path = Foreign("uint8", result, ending=ending, classes=1).write(tmp_path / "m.tflite")
    classifier = Classifier.from_file(path, ("green", "red"))
    assert classifier.classes == 2
    for strongest, name in ((0, "red"), (1, "green")):
        pixels = picture(strongest)
        red, green, _ = (pixels.astype(np.float64).mean((0, 1)) - 127.5) / 127.5
        prediction = classifier.classify_pixels(pixels)
        assert prediction.best.label == name
        wanted = 1 / (1 + math.exp(-8 * (red - green)))
        np.testing.assert_allclose(prediction.probabilities, [1 - wanted, wanted], atol=0.04)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Foreign(outputs=2),
            r"has 2 outputs \(0: .*--output-index.*several objects",
        ),
        (Foreign("uint8", "uint8", scaled=False), r"its output is uint8 without a scale"),
        (
            Foreign(input_shape=(2, SIDE, SIDE, 3)),
            r"its input is \[2, 8, 8, 3\], and this program feeds \[1,",
        ),
        (Foreign("float16"), "input is float16; supported are uint8, int8, int16, float32. Convert it again"),
    ],
)
def test_model_that_is_no_classifier_of_pictures_is_refused_with_the_reason(
    model: Foreign, message: str, tmp_path: Path
) -> None:
    path = model.write(tmp_path / "m.tflite")
    for execution in (Execution(), Execution(untrusted=True)):
        with pytest.raises(ModelFileError, match=message):
            Classifier.from_file(path, None, SYMMETRIC, execution)


@pytest.mark.parametrize(
    "shape",
    [(1, SIDE, SIDE, 2), (1, SIDE, SIDE, 4), (SIDE, SIDE, 3), (1, 3), (), (1, 0, SIDE, 3), (1, 3, 0, 5)],
)
def test_input_that_holds_no_picture_has_no_layout(shape: tuple[int, ...]) -> None:
    assert TensorSpec(0, shape, "uint8", 1.0, 0).layout is None


def test_input_that_could_have_channels_first_or_last_has_them_last() -> None:
    layout = TensorSpec(0, (1, 3, 20, 3), "uint8", 1.0, 0).layout
    assert layout is not None
    assert (layout.height, layout.width, layout.channels, layout.channels_first) == (3, 20, 3, False)


@given(arrays(np.uint8, (5, 4, 3)))
def test_pixels_with_the_channels_first_are_the_same_pixels_moved(pixels: NDArray[np.uint8]) -> None:
    tensor = to_tensor(pixels, TensorSpec(0, (1, 3, 5, 4), "uint8", 1.0, 0), None)
    np.testing.assert_array_equal(tensor[0].transpose(1, 2, 0), pixels)
    assert tensor.flags.c_contiguous


@given(arrays(np.uint8, (5, 4, 3)))
def test_grey_pixels_are_pillows_luma_in_every_layout(pixels: NDArray[np.uint8]) -> None:
    luma = np.asarray(Image.fromarray(pixels).convert("L"))
    for shape in ((1, 5, 4, 1), (1, 1, 5, 4), (1, 5, 4)):
        tensor = to_tensor(pixels, TensorSpec(0, shape, "uint8", 1.0, 0), None)
        assert tensor.shape == shape
        np.testing.assert_array_equal(tensor.reshape(5, 4), luma)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("green",), r"names 1 classes, and the model has 2 outputs$"),
        (("background", "green", "red"), r"names 3 classes, and the model has 2 outputs$"),
    ],
)
def test_labels_one_apart_are_no_question_about_imagenet_where_the_model_is_small(
    labels: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    path = Foreign("uint8", classes=1, ending="LOGISTIC").write(tmp_path / "m.tflite")
    with pytest.raises(LabelError, match=message):
        Classifier.from_file(path, labels)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0 tench\n1 goldfish\n2 great white shark\n", ("tench", "goldfish", "great white shark")),
        ("0: cat\n1: 2 dogs\n", ("cat", "2 dogs")),
        ("0,cat\n1,dog\n", ("cat", "dog")),
        # Not every line has its own number: it belongs to the name.
        ("101 dalmatians\n0 cats\n", ("101 dalmatians", "0 cats")),
        ("0 tench\ngoldfish\n", ("0 tench", "goldfish")),
        ("1 tench\n2 goldfish\n", ("tench", "goldfish")),
        ("0. tench\n1. goldfish\n", ("tench", "goldfish")),
        ("tench 0\ngoldfish 1\n", ("tench", "goldfish")),
        ("1 euro\n2 euro\n", ("1 euro", "2 euro")),
        ("player 1\nplayer 2\nplayer 3\n", ("player 1", "player 2", "player 3")),
        ("0\n1\n2\n", ("0", "1", "2")),
        ("0 crane\n1 tench\n2 crane\n", ("crane (class 0)", "tench", "crane (class 2)")),
        ("0 only\n", ("0 only",)),
    ],
)
def test_label_file_loses_its_numbers_only_where_all_are_the_lines_own(
    text: str, labels: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "labels.txt").write_text(text)
    assert read_label_file(tmp_path / "labels.txt") == labels


def test_label_file_numbered_in_another_order_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("0 cat\n2 dog\n1 cow\n")
    message = r"line 2 is for class 1, but has the number 2\. Sort the lines by number"
    with pytest.raises(LabelError, match=message):
        read_label_file(tmp_path / "labels.txt")


NAME = st.text("abc 1", min_size=1).map(str.strip).filter(bool)


@given(st.lists(NAME, min_size=2, max_size=30, unique=True), st.sampled_from([" ", "  ", ": ", ",", "\t"]))
def test_labels_survive_being_numbered(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], separator: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "numbered.txt"
    path.write_text("".join(f"{number}{separator}{name}\n" for number, name in enumerate(names)))
    assert read_label_file(path) == tuple(names)
