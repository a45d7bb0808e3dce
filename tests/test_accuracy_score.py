from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from edge_classify.benchmarks.results.result import Change, MeasuredAccuracy
from edge_classify.benchmarks.scoring.answers import NotScored, open_models
from edge_classify.benchmarks.scoring.labelled import labelled_images
from edge_classify.benchmarks.scoring.score import score
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import DatasetError
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.modelfile import NAMED_NORMALIZATIONS
from scipy import stats
from sklearn import metrics as reference

from .support.accuracy_models import COLOURS, random_pictures, write_model, write_pictures
from .support.tiny_foreign import Foreign

KNOWN = ("h", "green", "c", "red", "e", "blue", "g", "a")


def _score(data: Path, *files: Path, base: int | None = None) -> list[MeasuredAccuracy | NotScored]:
    return list(score(open_models(files), labelled_images(data), base=base).outcomes)


def _scored(data: Path, *files: Path, base: int | None = None) -> list[MeasuredAccuracy]:
    outcomes = [
        outcome for outcome in _score(data, *files, base=base) if isinstance(outcome, MeasuredAccuracy)
    ]
    assert len(outcomes) == len(files)
    return outcomes


def test_figures_of_a_model_that_knows_more_classes_than_the_data_equal_scikit_learns(tmp_path: Path) -> None:
    weights = np.random.default_rng(3).normal(0, 5, (len(KNOWN), 3))
    file = write_model(tmp_path / "m.tflite", KNOWN, weights)
    data = random_pictures(tmp_path / "data", COLOURS, 40)
    (found,) = _scored(data, file)
    paths = sorted(data.glob("*/*.png"))
    classifier = Classifier.from_file(file)
    probabilities = np.stack([classifier.classify(path).probabilities for path in paths])
    truth = np.array([path.parent.name for path in paths])
    guess = np.array(KNOWN)[probabilities.argmax(1)]
    assert 0 < (guess == truth).mean() < 1 and set(guess) - set(COLOURS)

    present = sorted(COLOURS)
    rows = reference.precision_recall_fscore_support(truth, guess, labels=present, zero_division=0)
    ours = [(row.precision, row.recall, row.f1, row.support) for row in found.classes]
    assert [row.label for row in found.classes] == present and np.allclose(ours, np.transpose(rows))
    assert found.macro_f1 == pytest.approx(
        reference.f1_score(truth, guess, labels=present, average="macro", zero_division=0)
    )
    index = np.array([KNOWN.index(label) for label in truth])
    hits = {
        k: reference.top_k_accuracy_score(index, probabilities, k=k, labels=range(8), normalize=False)
        for k in (1, 5)
    }
    for k, value, interval in ((1, found.top1, found.top1_ci95), (5, found.top5, found.top5_ci95)):
        assert value == pytest.approx(hits[k] / 120)
        assert interval == pytest.approx(_wilson(int(hits[k]), 120))
    row = found.classes[0]
    assert row.recall_ci95 == pytest.approx(_wilson(round(row.recall * row.support), row.support))
    answered = int((guess == row.label).sum())
    assert row.precision_ci95 == pytest.approx(_wilson(round(row.precision * answered), answered))
    assert (found.images, found.skipped, found.outputs) == (120, 0, 8)


def _wilson(successes: int, trials: int) -> tuple[float, float]:
    interval = stats.binomtest(successes, trials).proportion_ci(0.95, "wilson")
    return interval.low, interval.high


def test_models_that_list_their_labels_in_different_orders_are_compared_by_label(tmp_path: Path) -> None:
    one = write_model(tmp_path / "one.tflite")
    other = write_model(tmp_path / "other.tflite", ("blue", "red", "green"), 8 * np.eye(3)[[2, 0, 1]])
    first, second = _scored(random_pictures(tmp_path / "data", COLOURS, 10), one, other)
    assert second.pairing is not None and second.pairing.base == str(one)
    assert second.pairing.agreement == 1.0 and second.pairing.changed == ()
    assert second.pairing.p_value == 1.0 and first.pairing is None
    assert (first.top1, first.classes) == (second.top1, second.classes)


def test_changed_answers_are_listed_with_their_image_and_tested(tmp_path: Path) -> None:
    reddish = write_model(tmp_path / "reddish.tflite", weights=np.diag([16.0, 8.0, 8.0]), variant="int8")
    plain = write_model(tmp_path / "plain.tflite")
    data = write_pictures(
        tmp_path / "data",
        # By hand: the plain model says the strongest colour, the other one doubles red.
        {"red": [(100, 150, 0), (200, 0, 0)], "green": [(90, 100, 0), (90, 110, 0), (90, 120, 0), (0, 9, 0)]},
    )
    int8, float32 = _scored(data, reddish, plain)
    assert float32.pairing is None and int8.pairing is not None  # The float variant is the base.
    assert (int8.pairing.only_this, int8.pairing.only_base) == (1, 3)
    assert int8.pairing.agreement == pytest.approx(2 / 6)
    assert int8.pairing.agreement_ci95 == pytest.approx(_wilson(2, 6))
    assert int8.pairing.p_value == pytest.approx(stats.binomtest(1, 4).pvalue)
    assert int8.pairing.changed == (
        *(Change(f"green/{number}.png", "green", "green", "red") for number in range(3)),
        Change("red/0.png", "red", "green", "red"),
    )
    assert [outcome.pairing is None for outcome in _scored(data, reddish, plain, base=0)] == [True, False]


def test_models_that_cannot_be_scored_stop_no_other(tmp_path: Path) -> None:
    data = random_pictures(tmp_path / "data", COLOURS, 3)
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    files = [
        broken,
        write_model(tmp_path / "unknown.tflite", ("red", "green", "violet")),
        write_model(tmp_path / "nan.tflite", weights=np.full((3, 3), np.nan), name="nan"),
        write_model(tmp_path / "fine.tflite", name="fine"),
    ]
    *failed, fine = _score(data, *files)
    assert isinstance(fine, MeasuredAccuracy) and fine.pairing is None
    texts = [outcome.error for outcome in failed if isinstance(outcome, NotScored)]
    assert len(texts) == 3 and all(str(file) in text for file, text in zip(files, texts, strict=False))
    assert "does not know: blue. It knows: red, green, violet" in texts[1]
    assert "NaN" in texts[2]


def test_label_that_a_model_uses_twice_is_not_guessed(tmp_path: Path) -> None:
    file = Foreign().write(tmp_path / "foreign.tflite")
    data = random_pictures(tmp_path / "data", ("red", "crane"), 2)
    models = open_models([file], ForeignFacts(("crane", "red", "crane"), NAMED_NORMALIZATIONS["-1..1"]))
    (outcome,) = score(models, labelled_images(data)).outcomes
    assert isinstance(outcome, NotScored) and "does not know: crane" in outcome.error


def test_unreadable_images_are_counted_and_none_readable_is_an_error(tmp_path: Path) -> None:
    file = write_model(tmp_path / "m.tflite")
    data = random_pictures(tmp_path / "data", COLOURS, 2)
    (data / "red" / "0.png").write_bytes(b"no picture")
    result = score(open_models([file]), labelled_images(data))
    (found,) = result.outcomes
    assert isinstance(found, MeasuredAccuracy) and (found.images, found.skipped) == (5, 1)
    assert [Path(skipped.path).name for skipped in result.skipped] == ["0.png"]
    for path in data.glob("*/*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="None of the 6 images of data can be read"):
        score(open_models([file]), labelled_images(data))


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_not_text_are_told_as_text(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", {"red": [(90, 100, 0)]})
    (data / "red" / "0.png").rename(data / "red" / os.fsdecode(b"\xff.png"))
    reddish = write_model(tmp_path / "reddish.tflite", weights=np.diag([16.0, 8.0, 8.0]))
    _, found = _scored(data, write_model(tmp_path / "plain.tflite", name="plain"), reddish)
    assert found.pairing is not None and found.pairing.changed[0].image == "red/\\xff.png"


def test_scoring_twice_gives_the_same_figures(tmp_path: Path) -> None:
    data = random_pictures(tmp_path / "data", COLOURS, 10)
    files = [write_model(tmp_path / f"{n}.tflite", weights=np.diag([8.0 + n, 8, 8])) for n in range(2)]
    assert _score(data, *files) == _score(data, *files)
