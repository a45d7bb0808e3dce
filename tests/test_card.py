"""The contract as text: what is written can be read, and what breaks it is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edge_classify.edge.card import (
    GOLDEN_KINDS,
    Accuracy,
    Calibration,
    ConversionInfo,
    GoldenExample,
    InputSpec,
    ModelCard,
    OutputSpec,
    Preprocess,
    TrainingInfo,
)
from edge_classify.edge.errors import CardError
from hypothesis import given
from hypothesis import strategies as st

LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)
FRACTIONS = st.floats(0, 1)
COUNTS = st.integers(0, 10**9)
VERSIONS = st.dictionaries(LINES, LINES, max_size=2)
PLAIN = st.dictionaries(LINES, st.none() | st.booleans() | COUNTS | LINES | st.lists(COUNTS), max_size=3)
CARDS = st.builds(
    ModelCard,
    name=LINES,
    labels=st.lists(LINES, min_size=2, max_size=4, unique=True).map(tuple),
    input=st.builds(
        InputSpec, st.integers(1, 8192), st.integers(1, 8192), st.sampled_from(["uint8", "float32"])
    ),
    preprocess=st.builds(Preprocess, st.sampled_from(["stretch", "crop"])),
    output=st.builds(
        OutputSpec,
        st.sampled_from(["uint8", "float32"]),
        st.floats(1e-6, 1e6),
        st.integers(-128, 255),
        temperature=st.floats(1e-3, 1e3),
        threshold=st.none() | FRACTIONS,
        threshold_precision=st.none() | st.floats(1e-6, 1),
    ),
    accuracy=st.none()
    | st.builds(
        Accuracy, LINES, COUNTS, FRACTIONS, st.tuples(FRACTIONS, FRACTIONS), FRACTIONS, FRACTIONS,
        st.none() | FRACTIONS, st.none() | st.floats(-1, 1), *[st.none() | FRACTIONS] * 3,
    ),
    training=st.none() | st.builds(TrainingInfo, LINES, LINES, LINES, COUNTS, LINES, PLAIN, VERSIONS),
    conversion=st.none()
    | st.builds(
        ConversionInfo, LINES, PLAIN,
        st.none() | st.builds(Calibration, COUNTS, LINES, st.dictionaries(LINES, COUNTS, max_size=3)),
        VERSIONS,
    ),
    golden=st.lists(
        st.builds(
            GoldenExample,
            LINES,
            st.lists(FRACTIONS).map(tuple),
            FRACTIONS,
            st.sampled_from(GOLDEN_KINDS),
        ), max_size=2
    ).map(tuple),
    sha256=st.none() | LINES,
)  # fmt: skip


def minimal(**changes: Any) -> str:
    card: dict[str, Any] = {
        "format": "1.0",
        "name": "m",
        "labels": ["cat", "dog"],
        "input": {"height": 8, "width": 8, "dtype": "uint8"},
    }
    return json.dumps({**card, **changes})


@given(CARDS)
def test_card_written_as_json_reads_back_equal(card: ModelCard) -> None:
    assert ModelCard.from_json(card.to_json()) == card
    assert ModelCard.from_json(card.to_json().encode()) == card


def test_card_with_only_the_required_fields_gets_the_documented_defaults() -> None:
    card = ModelCard.from_json(minimal())
    assert card.output == OutputSpec("float32", 1.0, 0, "softmax", 1.0, None, None)
    assert (card.preprocess, card.golden, card.sha256) == (Preprocess("stretch", "bilinear"), (), None)


def test_golden_example_of_an_older_card_is_read_as_a_photo() -> None:
    example = {"image": "golden_0.png", "expected": [0.9, 0.1], "tolerance": 0.01}
    (read,) = ModelCard.from_json(minimal(format="1.2", golden=[example])).golden
    assert read.kind == "photo"
    with pytest.raises(CardError, match=r"golden\.kind must be one of: pattern, photo\. Received: drawing"):
        ModelCard.from_json(minimal(golden=[example | {"kind": "drawing"}]))


def test_card_of_a_newer_minor_version_with_unknown_keys_is_read() -> None:
    text = minimal(format="1.9", novelty={"a": 1}, input={**json.loads(minimal())["input"], "depth": 3})
    assert ModelCard.from_json(text).labels == ("cat", "dog")


@pytest.mark.parametrize("version", ["3.0", "0.9", "10.0"])
def test_card_of_another_major_version_is_refused_with_the_remedy(version: str) -> None:
    with pytest.raises(CardError, match=rf"format {version}.* reads 1\.x.*Install a newer edge-classify"):
        ModelCard.from_json(minimal(format=version))


@pytest.mark.parametrize("version", [None, 1.0, "1", "one.0", "1.0\n"])
def test_card_without_a_proper_version_is_refused(version: object) -> None:
    with pytest.raises(CardError, match='must have a "format"'):
        ModelCard.from_json(minimal(format=version))


@pytest.mark.parametrize("text", ["", "{", b"\xff\xfe\x00", "[" * 100_000])
def test_card_that_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(CardError, match="not valid JSON"):
        ModelCard.from_json(text)


def test_card_that_is_a_list_is_refused() -> None:
    with pytest.raises(CardError, match=r"must hold an object. Received: list"):
        ModelCard.from_json("[]")


@pytest.mark.parametrize(
    ("changes", "field", "received"),
    [
        ({"name": 3}, "name", "3"),
        ({"labels": "cat"}, "labels", "'cat'"),
        ({"labels": {"cat": 0, "dog": 1}}, "labels", "{'cat': 0, 'dog': 1}"),
        ({"labels": ["cat", 7]}, "labels", "('cat', 7)"),
        ({"input": [1]}, "input", "[1]"),
        ({"input": {"height": "8", "width": 8, "dtype": "uint8"}}, "input.height", "'8'"),
        ({"golden": "x"}, "golden", "'x'"),
        ({"sha256": 5}, "sha256", "5"),
    ],
)
def test_card_field_of_the_wrong_type_is_named_with_what_arrived(
    changes: dict[str, Any], field: str, received: str
) -> None:
    with pytest.raises(CardError) as error:
        ModelCard.from_json(minimal(**changes))
    assert str(error.value) == f"card.json: {field} has a value of the wrong type. Received: {received}"


def test_card_with_an_endless_wrong_value_is_refused_in_a_short_message() -> None:
    with pytest.raises(CardError) as error:
        ModelCard.from_json(minimal(name=["x" * 1000] * 1000))
    assert len(str(error.value)) < 400


def test_card_without_a_required_field_is_refused_by_its_name() -> None:
    with pytest.raises(CardError, match=r"card\.json: input\.dtype is missing"):
        ModelCard.from_json(minimal(input={"height": 8, "width": 8}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input": {"height": 0, "width": 8, "dtype": "uint8"}}, "input.height must be 1 to 8192"),
        ({"input": {"height": 8, "width": 8, "dtype": "int32"}}, "one of: uint8, int8, int16, float32"),
        (
            {"input": {"height": 8, "width": 8, "dtype": "uint8", "color": "HSV"}},
            "one of: RGB, BGR, GREY. Received: HSV",
        ),
        (
            {"input": {"height": 8, "width": 8, "dtype": "uint8", "color": "BGR"}},
            "not raw RGB pixels and probabilities, which format 1.0 promises",
        ),
        (
            {"input": {"height": 8, "width": 8, "dtype": "uint8", "layout": "NHW"}},
            "one of: NHWC, NCHW. Received: NHW",
        ),
        (
            {"input": {"height": 8, "width": 8, "dtype": "uint8", "mean": [0.0]}},
            "or both none. Received: 1 and 0",
        ),
        (
            {"input": {"height": 8, "width": 8, "dtype": "uint8", "mean": [0.0], "std": [0.0]}},
            "input.std must be above 0",
        ),
        ({"output": {"activation": "relu"}}, "one of: softmax, sigmoid, linear. Received: relu"),
        ({"output": {"index": -1}}, "output.index must be 0 to 999. Received: -1"),
        ({"preprocess": {"resize": "pad"}}, "one of: stretch, crop. Received: pad"),
        ({"output": {"scale": 0.0}}, "output.scale must be above 0"),
        ({"output": {"scale": float("nan")}}, "output.scale must be above 0"),
        ({"output": {"temperature": -1.0}}, "output.temperature must be above 0"),
        ({"output": {"threshold": 1.5}}, "output.threshold must be 0 to 1 or null"),
        ({"output": {"threshold_precision": 0.0}}, "output.threshold_precision must be above 0"),
        ({"labels": ["cat"]}, "at least 2 classes"),
        ({"labels": ["cat", "cat"]}, "must differ"),
        ({"labels": ["cat", ""]}, "non-empty and of one line"),
        ({"labels": ["cat", "d\nog"]}, "non-empty and of one line"),
    ],
)
def test_card_value_that_no_reader_understands_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CardError, match=message):
        ModelCard.from_json(minimal(**changes))
