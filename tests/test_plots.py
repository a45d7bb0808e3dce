from __future__ import annotations

import io
from typing import Any

import pytest
from edge_classify.train.plots import confusion_png, curves_png, reliability_png
from PIL import Image

from .support.report_data import make_evaluation, make_history, make_labels

HOSTILE_LABEL = "$\\frac{$ 中文 {{ 7 * 7 }}"
PNG = b"\x89PNG\r\n\x1a\n"


def test_pictures_of_hostile_titles_and_labels_are_drawn_without_warnings(recwarn: Any) -> None:
    title = "$_{$ " + HOSTILE_LABEL
    labels = ("x" * 250, HOSTILE_LABEL)
    pictures = (curves_png(title, make_history(), 3), confusion_png(title, make_evaluation(labels).metrics))
    for png in pictures:
        assert png.startswith(PNG)
        assert min(Image.open(io.BytesIO(png)).size) > 300
    assert [str(warning.message) for warning in recwarn if warning.category is UserWarning] == []


def test_curves_of_a_phase_without_accuracy_are_drawn_with_a_hole() -> None:
    rows = make_history()
    holes: list[dict[str, Any]] = [{**rows[0], "accuracy": None}, *(dict(row) for row in rows[1:])]
    del holes[1]["val_accuracy"]
    assert curves_png("t", holes, 1).startswith(PNG) and curves_png("t", holes, 1) != curves_png("t", rows, 1)


@pytest.mark.parametrize("classes", [20, 21])
def test_confusion_matrix_has_room_for_every_label(classes: int) -> None:
    png = confusion_png("t", make_evaluation(make_labels(classes), 500).metrics)
    width, height = Image.open(io.BytesIO(png)).size
    assert min(width, height) > 13 * classes  # Pixels a label: enough for letters of 8.


def test_pictures_of_the_same_figures_are_the_same_bytes() -> None:
    metrics = make_evaluation(make_labels(3)).metrics
    assert confusion_png("t", metrics) == confusion_png("t", metrics)
    assert confusion_png("t", metrics) != confusion_png("u", metrics)


def test_reliability_diagram_of_better_confidence_differs() -> None:
    evaluation = make_evaluation(make_labels(3), sureness=12)
    before, after = evaluation.reliability_before, evaluation.reliability_after
    assert reliability_png(before, after).startswith(PNG)
    assert reliability_png(before, after) != reliability_png(after, before)
