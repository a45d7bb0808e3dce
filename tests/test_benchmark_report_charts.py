from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from edge_classify.benchmarks.budget import Budget
from edge_classify.benchmarks.report.axes import Scale, scale
from edge_classify.benchmarks.report.bars import ratios_chart, stages_chart, tails_chart
from edge_classify.benchmarks.report.courses import block_charts, soak_chart
from edge_classify.benchmarks.report.devices import Device, describe_devices
from edge_classify.benchmarks.report.drawing import Box, place_labels, shortened, text_width
from edge_classify.benchmarks.report.scatter import accuracy_against_latency, number_ranges
from edge_classify.benchmarks.results.names import Naming, result_names
from edge_classify.benchmarks.results.numbers import number, percent, scaled
from edge_classify.benchmarks.results.result import Result
from hypothesis import given, settings
from hypothesis import strategies as st

from .support.benchmark_results import accuracy, latency_fields, ratio, result, soak, stages

FRAME = Box(50.0, 20.0, 700.0, 400.0)
POINTS = st.tuples(st.floats(FRAME.left, FRAME.right), st.floats(FRAME.top, FRAME.bottom))
TIMES = st.floats(0.01, 5000.0)


def _device(*results: Result) -> Device:
    (device,) = describe_devices(results, Naming(), Budget())
    return device


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(POINTS, st.text(min_size=1, max_size=25)), min_size=1, max_size=25))
def test_names_beside_points_touch_neither_each_other_nor_points_and_stay_inside(items: Any) -> None:
    points, texts = [point for point, _ in items], [text for _, text in items]
    placed = place_labels(texts, points, [], FRAME)
    boxes = [label.box for label in placed if label is not None]
    assert len(placed) == len(items)
    for number_, box in enumerate(boxes):
        assert box.inside(FRAME) and not any(box.touches(other) for other in boxes[number_ + 1 :])
        assert not any(box.touches(Box(x - 3, y - 3, x + 3, y + 3)) for x, y in points)


def test_names_of_points_that_lie_apart_all_find_room_nearby() -> None:
    points = [(100.0 + 80 * n, 60.0 + 60 * n) for n in range(6)]
    placed = place_labels(["mobilenet_int8"] * 6, points, [], FRAME)
    assert all(label is not None and not label.far for label in placed)


def test_name_between_two_points_has_a_line_to_its_own() -> None:
    (first, second) = place_labels(["one", "two"], [(300.0, 200.0), (314.0, 200.0)], [], FRAME)
    assert first is not None and second is not None
    for label, own, other in (
        (first, (300.0, 200.0), (314.0, 200.0)),
        (second, (314.0, 200.0), (300.0, 200.0)),
    ):
        assert label.far or label.box.distance(own) + 2 <= label.box.distance(other)


@pytest.mark.parametrize("narrow", [False, True])
def test_models_whose_names_find_no_room_are_numbered_fastest_first(narrow: bool) -> None:
    long = "a name that is much too long for a chart " * 2
    placed = [result(file=f"{long}{n}.tflite", median_ms=9.0 - n, accuracy=accuracy(0.9)) for n in range(3)]
    device = _device(*placed, *(result(file=f"{n}.tflite", accuracy=accuracy(0.8)) for n in "abc"))
    scatter = accuracy_against_latency("scatter", [device], narrow)
    assert scatter is not None and scatter.unplaced == 0
    assert scatter.numbered == (f"{long}2", f"{long}1", f"{long}0", "a", "b", "c")
    drawn = [
        text for text in ElementTree.fromstring(scatter.svg).iter("text") if "label" in text.get("class", "")
    ]
    assert sorted(text.text or "" for text in drawn) == ["1", "2", "3", "4-6"]


def test_numbers_in_few_letters() -> None:
    assert [number_ranges(numbers) for numbers in ([1], [1, 2, 3, 7], [2, 4, 5])] == ["1", "1-3, 7", "2, 4-5"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.booleans(), st.floats(0, 100))
def test_scale_keeps_order_and_its_ticks_are_within_it(values: list[float], down: bool, least: float) -> None:
    start, end = (400.0, 10.0) if down else (10.0, 400.0)
    made = scale(values, start, end, least=least)
    places = [made.at(value) for value in sorted(values)]
    assert all(10.0 <= place <= 400.0 for place in places)
    assert places == sorted(places, reverse=down)
    ticks, slack = made.ticks(), (made.high - made.low) * 1e-6
    assert 1 <= len(ticks) <= 8 and ticks == sorted(set(ticks))
    assert made.low - slack <= ticks[0] and ticks[-1] <= made.high + slack


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (0, 100, False, [0, 20, 40, 60, 80, 100]),
        (0.81, 0.84, False, [0.81, 0.815, 0.82, 0.825, 0.83, 0.835, 0.84]),
        (1, 100, True, [1, 2, 5, 10, 20, 50, 100]),
        (1, 3000, True, [1, 3, 10, 30, 100, 300, 1000, 3000]),
        (5, 7, True, [5, 5.5, 6, 6.5, 7]),
    ],
)
def test_ticks_are_round(low: float, high: float, log: bool, ticks: list[float]) -> None:
    assert Scale(low, high, 0, 1, log).ticks(8) == ticks


def test_scale_is_logarithmic_only_where_small_values_would_be_lost() -> None:
    assert scale([1.0, 5.0], 0, 1).log and not scale([1.0, 4.9], 0, 1).log
    assert not scale([0.0, 500.0], 0, 1).log and scale([1.0, 100.0], 0, 1).at(10.0) == pytest.approx(0.5)


def _places(svg: str) -> list[tuple[float, float]]:
    """Return the corners of all that a picture draws, texts by where they are anchored."""
    found: list[tuple[float, float]] = []
    for element in ElementTree.fromstring(svg).iter():
        at = {name: float(value) for name, value in element.items() if re.fullmatch(r"-?[\d.]+", value)}
        match element.tag:
            case "line":
                found += [(at["x1"], at["y1"]), (at["x2"], at["y2"])]
            case "rect":
                found += [(at["x"], at["y"]), (at["x"] + at["width"], at["y"] + at["height"])]
            case "circle":
                found += [(at["cx"], at["cy"])]
            case "text":
                found += [(at["x"], at["y"])]
            case "polyline" | "polygon":
                corners = [corner.split(",") for corner in str(element.get("points")).split()]
                found += [(float(x), float(y)) for x, y in corners]
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(TIMES, st.floats(0, 1), st.floats(0, 50)), min_size=1, max_size=6))
def test_charts_of_any_times_draw_within_their_pictures(items: list[tuple[float, float, float]]) -> None:
    device = _device(
        *(
            result(file=f"{n}.tflite", accuracy=accuracy(top1), ratio=ratio(ms / 7), stages=(stages(ms),),
                   **{**latency_fields(ms), "max_ms": ms * (1.21 + tail)})
            for n, (ms, top1, tail) in enumerate(items)
        )
    )  # fmt: skip
    scatter = accuracy_against_latency("scatter", [device])
    ratios = ratios_chart("ratios", device.rows)
    assert scatter is not None and ratios is not None
    charts = [
        scatter.svg,
        ratios,
        tails_chart("tails", device.rows),
        soak_chart("soak", "a", soak(items[0][0])),
    ]
    charts += [stages_chart("stages", [(row.name, row.result.stages[0]) for row in device.rows])]
    charts += [svg for _, svg in block_charts("blocks", device.rows)]
    for svg in charts:
        width, height = map(float, str(ElementTree.fromstring(svg).get("viewBox")).split()[2:])
        assert all(-0.1 <= x <= width + 0.1 and -0.1 <= y <= height + 0.1 for x, y in _places(svg))


def test_charts_of_figures_that_no_machine_takes_can_still_be_drawn() -> None:
    absurd = result(median_ms=5e-324, max_ms=1e308, accuracy=accuracy(0.5), soak=soak(1e308, minutes=0.2))
    device = _device(absurd, result(median_ms=1e308, max_ms=1.7e308, blocks=((5e-324,),), file="b.tflite"))
    scatter = accuracy_against_latency("scatter", [device])
    charts = [tails_chart("tails", device.rows), soak_chart("soak", "a", soak(1e307, minutes=0.2))]
    charts += [svg for _, svg in block_charts("blocks", device.rows)]
    assert scatter is not None and not re.search(r'[" ,](nan|-?inf)[" ,]', "".join((scatter.svg, *charts)))


def test_axis_of_shares_ends_at_100_percent() -> None:
    scored = [accuracy(1.0, top1_ci95=(0.99, 1.0)), accuracy(0.985, top1_ci95=(0.965, 0.995))]
    device = _device(*(result(file=f"{n}.tflite", accuracy=one) for n, one in enumerate(scored)))
    scatter = accuracy_against_latency("scatter", [device])
    assert scatter is not None
    drawn = scatter.svg
    assert ">100<" in drawn and ">101<" not in drawn


def test_stages_one_after_the_other_are_as_long_as_they_take() -> None:
    svg = ElementTree.fromstring(stages_chart("stages", [("a", stages(20.0))]))
    bars = [(float(str(bar.get("x"))), float(str(bar.get("width")))) for bar in svg.iter("rect")]
    (decode, resize, invoke, _post) = bars
    assert resize[0] == pytest.approx(decode[0] + decode[1], abs=0.2)
    assert invoke[1] / decode[1] == pytest.approx(20.0 / 6.0, rel=0.01)


def test_soak_leaves_a_gap_where_the_machine_told_nothing_and_a_panel_where_it_never_did() -> None:
    made = soak(20.0, minutes=2)
    holes = tuple(
        _without(point, clock_mhz=None, temperature_c=None if 4 < n < 8 else point.temperature_c)
        for n, point in enumerate(made.points)
    )
    svg = ElementTree.fromstring(soak_chart("soak", "a", _without(made, points=holes)))
    styles = [str(line.get("class")).split()[0] for line in svg.iter("polyline")]
    assert styles.count("c1") == 2 and "c2" not in styles and styles.count("c0") == 2


def _without(record: Any, **changes: Any) -> Any:
    return replace(record, **changes)


def test_file_names_lose_the_beginning_that_all_share_and_no_more() -> None:
    def short(*files: str) -> list[str]:
        naming = Naming.of([result(file=file) for file in files])
        return [naming.short(file) for file in files]

    assert short("m/cnn_int8.tflite", "n/cnn_float32.tflite") == ["int8", "float32"]
    assert short("cnn_int8.tflite", "cnn_int8_slim.tflite") == ["int8", "int8_slim"]
    assert short("cnn_.tflite", "cnn_a.tflite") == ["cnn_", "cnn_a"]
    assert short("abc.tflite", "abd.tflite") == ["abc", "abd"]
    assert short("cnn_int8.tflite", "cnn_int8.tflite") == ["cnn_int8", "cnn_int8"]


def test_results_are_named_by_what_they_differ_in() -> None:
    a, b = result(file="m/a.tflite"), result(file="m/b.tflite", threads=2)
    assert result_names([a]) == ["a"]
    assert result_names([a, b]) == ["a, 1 thread", "b, 2 threads"]
    assert result_names([a, result(file="n/a.tflite")]) == ["m/a", "n/a"]
    assert result_names([a, a]) == ["a (1)", "a (2)"]
    tpu = result(file="m/a.tflite", delegate="/usr/lib/libedgetpu.so.1", runtime="tflite-runtime 2.14.0")
    assert result_names([a, tpu]) == [
        "a, ai-edge-litert 2.0.3, no delegate",
        "a, tflite-runtime 2.14.0, edgetpu",
    ]


@given(st.text(max_size=60), st.floats(30, 300))
def test_shortened_names_fit_and_keep_both_ends(text: str, width: float) -> None:
    short = shortened(text, width)
    assert text_width(short) <= max(width, text_width("\\U0010ffff…\\U0010ffff"))
    if "…" in short and text.isascii() and text.isprintable():
        assert text.startswith(short.partition("…")[0]) and text.endswith(short.rpartition("…")[2])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0042, "0.00420"), (0.05, "0.050"), (3.14159, "3.14"), (9.996, "10.0"), (99.96, "100"),
     (1234.5, "1,234"), (-2.5, "-2.50")],
)  # fmt: skip
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_large_counts_and_shares_have_units() -> None:
    assert [scaled(301_000_000), scaled(12), scaled(None)] == ["301 M", "12.0", "-"]
    assert [percent(0.8766), percent(None)] == ["87.7 %", "-"]
