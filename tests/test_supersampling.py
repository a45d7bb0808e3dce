"""Files whose input is larger than their model's, and which average its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.classifier import Classifier
from numpy.typing import NDArray

from .support.conversion import convert, keras_model
from .support.foreign import save_colour_models
from .support.pictures import SHAPES, make_picture

TIMES = 2


@pytest.fixture(scope="module")
def files(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the float32 and the int8 file of the run's CNN, with an input twice as large."""
    folder = tmp_path_factory.mktemp("supersampled")
    result = convert(
        small_run, "--supersample", TIMES, "--max-drop", 100,
        "--variant", "float32", "--variant", "int8", "-o", folder / "out",
    )  # fmt: skip
    # After one epoch it is no better than chance, which is status 1; the files are written.
    assert (folder / "out" / "cnn_int8.tflite").is_file(), result.output
    return folder / "out"


def small_and_large(side: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return pictures float32 [n, side, side, 3], each the means of 2x2 pixels of a larger one, uint8."""
    size = (TIMES * side, TIMES * side)
    large = np.stack(
        [np.asarray(make_picture(SHAPES[i % 3], 9000 + i, size), np.uint8) for i in range(count)]
    )
    means = large.astype(np.float32).reshape(count, side, TIMES, side, TIMES, 3).mean(axis=(2, 4))
    return means, large


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_file_answers_as_the_model_does_to_the_mean_of_its_pixels(
    small_run: Path, files: Path, variant: str
) -> None:
    model, file = keras_model(small_run, "cnn"), Classifier.from_file(files / f"cnn_{variant}.tflite")
    side = model.input_shape[1]
    assert file.size == (TIMES * side, TIMES * side)
    means, large = small_and_large(side, 20)
    expected = np.asarray(model(means, training=False))
    assert expected.std(axis=0).max() > 1e-3
    answers = np.stack([file.classify_pixels(pixels).probabilities for pixels in large])
    card = file.file.card
    assert card is not None
    powers = expected ** (1 / card.output.temperature)
    tolerance = 1e-4 if variant == "float32" else 0.15
    np.testing.assert_allclose(answers, powers / powers.sum(axis=1, keepdims=True), atol=tolerance)


def test_model_of_somebody_else_keeps_its_size(tmp_path: Path) -> None:
    save_colour_models(tmp_path / "theirs", ["float32"])
    result = convert(tmp_path / "theirs" / "float32.tflite", "--supersample", 2, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "--supersample is for a run of edge-train" in result.output
