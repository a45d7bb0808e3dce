"""A model of an earlier run teaches another one: what it answers, in which order, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.train import teacher as teacher_module
from edge_classify.train.checkpoint import EpochRow
from edge_classify.train.feeds import ExampleTable, Feed, Stacked
from edge_classify.train.fitting import fit
from edge_classify.train.frozen import run_network
from edge_classify.train.hyperparameters import choose_hyperparameters
from edge_classify.train.imbalance import logit_offsets
from edge_classify.train.task import Task
from edge_classify.train.teacher import Teacher
from edge_classify.train.teaching import TaughtImages
from edge_classify.train.views import ViewedImages, Views
from numpy.typing import NDArray

from .support.tiny_network import SIZE, tiny_built, tiny_task
from .support.train_options import COUNTS, make_options

CLASSES = 3


def strongest_colour(order: tuple[int, ...] = (0, 1, 2), side: int = SIZE) -> Teacher:
    """Return a teacher whose answers are the shares of the colours, which its classes have in this order."""
    import tensorflow as tf

    def network(image: Any) -> Any:
        means = tf.gather(tf.reduce_mean(image, axis=(1, 2)), order, axis=1)
        return tf.nn.softmax(means / 20)

    return Teacher("colours", network, side, np.argsort(order), "0" * 64, None)


def taught_images(task: Task, share: float = 0.5, teacher: Teacher | None = None) -> TaughtImages:
    """Return the images of a task, answered by the strongest colour."""
    pixels = task.train.pixels
    return TaughtImages(
        task.train,
        task.validation,
        pixels,
        len(pixels),
        teacher or strongest_colour(),
        share,
        task.cache,
    )


def colour_shares(pixels: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(pixels.astype(np.float64).mean((1, 2)) / 20)
    return np.asarray(powers / powers.sum(1, keepdims=True))


def test_answers_are_those_of_the_network_in_the_order_of_the_students_classes(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    viewed = ViewedImages.unchanged(task.train)
    for order in ((0, 1, 2), (2, 0, 1)):
        teacher = replace(strongest_colour(order), sha256=str(order[0]) * 64)
        answers = teacher.answers(viewed, task.cache)
        assert np.allclose(answers, colour_shares(task.train.pixels[task.train.rows]), atol=1e-4)


def test_each_view_is_answered_once_whatever_else_is_asked_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tiny_task(tmp_path)
    asked: list[int] = []

    def watch(network: Any, side: int, chunks: Iterator[Any], target: Any, advance: Any) -> None:
        asked.append(len(target))
        run_network(network, side, chunks, target, advance)

    monkeypatch.setattr(teacher_module, "run_network", watch)
    images, count = task.train, len(task.train.rows)
    three = ViewedImages(images, Views(np.full(count, 3, np.int64)), ("flip", "shift"), 3, 0)
    answers = strongest_colour().answers(three, task.cache)
    assert asked == [count, count, count]
    two = replace(three, views=Views(np.full(count, 2, np.int64)))
    assert np.array_equal(strongest_colour().answers(two, task.cache), answers[: 2 * count])
    assert np.array_equal(
        strongest_colour().answers(ViewedImages.unchanged(images), task.cache), answers[:count]
    )
    assert asked == [count, count, count]
    assert np.abs(answers[count : 2 * count] - answers[:count]).max() > 1e-3  # Another view of each.


def test_student_learns_the_mean_of_label_and_answer_to_the_very_view_it_sees(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    count = len(task.train.rows)
    viewed = ViewedImages(task.train, Views(np.full(count, 2, np.int64)), ("flip", "shift"), 2, 0)
    pixels = np.concatenate([np.concatenate(list(viewed.chunks(view))) for view in range(2)])
    table = ExampleTable(pixels, viewed.views.places(), viewed.views.counts, task.train.truth)
    table = taught_images(task, share=0.25).teach(table, task.train, [viewed], np.zeros(CLASSES, np.float32))
    seen = []
    feed = Feed(table, CLASSES, 7)
    for _ in range(2):
        for number in range(len(feed)):
            inputs, targets = feed[number]
            labels = np.eye(CLASSES)[task.train.truth[7 * number : 7 * number + 7]]
            assert np.allclose(targets, 0.75 * labels + 0.25 * colour_shares(inputs), atol=1e-3)
            seen.append(inputs)
        feed.on_epoch_end()
    assert not np.array_equal(seen[0], seen[len(seen) // 2])


def test_adjusted_logits_of_a_student_that_answers_as_its_teacher_are_the_targets(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    offsets = logit_offsets("logit-adjustment", [12, 10, 4])
    taught = taught_images(task, share=1.0)
    table = taught.teach(ExampleTable.of_pixels(task.train), task.train, None, offsets)
    assert table.targets is not None
    adjusted = np.log(colour_shares(task.train.pixels[task.train.rows])) + offsets
    powers = np.exp(adjusted)
    assert np.allclose(table.targets[0], powers / powers.sum(1, keepdims=True), atol=1e-4)


def test_image_without_a_label_has_the_answer_alone_as_its_target(tmp_path: Path) -> None:
    task = tiny_task(tmp_path)
    taught = replace(taught_images(task), labelled=int(np.median(task.train.rows)))
    table = taught.teach(ExampleTable.of_pixels(task.train), task.train, None, np.zeros(CLASSES, np.float32))
    assert table.targets is not None
    answers, labels = colour_shares(task.train.pixels[task.train.rows]), np.eye(CLASSES)[task.train.truth]
    known = (task.train.rows < taught.labelled)[:, None]
    assert 0 < known.sum() < len(known)
    expected = np.where(known, 0.5 * labels + 0.5 * answers, answers)
    assert np.allclose(table.targets[0], expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("pretrained", [True, False])
def test_student_of_another_teachers_answers_ends_in_other_weights(tmp_path: Path, pretrained: bool) -> None:
    """The labels are the same: only the answers can make the difference."""
    weights = []
    for order in ((0, 1, 2), (1, 2, 0)):
        teacher = replace(strongest_colour(), order=np.array(order), sha256=str(order[0]) * 64)
        task = tiny_task(tmp_path, tiny_built(pretrained))
        fit(task.learning_from(taught_images(task, teacher=teacher)))
        task.checkpoint.unlink()
        weights.append(task.built.model.get_weights())
    assert not all(map(np.array_equal, *weights))


def test_stacked_arrays_are_read_as_one() -> None:
    first, second = np.arange(12).reshape(4, 3), -np.arange(6).reshape(2, 3)
    stacked = Stacked(first, second)
    rows = np.array([5, 0, 4, 3, 0])
    assert np.array_equal(stacked[rows], np.concatenate([first, second])[rows])
    assert (len(stacked), stacked.shape) == (6, (6, 3))


def test_taught_share_is_recorded_and_without_a_teacher_it_is_none() -> None:
    taught = choose_hyperparameters("cnn", make_options(teacher="run/cnn/model.keras"), COUNTS)
    assert taught.answer_share > 0 and taught.label_smoothing == 0
    assert choose_hyperparameters("cnn", make_options(), COUNTS).answer_share == 0


@pytest.mark.slow
@pytest.mark.parametrize("pretrained", [True, False])
def test_taught_training_that_was_interrupted_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretrained: bool
) -> None:
    def begin() -> Task:
        task = tiny_task(tmp_path, tiny_built(pretrained))
        return task.learning_from(taught_images(task))

    uninterrupted = begin()
    expected = fit(uninterrupted)
    uninterrupted.checkpoint.unlink()

    def stop(row: EpochRow) -> bool:
        if len(rows) == 2:
            raise KeyboardInterrupt
        rows.append(row)
        return False

    rows: list[EpochRow] = []
    with pytest.raises(KeyboardInterrupt):
        fit(replace(begin(), on_epoch=stop))
    task = begin()
    history = fit(task)
    assert history.rows == expected.rows
    assert all(map(np.array_equal, task.built.model.get_weights(), uninterrupted.built.model.get_weights()))
