"""The comparison with other recipes: who sees which images, which answers are paired, what is made again."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from studies.image_units import parse_rules
from studies.rivals import network, run, table
from studies.rivals.answers import EntryAnswers, ask_file, paired
from studies.rivals.catalogue import KEYS
from studies.rivals.entry import Entry
from studies.rivals.image_set import draw_sample, read_set
from studies.rivals.inference_time import InferenceTime

from .support.pictures import SHAPES, write_shapes

TRAINING, TEST = 12, 10  # Images of each of three classes.


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A folder with train/ and test/, each with three classes."""
    write_shapes(tmp_path / "shapes" / "train", TRAINING)
    write_shapes(tmp_path / "shapes" / "test", TEST, seed=100)
    return tmp_path / "shapes"


def answered(
    recipe: str, answers: str, *, seed: int = 0, images: Sequence[str] = "1234", name: str = "set"
) -> EntryAnswers:
    """Make answers to images whose class is "a", each by its letter."""
    return EntryAnswers(
        set_name=name, recipe=recipe, seed=seed, variant="int8", weights="same", seconds=10.0,
        size_bytes=2_500_000, images=tuple(f"test/a/{i}.jpg" for i in images), truth=("a",) * len(images),
        answers=tuple(answers),
    )  # fmt: skip


def test_answers_are_paired_by_the_paths_of_images_and_not_by_their_order() -> None:
    one, other = answered("x", "aabb"), answered("y", "bbaa", images="4321")
    assert paired([one, other], one.images).tolist() == [[True, True, False, False]] * 2


def test_answers_to_other_images_are_refused() -> None:
    one, other = answered("x", "aabb"), answered("y", "aabb", images="1235")
    with pytest.raises(click.ClickException, match="y answered other images of set"):
        paired([one, other], one.images)


def test_table_tells_points_between_ours_and_each_rival_by_set_and_over_all() -> None:
    latency = InferenceTime(2.0, 1.9, 2.1, "a machine")
    rows = {
        name: [
            table.TableRow(
                "ours", tuple(answered("ours", ours, seed=s, name=name) for s in range(2)), latency
            ),
            table.TableRow("theirs", (answered("theirs", theirs, name=name),), latency),
        ]
        for name, ours, theirs in (("first", "aaaa", "aabb"), ("second", "aaab", "aaab"))
    }
    text = table.to_markdown(rows, parse_rules([]))
    assert "| ours | int8 | 100.0% (100.0 to 100.0) | 100.0% | 2.00 ms | 2.5 MB | 10 s |" in text
    found = table.differences(rows, "theirs", {})
    assert (found.pooled.mean, found.sets["first"].mean, found.sets["second"].mean) == (0.25, 0.5, 0.0)
    assert "| theirs | +25.0 (" in text
    assert "| +0.0 (+0.0 to +0.0) |" in text


def test_units_of_a_set_widen_the_interval_of_the_table() -> None:
    images = [f"{number:02}" for number in range(24)]
    row = table.TableRow(
        "ours", (answered("ours", "aaaabbbb" * 3, images=images),), InferenceTime(1, 1, 1, "")
    )
    alone, together = row.top1({}), row.top1(parse_rules([r"set=(\d+)\.jpg/4@0"]))
    assert (alone.units, together.units) == (24, 6)
    assert alone.mean == together.mean == 0.5
    assert together.interval[1] - together.interval[0] > 1.5 * (alone.interval[1] - alone.interval[0])


def test_sample_is_the_same_for_the_same_seed_and_keeps_both_sides(shapes: Path, tmp_path: Path) -> None:
    whole = read_set("shapes", shapes)
    one, same = (draw_sample(whole, 3, 0, tmp_path / folder) for folder in ("one", "same"))
    other = draw_sample(whole, 3, 1, tmp_path / "other")
    assert one.names() == same.names() != other.names()
    assert (len(one.training), len(one.test)) == (9, 9)
    for image in (*one.training, *one.test):
        assert image.path.read_bytes() == (shapes / image.path.relative_to(tmp_path / "one")).read_bytes()
    with pytest.raises(click.UsageError, match=r"has 10 images\. --per-class wants 11"):
        draw_sample(whole, 11, 0, tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_set_without_test_images_of_its_own_is_refused(shapes: Path) -> None:
    shutil.rmtree(shapes / "test" / SHAPES[0])
    with pytest.raises(click.UsageError, match=f"Only in one: {SHAPES[0]}"):
        read_set("shapes", shapes)
    shutil.rmtree(shapes / "test")
    with pytest.raises(click.UsageError, match="must hold the folders train and test"):
        read_set("shapes", shapes)


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_int8_file_answers_as_its_model_whatever_the_scale_of_its_input(tmp_path: Path, scale: float) -> None:
    import keras

    keras.utils.set_random_seed(3)
    model = keras.Sequential([
        keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / scale / 255), keras.layers.Flatten(),
        keras.layers.Dense(4, activation="softmax", kernel_initializer=keras.initializers.RandomNormal()),
    ])  # fmt: skip
    pictures = np.random.default_rng(4).integers(0, 256, (40, 8, 8, 3)).astype(np.float32) * np.float32(scale)
    (tmp_path / "int8.tflite").write_bytes(network.convert(model, pictures))
    (tmp_path / "float32.tflite").write_bytes(network.convert(model, None))
    expected = ["abcd"[i] for i in np.asarray(model(pictures)).argmax(axis=1)]
    assert list(ask_file(tmp_path / "float32.tflite", pictures, "abcd")) == expected
    answers = ask_file(tmp_path / "int8.tflite", pictures, "abcd")
    assert sum(a == b for a, b in zip(answers, expected, strict=True)) >= 36
    assert len(set(expected)) > 1


def test_entry_that_is_done_is_read_and_not_made_again(shapes: Path, tmp_path: Path) -> None:
    entry = Entry(read_set("shapes", shapes), "no such rival", 0, "same", tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    kept = answered("no such rival", "aabb")
    kept.write(tmp_path / "kept")
    assert entry.result() == kept
    with pytest.raises(click.ClickException, match=r"was made with the weights 'same'\. Received: 'own'"):
        dataclasses.replace(entry, weights="own").result()
    with pytest.raises(click.ClickException, match=r"was made with the options ''\. Received: '--alpha 0.5'"):
        dataclasses.replace(entry, options=("--alpha", "0.5")).result()
    (tmp_path / "kept" / "answers.json").write_text("{", encoding="utf-8")
    with pytest.raises(click.ClickException, match="Delete it, and run again"):
        entry.result()


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_each_rival_learns_where_there_are_no_test_images(key: str, shapes: Path, tmp_path: Path) -> None:
    shutil.rmtree(shapes / "test")
    command = [sys.executable, "-m", "studies.rivals.training", key, str(shapes / "train")]
    command += ["--weights", "random", "--seed", "1", "--output", str(tmp_path)]
    subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
    record = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert record["images"] == TRAINING * len(SHAPES)
    assert sorted(record["labels"]) == sorted(SHAPES)
    assert (tmp_path / "model.tflite").stat().st_size > 100_000


@pytest.mark.slow
def test_study_prints_ours_beside_a_rival_and_goes_on_where_it_was(shapes: Path, tmp_path: Path) -> None:
    words = [str(shapes), "--output", str(tmp_path / "out"), "--rival", "notebook-cnn", "--seeds", "1"]
    words += ["--weights", "random", "--unit", r"shapes=bild (\d+)/2@0", "--per-class", "shapes=10"]
    words += ["--ours", "ours=--model cnn --preset fast --epochs 1,0 --image-size 32"]
    first = CliRunner().invoke(run.main, words, catch_exceptions=False)
    assert first.exit_code == 0, first.output
    assert "**shapes**, 30 test images" in first.stdout
    assert "| ours | int8 |" in first.stdout
    assert "| notebook, CNN | int8 |" in first.stdout
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert CliRunner().invoke(run.main, words).stdout == first.stdout
    assert files == {path: path.stat().st_mtime_ns for path in files}


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--per-class", "shapes"), "--per-class takes SET=N"),
        (("--per-class", "trash=5"), "there is no set trash"),
        (("--ours", "x"), "--ours takes NAME=OPTIONS"),
        (("--ours", "frigate="), "--ours takes NAME=OPTIONS"),
        (("--unit", r"trash=(\d+)"), "there is no set trash"),
    ],
)
def test_option_that_does_not_fit_is_refused(
    option: tuple[str, str], told: str, shapes: Path, tmp_path: Path
) -> None:
    result = CliRunner().invoke(run.main, [str(shapes), "--output", str(tmp_path / "out"), *option])
    assert result.exit_code == 2
    assert told in result.stderr
