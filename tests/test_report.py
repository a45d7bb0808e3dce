from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.benchmarks.scoring.statistics import measure
from edge_classify.train.audit_report import AuditView
from edge_classify.train.evaluation import PicturedMistake
from edge_classify.train.pooled import FoldAnswers, pool_answers
from edge_classify.train.report import ModelReport, render_report
from edge_classify.train.report_tables import paired_tests
from PIL import Image

from .support.report_data import make_evaluation, make_labels, make_report, make_split

HOSTILE = "<script>alert(1)</script>"
LABELS = (HOSTILE, 'a" onload="x', "$\\frac{$ 中文 {{ 7 * 7 }}")
PNG = b"\x89PNG\r\n\x1a\n"


def _model(name: str = "cnn", labels: tuple[str, ...] = LABELS, seed: int = 0, **changes: Any) -> ModelReport:
    return make_report(name, make_evaluation(labels, seed=seed), **changes)


def _page(split: Split | None = None, models: list[ModelReport] | None = None, **more: Any) -> str:
    facts = {"Command": f"edge-train '{HOSTILE}'"}
    return render_report(f"fotos {HOSTILE}", split or make_split(LABELS), models or [_model()], facts, **more)


@lru_cache
def _plain_page() -> str:
    return _page()


class _Tags(HTMLParser):
    """Collects tags, attributes, text outside scripts and styles, and tables as lists of rows of cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.tables: list[list[list[str]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def row(self, title: str) -> list[str]:
        return next(row[1:] for table in self.tables for row in table if row[0] == title)


def test_report_of_hostile_names_shows_them_as_text_and_makes_no_tags_of_them() -> None:
    page = _Tags(_page(make_split(LABELS, skipped=1), notes=[HOSTILE]))
    assert page.tags.count("script") == 1 and not {"b", "i"} & set(page.tags) and page.open == []
    assert not any(name.startswith("on") for name, _ in page.attributes)
    for label in LABELS:
        assert label in page.text
    assert f"fotos {HOSTILE}" in page.text and f"edge-train '{HOSTILE}'" in page.text
    assert f"{HOSTILE}/" in page.text.partition("Most confident mistakes")[2]  # A path of a mistake.


def test_report_shows_control_characters_and_isolates_the_writing_direction_of_names() -> None:
    # U+202E turns the text after it around: it is shown by its code, and each name is isolated.
    labels = ("\u202eevil", "b")
    page = _page(make_split(labels), [_model(labels=labels)])
    shown = page.count("\\x202e")
    assert shown > 3 and shown == page.count("<bdi>\\x202eevil") and "\u202e" not in page


def test_report_needs_nothing_from_elsewhere_and_forbids_it() -> None:
    page = _plain_page()
    links = [value for name, value in _Tags(page).attributes if name in ("src", "href", "data", "action")]
    pictures = [link for link in links if not link.startswith("#")]
    assert all(re.match("data:image/(png|jpeg);base64,", link) for link in pictures)
    assert base64.b64decode(pictures[0].partition(",")[2]).startswith(PNG)
    assert not re.search(r"https?:|url\(|@import|<link", page)
    assert "default-src 'none'" in page


def test_report_allows_its_own_script_by_checksum() -> None:
    # Hashed here from what stands between the tags, as browsers do.
    page = _plain_page()
    script = re.search("<script>(.*?)</script>\n</body>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}" in page or f"script-src 'sha256-{digest}'" in page


def test_report_without_test_set_warns_that_the_figures_are_optimistic() -> None:
    warning = "No untouched test set exists."
    assert warning not in _plain_page()
    page = _page(make_split(LABELS, ("train", "validation")))
    assert warning in page and "Gap, training minus validation" in page and "--test-split 0.2" in page


def test_report_of_left_out_files_counts_all_and_names_twenty() -> None:
    assert "left out" not in _plain_page()
    assert "1 file was left out" in _Tags(_page(make_split(LABELS, skipped=1))).text
    text = _Tags(_page(make_split(LABELS, skipped=25))).text
    assert "25 files were left out" in text and "<b>0</b>.jpg (is <i>damaged</i>)" in text
    assert "<b>19</b>.jpg" in text and "<b>20</b>.jpg" not in text and "listed in split.json" in text


def test_report_shows_the_figures_of_every_model_side_by_side() -> None:
    good, poor = make_evaluation(LABELS, skill=3), make_evaluation(LABELS, skill=0.3)
    models = [
        make_report("cnn", good),
        make_report("mobilenet_v2", poor, interrupted=True, weights="imagenet"),
    ]
    page = _Tags(_page(models=models))
    for title, key in (
        ("Macro F1", "macro_f1"),
        ("Balanced accuracy", "balanced_accuracy"),
        ("Accuracy", "accuracy"),
    ):
        for cell, metrics in zip(page.row(title), (good.metrics, poor.metrics), strict=True):
            low, high = getattr(metrics, f"{key}_ci95")
            assert cell == f"{getattr(metrics, key) * 100:.1f} %{low * 100:.1f} to {high * 100:.1f}"
    assert page.row("Gap, training minus test") == [f"{e.gap * 100:+.1f} points" for e in (good, poor)]
    noisy = page.row("The same with mild noise")[0]
    assert noisy.startswith(f"{good.corruption.accuracy['noise'] * 100:.1f} %")
    assert page.row("Parameters") == ["305,251"] * 2 and page.row("Training time") == ["1 min 12 s"] * 2
    assert page.row("Size of model.keras") == ["1.3 MB"] * 2
    assert page.row("Initial weights") == ["from scratch", "imagenet"]
    assert "mobilenet_v2 was interrupted after 10 epochs" in page.text
    assert "cnn was interrupted" not in page.text


def _answer(models: list[ModelReport], split: Split | None = None, **more: Any) -> str:
    """Return the text of the page's first section, and check that it stands before any table."""
    page = _page(split, models, **more)
    beginning = page.partition("</section>")[0]
    assert "<table" not in beginning and 'id="answer"' in beginning
    return " ".join(_Tags(beginning).text.split())


def test_report_begins_with_the_best_model_its_difference_and_the_next_command() -> None:
    good, poor = make_evaluation(LABELS, skill=3), make_evaluation(LABELS, skill=0.3)
    models = [make_report("cnn", poor), make_report("mobilenet_v2", good)]
    text = _answer(models, run=Path("my run"))
    low, high = good.metrics.accuracy_ci95
    assert (
        f"mobilenet_v2 is the most accurate model: {good.metrics.accuracy * 100:.1f} % right "
        f"(95 % interval: {low * 100:.1f} to {high * 100:.1f} %) on 300 test images." in text
    )
    assert "Shown: more often right than cnn (p < 0.001)." in text and "Not shown" not in text
    assert text.endswith("see what each loses:edge-convert 'my run' --output models")
    worst = min(good.metrics.classes, key=lambda row: row.recall)
    found = round(worst.recall * worst.support)
    assert f"Weakest class{worst.label}: {found} of its {worst.support} images are found." in text


def test_answer_of_equally_good_models_is_the_smaller_one_and_no_difference_is_shown() -> None:
    evaluation = make_evaluation(LABELS)
    models = [make_report("large", evaluation, parameters=9000), make_report("small", evaluation)]
    models[1] = replace(models[1], parameters=8000)
    text = _answer(models)
    assert text.startswith("fotos") and "small is the most accurate model" in text
    assert "Not shown: the difference from large (p = 1.000) could be chance." in text


def test_answer_about_a_model_at_chance_says_so_and_tells_nobody_to_convert_it() -> None:
    labels = make_labels(2)
    model = make_report("cnn", make_evaluation(labels, 60, skill=0.01))
    text = _answer([model], make_split(labels))
    assert "cnn is not better than chance" in text and "Do not ship it" in text
    assert "edge-convert" not in text and "Weakest class" not in text


def test_answer_of_an_interrupted_run_is_to_resume_it_and_names_what_is_missing() -> None:
    text = _answer([_model()], missing=["mobilenet_v2"], interrupted=True)
    assert "mobilenet_v2: not trained yet" in text and text.endswith("edge-train --resume run")
    assert "mobilenet_v2: the training failed" in _answer([_model()], missing=["mobilenet_v2"])


def test_answer_without_test_images_says_that_it_is_optimistic() -> None:
    text = _answer([_model()], make_split(LABELS, ("train", "validation")))
    assert "validation images. OptimisticThese images also decided" in text
    assert "Optimistic" not in _answer([_model()])


def test_answer_with_folds_counts_every_image_once() -> None:
    models = [_crossed("a", [True] * 60), _crossed("b", [number >= 15 for number in range(60)])]
    text = _answer(models)
    assert "a is the most accurate model: 100.0 % right" in text
    assert "on 60 images, each tested once by one of 10 models trained as this one." in text


def test_answer_names_the_gravest_fault_of_the_data_or_that_there_is_none() -> None:
    def view(faults: int) -> AuditView:
        lines = (f"1 file in {HOSTILE} is blank", "2 more", "3 more")
        return AuditView(lines[: max(faults, 1)], (), (), 0, ("all",), {"a": {"all": 3}}, 3, faults)

    assert f"Data1 file in {HOSTILE} is blank. And 2 other findings." in _answer([_model()], audit=view(3))
    assert "The audit found nothing wrong." in _answer([_model()], audit=view(0))
    assert "Data" not in _answer([_model()])


def test_difference_of_two_models_could_be_chance_unless_many_images_tell_them_apart() -> None:
    good, twin, poor = (make_evaluation(LABELS, 60, seed=n, skill=s) for n, s in ((0, 1), (1, 1), (0, 0.1)))
    (test,) = paired_tests([("a", good), ("b", twin)])
    assert test.chance and test.result.p_value > 0.05
    (test,) = paired_tests([("a", poor), ("b", good)])
    assert (test.best, test.other, test.chance) == ("b", "a", False)


def test_level_of_several_comparisons_is_divided_by_their_number() -> None:
    # By hand: 6 images that only one has right, of 6, are p = 2 / 2^6 = 0.031: between 0.05 and 0.05 / 2.
    better = replace(make_evaluation(LABELS, 60), right=np.ones(60, bool))
    better = replace(better, metrics=replace(better.metrics, accuracy=1.0))
    worse = replace(better, right=np.arange(60) >= 6, metrics=replace(better.metrics, accuracy=0.9))
    assert not paired_tests([("a", better), ("b", worse)])[0].chance
    assert all(test.chance for test in paired_tests([("a", better), ("b", worse), ("c", worse)]))


def test_report_says_whether_the_difference_of_two_models_could_be_chance() -> None:
    assert "Is the difference real?" not in _plain_page()
    good, poor = (make_evaluation(LABELS, 60, skill=skill) for skill in (1, 0.1))
    models = [make_report("a", poor), make_report("b", good), make_report("c", good)]
    text = " ".join(_Tags(_page(models=models)).text.split())
    assert "more than chance would give (p < 0.001)" in text and "Only b is right on" in text
    assert "b and c are right on the same images" in text and "divided by 2 comparisons" in text


def _crossed(name: str, right: list[bool]) -> ModelReport:
    """Return a model whose ten folds, of six images each, have these of the images right."""
    truth = np.arange(60) % 3
    raw = np.full((60, 3), 0.1, np.float32)
    raw[np.arange(60), np.where(right, truth, (truth + 1) % 3)] = 0.8
    folds = [FoldAnswers("s", rows, raw[rows], 1.0, None, 43) for rows in np.arange(60).reshape(10, 6)]
    pooled = pool_answers(folds, truth, LABELS)
    return make_report(name, make_evaluation(LABELS, 60), pooled=pooled, pooled_confusion=PNG)


def test_report_with_folds_compares_models_on_all_images_and_says_so() -> None:
    # By hand: 15 images that only a has right, of 15, are p = 2 / 2^15 < 0.001. The test images are the same.
    models = [_crossed("a", [True] * 60), _crossed("b", [number >= 15 for number in range(60)])]
    page = _page(models=models)
    text = " ".join(_Tags(page).text.split())
    assert "60 images, each tested once by one of 10 models trained as this one" in text
    assert "Only a is right on 15 images" in text and "more than chance would give (p < 0.001)" in text
    assert "Is the difference real? (cross-validation)" in text and "an approximation" in text
    assert _Tags(page).row("Pooled accuracy")[1].startswith("75.0 %62.8 to 84.2")
    assert _Tags(page).row("Lowest and highest of a fold")[1].startswith("0.0 to 100.0 %")
    classes = next(table for table in _Tags(page).tables if table[1][-1] == "Tested once")
    assert sorted(row[0] for row in classes[2:]) == sorted(LABELS)
    assert {row[-1] for row in classes[2:]} == {"20"}


def test_report_of_a_model_without_its_folds_compares_on_the_test_images_and_says_why() -> None:
    models = [_crossed("a", [True] * 60), make_report("b", make_evaluation(LABELS, 60))]
    page = _Tags(_page(models=models))
    text = " ".join(page.text.split())
    assert "a and b are right on the same images" in text and "Confusion (test images)" in text
    assert "was not cross-validated: the run was interrupted, or a training diverged" in text
    assert page.row("Pooled accuracy") == ["100.0 %94.0 to 100.0", "-"]
    assert "Cross-validation" not in _Tags(_plain_page()).text


def test_report_lists_the_classes_from_the_worst_to_the_best() -> None:
    labels = make_labels(12)
    model = _model(labels=labels)
    page = _Tags(_page(make_split(labels), [model]))
    table = next(table for table in page.tables if table[-1][-3:] == ["1", "1", "1"])
    shown = [float(row[1].rstrip(" %")) for row in table[2:]]
    assert shown == sorted(shown) and len(shown) == 12 and shown[0] < shown[-1]
    by_label = {row.label: row for row in model.evaluation.metrics.classes}
    for label, f1, precision, recall, *_ in table[2:]:
        row = by_label[label]
        assert [f1, precision, recall] == [f"{v * 100:.1f} %" for v in (row.f1, row.precision, row.recall)]


def test_report_of_a_class_without_measured_images_shows_no_recall_and_puts_it_last() -> None:
    # By hand: the third class occurs in no truth and is predicted once: precision 0 of 1, recall unknown.
    truth, guess = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 0, 1, 2, 0, 1])
    metrics = measure(np.eye(3, dtype=np.float32)[guess], truth, LABELS)
    evaluation = replace(make_evaluation(LABELS), metrics=metrics)
    page = _Tags(_page(models=[make_report("cnn", evaluation)]))
    table = next(table for table in page.tables if table[-1][-3:] == ["1", "1", "1"])
    assert table[-1][:4] == [LABELS[2], "0.0 %", "0.0 %", "-"]
    assert page.row(LABELS[1])[:3] == ["80.0 %", "100.0 %", "66.7 %"]


def test_report_names_the_most_confused_pairs_first() -> None:
    model = _model(labels=make_labels(30))
    page = _Tags(_page(make_split(make_labels(30)), [model]))
    table = next(table for table in page.tables if "Taken for" in table[0])
    counts = np.array(model.evaluation.metrics.confusion)
    share = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    assert len(table) == 21 and int(table[1][2]) == counts.max()
    for true, predicted, images, percent in table[1:]:
        i, j = int(true[-3:]), int(predicted[-3:])
        assert int(images) == counts[i, j] and percent == f"{counts[i, j] / share[i] * 100:.1f} %"


def test_report_says_which_models_have_learned_the_images_that_confidence_was_fitted_to() -> None:
    told = "It was fitted before cnn and mobilenet_v2 learned from these images too."
    both = [_model("cnn", refitted=True), _model("mobilenet_v2", refitted=True)]
    assert told in _page(models=both) and "learned from these images too" not in _plain_page()


def test_report_shows_temperature_and_what_the_threshold_gives() -> None:
    evaluation = make_evaluation(LABELS)
    assert evaluation.threshold is not None and evaluation.answered is not None
    page = _Tags(_page(models=[make_report("cnn", evaluation)]))
    assert page.row("Temperature") == [f"{evaluation.temperature:.2f}"]
    assert page.row("Calibration error (ECE) before") == [f"{evaluation.ece_before * 100:.1f} %"]
    assert page.row('Answer "unsure" below') == [f"{evaluation.threshold.value * 100:.1f} %"]
    assert page.row("Share answered, test images") == [f"{evaluation.answered.coverage * 100:.1f} %"]


def test_report_of_a_model_that_no_threshold_suits_says_so() -> None:
    page = _Tags(_page(models=[make_report("cnn", make_evaluation(LABELS, skill=0.1))]))
    assert page.row('Answer "unsure" below') == ["never"]
    assert 'cnn never answers "unsure"' in page.text


def test_report_shows_each_mistake_with_its_picture_and_heat_map() -> None:
    evaluation = make_evaluation(LABELS)
    first, second = evaluation.mistakes[:2]
    shots = (
        PicturedMistake(first, b"\xff\xd8\xffA", b"\xff\xd8\xffB"),
        PicturedMistake(second, b"\xff\xd8\xffC", None),
    )
    page = _page(models=[make_report("cnn", evaluation, mistakes=shots)])
    found = re.findall(r'data:image/jpeg;base64,([^"]*)', page)
    assert [base64.b64decode(raw)[3:] for raw in found] == [b"A", b"B", b"C"]
    text = _Tags(page).text
    assert first.path in text and f"{first.confidence * 100:.1f} %, labelled {LABELS[first.true]}" in text


def test_report_shows_the_notes_of_choices() -> None:
    assert "What was chosen for you" not in _plain_page()
    assert "--imbalance auto: balanced" in _Tags(_page(notes=["--imbalance auto: balanced"])).text


def test_report_with_an_audit_has_its_section_and_a_way_there() -> None:
    assert "#audit" not in _plain_page() and 'id="audit"' not in _plain_page()
    view = AuditView((f"1 file in {HOSTILE}",), (), (), 0, ("all",), {HOSTILE: {"all": 3}}, 3)
    page = _page(audit=view)
    assert 'href="#audit"' in page and page.count('id="audit"') == 1
    assert f"1 file in {HOSTILE}" in _Tags(page).text
    assert [HOSTILE, "3", ""] in [table[-1] for table in _Tags(page).tables]


def test_report_of_three_models_and_101_classes_stays_small() -> None:
    labels = make_labels(101)
    rng = np.random.default_rng(0)
    noise = io.BytesIO()  # Noise compresses worse than any photo.
    Image.fromarray(rng.integers(0, 256, (160, 160, 3), np.uint8)).save(noise, "JPEG", quality=80)
    evaluation = make_evaluation(labels, 2000)
    shots = tuple(PicturedMistake(m, noise.getvalue(), noise.getvalue()) for m in evaluation.mistakes)
    models = [make_report(name, evaluation, mistakes=shots) for name in ("a", "b", "c")]
    assert len(_page(make_split(labels), models)) < 6_000_000
