"""Many frames on all cores: in order, in bounded memory, and what goes wrong in its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import ModelFileError, SourceError
from edge_classify.edge.running.classify import classify_frame, classify_in_turn
from edge_classify.edge.running.pool import classify_in_parallel
from edge_classify.edge.sources.frames import FilePicture, Frame, ReadyPicture
from PIL import Image

from .support.tiny_model import COLOURS, LABELS, write_sealed
from .support.waiting import wait_until


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite")


@pytest.fixture
def classifier(model: Path) -> Classifier:
    return Classifier.from_file(model)


def frames(count: int) -> Iterator[Frame]:
    """Yield frames in colours that follow each other, large and small ones in turn."""
    for number in range(count):
        size = (600, 500) if number % 5 == 0 else (8, 8)
        yield Frame(f"{number}", ReadyPicture(Image.new("RGB", size, COLOURS[LABELS[number % 3]])))


def test_workers_answer_in_the_order_of_the_frames(classifier: Classifier) -> None:
    seen = list(classify_in_parallel(frames(60), [classifier], 3))
    assert [each.frame.source for each in seen] == [str(number) for number in range(60)]
    assert [each.predictions[0].best.label for each in seen[:3]] == list(LABELS[:3])


def test_workers_give_the_very_answers_of_one_thread(classifier: Classifier) -> None:
    alone = [
        seen.predictions[0].probabilities.tolist() for seen in classify_in_turn(frames(40), [classifier])
    ]
    shared = classify_in_parallel(frames(40), [classifier], 4)
    assert [seen.predictions[0].probabilities.tolist() for seen in shared] == alone


def test_source_is_not_read_far_ahead_of_the_workers(classifier: Classifier) -> None:
    taken = 0

    def counted() -> Iterator[Frame]:
        nonlocal taken
        for frame in frames(500):
            taken += 1
            yield frame

    for number, _ in enumerate(classify_in_parallel(counted(), [classifier], 2), 1):
        # Eight under way (four a worker), one being handed over, and one that waits for room.
        assert taken <= number + 10
    assert taken == 500


def test_answer_does_not_wait_for_the_next_frame(classifier: Classifier) -> None:
    """A list on stdin may come from a program that watches a folder."""
    go_on = threading.Event()

    def slow() -> Iterator[Frame]:
        yield from frames(1)
        assert go_on.wait(30)

    answered = threading.Event()

    def idle() -> None:
        if answered.is_set():
            go_on.set()

    looking = classify_in_parallel(slow(), [classifier], 2, idle)
    assert next(looking).frame.source == "0"
    answered.set()
    assert list(looking) == []


def test_interpreters_are_all_loaded_before_a_frame_is_taken(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is loaded what the process prints is dropped: an answer would be lost."""
    made: list[Classifier] = []
    original = Classifier.clone

    def clone(self: Classifier) -> Classifier:
        made.append(original(self))
        return made[-1]

    monkeypatch.setattr(Classifier, "clone", clone)

    def watched() -> Iterator[Frame]:
        for frame in frames(20):
            assert len(made) == 3
            yield frame

    assert len(list(classify_in_parallel(watched(), [classifier], 4))) == 20
    assert len(made) == 3


def test_what_the_source_raises_comes_after_the_answers_before_it(classifier: Classifier) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames(3)
        raise SourceError("the list ended badly")

    seen = []
    with pytest.raises(SourceError, match="the list ended badly"):
        for each in classify_in_parallel(broken(), [classifier], 2):
            seen.append(each.frame.source)
    assert seen == ["0", "1", "2"]


def test_model_that_fails_ends_the_run_instead_of_hanging(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelFileError("it cannot be run")

    monkeypatch.setattr(Classifier, "classify_pixels", fail)
    with pytest.raises(ModelFileError, match="cannot be run"):
        list(classify_in_parallel(frames(50), [classifier], 2))


def test_picture_that_cannot_be_decoded_is_an_error_among_answers(
    classifier: Classifier, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    bad = Frame("bad.jpg", FilePicture(tmp_path / "bad.jpg"))
    first, second, third = classify_in_parallel([*frames(1), bad, *frames(1)], [classifier], 2)
    assert (first.frame.error, third.frame.error) == (None, None)
    assert second.damaged and second.predictions == ()
    assert second.frame.error is not None and "bad.jpg is damaged or cut off" in second.frame.error


def test_workers_end_when_nobody_wants_their_answers(classifier: Classifier) -> None:
    looking = classify_in_parallel(frames(10_000), [classifier], 2)
    next(looking)

    def workers() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("classify")]

    assert len(workers()) == 2
    looking.close()  # type: ignore[attr-defined]
    wait_until(lambda: not workers(), "the workers have ended")


def test_models_of_one_input_size_share_the_pixels_and_still_answer_alone(
    classifier: Classifier, model: Path
) -> None:
    frame = next(frames(1))
    both = classify_frame(frame, [classifier, Classifier.from_file(model)])
    assert both.predictions[0].probabilities.tolist() == both.predictions[1].probabilities.tolist()
    assert both.decode_ms[0] == both.decode_ms[1] > 0
