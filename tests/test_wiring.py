"""Which images reach which step of a training and a conversion, by what the steps are handed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.benchmarks.scoring.confidence import apply_temperature, choose_threshold, fit_temperature
from edge_classify.benchmarks.scoring.predict import read_pixels, true_indices
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.convert import job_tools, scoring
from edge_classify.edge.card import ModelCard, Preprocess
from edge_classify.edge.labelled import LabelledImage
from edge_classify.edge.modelfile import ModelFile
from edge_classify.train import evaluation, teacher
from edge_classify.train.frozen import run_network
from numpy.typing import NDArray
from PIL import Image

from .support.conversion import convert, keras_model
from .support.training import train

SIZE = 32
PRECISION = 0.5  # Of answers: so few images show no higher one.
OPTIONS = (
    "--model", "cnn", "--image-size", SIZE, "--epochs", "8,0", "--batch-size", "16", "--folds", "0",
    "--answer-precision", PRECISION, "--compute", "float32",
)  # fmt: skip
SUBSETS = ("train", "validation", "test")


@dataclass
class Watched:
    """What a training handed to Keras and to the measurements, in order: a step, and its images' bytes."""

    run: Path
    split: Split
    root: Path
    steps: list[tuple[str, list[bytes]]] = field(default_factory=list)

    def subset(self, name: str) -> dict[bytes, LabelledImage]:
        """Return a subset's images by their bytes as the network's input."""
        images = self.split.subset(name, self.root)
        return {read_pixels(image, self.card.input, Preprocess()).tobytes(): image for image in images}

    @property
    def card(self) -> ModelCard:
        return ModelCard.from_json((self.run / "cnn" / "card.json").read_bytes())

    def images_of(self, step: str) -> set[bytes]:
        """Return all images that any call of a step got."""
        return {image for name, images in self.steps if name == step for image in images}


def images_in(feed: Any) -> list[bytes]:
    """Return the pixels of each image that Keras gets of a feed."""
    return [np.asarray(image, np.uint8).tobytes() for number in range(len(feed)) for image in feed[number][0]]


@pytest.fixture(scope="module")
def watched(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A training that keeps the validation images apart to the end."""
    return watch_training(shapes, tmp_path_factory.mktemp("watched") / "run")


@pytest.fixture(scope="module")
def refitted(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A training after which the model learns from the validation images too."""
    return watch_training(shapes, tmp_path_factory.mktemp("refitted") / "run", "--refit")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures without labels, of the size of the network's input."""
    folder = tmp_path_factory.mktemp("frames")
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def taught(shapes: Path, watched: Watched, frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A training that learns from the answers of the first one, to pictures without labels too."""
    options = ("--teacher", str(watched.run / "cnn"), "--unlabelled", str(frames), "--refit")
    return watch_training(shapes, tmp_path_factory.mktemp("taught") / "run", *options)


def watch_training(shapes: Path, run: Path, *options: str) -> Watched:
    """Train the CNN, and watch Keras's own doors, the teacher's, and those of the measurements."""
    steps: list[tuple[str, list[bytes]]] = []
    fit, predict, evaluate = keras.Model.fit, keras.Model.predict, evaluation.evaluate

    def watch_fit(self: Any, feed: Any, **rest: Any) -> Any:
        steps.append(("fit", images_in(feed)))
        return fit(self, feed, **rest)

    def watch_predict(self: Any, feed: Any, **rest: Any) -> Any:
        steps.append(("validate", images_in(feed)))
        return predict(self, feed, **rest)

    def watch_answer(network: Any, side: int, chunks: Iterator[Any], *rest: Any) -> None:
        asked = list(chunks)
        steps.append(("teach", [image.tobytes() for pixels in asked for image in pixels]))
        run_network(network, side, iter(asked), *rest)

    def watch_evaluate(
        ask: Callable[[NDArray[np.uint8]], NDArray[np.float32]], *arguments: Any
    ) -> evaluation.Evaluation:
        def watch(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            steps.append(("measure", [image.tobytes() for image in pixels]))
            return ask(pixels)

        return evaluate(watch, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "fit", watch_fit)
        patch.setattr(keras.Model, "predict", watch_predict)
        patch.setattr("edge_classify.train.one_model.evaluate", watch_evaluate)
        patch.setattr(teacher, "run_network", watch_answer)
        result = train(shapes, "-o", run, *OPTIONS, *options)
    assert result.exit_code == 0, result.output
    return Watched(run, Split.read(run), shapes, steps)


def test_every_image_shows_by_its_pixels_which_subset_it_is_of(watched: Watched) -> None:
    of = [set(watched.subset(name)) for name in SUBSETS]
    assert [len(images) for images in of] == [len(watched.split.subset(n, watched.root)) for n in SUBSETS]
    assert not (of[0] & of[1] or of[0] & of[2] or of[1] & of[2]) and all(of)


def test_network_is_fitted_to_training_images_and_to_all_of_them(watched: Watched) -> None:
    assert watched.images_of("fit") == set(watched.subset("train"))


def test_epochs_are_chosen_by_validation_images_alone(watched: Watched) -> None:
    assert watched.images_of("validate") == set(watched.subset("validation"))
    assert sum(name == "validate" for name, _ in watched.steps) == 8  # Once an epoch.


def test_refit_learns_from_validation_images_only_after_they_have_chosen(refitted: Watched) -> None:
    validation, training = set(refitted.subset("validation")), set(refitted.subset("train"))
    fits = [(number, set(images)) for number, (name, images) in enumerate(refitted.steps) if name == "fit"]
    (_, before), (at, after) = fits
    assert before == training and after == training | validation
    assert all(number < at for number, (name, _) in enumerate(refitted.steps) if name == "validate")


def test_student_learns_the_images_that_its_teacher_answers_once_each(taught: Watched, frames: Path) -> None:
    training, validation = set(taught.subset("train")), set(taught.subset("validation"))
    unlabelled = {np.asarray(Image.open(path)).tobytes() for path in frames.iterdir()}
    before, after = (set(images) for name, images in taught.steps if name == "fit")
    assert before == training | unlabelled and after == before | validation
    answered = Counter(image for name, images in taught.steps if name == "teach" for image in images)
    assert set(answered) == after and set(answered.values()) == {1}
    assert taught.images_of("validate") == validation


def test_confidence_of_a_refit_is_that_of_the_model_before_it(refitted: Watched, watched: Watched) -> None:
    ours, theirs = refitted.card.output, watched.card.output
    assert ours.temperature == pytest.approx(theirs.temperature, rel=1e-3)
    assert ours.threshold == pytest.approx(theirs.threshold, abs=1e-4)
    assert refitted.card.training is not None and watched.card.training is not None
    assert refitted.card.training.learned_validation and not watched.card.training.learned_validation
    after, before = (keras_model(run.run, "cnn").get_weights() for run in (refitted, watched))
    assert not all(map(np.array_equal, after, before))


def test_conversion_of_a_refit_asks_the_model_from_before_for_validation_images(
    refitted: Watched, tmp_path: Path
) -> None:
    folder, calls = tmp_path / "run", ("--variant", "float32", "--max-drop", "100", "--data", refitted.root)
    shutil.copytree(refitted.run, folder)
    after = convert(folder, *calls, "-o", tmp_path / "after")
    shutil.copy(folder / "cnn" / "before_refit.keras", folder / "cnn" / "model.keras")
    before = convert(folder, *calls, "-o", tmp_path / "before")
    for result in (after, before):  # So few epochs may leave the network at chance, which ends in status 1.
        assert result.exit_code == 0 or "not better than chance" in result.stderr, result.stderr
    told = " ".join(after.stderr.split())
    assert "has learned from the validation images: the model from before answers them" in told
    ours, theirs = ((tmp_path / name / "cnn_float32.tflite").read_bytes() for name in ("after", "before"))
    assert ours != theirs
    cards = [ModelFile.read(data).card for data in (ours, theirs)]
    assert cards[0] is not None and cards[1] is not None
    assert cards[0].output == cards[1].output


def test_conversion_of_a_refit_without_the_model_from_before_says_what_is_missing(
    refitted: Watched, tmp_path: Path
) -> None:
    folder = shutil.copytree(refitted.run, tmp_path / "run")
    (folder / "cnn" / "before_refit.keras").unlink()
    result = convert(folder, "--data", refitted.root, "-o", tmp_path / "out")
    told = " ".join(result.stderr.split())
    assert result.exit_code == 1 and "before_refit.keras is missing" in told
    assert "Copy the whole folder of the run, or train with --no-refit" in told


@pytest.mark.parametrize("kind", ["watched", "refitted", "taught"])
def test_test_set_is_read_once_at_the_end(kind: str, request: pytest.FixtureRequest) -> None:
    watched: Watched = request.getfixturevalue(kind)
    names = [name for name, _ in watched.steps]
    assert names.index("measure") > max(names.index("fit"), len(names) - names[::-1].index("validate") - 1)
    tested = set(watched.subset("test"))
    read = Counter(image for _, images in watched.steps for image in images if image in tested)
    assert set(read) == tested and set(read.values()) == {1}
    assert tested <= watched.images_of("measure")


def test_card_has_the_temperature_and_threshold_of_the_validation_images(watched: Watched) -> None:
    model, card = keras_model(watched.run, "cnn"), watched.card
    found = {}
    for name in ("validation", "test"):
        images = watched.split.subset(name, watched.root)
        pixels = np.stack([read_pixels(image, card.input, card.preprocess) for image in images])
        raw = model.predict(pixels.astype(np.float32), verbose=0)
        truth = true_indices(images, card.labels)
        temperature = fit_temperature(raw, truth)
        threshold = choose_threshold(apply_temperature(raw, temperature), truth, PRECISION)
        assert threshold is not None
        found[name] = temperature, threshold.value
    assert card.output.temperature == pytest.approx(found["validation"][0], rel=1e-3)
    assert card.output.threshold == pytest.approx(found["validation"][1], abs=1e-4)
    assert found["test"][0] != pytest.approx(found["validation"][0], rel=1e-2)


def paths(images: list[LabelledImage]) -> set[Path]:
    return {image.path.resolve() for image in images}


def watch_images(
    patch: pytest.MonkeyPatch,
    got: dict[str, list[LabelledImage]],
    module: Any,
    name: str,
    place: int,
    step: str,
) -> None:
    """Note under `step` the images that a function of `module` gets as its argument number `place`."""
    original = getattr(module, name)

    def call(*arguments: Any, **rest: Any) -> Any:
        got.setdefault(step, []).extend(arguments[place])
        return original(*arguments, **rest)

    patch.setattr(module, name, call)


def test_conversion_calibrates_fits_and_scores_on_three_different_subsets(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: dict[str, list[LabelledImage]] = {}
    watch_images(monkeypatch, got, job_tools, "load_calibration", 0, "train")
    watch_images(monkeypatch, got, job_tools, "refit_confidence", 1, "validation")
    watch_images(monkeypatch, got, scoring, "predict_files", 1, "test")
    options = ("--variant", "int8", "--max-drop", "100", "-o", tmp_path)
    result = convert(watched.run, "--data", watched.root, *options)
    # Eight epochs may leave the network at chance, which ends in status 1.
    assert result.exit_code == 0 or "not better than chance" in result.stderr, result.stderr
    assert {step: paths(images) for step, images in got.items()} == {
        name: paths(watched.split.subset(name, watched.root)) for name in SUBSETS
    }
    card = ModelFile.read(tmp_path / "cnn_int8.tflite").card
    assert card is not None and card.accuracy is not None
    assert card.accuracy.images == len(watched.split.subset("test", watched.root))
