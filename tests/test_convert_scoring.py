"""Variants are scored in memory, by the runner's own classifier."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.predict import RAW_PIXELS, predict_images, run_on_pixels
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.convert.repair.answers import answer
from edge_classify.convert.scoring import predict_files
from edge_classify.convert.tflite.quantizer import requantize
from edge_classify.convert.tflite.ranges import observe
from edge_classify.edge.classifier import Classifier, load_classifiers

from .support.tiny_tflite import colours, tiny_classifier

VARIANTS = ("float32", "float16", "dynamic", "int8")
IMAGES, _ = colours(20, 3)


def test_scores_are_those_of_the_written_files_and_need_no_temporary_file(
    run: Path, shapes: Path, converted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [converted / f"cnn_{variant}.tflite" for variant in VARIANTS]
    images = Split.read(run).subset("test", shapes)[:8]
    of_files = predict_images(lambda: load_classifiers(paths), images, "files")

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a temporary file is made")

    for name in ("TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    in_memory = predict_files([path.read_bytes() for path in paths], images, "memory")
    assert in_memory.images == of_files.images == list(images)
    for own, theirs in zip(in_memory.probabilities, of_files.probabilities, strict=True):
        assert (own == theirs).all()


@pytest.mark.parametrize("kind", ["float16", "dynamic", "int8", "int8-float-io"])
def test_repairs_are_judged_by_the_answers_that_the_runner_gives(kind: Any) -> None:
    model = tiny_classifier()
    variant = requantize(model, kind, observe(model, IMAGES))
    runner = Classifier.from_file(variant, normalization=RAW_PIXELS)
    given = np.stack([runner.classify_pixels(pixels).probabilities for pixels in IMAGES])
    assert (answer(variant, IMAGES) == given).all()
    assert (run_on_pixels(variant, IMAGES) == given).all()
