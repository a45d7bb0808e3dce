"""The profiler's table is read, and its lines are matched with the graph's operators."""

from __future__ import annotations

import pytest
from edge_classify.benchmarks.operations.profiler import (
    Event,
    ProfilerError,
    match_events,
    median_events,
    parse_summary,
)
from edge_classify.edge.tflite.graph import Operator
from hypothesis import given
from hypothesis import strategies as st

# Printed by ai-edge-litert 2.3.0 for an int8 MobileNetV2 on x86-64; most lines are left out.
RECORDED = """\
===================================================================== Run Order ======================================================================
                                                 [node type]    [start]    [first]   [avg ms]        [%]     [cdf%]   [mem KB] [times called]   [Name]
                                                    QUANTIZE      0.000      0.107      0.107    56.000%    56.000%      0.000              5   [Builtin]:0
                      Delegate/Convolution (NHWC, QC8) IGEMM      0.000      0.108      0.083    43.500%    99.500%      0.000              5   [Delegate]:1
                                           Delegate/Add (ND)      0.000      0.000      0.000     0.100%    99.600%      0.000              5   [Delegate]:10
                                                     SOFTMAX      0.510      0.003      0.001     0.400%   100.000%      0.000              5   [Builtin]:67

============================================================== Top by Computation Time ===============================================================
                                                 [node type]    [start]    [first]   [avg ms]        [%]     [cdf%]   [mem KB] [times called]   [Name]
                                                    QUANTIZE      0.000      0.107      0.107    56.000%    56.000%      0.000              5   [Builtin]:0
"""  # noqa: E501


def test_table_is_read_in_the_order_of_running_with_short_times_from_their_shares() -> None:
    events = parse_summary(RECORDED)
    assert [(event.name, event.delegated) for event in events] == [
        ("QUANTIZE", False), ("Convolution (NHWC, QC8) IGEMM", True), ("Add (ND)", True), ("SOFTMAX", False),
    ]  # fmt: skip
    assert events[2].ms == pytest.approx(0.191 * 0.001)
    assert sum(event.ms for event in events) == pytest.approx(0.191)


@pytest.mark.parametrize("text", ["", "Run Order", "no table here\n1 2 3", RECORDED.split("\n", 2)[0]])
def test_output_without_a_table_is_refused(text: str) -> None:
    with pytest.raises(ProfilerError, match="no table"):
        parse_summary(text)


def test_median_over_summaries_leaves_out_the_one_that_was_interrupted() -> None:
    calm, disturbed = [Event("A", 1.0, False)], [Event("A", 500.0, False)]
    assert median_events([calm, disturbed, calm]) == calm


def operators(*names: str) -> list[Operator]:
    return [Operator(0, index, name, 1, False, (), ()) for index, name in enumerate(names)]


def events(*names: str) -> list[Event]:
    return [Event(name.removeprefix("/"), 1.0, name.startswith("/")) for name in names]


def test_pointwise_convolutions_are_found_under_xnnpacks_name_and_what_it_adds_is_left_over() -> None:
    graph = operators(
        "QUANTIZE", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"
    )
    seen = events(
        "QUANTIZE", "/Convolution (NHWC, QC8) IGEMM", "/Convolution (NHWC, QC8) DWConv",
        "/Fully Connected (NC, QS8, QC8W) GEMM", "/Mean (ND) Reduce", "/Static Reshape (NC)",
        "/Fully Connected (NC, QS8, QC8W) GEMM", "SOFTMAX",
    )  # fmt: skip
    assert match_events(seen, graph) == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 6: 5, 7: 6}


def test_single_operator_with_a_name_that_is_not_known_is_found_between_its_neighbours() -> None:
    graph = operators("CONV_2D", "MUL", "CONV_2D")
    seen = events("/Convolution (NHWC, F32) IGEMM", "/Invalid Unary Op", "/Convolution (NHWC, F32) IGEMM")
    assert match_events(seen, graph) == {0: 0, 1: 1, 2: 2}


@given(
    st.lists(st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "SOFTMAX"]), max_size=20),
    st.data(),
)
def test_matches_keep_the_order_and_missing_events_leave_their_operators_without_one(
    names: list[str], data: st.DataObject
) -> None:
    called = {"CONV_2D": "/Fully Connected", "DEPTHWISE_CONV_2D": "/DWConv", "ADD": "/Add", "MEAN": "/Mean"}
    kept = [n for n in names if data.draw(st.booleans())]
    seen = events(*(called.get(name, name) for name in kept))
    matches = match_events(seen, operators(*names))
    assert len(matches) == len(kept)  # What is left is a part of the graph in its order.
    assert sorted(matches.values()) == [matches[event] for event in sorted(matches)]
    assert all(names[operator] == kept[event] for event, operator in matches.items())
