from __future__ import annotations

import re
import sys
from dataclasses import replace
from functools import lru_cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from edge_classify.benchmarks.budget import Budget
from edge_classify.benchmarks.report.report import render_report, require_jinja, write_report
from edge_classify.benchmarks.results.comparison import Comparison, Pair, Worsening
from edge_classify.benchmarks.results.noise import LatencyChange
from edge_classify.benchmarks.results.result import Caveat, Conditions, Energy, Failure, Result
from edge_classify.edge.errors import BenchmarkError, MissingPackageError

from .support.benchmark_results import (
    LAPTOP,
    accuracy,
    cold_start,
    failure,
    operations,
    pairing,
    ratio,
    result,
    soak,
    spread,
    stages,
)
from .support.browser_page import browsing
from .support.system import require

HOSTILE = "<script>alert(1)</script>\"onload='alert(2)' {{ 7 * 7 }} ]]> \u202e\x1b[31m"
SHOWN = "<script>alert(1)</script>\"onload='alert(2)' {{ 7 * 7 }} ]]> \\x202e\\x1b[31m"


def _full(median_ms: float = 20.0, top1: float = 0.9, **changes: Any) -> Result:
    """A result with every section."""
    sections: dict[str, Any] = {
        "accuracy": accuracy(top1, pairing=pairing()),
        "stages": (stages(median_ms),),
        "cold_start": cold_start(),
        "operations": operations(median_ms),
        "soak": soak(median_ms, minutes=2),
        "ratio": ratio(0.5),
    }
    return result(median_ms=median_ms, **{**sections, **changes})


class _Page(HTMLParser):
    """Tags, attributes, text outside scripts and styles, and tables as rows of cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "br"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"script", "style"} & set(self._open):
            return
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    def values(self, *attributes: str) -> list[str]:
        return [value for name, value in self.attributes if name in attributes]

    def row(self, first: str) -> list[str]:
        return next(row[1:] for row in self.rows if row[0] == first)


def _render(*results: Result | Failure, **more: Any) -> _Page:
    return _Page(render_report(results, **more))


@lru_cache
def _two_devices() -> str:
    there = [
        _full(180.0, 0.91, file="models/cnn_float32.tflite", device="pi@far", ratio=None),
        _full(90.0, 0.9, file="models/cnn_int8.tflite", device="pi@far"),
    ]
    here = [
        _full(7.0, 0.91, file="cnn_float32.tflite", host=LAPTOP, ratio=None),
        _full(3.5, 0.9, file="cnn_int8.tflite", host=LAPTOP),
        result(median_ms=9.0, file="cnn_dynamic.tflite", host=LAPTOP, memory=None),
    ]
    return render_report([*there, failure(file="cnn_int16x8.tflite", device="pi@far"), *here])


def _pictures(page: str) -> list[ElementTree.Element]:
    found = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    return [ElementTree.fromstring(svg) for svg in found]


def test_report_shows_the_figures_of_a_model_with_three_digits() -> None:
    # From the builder: p90 is 1.03 times the median, p99 1.21, the longest 1.8, and the yardstick takes 9 ms.
    page = _render(result(median_ms=20.0, size_bytes=2_846_000), result(median_ms=8.0, file="b.tflite"))
    row = page.row("flowers_int8")
    expected = ["20.019.9 to 20.2", "20.6", "21.0", "24.2", "36.0", "2.222.20 to 2.24", "16.0", "38.0"]
    assert row[:8] == expected and row[8:11] == ["2.85", "64.2", "1,200"]


def test_report_shows_accuracy_with_intervals_and_what_the_base_has_right() -> None:
    page = _render(_full(top1=0.897, accuracy=accuracy(0.897, tuple("abcdef"), pairing=pairing(changes=30))))
    row = next(row for row in page.rows if "97.0 %96.0 to 98.0" in row)
    assert row[1:5] == ["89.7 %87.8 to 91.6", "97.7 %96.7 to 98.7", "88.7 %86.7 to 90.7", "3.0 %2.0 to 4.5"]
    assert row[5:] == ["1,000", "97.0 %96.0 to 98.0", "30", "0", "flowers_float32", "yesp = 0.004"]
    few = _render(_full(accuracy=accuracy(labels=("a", "b"))))
    assert not any("Top-5" in row for row in few.rows)


def test_report_names_what_to_ship_by_the_budget_and_why_not_the_others() -> None:
    fast = result(median_ms=5.0, file="m_small.tflite", size_bytes=1_000_000, accuracy=accuracy(0.85))
    good = result(median_ms=9.0, file="m_large.tflite", size_bytes=9_000_000, accuracy=accuracy(0.91))
    page = _render(fast, good)
    beginning = page.text.partition("How it was measured")[0]
    assert "Ship m_large: 9.00 ms, top-1 91.0 %" in beginning and "less accurate" in page.row("Why")[0]
    assert page.row("Next") == ["edge-classify -m m_large.tflite photo.jpg"]
    assert page.row("Fastest") == ["small: 5.00 ms, p99 6.05 ms"]
    assert page.row("Most accurate") == ["large: top-1 91.0 % (89.1 to 92.9)"]
    assert "less accurate" in page.row("small")[-1] and page.row("large")[-1] == "-"
    tight = _render(fast, good, budget=Budget.parse("size=4MB"))
    assert "Ship m_small: 5.00 ms" in tight.text
    assert "size 9.00 MB is above 4" in tight.row("large")[-1]


def test_report_says_what_weakens_the_figures_once_for_all_that_it_concerns() -> None:
    busy = Caveat("neighbours", "Other programs kept 0.70 cores busy", 0.7)
    conditions = Conditions(0.7, 1.0, None, None, None, None, (busy,))
    one = result(conditions=conditions, remarks=("The delegate took 3 of 60 operators",))
    page = _render(one, result(file="other.tflite", conditions=conditions), result(file="third.tflite"))
    assert page.text.count(busy.text) == 1 and "(flowers_int8; other)" in page.text
    assert "The delegate took 3 of 60 operators (flowers_int8)" in page.text
    assert "Be careful" not in _render(result()).text


def test_report_of_one_plain_result_leaves_out_what_was_not_measured() -> None:
    page = _render(result(memory=None))
    for absent in ("Accuracy", "Soak", "operation", "Stages", "Cold start", "Against the base", "Failures"):
        assert absent not in page.text
    assert "Ship" not in page.text and "flowers_int8 takes 20.0 ms an inference." in page.text
    assert "This board has no power meter." in page.text


def test_links_within_a_report_lead_somewhere() -> None:
    pages = [_two_devices(), render_report([failure()]), render_report([result(memory=None)])]
    for page in map(_Page, pages):
        names = page.values("id")
        assert len(set(names)) == len(names)
        assert {link[1:] for link in page.values("href")} <= set(names)


def test_report_of_failures_only_tells_why() -> None:
    page = _render(failure(error="The device has no space left"))
    assert "Nothing could be measured here." in page.text and "The device has no space left" in page.text


def test_report_keeps_devices_apart() -> None:
    page = _Page(_two_devices())
    rows = [row for row in page.rows if row[0] == "int8" and len(row) > 15]
    assert [row[1] for row in rows] == ["pi@far", "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz"]
    assert "pi@far: Raspberry Pi 4 Model B Rev 1.4" in page.text
    assert "int16x8, 1 thread, tflite-runtime 2.14.0: flowers_int16x8.tflite needs" in page.text
    assert "without the beginning that all files share: cnn_" in page.text


def test_report_shows_stages_of_a_camera_and_energy_of_a_meter() -> None:
    seen = stages(source="/dev/video0", per_second_all=None, waited=spread(33.3), age=spread(41.0))
    page = _render(result(stages=(stages(), seen), energy=Energy(84.0, "RAPL package", None)))
    row = page.row("flowers_int8, /dev/video0")
    assert row[5:] == ["35.0", "-", "33.3p99 49.9", "41.0p99 61.5", "200"]
    assert page.row("flowers_int8, files")[5:7] == ["35.0", "1194 workers"]
    assert ["flowers_int8", "84.0", "RAPL package"] in page.rows


def test_report_of_operators_shows_the_slowest_first_or_the_largest_where_no_times_are_known() -> None:
    page = _render(result(operations=operations(20.0)))
    shown = [row for row in page.rows if "layer_" in row[0]]
    assert [row[1:3] for row in shown] == [["50.0 %", "10.0"], ["30.0 %", "6.00"], ["5.0 %", "1.00"]]
    assert "37.5 % of the 40.0 billion" in page.text and "Left to slower code: SOFTMAX." in page.text
    known = operations(20.0).operators
    blind = tuple(replace(op, ms=None, share=None, by=None, index=None) for op in known)
    page = _render(result(operations=operations(operators=blind[::-1], profiler="This runtime tells none")))
    shown = [row for row in page.rows if "layer_" in row[0]]
    assert [row[1:3] for row in shown] == [
        ["not known", "200 M"],
        ["not known", "120 M"],
        ["not known", "20.0 M"],
    ]


def test_report_lists_the_worst_classes_and_folds_the_others() -> None:
    scored = accuracy(0.9, tuple(f"class {number:02}" for number in range(30)))
    page = _render(result(accuracy=scored))
    shown = [row[0] for row in page.rows if row[0].startswith("class ")]
    assert shown == [f"class {number:02}" for number in range(29, 9, -1)]
    assert "10 better ones" in page.text and "class 00 90.0 %" in page.text


def test_report_with_a_comparison_tells_what_got_worse() -> None:
    before, after = result(median_ms=20.0), result(median_ms=23.0)
    change = LatencyChange(20.0, 23.0, 0.15, (0.12, 0.18), 1e-6, "yardstick", "slower")
    pair = Pair(before, after, change, (Worsening("slower", "flowers_int8 got slower by 15.0 %"),))
    page = _render(after, comparison=Comparison((pair,), 0.05, remarks=("Another Python.",)))
    assert "Worse than allowed (more than 5.0 %):flowers_int8 got slower" in page.text.replace("\n", "")
    assert ["20.0", "23.0", "+15.0 %+12.0 % to +18.0 %", "slower", ""] in [row[1:] for row in page.rows]
    same = replace(pair, latency=replace(change, change=0.0, verdict="same"), findings=())
    assert "Nothing got worse by more than 5.0 %" in _render(after, comparison=Comparison((same,), 0.05)).text


def test_report_of_hostile_names_shows_them_and_makes_no_tags_of_them() -> None:
    label_set = (HOSTILE, "b", "c", "d", "e", "f")
    hostile = _full(
        file=f"{HOSTILE}.tflite", variant=HOSTILE, runtime=HOSTILE, device=HOSTILE, remarks=(HOSTILE,),
        accuracy=accuracy(labels=label_set, pairing=pairing(HOSTILE), data=HOSTILE),
        ratio=ratio(0.5, HOSTILE), stages=(stages(source=HOSTILE), stages()),
    )  # fmt: skip
    page = render_report([hostile, failure(file=HOSTILE, error=HOSTILE, device=HOSTILE)], title=HOSTILE)
    parsed = _Page(page)
    assert parsed.tags.count("script") == 1 and parsed.text.count(SHOWN) > 12
    assert not any(name.startswith("on") for name, _ in parsed.attributes)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", page)
    assert any(SHOWN in (text or "") for svg in _pictures(page) for text in svg.itertext())


def test_report_of_a_name_that_is_no_text_can_be_written(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", [result(file="a\udcff.tflite")])
    assert "a\\xdcff" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_pictures_are_xml_with_a_title_and_a_description() -> None:
    pictures = [svg for svg in _pictures(_two_devices()) if svg.get("role") == "img"]
    assert len(pictures) > 10
    for svg in pictures:
        title, about = svg.find("title"), svg.find("desc")
        assert title is not None and title.text and about is not None and about.text
        assert svg.get("aria-labelledby") == f"{title.get('id')} {about.get('id')}"


def test_models_that_another_one_beats_are_hollow_and_steps_lead_through_the_others() -> None:
    points = {"a": (5.0, 0.8), "b": (9.0, 0.9), "c": (10.0, 0.85)}
    results = [
        result(file=f"{name}.tflite", median_ms=ms, accuracy=accuracy(top1))
        for name, (ms, top1) in points.items()
    ]
    scatter = next(
        svg for svg in _pictures(render_report(results)) if svg.find("*[@id='scatter-title']") is not None
    )
    marks = {str(mark.findtext("title"))[0]: mark for mark in scatter.iter("circle")}
    assert {name for name, mark in marks.items() if "hollow" in str(mark.get("class"))} == {"c"}
    (steps,) = [line for line in scatter.iter("polyline") if "front" in str(line.get("class"))]
    corners = [tuple(map(float, corner.split(","))) for corner in str(steps.get("points")).split()]
    for name in "ab":
        assert (float(str(marks[name].get("cx"))), float(str(marks[name].get("cy")))) in corners
    assert all(x2 >= x1 and y2 <= y1 for (x1, y1), (x2, y2) in pairwise(corners))


def test_report_is_the_same_for_the_same_results_and_stays_small_for_many() -> None:
    labels = tuple(f"a class of some length {number}" for number in range(1000))
    scored = accuracy(0.9, labels, pairing=pairing(changes=999))
    many = [_full(5.0 + number, file=f"m{number}.tflite", accuracy=scored) for number in range(8)]
    page = render_report(many)
    assert page == render_report(many) and len(page) < 3_000_000


def test_report_without_results_or_without_jinja_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BenchmarkError, match="no results to report on"):
        render_report([])
    require_jinja()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingPackageError, match=r'--report needs jinja2.*pip install "jinja2>='):
        require_jinja()


def _click(title: str) -> str:
    """Return JavaScript that sorts the table of all figures by a column."""
    buttons = "[...document.querySelector('#figures ~ .scroll table').querySelectorAll('th button')]"
    return f"{buttons}.find(button => button.textContent === '{title}').click()"


def _column(title: str) -> str:
    """Return JavaScript for the texts of a column of the table of all figures."""
    return (
        "(() => { const table = document.querySelector('#figures ~ .scroll table');"
        f"const at = [...table.tHead.rows[0].cells].findIndex(head => head.textContent === '{title}');"
        "return [...table.tBodies[0].rows].map(row => row.cells[at].firstChild.textContent) })()"
    )


def test_report_in_a_browser_sorts_asks_for_nothing_and_fits_a_phone(tmp_path: Path) -> None:
    browser = require("chromium", "bash")
    hostile = _full(12.25, file=f"{HOSTILE}.tflite", accuracy=accuracy(labels=(HOSTILE, "b")))
    results = [hostile, _full(12.5, file="b.tflite"), result(median_ms=110.0, file="c.tflite", memory=None)]
    path = tmp_path / "report.html"
    write_report(path, results)
    with browsing(browser, tmp_path / "profile") as page:
        page.set_screen(400)
        page.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        assert page.evaluate("document.querySelectorAll('script').length") == 1
        assert page.evaluate(_column("Median, ms")) == ["12.2", "12.5", "110"]
        page.evaluate(_click("Median, ms"))
        page.evaluate(_click("Median, ms"))
        assert page.evaluate(_column("Median, ms")) == ["110", "12.5", "12.2"]
        for _ in range(2):  # What is not known stays at the end, whichever way.
            page.evaluate(_click("Peak memory, MB"))
            assert page.evaluate(_column("Peak memory, MB"))[-1] == "-"
        told = page.parameters_of("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        assert told == [] and page.parameters_of("Page.javascriptDialogOpening") == []
        assert [sent["request"]["url"] for sent in page.parameters_of("Network.requestWillBeSent")] == [
            path.as_uri()
        ]
