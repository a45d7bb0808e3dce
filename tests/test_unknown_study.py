"""The study of unknown images: scores are those of their formulas, and nothing unknown chooses anything."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from edge_classify.benchmarks.scoring.split import Split, SplitImage
from edge_classify.convert.directions import unit_rows
from edge_classify.convert.outliers import OUTLIERS
from edge_classify.edge.card import InputSpec, ModelCard, TrainingInfo
from edge_classify.edge.runtime import load_interpreter
from numpy.typing import NDArray
from PIL import Image
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.metrics import roc_auc_score

from studies.unknown.__main__ import answer, main
from studies.unknown.comparison import FileAnswers, Scored, mean_difference, score_file
from studies.unknown.features import FeatureReader, with_features
from studies.unknown.hold_out import draw_classes, without_classes
from studies.unknown.metrics import (
    ScorePair,
    auroc,
    false_positives,
    interval,
    operating_threshold,
    resampled_difference,
)
from studies.unknown.prototypes import (
    COUNTS,
    INT8_PROTOTYPES,
    PROTOTYPES,
    in_steps,
    layer_cost,
    name_of,
    prototype_directions,
)
from studies.unknown.runs import draw, far_images, make_files, open_run
from studies.unknown.scores import SCORES, Labelled, Outputs
from studies.unknown.tables import gain_share

from .support.colour_run import LABELS, SIDE, write_model

FEATURES = 8


def _outputs(features: NDArray[Any]) -> Outputs:
    """Return outputs whose logits are the first three features."""
    made = features.astype(np.float32)
    return Outputs(made, made, made).answered(made[:, :3])


def _spread(centres: NDArray[np.float64], truth: NDArray[np.int64], seed: int) -> Labelled:
    rng = np.random.default_rng(seed)
    return Labelled(_outputs(centres[truth] + rng.normal(0, 0.3, (len(truth), FEATURES))), truth)


@pytest.fixture
def training() -> Labelled:
    return _spread(4 * np.eye(3, FEATURES), np.repeat(np.arange(3), 20), seed=0)


def test_auroc_counts_pairs_and_ties_as_halves() -> None:
    assert auroc(np.array([3.0, 2, 2]), np.array([1.0, 2, 0])) == 8 / 9
    rng = np.random.default_rng(0)
    known, unknown = rng.integers(0, 9, 70).astype(float), rng.integers(-3, 6, 50).astype(float)
    truth = np.repeat([1, 0], [70, 50])
    assert auroc(known, unknown) == pytest.approx(roc_auc_score(truth, np.concatenate([known, unknown])))


def test_auroc_of_two_normal_distributions_is_that_of_the_formula() -> None:
    # Of normal X and Y one standard deviation apart X - Y is N(1, 2): P(X > Y) is N(0, 1) below 1/sqrt(2).
    rng = np.random.default_rng(1)
    known, unknown = rng.normal(1, 1, 3000), rng.normal(0, 1, 3000)
    assert auroc(known, unknown) == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=0.01)


def test_false_positives_are_those_of_the_highest_threshold_that_keeps_the_recall() -> None:
    known = np.arange(1.0, 21)
    # 19 of 20 are 95 %: the threshold is 2, which a score of 2 reaches.
    assert false_positives(known, np.array([0.0, 1, 1.9, 2, 3])) == 2 / 5


def test_operating_threshold_loses_no_more_than_its_share_of_right_answers() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(149.0))
    threshold = operating_threshold(scores, 0.02)
    assert (scores < threshold).sum() == 2  # Of 149, 2 % are 2.98.
    assert operating_threshold(np.zeros(50), 0.02) == 0  # Equal scores are accepted together.
    with pytest.raises(ValueError, match="no right answers"):
        operating_threshold(np.array([]))


def test_interval_of_a_difference_is_wider_where_images_belong_together() -> None:
    rng = np.random.default_rng(0)
    base = np.repeat(rng.normal(1, 1, 20), 10)
    known = ScorePair(base + np.repeat(rng.normal(0.5, 1, 20), 10), base)
    other = rng.normal(0, 1, 200)
    unknown = [ScorePair(other, other)]
    each = resampled_difference(known, unknown, [str(i) for i in range(200)], seed=0)
    tens = resampled_difference(known, unknown, [str(i // 10) for i in range(200)], seed=0)
    widths = [high - low for low, high in map(interval, (each, tens))]
    assert widths[1] > 2 * widths[0]
    found = auroc(known.score, other) - auroc(known.other, other)
    assert each.mean() == pytest.approx(found, abs=0.01) and tens.mean() == pytest.approx(found, abs=0.03)
    same = resampled_difference(ScorePair(base, base), unknown, ["a"] * 200, seed=0)
    assert not same.any()


def _cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_scores_are_those_of_their_formulas(training: Labelled) -> None:
    given = _outputs(np.random.default_rng(3).normal(1, 2, (7, FEATURES)))
    got = {name: fit(training)(given) for name, fit in {**SCORES, **PROTOTYPES}.items()}
    rows, truth = training.outputs.features, training.truth
    directions = np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float64)
    means = [directions[truth == label].mean(axis=0) for label in range(3)]
    inner, middle = directions - np.stack(means)[truth], directions.mean(axis=0)
    share = ledoit_wolf_shrinkage(inner, assume_centered=True)
    within, around = (
        np.linalg.inv((1 - share) * found + share * np.trace(found) / FEATURES * np.eye(FEATURES))
        for found in ((rows.T @ rows) / len(rows) for rows in (inner, directions - middle))
    )
    for index in range(7):
        feature, logits = given.features[index], given.logits[index].astype(np.float64)
        powers = np.exp(logits)
        assert got["softmax"][index] == pytest.approx(powers.max() / powers.sum(), rel=1e-5)
        assert got["energy"][index] == pytest.approx(math.log(powers.sum()), rel=1e-6)
        cosines = sorted((_cosine(feature, row) for row in rows), reverse=True)
        assert got["nearest image"][index] == pytest.approx(cosines[0], abs=1e-5)
        assert got["10th neighbour"][index] == pytest.approx(cosines[9], abs=1e-5)
        assert got["class means"][index] == pytest.approx(max(_cosine(feature, m) for m in means), abs=1e-5)
        z = feature / np.linalg.norm(feature)
        own = min((z - m) @ within @ (z - m) for m in means)
        relative = (z - middle) @ around @ (z - middle) - own
        assert got["relative Mahalanobis"][index] == pytest.approx(relative, rel=1e-3)


def test_relative_mahalanobis_finds_unknown_directions_where_features_outnumber_images() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(3), 20)
    rows = np.abs(rng.normal(0, 1, (90, 400))) * 0.5
    rows[np.arange(90), np.append(truth, np.full(30, 5))] += 20
    labelled = Labelled(_outputs(rows[:60]), truth)
    score = SCORES["relative Mahalanobis"](labelled)
    assert auroc(score(labelled.outputs), score(_outputs(rows[60:]))) > 0.99


def test_two_prototypes_find_the_two_kinds_of_a_class_and_a_small_class_keeps_its_images() -> None:
    features = np.zeros((13, FEATURES))
    features[:6, 0] = features[6:12, 1] = features[12, 2] = 1
    features += np.random.default_rng(0).normal(0, 0.01, features.shape)
    labelled = Labelled(_outputs(features), np.repeat([0, 1], [12, 1]))
    found = prototype_directions(labelled, 2)
    assert len(found) == 3
    assert sorted(found[:2].argmax(axis=1).tolist()) == [0, 1] and (found[:2].max(axis=1) > 0.999).all()
    np.testing.assert_allclose(found[2], unit_rows(labelled.outputs.features)[12], atol=1e-6)
    between = _outputs(np.eye(1, FEATURES))
    assert PROTOTYPES["class means"](labelled)(between)[0] == pytest.approx(math.sqrt(0.5), abs=0.01)
    assert PROTOTYPES["2 prototypes"](labelled)(between)[0] == pytest.approx(1, abs=0.001)


def test_int8_layers_move_a_cosine_by_no_more_than_their_steps(training: Labelled) -> None:
    given = training.outputs
    exact = PROTOTYPES["4 prototypes"](training)(given)
    moved = {
        name: np.abs(INT8_PROTOTYPES[f"4 prototypes, {name}"](training)(given) - exact).max()
        for name in ("int8 weights", "int8 layer", "int8 L2_NORMALIZATION")
    }
    # A weight moves by at most half of 1/127, and features of length 1 add up to at most sqrt(8).
    weights = math.sqrt(FEATURES) / 2 / 127
    assert 0 < moved["int8 weights"] < weights
    # Its output has 255 steps from the least product, about -2 here, to the greatest, about 5.
    lengths = np.linalg.norm(given.features, axis=1)
    assert moved["int8 weights"] < moved["int8 layer"] < weights + 7 / 255 / lengths.min()
    assert moved["int8 weights"] < moved["int8 L2_NORMALIZATION"] < weights + 1.5 * math.sqrt(FEATURES) / 128
    assert layer_cost(12, 1280) == (12 * 1280 + 12 * 8, 12 * 1280 + 1280)


def test_runtime_normalizes_int8_in_the_steps_that_are_simulated() -> None:
    import tensorflow as tf

    shown = np.random.default_rng(0).uniform(0, 6, (64, 1, 40)).astype(np.float32)
    function = tf.function(lambda x: tf.math.l2_normalize(x, axis=-1))
    concrete = function.get_concrete_function(tf.TensorSpec((1, 40), tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row] for row in shown)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    interpreter = load_interpreter(converter.convert(), 1)
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert given["quantization"] == (1 / 128, 0)
    scale, zero = taken["quantization"]
    for row in shown[:10]:
        stored = np.clip(np.rint(row / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(taken["index"], stored)
        interpreter.invoke()
        real = (stored.astype(np.float32) - zero) * scale
        steps = interpreter.get_tensor(given["index"]).astype(np.float32) / 128
        # The runtime's integer arithmetic may round a value between two steps the other way.
        np.testing.assert_allclose(steps, in_steps(unit_rows(real)), atol=1.01 / 128)


def test_made_up_outliers_show_what_they_say_and_leave_the_photo_as_it_is() -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(40, 200, (64, 48, 3)).astype(np.uint8)
    before = photo.copy()
    made = {kind: make(photo, np.random.default_rng(1)) for kind, make in OUTLIERS.items()}
    assert all(image.shape == photo.shape and image.dtype == np.uint8 for image in made.values())
    np.testing.assert_array_equal(photo, before)
    assert (made["shuffled"] != photo).any()
    np.testing.assert_array_equal(np.sort(made["shuffled"], axis=None), np.sort(photo, axis=None))
    assert made["blurred"].std() < photo.std() / 10
    assert made["black"].max() < 20 and made["white"].min() > 235
    assert (made["saturated"] == 255).mean() > 0.95
    assert made["covered"].mean() < 110 and made["covered"].std() < photo.std()


def _scored(known: NDArray[Any], unknown: NDArray[Any], name: str = "a", method: str = "softmax") -> Scored:
    count = len(known)
    units = tuple(map(str, range(count)))
    return Scored(name, "int8", method, known, np.ones(count, bool), units, {"far: b": unknown}, 2.0)


def test_operating_point_counts_right_answers_lost_and_unknown_images_let_through() -> None:
    item = Scored(
        "a", "int8", "energy", np.array([1.0, 3, 1, 4, 5]), np.array([True, True, False, True, True]),
        tuple("abcde"), {"far: b": np.array([2.0, 1]), "far: c": np.array([0.0, 1])}, 2.0,
    )  # fmt: skip
    assert item.lost == 1 / 4 and item.let_through("far") == 1 / 4
    assert math.isnan(item.let_through("near"))


def test_mean_difference_weighs_sets_alike_and_is_none_without_images() -> None:
    low, high = np.arange(10.0), np.arange(10.0) + 10
    better, same = _scored(high, low), _scored(low, low + 0.5)
    pairs = [(better, _scored(low, high)), *[(_scored(low, low, "b"), _scored(low, low, "b"))] * 2]
    found = mean_difference(pairs, "far")
    assert found is not None and found[0] == 0.5 and found[1] == (0.5, 0.5)
    assert mean_difference([(same, same)], "near") is None


def test_gain_share_is_what_a_method_gains_of_the_neighbours_gain() -> None:
    low = np.arange(10.0)
    items = [
        _scored(low, low, method=name_of(1)),
        _scored(low, low - 10, method="10th neighbour"),
        _scored(np.array([1.0]), np.array([0.0, 0, 2, 0]), method="4 prototypes"),
    ]
    # AUROC 0.5, 1 and 0.75.
    assert gain_share(items, "4 prototypes", "int8", lambda item: item.auroc("far")) == pytest.approx(0.5)
    assert math.isnan(gain_share(items, "4 prototypes", "int8", lambda item: -item.auroc("far")))


def _answers(training: Labelled) -> FileAnswers:
    centres = 4 * np.eye(3, FEATURES)
    test = _spread(centres, np.repeat(np.arange(3), 10), seed=5)
    validation = _spread(centres, np.repeat(np.arange(3), 10), seed=6)
    far = _spread(4 * np.eye(3, FEATURES, 4), np.repeat(np.arange(3), 10), seed=7).outputs
    units = tuple(map(str, range(30)))
    return FileAnswers("set", "int8", training, (training, validation), test, units, {"far: other": far})


def test_scores_tell_other_directions_apart_and_lose_few_known_ones(training: Labelled) -> None:
    methods = {**SCORES, **PROTOTYPES, **INT8_PROTOTYPES}
    found = {item.method: item for item in score_file(_answers(training), methods)}
    assert set(found) == set(methods)
    for name in ("energy", "nearest image", "10th neighbour", "relative Mahalanobis", *map(name_of, COUNTS)):
        assert found[name].auroc("far") > 0.99, name
        assert found[name].let_through("far") == 0 and found[name].lost <= 0.1, name


def test_classes_held_out_become_near_and_are_in_nothing_that_is_fitted(training: Labelled) -> None:
    answers = _answers(training)
    held = draw_classes(answers, 1, seed=0)
    left = without_classes(answers, held)
    assert [len(part.truth) for part in (left.training, left.chooser[1], left.test)] == [40, 20, 20]
    assert set(left.training.truth.tolist()) == {0, 1} and left.training.outputs.logits.shape == (40, 2)
    assert len(left.units) == 20 and list(left.unknown) == ["near"]
    assert left.test.right.mean() > 0.9
    near = left.unknown["near"]
    np.testing.assert_array_equal(
        near.features, answers.test.outputs.features[answers.test.truth == min(held)]
    )
    scored = next(score_file(left, {"class means": PROTOTYPES["class means"]}))
    assert scored.auroc("near") > 0.99
    with pytest.raises(ValueError, match="3 classes: 2 cannot be held out"):
        draw_classes(answers, 2, seed=0)


def _write_photos(data: Path) -> Split:
    """Write photos in which a class is its strongest colour, and in grey/ a class that no model knows."""
    rng = np.random.default_rng(0)
    images = []
    for subset, count in {"train": 20, "validation": 10, "test": 8}.items():
        for number, label in enumerate((*LABELS, "grey")):
            folder = data / ("test" if subset == "test" else "train") / label
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                pixels = rng.integers(90, 110, (SIDE, SIDE, 3))
                if label != "grey":
                    pixels[:, :, number] += 100
                path = folder / f"{subset}_{index}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(path)
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                if label != "grey":
                    images.append(SplitImage(path.relative_to(data).as_posix(), digest, label, subset))
    return Split(str(data), LABELS, tuple(images))


@pytest.fixture
def refit(tmp_path: Path) -> Mapping[str, Path]:
    """A run whose model has learned from the validation images, with the other model from before."""
    run, data = tmp_path / "run", tmp_path / "photos"
    run.mkdir()
    split = _write_photos(data)
    split.write(run)
    write_model(run / "earlier", 0.5)
    write_model(run / "colours", 1.0)
    (run / "earlier" / "model.keras").rename(run / "colours" / "before_refit.keras")
    training = TrainingInfo("cnn", "none", "photos", 0, split.sha256, learned_validation=True)
    card = ModelCard("colours", LABELS, InputSpec(SIDE, SIDE, "float32"), training=training)
    (run / "colours" / "card.json").write_text(card.to_json())
    return {"run": run, "data": data, "output": tmp_path / "output"}


def test_study_reads_a_run_and_prints_tables_of_what_is_near_far_and_made_up(
    refit: Mapping[str, Path], tmp_path: Path
) -> None:
    far = tmp_path / "far"
    far.mkdir()
    for number in range(6):
        Image.new("RGB", (SIDE, SIDE), (40 * number, 200, 255)).save(far / f"{number}.png")
    arguments = [f"colours={refit['run']}={refit['data']}", "--far", far, "--output", refit["output"]]
    result = CliRunner().invoke(main, [*map(str, arguments), "--unit", r"colours=_(\d+)/2"])
    assert result.exit_code == 0, result.output
    assert "near 8, far: far 6, made up: shuffled 24" in result.stdout
    assert "| colours | int8 | 3 | 60 | 30 | 24 | 1.000 |" in result.stdout
    for title in (
        "Far images: AUROC",
        "Near images: AUROC",
        "Made-up outliers let through",
        "What a layer of",
    ):
        assert f"### {title}" in result.stdout
    kept = {path: path.stat().st_mtime_ns for path in refit["output"].rglob("*") if path.is_file()}
    again = CliRunner().invoke(main, [*map(str, arguments), "--unit", r"colours=_(\d+)/2"])
    assert again.stdout == result.stdout
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    held = CliRunner().invoke(main, [*map(str, arguments), "--hold-out", "1", "--draws", "2"])
    assert held.exit_code == 0 and "colours without 1" in held.stdout


def test_features_are_those_of_the_file_and_the_model_from_before_its_refit_chooses(
    refit: Mapping[str, Path],
) -> None:
    run = open_run(f"colours={refit['run']}={refit['data']}")
    files = make_files(run, refit["output"])
    assert files != make_files(run, refit["output"], before=True)
    reader = FeatureReader(files["float32"], temperature=2.0)
    pixels = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    features, logits, probabilities = reader.read(pixels)
    plain = load_interpreter(files["float32"], 1)
    plain.set_tensor(plain.get_input_details()[0]["index"], pixels[None].astype(np.float32))
    plain.invoke()
    np.testing.assert_allclose(
        probabilities, plain.get_tensor(plain.get_output_details()[0]["index"])[0], atol=1e-6
    )
    powers = np.exp((logits - logits.max()) / 2)
    np.testing.assert_allclose(probabilities, powers / powers.sum(), atol=1e-5)
    np.testing.assert_allclose(features, pixels.mean(axis=(0, 1)) / 255, rtol=1e-4)
    found = {item.variant: item for item in answer(run, (), 5, refit["output"], {})}
    assert set(found) == {"float32", "int8"}
    for item in found.values():
        earlier, validation = item.chooser
        assert len(validation.truth) == 30 and len(earlier.truth) == len(item.training.truth) == 60
    assert len(with_features(files["int8"])) < len(files["int8"]) + 4096


def test_runs_that_do_not_fit_are_refused_with_the_reason(refit: Mapping[str, Path], tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="A run is NAME=RUN=DATA"):
        open_run(str(refit["run"]))
    with pytest.raises(click.ClickException, match="no such file or folder"):
        open_run(f"colours={tmp_path / 'absent'}={refit['data']}")
    shutil.copytree(refit["run"] / "colours", refit["run"] / "second")
    with pytest.raises(click.UsageError, match=r"several models \(colours, second\)"):
        open_run(f"colours={refit['run']}={refit['data']}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(click.UsageError, match=r"--far .*empty holds no images"):
        far_images(tmp_path / "empty", 5)


def test_pictures_of_a_far_folder_are_drawn_from_its_test_part_and_always_the_same(tmp_path: Path) -> None:
    for subset, count in (("train", 4), ("test", 12)):
        (tmp_path / subset / "cat").mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (2, 2)).save(tmp_path / subset / "cat" / f"{number}.png")
    found = far_images(tmp_path, 5)
    assert len(found) == 5 and all(image.path.is_relative_to(tmp_path / "test") for image in found)
    assert found == far_images(tmp_path, 5) == draw(far_images(tmp_path, 12), 5, tmp_path.name)
