from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from edge_classify.edge.answers.result import Answer
from edge_classify.edge.answers.rules import MAX_SMOOTH, AnswerRules, Answers, Held, mean_outputs
from edge_classify.edge.classifier import Doubt, Prediction, Score, top_scores
from edge_classify.edge.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

LABELS = ("cat", "dog", "owl")


def said(*probabilities: float) -> Prediction:
    array = np.array(probabilities, np.float32)
    return Prediction(top_scores(array, LABELS, 3), None, array, 7.0)


CAT, DOG, OWL, UNSURE = said(0.8, 0.15, 0.05), said(0.1, 0.8, 0.1), said(0, 0.1, 0.9), said(0.34, 0.33, 0.33)


def with_unknown(prediction: Prediction, share: float) -> Prediction:
    return prediction._replace(none_of_these=Score("unknown", 3, share))


def shown(
    rules: AnswerRules, frames: list[tuple[float, Prediction]], threshold: float | None = None
) -> list[str]:
    """Return the labels that a camera's frames get, given as (time, what the model said)."""
    answers = Answers(rules)
    found = [answers.answer("m", LABELS, p, threshold, "camera", time) for time, p in frames]
    return [answer.doubt.value if answer.doubt else answer.best.label for answer in found]


def probability_arrays(frames: int) -> st.SearchStrategy[list[NDArray[np.float32]]]:
    one = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)
    return st.lists(one.map(lambda values: np.array(values, np.float32)), min_size=1, max_size=frames)


def test_answer_below_the_threshold_is_unsure_and_the_option_beats_the_card() -> None:
    for option, card, expected in (
        (None, None, "cat"),
        (None, 0.81, "unsure"),
        (None, 0.79, "cat"),
        (0.9, 0.1, "unsure"),
        (0.0, 0.9, "cat"),
    ):
        assert shown(AnswerRules(threshold=option), [(0, CAT)], card) == [expected], (option, card)


def test_answer_is_unknown_where_its_share_exceeds_that_of_every_class_and_unsure_otherwise() -> None:
    for share, threshold, expected in (
        (0.5, None, "unknown"),  # Of the other half 0.8 are left to the cat: 0.4.
        (0.44, None, "cat"),
        (0.44, 0.81, "unsure"),
        (0.5, 0.81, "unknown"),
    ):
        assert shown(AnswerRules(), [(0, with_unknown(CAT, share))], threshold) == [expected]
    assert shown(AnswerRules(unknown=False), [(0, with_unknown(CAT, 0.7))]) == ["cat"]
    assert shown(AnswerRules(unknown=False), [(0, with_unknown(CAT, 0.7))], 0.81) == ["unsure"]


def test_average_is_that_of_all_outputs_the_unknown_among_them() -> None:
    answers = Answers(AnswerRules(smooth=2))
    answers.answer("m", LABELS, with_unknown(CAT, 0.75), None, "camera", 0.0)
    found = answers.answer("m", LABELS, with_unknown(DOG, 0.25), None, "camera", 0.1)
    # Cat 0.8 x 0.25 and 0.1 x 0.75, dog 0.15 x 0.25 and 0.8 x 0.75, each halved; the classes have half of 1.
    assert found.unknown_share == pytest.approx(0.5)
    assert found.probabilities[:2] == pytest.approx([0.275, 0.6375], abs=1e-6)
    assert found.unknown  # 0.5 against half of 0.6375.


@given(st.floats(0, 1, width=32), st.integers(1, 5))
def test_first_frame_is_answered_exactly_as_a_photo(share: float, smooth: int) -> None:
    answers = Answers(AnswerRules(smooth=smooth))
    prediction = with_unknown(said(0.7, 0.2, 0.1), share)
    photo = answers.answer("m", LABELS, prediction, 0.7, "folder", None)
    frame = answers.answer("m", LABELS, prediction, 0.7, "camera", 0.0)
    assert (frame.top, frame.doubt, frame.none_of_these) == (photo.top, photo.doubt, photo.none_of_these)
    assert (frame.probabilities == photo.probabilities).all()


def test_without_unknown_the_average_is_that_of_the_classes_alone() -> None:
    answers = Answers(AnswerRules(smooth=2, unknown=False))
    answers.answer("m", LABELS, with_unknown(CAT, 0.99), None, "camera", 0.0)
    found = answers.answer("m", LABELS, with_unknown(DOG, 0.01), None, "camera", 0.1)
    assert found.probabilities == pytest.approx([0.45, 0.475, 0.075])
    assert (found.doubt, found.none_of_these, found.unknown_share) == (None, None, None)


def reason(rules: AnswerRules, frames: list[tuple[float | None, Prediction]], threshold: float) -> str | None:
    """Return the reason of the answer to the last frame, given as (time, what the model said)."""
    answers = Answers(rules)
    for time, prediction in frames:
        found = answers.answer("m", LABELS, prediction, threshold, "camera", time)
    return Answer("m", found, 1.0, rules.threshold_of(threshold)).reason


def test_reason_names_the_two_best_and_the_threshold_that_was_used_or_the_nearest_class() -> None:
    photo, rules = None, AnswerRules(top=1)
    assert reason(rules, [(photo, CAT)], 0.5) is None
    between = "between cat (80 %) and dog (15 %), below the threshold of"
    assert reason(rules, [(photo, CAT)], 0.905) == f"{between} 90.5 %"
    assert reason(AnswerRules(top=1, threshold=0.9), [(photo, CAT)], 0.1) == f"{between} 90 %"
    unknown = with_unknown(CAT, 0.7)
    assert reason(rules, [(photo, unknown)], 0.9) == "like none of the 3 classes; the nearest is cat"
    assert reason(AnswerRules(unknown=False), [(photo, unknown)], 0.9) == f"{between} 90 %"


def test_reason_of_a_held_answer_states_nothing_that_the_frame_does_not_show() -> None:
    held = AnswerRules(hold=60)
    for first in (UNSURE, with_unknown(CAT, 0.7)):
        now = with_unknown(DOG, 0.1) if first.none_of_these else DOG
        found = reason(held, [(0.0, first), (1.0, now)], 0.5)
        assert found == "held from earlier frames; likeliest now: dog (80 %) and cat (10 %)"
    assert reason(held, [(0.0, UNSURE), (1.0, UNSURE)], 0.5) == (
        "between cat (34 %) and dog (33 %), below the threshold of 50 %"
    )


def test_unsure_answer_names_two_classes_also_with_top_1() -> None:
    answers = Answers(AnswerRules(top=1))
    unsure = answers.answer("m", LABELS, CAT, 0.81, "folder", None)
    assert [score.label for score in unsure.top] == ["cat", "dog"]
    assert len(answers.answer("m", LABELS, CAT, None, "folder", None).top) == 1


def test_answer_exactly_at_the_threshold_is_given() -> None:
    """8-bit files give multiples of 1/256, and their thresholds are such multiples."""
    at = said(136 / 256, 100 / 256, 20 / 256)
    rules = AnswerRules()
    assert shown(rules, [(0, at)], 136 / 256) == ["cat"]
    assert shown(rules, [(0, at)], 136.5 / 256) == ["unsure"]
    assert shown(AnswerRules(threshold=136 / 256), [(0, at)]) == ["cat"]


def test_photos_are_neither_smoothed_nor_held() -> None:
    answers = Answers(AnswerRules(smooth=5, hold=60))
    for prediction in (CAT, DOG, CAT):
        answer = answers.answer("m", LABELS, prediction, None, "folder", None)
        assert answer.best == prediction.best
        assert answer.probabilities is prediction.probabilities
    assert answer.infer_ms == 7.0


@given(probability_arrays(30), st.integers(1, 10))
def test_smoothed_probabilities_are_the_mean_of_the_last_frames(
    frames: list[NDArray[np.float32]], smooth: int
) -> None:
    answers = Answers(AnswerRules(smooth=smooth))
    for number, probabilities in enumerate(frames):
        prediction = Prediction(top_scores(probabilities, LABELS, 3), None, probabilities, 1.0)
        found = answers.answer("m", LABELS, prediction, None, "camera", number / 30)
        last = np.array(frames[max(0, number + 1 - smooth) : number + 1], np.float64)
        assert found.probabilities == pytest.approx(last.mean(axis=0), abs=1e-7)
        assert found.probabilities.dtype == np.float32
        assert found.best.score == found.probabilities.max()


def test_average_does_not_drift_however_many_frames_went_by() -> None:
    answers = Answers(AnswerRules(smooth=3))
    rng = np.random.default_rng(0)
    for number in range(5000):
        array = rng.dirichlet((0.01, 1, 1)).astype(np.float32)
        answers.answer("m", LABELS, said(*array), None, "camera", number / 30)
    for number in range(5000, 5003):
        found = answers.answer("m", LABELS, CAT, None, "camera", number / 30)
    assert (found.probabilities == CAT.probabilities).all()


def test_one_odd_frame_changes_nothing_with_smoothing() -> None:
    frames = [(i / 10, DOG if i == 5 else CAT) for i in range(10)]
    assert shown(AnswerRules(smooth=5), frames) == ["cat"] * 10
    assert shown(AnswerRules(), frames).count("dog") == 1


def test_new_label_is_shown_once_it_lasted_as_long_as_asked() -> None:
    frames = [(0.0, CAT), (1.0, DOG), (2.0, DOG), (3.0, CAT), (4.0, DOG), (5.0, OWL), (6.0, OWL), (7.0, OWL)]
    assert shown(AnswerRules(hold=2), frames) == [*["cat"] * 7, "owl"]
    assert shown(AnswerRules(hold=0), frames) == [
        "cat", "dog", "dog", "cat", "dog", "owl", "owl", "owl"
    ]  # fmt: skip


def test_unsure_must_last_too_before_it_is_shown_and_before_it_goes() -> None:
    frames = [(float(i), UNSURE if 1 <= i <= 3 else CAT) for i in range(8)]
    labels = shown(AnswerRules(hold=2), frames, threshold=0.5)
    assert labels == ["cat", "cat", "cat", "unsure", "unsure", "unsure", "cat", "cat"]


def test_held_label_stands_first_and_the_others_follow_by_probability() -> None:
    for first, second, expected in (
        (CAT, said(0.3, 0.1, 0.6), ["cat", "owl", "dog"]),
        (OWL, said(0.6, 0.1, 0.3), ["owl", "cat", "dog"]),
    ):
        for top in (1, 2, 3):
            answers = Answers(AnswerRules(top=top, hold=60))
            answers.answer("m", LABELS, first, None, "camera", 0.0)
            found = answers.answer("m", LABELS, second, None, "camera", 1.0)
            assert [score.label for score in found.top] == expected[:top]
            assert found.best.score == pytest.approx(0.3)


def test_held_label_that_fell_below_the_threshold_is_still_the_answer() -> None:
    answers = Answers(AnswerRules(hold=60))
    answers.answer("m", LABELS, CAT, 0.5, "camera", 0.0)
    found = answers.answer("m", LABELS, UNSURE, 0.5, "camera", 1.0)
    assert (found.best.label, found.doubt) == ("cat", None)


@pytest.mark.parametrize("source, time", [("another", 1.0), ("camera", 30.0), ("camera", -1.0)])
def test_past_is_forgotten_by_another_source_after_a_gap_and_when_the_clock_goes_back(
    source: str, time: float
) -> None:
    answers = Answers(AnswerRules(smooth=3, hold=5))
    answers.answer("m", LABELS, CAT, None, "camera", 0.0)
    found = answers.answer("m", LABELS, DOG, None, source, time)
    assert found.best == DOG.best


def test_frames_that_are_far_apart_because_it_was_asked_for_are_no_gap() -> None:
    frames = [(60.0 * i, DOG if i else CAT) for i in range(4)]
    assert shown(AnswerRules(hold=120, every=60), frames) == ["cat", "cat", "cat", "dog"]


@pytest.mark.parametrize(("every", "gap"), [(None, 10.0), (1.0, 10.0), (4.0, 12.0)])
def test_gap_is_ten_seconds_or_three_times_the_pause_that_was_asked_for(
    every: float | None, gap: float
) -> None:
    rules = AnswerRules(hold=60, every=every)
    assert shown(rules, [(0.0, CAT), (gap, DOG)]) == ["cat", "cat"]
    assert shown(rules, [(0.0, CAT), (gap + 0.01, DOG)]) == ["cat", "dog"]


def test_models_side_by_side_do_not_mix() -> None:
    answers = Answers(AnswerRules(smooth=4, hold=9))
    for number in range(4):
        for model, prediction in (("a", CAT), ("b", DOG)):
            found = answers.answer(model, LABELS, prediction, None, "camera", float(number))
            assert found.best == prediction.best


@given(
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from((*Doubt, 0, 1, 2))), min_size=1, max_size=40),
    st.floats(0.1, 5),
)
def test_what_is_shown_never_changes_before_the_new_answer_was_best_for_that_long(
    steps: list[tuple[float, int | Doubt]], hold: float
) -> None:
    times = np.cumsum([step for step, _ in steps]).tolist()
    bests = [best for _, best in steps]
    held = Held(bests[0], bests[0], times[0])
    history = [held.shown]
    for time, best in zip(times[1:], bests[1:], strict=True):
        held = held.after(best, time, hold)
        history.append(held.shown)
    for place, (before, after) in enumerate(pairwise(history), 1):
        if before != after:
            began = place
            while began and bests[began - 1] == after:
                began -= 1
            assert bests[place] == after
            assert times[place] - times[began] >= hold
    # And nothing is held for longer than that.
    lasting = next((i for i in reversed(range(len(bests))) if bests[i] != bests[-1]), -1) + 1
    if times[-1] - times[lasting] >= hold:
        assert history[-1] == bests[-1]


def test_mean_of_one_frame_is_that_frame() -> None:
    assert mean_outputs([CAT.probabilities]) is CAT.probabilities


@pytest.mark.parametrize(
    "values, option",
    [
        ({"top": 0}, "--top"),
        ({"threshold": 1.5}, "--threshold"),
        ({"threshold": -0.1}, "--threshold"),
        ({"threshold": float("nan")}, "--threshold"),
        ({"smooth": 0}, "--smooth"),
        ({"smooth": MAX_SMOOTH + 1}, "--smooth"),
        ({"hold": -1.0}, "--hold"),
        ({"hold": float("inf")}, "--hold"),
    ],
)
def test_rules_that_cannot_work_are_refused_with_what_arrived(values: dict[str, float], option: str) -> None:
    with pytest.raises(OptionError, match=rf"^{option} must .* Received: {next(iter(values.values()))}$"):
        AnswerRules(**values)  # type: ignore[arg-type]
