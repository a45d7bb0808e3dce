"""Which reading of a model explains its wrong answers: colours, scalings and labels, also together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from edge_classify.edge.channels import BGR, ORDERS, RGB
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.doctor.diagnosis import StatedBy, diagnose, images_to_explain
from edge_classify.edge.doctor.explanations import Explanation, describe_order, explain
from edge_classify.edge.doctor.feeding import (
    SCALINGS,
    FeedTrial,
    Reading,
    Way,
    try_ways,
    ways_around,
    ways_to_feed,
)
from edge_classify.edge.doctor.label_order import match_labels, right_in_other_order
from edge_classify.edge.labelled import LabelledImage
from edge_classify.edge.modelfile import NAMED_NORMALIZATIONS, Normalization
from edge_classify.edge.statistics.chance import compare_with_chance
from edge_classify.edge.tensors import TensorSpec, to_tensor
from numpy.typing import NDArray
from PIL import Image

from .support.tiny_foreign import Foreign

LABELS = ("red", "green", "blue", "grey")
STATED, OTHER, BOTH = (
    Way("as it is fed", None),
    Way("with --color BGR", None, BGR, ("--color BGR",)),
    Way("with both", None, BGR, ("--normalization 0..1", "--color BGR")),
)


@dataclass(frozen=True)
class _Measured:
    images: int
    top1: float
    chance: float | None
    above_chance_p: float | None

    @classmethod
    def of(cls, trial: FeedTrial) -> _Measured:
        found = compare_with_chance(trial.truth, trial.answers[0])
        return cls(trial.truth.size, float(trial.right[0].mean()), found.expected, found.p_value)


def _trial(ways: Sequence[Way], answers: Sequence[NDArray[np.int64]], truth: NDArray[np.int64]) -> FeedTrial:
    return FeedTrial(tuple(ways), LABELS, np.stack(answers), truth)


def _known(rng: np.random.Generator, truth: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return answers of which a share is right, and the others are dealt out."""
    return np.where(rng.random(truth.size) < share, truth, rng.integers(0, 4, truth.size))


def _options(found: Sequence[Explanation]) -> list[str]:
    return [one.options for one in found]


def test_exchanged_colours_are_the_explanation_where_they_make_answers_right() -> None:
    rng, truth = np.random.default_rng(0), np.arange(60) % 4
    answers = [rng.integers(0, 4, 60), _known(rng, truth, 0.8), rng.integers(0, 4, 60)]
    assert _options(explain(_trial([STATED, OTHER, BOTH], answers, truth))) == ["--color BGR"]


def test_of_equally_right_readings_the_one_that_changes_less_is_told() -> None:
    truth = np.arange(60) % 4
    found = explain(_trial([STATED, BOTH, OTHER], [(truth + 1) % 4 * 0, truth, truth], truth))
    assert _options(found) == ["--color BGR"]


def test_readings_that_the_images_cannot_tell_apart_are_all_told() -> None:
    truth = np.arange(60) % 2
    found = explain(_trial([STATED, OTHER], [1 - truth, truth], truth))
    assert [one.way for one in found] == [OTHER, STATED]
    assert found[1].order is not None
    said = diagnose("m", _Measured.of(_trial([STATED], [1 - truth], truth)), _trial(
        [STATED, OTHER], [1 - truth, truth], truth), StatedBy.OPTIONS)  # fmt: skip
    assert said[0].startswith("m is not better than chance: 0.0% of 60 images are right, and chance alone")
    assert said[-1].startswith("m: Give --color BGR; or --labels")
    assert said[-1].endswith("These images cannot tell which: it is known from the training")


def test_labels_moved_by_one_are_found_among_wrong_answers_by_chance() -> None:
    rng, truth = np.random.default_rng(0), np.repeat(np.arange(4), 20)
    (found,) = explain(_trial([STATED], [_known(rng, (truth + 1) % 4, 0.7)], truth))
    # Output 1 is what images of class 0, "red", are answered with.
    assert found.order == ("grey", "red", "green", "blue")
    assert found.options == "--labels with these lines, in this order: grey, red, green, blue"


def test_labels_in_another_order_and_another_scaling_are_found_together() -> None:
    rng, truth = np.random.default_rng(1), np.repeat(np.arange(4), 20)
    answers = [rng.integers(0, 4, 80), rng.integers(0, 4, 80), 3 - truth]
    (found,) = explain(_trial([STATED, OTHER, BOTH], answers, truth))
    assert found.changes == {"--normalization 0..1", "--color BGR", "--labels"}
    assert found.options == (
        "--normalization 0..1 --color BGR and "
        "--labels with these lines, in this order: grey, blue, green, red"
    )


def test_guessing_models_and_ways_that_differ_by_chance_get_no_explanation() -> None:
    rng, truth = np.random.default_rng(14), np.repeat(np.arange(4), 10)
    alarms = 0
    for _ in range(300):
        for share in (0.0, 0.5, 0.9):
            answers = [_known(rng, truth, share) for _ in range(6)]
            alarms += bool(explain(_trial([STATED, *[OTHER, BOTH] * 2, OTHER], answers, truth)))
    assert alarms <= 900 * 0.01 + 3 * np.sqrt(900 * 0.01)


def test_answers_by_chance_are_right_no_more_often_under_matched_labels() -> None:
    rng, truth = np.random.default_rng(3), np.repeat(np.arange(4), 6)
    shares = [right_in_other_order(rng.integers(0, 4, 24), truth).mean() for _ in range(2000)]
    assert np.mean(shares) < 0.25 + 0.01


def test_most_frequent_pairs_are_matched_first_and_each_output_once() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    answers = np.array([1, 1, 1, 1, 0, -1])
    assert match_labels(answers, truth) == {0: 1, 1: 0}


def test_order_of_many_labels_names_the_lines_that_are_known() -> None:
    assert describe_order(("a", "b")) == "with these lines, in this order (the alphabetical one): a, b"
    assert describe_order(("b", None, "a")) == "in another order: line 1 b, line 3 a"


def test_few_images_are_said_to_be_too_few_with_the_number_that_is_needed() -> None:
    truth = np.array([0, 1, 0, 1])
    trial = _trial([STATED, OTHER], [1 - truth, truth], truth)
    said = diagnose("m", _Measured.of(trial), trial, StatedBy.OPTIONS)
    assert said[1] == "m: 4 images are too few to tell why: at least 10 are needed"
    assert images_to_explain(trial) == 10  # 3 readings: 2 * 3 / 2**10 is below 0.01, and 2 * 3 / 2**9 is not.


def test_model_that_gives_one_answer_is_said_to_be_broken() -> None:
    truth = np.repeat(np.arange(4), 20)
    trial = _trial([STATED, OTHER], [np.zeros(80, np.int64), np.zeros(80, np.int64)], truth)
    said = diagnose("m", _Measured.of(trial), trial, StatedBy.CONVERSION)
    assert "answers 'red' to 80 of 80 images, whatever they show" in said[1]


def test_remedy_follows_from_where_the_reading_is_stated() -> None:
    rng, truth = np.random.default_rng(0), np.arange(60) % 4
    trial = _trial([STATED, OTHER], [rng.integers(0, 4, 60), truth], truth)
    remedies = [diagnose("m", _Measured.of(trial), trial, source)[-1] for source in StatedBy]
    assert remedies[:2] == ["m: Give --color BGR", "m: Convert it again with --color BGR"]
    assert "red and blue of these pictures are exchanged" in remedies[2]
    guessing = replace(trial, answers=rng.integers(0, 4, (2, 60)))
    unexplained = diagnose("m", _Measured.of(guessing), guessing, StatedBy.OPTIONS)[-1]
    assert "labels in another order don't explain it, nor do --color BGR" in unexplained


@pytest.mark.parametrize("color", ORDERS)
@pytest.mark.parametrize("assumed", [SCALINGS[2], SCALINGS[3], Normalization((10.0, 20, 30), (2.0, 3, 4))])
def test_a_file_whose_graph_scales_gets_what_another_reading_makes_of_pixels(
    assumed: Normalization, color: str
) -> None:
    """What the graph makes of what it is fed equals what the network gets by the other options."""
    spec = TensorSpec(0, (1, 5, 4, 3), "float32", 0.0, 0)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    for way in ways_around(Reading(assumed, color)):
        fed = to_tensor(pixels, spec, way.normalization, way.color)
        scaled = (fed - np.asarray(assumed.mean)) / np.asarray(assumed.std)
        given = scaled if color == RGB else scaled[..., ::-1]  # The graph's own exchange.
        words = dict(word.split(" ") for word in way.options)
        tried = Normalization.parse(words["--normalization"]) if "--normalization" in words else assumed
        wanted = to_tensor(pixels, spec, tried, words.get("--color", color))
        assert np.allclose(given, wanted, rtol=1e-4, atol=1e-4), way.name


def test_each_scaling_is_tried_in_both_orders_of_the_colours() -> None:
    ways = ways_around(Reading(NAMED_NORMALIZATIONS["0..1"], RGB))
    assert ways[0].options == ()
    assert len(ways) == 2 * len(SCALINGS)
    assert ("--normalization -1..1", "--color BGR") in [way.options for way in ways]
    grey = ways_around(Reading(NAMED_NORMALIZATIONS["0..1"], None))
    assert [way.options for way in grey] == [(), ("--normalization 0..255",), ("--normalization -1..1",)]


def _pictures(folder: Path, colours: dict[str, tuple[int, int, int]], count: int = 15) -> list[LabelledImage]:
    rng, images = np.random.default_rng(0), []
    folder.mkdir()
    for number in range(count):
        for label, colour in colours.items():
            pixels = np.clip(np.array(colour) + rng.integers(-25, 26, (8, 8, 3)), 0, 255).astype(np.uint8)
            path = folder / f"{label}{number}.png"
            Image.fromarray(pixels).save(path)
            images.append(LabelledImage(path, label))
    return images


COLOURS = {"r": (200, 90, 60), "g": (80, 190, 70), "b": (60, 80, 180)}


@pytest.mark.parametrize("given", ["float32", "int8", "uint8"])
@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (1, 3, 8, 8)])
def test_file_without_a_card_that_takes_bgr_is_found_out(
    given: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """The model's first output is the strongest of the first channel: red of RGB, called "b" for BGR."""
    model = Foreign(given=given, input_shape=shape).build()
    scaling = Normalization((127.5,), (127.5,)) if given == "float32" else None
    images = _pictures(tmp_path / "photos", COLOURS)
    for labels, wanted in ((("b", "g", "r"), ["--color BGR", "--labels"]), (("r", "g", "b"), [])):
        classifier = Classifier.from_file(model, labels, scaling)
        found = explain(try_ways(classifier, ways_to_feed(classifier, True), images))
        assert [one.options.split(" with")[0] for one in found] == wanted


def test_ways_are_given_up_and_the_way_in_use_is_tried_on_all_images(tmp_path: Path) -> None:
    model = Foreign().build()
    images = _pictures(tmp_path / "photos", COLOURS, 20)
    classifier = Classifier.from_file(model, ("r", "g", "b"), Normalization((127.5,), (127.5,)))
    steps: list[int] = []
    ways = ways_to_feed(classifier, True)
    trial = try_ways(classifier, ways, images, advance=lambda: steps.append(1))
    assert (trial.answers[0] != -1).all()
    assert (trial.answers[1:, 40:] == -1).all()
    assert len(steps) == 60
