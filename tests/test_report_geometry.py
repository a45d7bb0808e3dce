"""Both reports can be read on a phone and on a desk: by the places where a browser puts their parts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_classify.benchmarks.results.result import Failure, Result

from .support.benchmark_reports import eight_files, many_files, write_made_up_report
from .support.benchmark_results import LAPTOP, accuracy, failure, result
from .support.browser_page import SCREENS, BrowserPage, browsing
from .support.geometry import find_faults
from .support.report_data import make_evaluation, make_labels, make_report, make_split
from .support.system import require

_ODD = "a very long name " * 5 + "كلب كبير 🍎 "


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserPage]:
    """Return a page in headless Chromium."""
    browser = require("chromium", "bash")
    with browsing(browser, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def faults_on_screens(page: BrowserPage) -> list[str]:
    """Return what is wrong with the open page on any screen."""
    faults = []
    for width, dark in SCREENS:
        page.set_screen(width, dark=dark)
        faults += [f"{width} px, {'dark' if dark else 'light'}: {fault}" for fault in find_faults(page)]
    return faults


def named_in_chart(page: BrowserPage, width: int) -> int:
    """Return the number of labels in the chart of all devices that a screen of this width shows."""
    page.set_screen(width)
    return int(
        page.evaluate(
            "['scatter', 'scatter-narrow'].flatMap((key) => [...document.querySelectorAll("
            "`[aria-labelledby^=${key}-title] text.label`)]).filter((text) => text.getClientRects().length)"
            ".length"
        )
    )


def test_faults_of_geometry_are_all_found(page: BrowserPage, tmp_path: Path) -> None:
    # On a screen of 390 px: a table of 900, two texts at one place, one outside, and small letters.
    path = tmp_path / "page.html"
    path.write_text(
        """<!doctype html><meta name="viewport" content="width=device-width">
        <p style="font-size: 8px">fine</p>
        <table style="width: 900px"><tr><td>wide</table>
        <div class="scroll" style="overflow: auto; width: 99px"><table style="width: 500px"><tbody>
        <tr><td>name<td>1</table></div>
        <svg role="img" width="100" height="50"><title>chart</title><text x="1" y="20">one</text>
        <text x="2" y="20">two</text><text x="90" y="40">beyond</text></svg>"""
    )
    page.set_screen(390)
    page.open(path)
    told = " / ".join(find_faults(page))
    for expected in (
        "px wide, on a screen of", "table of 900 px does not scroll", '"one" lies on "two"',
        '"beyond" leaves the picture', '"fine" has 8 px', '"name" scrolls out of sight',
    ):  # fmt: skip
        assert expected in told


def test_training_report_of_a_run_fits_all_screens(page: BrowserPage, run: Path) -> None:
    page.open(run / "report.html")
    assert faults_on_screens(page) == []


def test_benchmark_report_of_eight_files_within_a_factor_of_two_names_each_of_them(
    page: BrowserPage, tmp_path: Path
) -> None:
    page.open(write_made_up_report(tmp_path, eight_files()))
    assert faults_on_screens(page) == []
    assert [named_in_chart(page, width) for width in (390, 1280)] == [8, 8]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("results", "labels"),
    [
        (many_files(1), 1),
        (many_files(30), 30),
        (many_files(30, step=0), 1),  # All on one place: their numbers share a label.
        (many_files(8, _ODD), 8),
        ([*many_files(3), result(file="a.tflite", accuracy=accuracy(0.9), host=LAPTOP)], 4),
        ([failure()], 0),
    ],
    ids=["one", "thirty", "equal", "long", "devices", "failed"],
)
def test_benchmark_report_of_other_files_fits_all_screens(
    page: BrowserPage, tmp_path: Path, results: list[Result | Failure], labels: int
) -> None:
    page.open(write_made_up_report(tmp_path, results))
    assert faults_on_screens(page) == []
    assert [named_in_chart(page, width) for width in (390, 1280)] == [labels, labels]


@pytest.mark.slow
@pytest.mark.parametrize("labels", [make_labels(2), (_ODD, "b", "c" * 80), make_labels(100)])
def test_training_report_of_other_classes_fits_all_screens(
    page: BrowserPage, tmp_path: Path, labels: tuple[str, ...]
) -> None:
    from edge_classify.train.report import render_report

    models = [make_report(name, make_evaluation(labels, 400)) for name in ("cnn", "mobilenet_v2")]
    text = render_report("photos", make_split(labels), models, {"Command": "edge-train " + "photos/" * 40})
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")
    page.open(path)
    assert faults_on_screens(page) == []
