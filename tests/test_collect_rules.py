from __future__ import annotations

import random

import numpy as np
import pytest
from edge_classify.edge.answers.result import Answer, FrameResult
from edge_classify.edge.classifier import Doubt, Prediction, Score, top_scores
from edge_classify.edge.collect.rules import CollectRules, reasons_to_keep
from edge_classify.edge.collect.scenes import SAME_SCENE, Scenes, scene_hash
from edge_classify.edge.errors import OptionError
from edge_classify.edge.sources.frames import Frame, ReadyPicture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from .support.pictures import make_picture


def result(*predictions: tuple[float, ...]) -> FrameResult:
    answers = []
    for number, probabilities in enumerate(predictions):
        array = np.array(probabilities, np.float32)
        labels = tuple(f"class {i}" for i in range(len(array)))
        scores = top_scores(array, labels, 3)
        answers.append(Answer(f"model {number}", Prediction(scores, None, array, 1.0), 1.0))
    return FrameResult(Frame("a.jpg", ReadyPicture(Image.new("RGB", (8, 8)))), tuple(answers))


def reasons(of: FrameResult, rules: CollectRules, *thresholds: float | None) -> list[str]:
    named = {f"model {number}": threshold for number, threshold in enumerate(thresholds)}
    return reasons_to_keep(of, rules, named, random.Random(0))


def test_frame_is_kept_below_the_card_s_threshold_or_below_one_half_without_one() -> None:
    rules = CollectRules(tie=0)
    assert reasons(result((0.6, 0.4)), rules, 0.7) == ["model 0: 0.600 is below 0.7"]
    assert reasons(result((0.6, 0.4)), rules, None) == []
    assert reasons(result((0.45, 0.3, 0.25)), rules, None) == ["model 0: 0.450 is below 0.5"]
    assert reasons(result((0.45, 0.3, 0.25)), rules, 0.0) == []


def test_frame_that_looks_like_none_of_the_classes_is_kept_however_sure_the_model_is_among_them() -> None:
    ((first,), rules) = (result((0.9, 0.1)).answers, CollectRules(tie=0))
    unknown = first.prediction._replace(doubt=Doubt.UNKNOWN, none_of_these=Score("unknown", 2, 0.7))
    kept = result((0.9, 0.1))._replace(answers=(first._replace(prediction=unknown),))
    assert reasons(kept, rules, 0.5) == ["model 0: looks like none of its classes"]


def test_option_beats_the_card_s_threshold() -> None:
    assert reasons(result((0.6, 0.4)), CollectRules(below=0.0, tie=0), 0.7) == []
    assert reasons(result((0.6, 0.4)), CollectRules(below=0.9, tie=0), 0.1)


def test_frame_near_a_tie_is_kept_however_many_classes_there_are() -> None:
    rules = CollectRules(below=0, tie=0.1)
    assert reasons(result((0.02, 0.5, 0.03, 0.45)), rules) == [
        "model 0: the two best are 0.050 apart, less than 0.1"
    ]
    assert reasons(result((0.02, 0.6, 0.03, 0.35)), rules) == []
    assert reasons(result((1.0,)), rules) == []


def test_one_unsure_model_of_two_is_enough() -> None:
    rules = CollectRules(tie=0)
    assert reasons(result((0.9, 0.1), (0.6, 0.4)), rules, 0.7, 0.7) == ["model 1: 0.600 is below 0.7"]


def test_random_sample_has_the_size_that_was_asked_for_and_repeats_with_its_seed() -> None:
    rules, sure = CollectRules(random=0.2), result((1.0, 0.0))
    draws = []
    for _ in range(2):
        chance = random.Random(7)
        draws.append([bool(reasons_to_keep(sure, rules, {}, chance)) for _ in range(2000)])
    assert draws[0] == draws[1]
    assert 340 < sum(draws[0]) < 460
    assert reasons(sure, CollectRules(random=1.0)) == ["random sample"]
    assert reasons(sure, CollectRules()) == []


@pytest.mark.parametrize(
    "values, option",
    [
        ({"below": 1.1}, "--collect-below"),
        ({"tie": -0.1}, "--collect-tie"),
        ({"random": float("nan")}, "--collect-random"),
        ({"per_minute": 0.0}, "--collect-rate"),
        ({"per_minute": float("inf")}, "--collect-rate"),
        ({"max_files": 0}, "--collect-max"),
        ({"max_bytes": 0}, "--collect-bytes"),
    ],
)
def test_rules_that_cannot_work_are_refused_with_what_arrived(values: dict[str, float], option: str) -> None:
    with pytest.raises(OptionError, match=rf"^{option} must .* Received: {next(iter(values.values()))}$"):
        CollectRules(**values)  # type: ignore[arg-type]


def noisy(image: Image.Image, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 10, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def distance(first: Image.Image, second: Image.Image) -> int:
    return (scene_hash(first) ^ scene_hash(second)).bit_count()


def test_scene_hash_says_in_each_bit_whether_it_gets_brighter_to_the_right() -> None:
    """Worked out by hand: nine columns of one grey each, so that all eight rows of bits are alike."""
    columns = np.array([0, 10, 10, 5, 6, 8, 200, 100, 255], np.uint8)
    pixels = np.repeat(np.repeat(columns, 4)[None, :, None], 32, axis=0).repeat(3, axis=2)
    assert scene_hash(Image.fromarray(pixels)) == int("10001101" * 8, 2)


def test_noise_and_light_leave_the_scene_the_same_and_another_picture_does_not() -> None:
    first, second = (make_picture("red disc", seed, (320, 240)).resize((640, 480)) for seed in (1, 5))
    assert distance(first, noisy(first, 0)) <= SAME_SCENE
    assert distance(first, first.point(lambda value: int(value * 0.8))) <= SAME_SCENE
    assert distance(first, second) > SAME_SCENE


def test_large_object_in_front_of_a_camera_makes_a_new_scene() -> None:
    before = make_picture("grüne Fläche", 3, (320, 240)).resize((640, 480))
    after = before.copy()
    ImageDraw.Draw(after).ellipse((150, 90, 470, 400), fill="white")
    assert distance(before, after) > SAME_SCENE


def test_evenly_lit_wall_is_one_scene_however_noisy_the_camera() -> None:
    wall = Image.new("RGB", (640, 480), (60, 60, 60))
    assert {scene_hash(noisy(wall, seed)) for seed in range(10)} == {0}


@given(st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63), max_size=10))
def test_scene_is_known_up_to_a_few_bits(scene: int, flipped: set[int]) -> None:
    scenes = Scenes()
    assert not scenes.holds(scene)
    scenes.add(scene)
    other = scene ^ sum(1 << bit for bit in flipped)
    assert scenes.holds(other) == (len(flipped) <= SAME_SCENE)
