from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
from edge_classify.benchmarks.split import SkippedImage, Split, SplitImage
from edge_classify.benchmarks.statistics import Metrics, measure
from edge_classify.train.fitting import History
from edge_classify.train.plots import confusion_png, curves_png
from edge_classify.train.report import ModelReport, render_report

HOSTILE = "<script>alert(1)</script>"
LABELS = (HOSTILE, 'a" onload="x', "$\\frac{$ 中文 {{ 7 * 7 }}")
PNG = b"\x89PNG\r\n\x1a\n"


def _metrics(labels: tuple[str, ...] = LABELS) -> Metrics:
    truth = np.array([0, 0, 1, 1, 0, 1])
    guess = np.array([0, 0, 1, 2, 0, 1])
    return measure(np.eye(3, dtype=np.float32)[guess], truth, labels)


def _model(name: str = "cnn", **changes: Any) -> ModelReport:
    values: dict[str, Any] = {
        "name": name, "image_size": 32, "metrics": _metrics(), "train_accuracy": 0.9, "parameters": 305251,
        "trainable_parameters": [305251, 1000], "seconds": 12.3, "epochs": 3, "interrupted": False,
        "weights": "from scratch", "curves": PNG + b"curves", "confusion": PNG + b"confusion",
    }  # fmt: skip
    return ModelReport(**{**values, **changes})


def _split(subsets: tuple[str, ...] = ("train", "validation", "test"), skipped: int = 0) -> Split:
    images = tuple(SplitImage(f"{i}.png", "0" * 64, LABELS[0], s) for i, s in enumerate(subsets))
    files = tuple(SkippedImage(f"<b>{i}</b>.jpg", "is <i>damaged</i>") for i in range(skipped))
    return Split("root", LABELS, images, files)


def _page(split: Split | None = None, models: list[ModelReport] | None = None) -> str:
    facts = {"Command": f"edge-train '{HOSTILE}'"}
    return render_report(f"fotos {HOSTILE}", split or _split(), models or [_model()], facts)


class _Tags(HTMLParser):
    """Collects tags, attributes and text; what is open at the end stays in `open`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_report_of_hostile_labels_shows_them_as_text_and_makes_no_tags_of_them() -> None:
    page = _Tags(_page(_split(skipped=1)))
    assert not {"script", "b", "i"} & set(page.tags) and page.open == []
    assert not any(name.startswith("on") for name, _ in page.attributes)
    for label in LABELS:
        assert label in page.text
    assert f"fotos {HOSTILE}" in page.text and f"edge-train '{HOSTILE}'" in page.text


def test_report_needs_nothing_from_elsewhere() -> None:
    page = _page()
    links = [value for name, value in _Tags(page).attributes if name in ("src", "href", "data", "action")]
    assert len(links) == 2 and all(link.startswith("data:image/png;base64,") for link in links)
    assert base64.b64decode(links[0].partition(",")[2]) == PNG + b"curves"
    assert not re.search(r"https?:|url\(|@import|<link", page)


def test_report_without_test_set_warns_that_the_figures_are_optimistic() -> None:
    warning = "No untouched test set exists."
    assert warning not in _page()
    page = _page(_split(("train", "validation")))
    assert warning in page and "Accuracy (validation)" in page and "--test-split 0.2" in page


def test_report_of_skipped_files_counts_all_and_names_twenty() -> None:
    assert "could not be read" not in _page()
    assert "1 file could not be read" in _Tags(_page(_split(skipped=1))).text
    text = _Tags(_page(_split(skipped=25))).text
    assert "25 files could not be read" in text and "<b>0</b>.jpg (is <i>damaged</i>)" in text
    assert "<b>19</b>.jpg" in text and "<b>20</b>.jpg" not in text and "listed in split.json" in text


def test_report_shows_the_figures_of_every_model_side_by_side() -> None:
    other = _model("mobilenet_v2", train_accuracy=0.5, interrupted=True, weights="imagenet")
    text = _Tags(_page(models=[_model(), other])).text
    # By hand from the six answers: five are right; 90 % and 50 % on training images less 83.3 %.
    assert text.count("83.3 %") >= 2 and "+6.7 points" in text and "-33.3 points" in text
    assert "mobilenet_v2 was interrupted after 3 epochs" in text and "cnn was interrupted" not in text
    assert "305,251, 1,000" in text and "imagenet" in text


def test_report_of_a_class_without_measured_images_shows_no_recall() -> None:
    # The third class occurs in no truth: precision 0 of 1, recall unknown.
    rows = _page().split("<tr>")
    row = next(row for row in rows if row.startswith("<td>$"))
    assert re.findall(r"<td>([^<]*)</td>", row)[-3:] == ["0.0 %", "-", "0.0 %"]


def test_pictures_of_hostile_titles_and_labels_are_drawn_without_warnings(recwarn: Any) -> None:
    row = {"phase": 1, "epoch": 1, "learning_rate": 0.1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.0}
    history = History([{**row, "val_accuracy": 0.5}, {**row, "phase": 2, "val_accuracy": 0.6}])
    title = "$_{$ " + LABELS[2]
    labels = ("x" * 250, *LABELS[1:])
    for png in (curves_png(title, history), confusion_png(title, _metrics(labels))):
        assert png.startswith(PNG)
    assert [str(warning.message) for warning in recwarn if warning.category is UserWarning] == []


def test_pictures_of_the_same_figures_are_the_same_bytes() -> None:
    assert confusion_png("t", _metrics()) == confusion_png("t", _metrics())
    assert confusion_png("t", _metrics()) != confusion_png("u", _metrics())
