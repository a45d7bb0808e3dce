"""edge-train --teacher and --unlabelled: what is written down, and what is refused in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edge_classify.benchmarks.scoring.split import Split
from edge_classify.edge.card import ModelCard
from edge_classify.edge.errors import OptionError
from edge_classify.train import teacher as teacher_module
from edge_classify.train.cache import Cache
from edge_classify.train.dataset import Examples
from edge_classify.train.request import TrainingRequest
from edge_classify.train.teacher import load_teacher
from edge_classify.train.teacher_choice import TeacherChoice
from edge_classify.train.views import ViewedImages
from PIL import Image

from .support.train_options import make_options
from .support.training import train

SMALL = ("--model", "cnn", "--image-size", "32", "--folds", "0", "--compute", "float32")
TAUGHT = (*SMALL, "--epochs", "1,0")


@pytest.fixture(scope="module")
def teacher(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a CNN that tells the shapes apart better than by chance, and has not been refitted."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    result = train(shapes, "-o", run, *SMALL, "--epochs", "12,0")
    assert result.exit_code == 0, result.output
    return run / "cnn"


@pytest.fixture
def copied(teacher: Path, tmp_path: Path) -> Path:
    """A copy of the teacher's run, which a test may damage."""
    return shutil.copytree(teacher.parent, tmp_path / "teacher") / "cnn"


def words(text: str) -> str:
    return " ".join(text.split())


def change_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **changes}))


def test_run_that_was_taught_says_by_whom_and_how(shapes: Path, teacher: Path, tmp_path: Path) -> None:
    result = train(shapes, "-o", tmp_path / "run", *TAUGHT, "--teacher", teacher / "model.keras")
    assert result.exit_code == 0, result.output
    assert "cnn: learns from cnn/model.keras, which is right on" in words(result.output)
    card = ModelCard.from_json((tmp_path / "run" / "cnn" / "card.json").read_bytes())
    assert card.training is not None
    options = card.training.options
    assert options["teacher"] == "cnn/model.keras" and options["unlabelled"] == 0
    assert len(options["teacher_sha256"]) == 64 and options["answer_share"] > 0
    assert "Teacher: " in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.slow
def test_network_that_is_named_is_trained_first_and_teaches_the_others(shapes: Path, tmp_path: Path) -> None:
    result = train(
        shapes, "-o", tmp_path / "run", "--model", "mobilenet_v2", "--teacher", "cnn", "--image-size", 32,
        "--weights", "none", "--alpha", "0.35", "--epochs", "12,0",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    said = words(result.output)
    assert said.index("cnn: measuring") < said.index("mobilenet_v2: learns from cnn/model.keras")
    trainings = [json.loads((tmp_path / "run" / name / "card.json").read_text())["training"]["options"]
                 for name in ("cnn", "mobilenet_v2")]  # fmt: skip
    assert "teacher" not in trainings[0] and trainings[1]["teacher"] == "cnn/model.keras"
    assert trainings[0]["answer_share"] == 0 < trainings[1]["answer_share"]


def test_network_that_is_named_teaches_all_others_and_not_itself(teacher: Path) -> None:
    choice = TeacherChoice("cnn", Split.read(teacher.parent).labels)
    folders = {"cnn": teacher}
    assert choice.teaching("cnn", folders.get) is None
    teaching = choice.teaching("mobilenet_v2", folders.get)
    assert teaching is not None and teaching.teacher.name == "cnn/model.keras"
    with pytest.raises(OptionError, match="cnn was not trained: resnet50 has nobody to learn from"):
        choice.teaching("resnet50", lambda _: None)


def test_same_classes_in_another_order_are_put_into_the_students(teacher: Path, tmp_path: Path) -> None:
    labels = Split.read(teacher.parent).labels
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    viewed = ViewedImages.unchanged(Examples(pixels, np.arange(4), np.zeros(4, np.int64)))
    cache = Cache(tmp_path, 10**9)
    same, turned = (load_teacher(teacher, order).answers(viewed, cache) for order in (labels, labels[::-1]))
    assert np.array_equal(turned, same[:, ::-1]) and not np.array_equal(turned, same)


def test_teacher_of_other_classes_is_refused_with_their_names(copied: Path) -> None:
    labels = Split.read(copied.parent).labels
    with pytest.raises(OptionError, match=f"it lacks square2; it has beside them {labels[0]}"):
        load_teacher(copied, ("square2", *labels[1:]))


def test_model_without_a_card_is_refused(copied: Path) -> None:
    (copied / "card.json").unlink()
    with pytest.raises(OptionError, match=r"there is no card\.json beside it, which names its classes"):
        load_teacher(copied / "model.keras", ("a", "b"))


def test_model_larger_than_the_memory_is_refused_before_it_is_loaded(
    teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher_module, "available_bytes", lambda: 1_000_000)
    monkeypatch.setattr(teacher_module, "load_keras", None)
    with pytest.raises(
        OptionError, match=r"needs about 0\.\d GB of memory, and 0\.0 GB are free. Take a smaller"
    ):
        load_teacher(teacher, Split.read(teacher.parent).labels)


def test_of_a_refit_the_model_from_before_teaches(copied: Path) -> None:
    labels = Split.read(copied.parent).labels
    training = json.loads((copied / "card.json").read_text())["training"]
    change_card(copied, training={**training, "learned_validation": True})
    with pytest.raises(OptionError, match=r"before_refit\.keras, the model from before, is missing"):
        load_teacher(copied / "model.keras", labels)
    shutil.copy(copied / "model.keras", copied / "before_refit.keras")
    assert load_teacher(copied / "model.keras", labels).name == "cnn/before_refit.keras"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: folder.joinpath("model.keras").unlink(), "model.keras: no such file"),
        (lambda folder: folder.joinpath("model.keras").write_bytes(b"no zip"), "model.keras"),
        (lambda folder: folder.joinpath("card.json").write_text("{"), "card.json cannot be used"),
    ],
)
def test_file_that_cannot_be_used_is_named(
    shapes: Path, copied: Path, tmp_path: Path, change: Callable[[Path], object], told: str
) -> None:
    change(copied)
    result = train(shapes, "-o", tmp_path / "run", *TAUGHT, "--teacher", copied / "model.keras")
    assert result.exit_code == 1 and told in words(result.output), result.output
    assert not (tmp_path / "run").exists()


def test_teacher_that_has_learned_test_images_is_refused(shapes: Path, teacher: Path, tmp_path: Path) -> None:
    result = train(shapes, "-o", tmp_path / "run", *TAUGHT, "--teacher", teacher, "--seed", 1)
    assert result.exit_code == 1
    assert "test images, such as" in words(result.output)
    assert "Train the teacher on the same DATA with the same --seed" in words(result.output)


@pytest.mark.slow
def test_teacher_of_which_nobody_says_what_it_has_learned_is_used_with_a_warning(
    shapes: Path, copied: Path, tmp_path: Path
) -> None:
    (copied.parent / "split.json").unlink()
    result = train(shapes, "-o", tmp_path / "run", *TAUGHT, "--teacher", copied)
    assert result.exit_code == 0 and "nobody can tell what it has learned" in words(result.output)


def test_teacher_that_is_no_better_than_chance_is_refused(shapes: Path, copied: Path, tmp_path: Path) -> None:
    labels = Split.read(copied.parent).labels
    change_card(copied, labels=[*labels[1:], labels[0]])  # Each answer is now that of another class.
    result = train(shapes, "-o", tmp_path / "run", *TAUGHT, "--teacher", copied)
    assert result.exit_code == 1 and "nothing can be learned from it" in words(result.output)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--unlabelled", "{tmp}"), "--unlabelled goes with --teacher, which is not given."),
        (("--teacher", "cnn"), "--teacher cnn has nobody to teach: it is the only --model."),
        (("--teacher", "resnet51"), "resnet51: no such file, and no network has this name"),
        (("--teacher", "{teacher}", "--unlabelled", "{tmp}/none"), "none: no such folder"),
        (("--teacher", "{teacher}", "--unlabelled", "{tmp}"), "it holds no pictures"),
    ],
)
def test_options_that_cannot_be_met_are_refused_in_words(
    shapes: Path, teacher: Path, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    (tmp_path / "empty").mkdir()
    given = [text.format(tmp=tmp_path / "empty", teacher=teacher) for text in options]
    result = train(shapes, "-o", tmp_path / "run", *TAUGHT, *given)
    assert result.exit_code != 0 and told in words(result.output), result.output
    assert not (tmp_path / "run").exists()


def test_teacher_does_not_go_with_folds_of_which_it_has_learned_the_images(
    shapes: Path, teacher: Path, tmp_path: Path
) -> None:
    result = train(shapes, "-o", tmp_path / "run", "--model", "cnn", "--teacher", teacher, "--folds", "3")
    assert result.exit_code == 2 and "--teacher does not go with --folds" in words(result.output)


def of_subset(root: Path, teacher: Path, subset: str) -> list[Path]:
    return [image.path for image in Split.read(teacher.parent).subset(subset, root)]


def test_images_that_show_test_images_are_refused(shapes: Path, teacher: Path, tmp_path: Path) -> None:
    tested = of_subset(shapes, teacher, "test")
    for name, image in (("copy", None), ("near", Image.open(tested[1]).convert("RGB"))):
        folder = tmp_path / name
        folder.mkdir()
        if image is None:
            shutil.copy(tested[0], folder / "frame.png")
        else:
            image.resize((image.width * 2, image.height * 2)).save(folder / "frame.jpg", quality=90)
        result = train(shapes, "-o", tmp_path / "run", *TAUGHT, "--teacher", teacher, "--unlabelled", folder)
        said = words(result.output)
        assert result.exit_code == 1 and "1 of its pictures show what test images show" in said, (name, said)
        assert "Take them out" in said


@pytest.mark.slow
def test_images_without_labels_are_counted_and_the_useless_ones_named(
    shapes: Path, teacher: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "frames"
    (folder / "unsure").mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / "unsure" / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    shutil.copy(of_subset(shapes, teacher, "train")[0], folder / "known.png")
    result = train(shapes, "-o", tmp_path / "run", *TAUGHT, "--teacher", teacher, "--unlabelled", folder)
    said = words(result.output)
    assert result.exit_code == 0, said
    assert "broken.jpg" in said and "what a labelled one shows, left out: 1" in said
    assert "answers 3 images without labels" in said
    card = ModelCard.from_json((tmp_path / "run" / "cnn" / "card.json").read_bytes())
    assert card.training is not None and card.training.options["unlabelled"] == 3


def test_resumed_run_refuses_another_teacher() -> None:
    request = TrainingRequest("d", make_options(teacher="t/model.keras"), "edge-train", "/", {})
    request = request.with_teaching("0" * 64)
    assert request.with_teaching("0" * 64) == request
    with pytest.raises(OptionError, match=r"--teacher t/model\.keras has changed since the training began"):
        request.with_teaching("1" * 64)
