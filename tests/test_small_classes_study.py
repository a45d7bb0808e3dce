"""The study of small classes trains heads as edge-train does, and its synthetic features are what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from edge_classify.train.imbalance import logit_offsets
from edge_classify.train.trainer import LogitsOf, compile_trainer
from numpy.typing import NDArray

from studies.small_classes import head as heads
from studies.small_classes import methods
from studies.small_classes.features import RECIPE, SetFeatures
from studies.small_classes.head import Epochs, Floats, train_head
from studies.small_classes.methods import METHODS, Method
from studies.small_classes.synthesis import (
    Material,
    calibrated,
    interpolate,
    own_distribution,
    shared_covariance,
)
from studies.small_classes.trials import Case, Results, reduced, run_cases

FEATURES, CLASSES = 6, 3
COUNTS = (40, 36, 5)
SMALL = 2


class Fixed:
    """The same rows in every epoch."""

    def __init__(self, features: Floats, shares: Floats) -> None:
        self.features, self.shares = features, shares

    @property
    def rows(self) -> int:
        return len(self.features)

    def draw(self, epoch: int) -> tuple[Floats, Floats]:
        return self.features, self.shares


def _set(counts: tuple[int, ...] = COUNTS, seed: int = 0) -> SetFeatures:
    """Classes that lie apart, with features far above 0, in two views that hardly differ."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(counts)), counts)
    held = np.repeat(np.arange(len(counts)), 20)
    centres = 8 + np.eye(len(counts), FEATURES)

    def features(classes: NDArray[np.int64]) -> Floats:
        return (centres[classes] + rng.normal(0, 0.4, (len(classes), FEATURES))).astype(np.float32)

    first = features(truth)
    views = np.stack([first, first + np.float32(0.01)])
    return SetFeatures("set", ("a", "b", "c"), views, truth, features(held), held)


@pytest.fixture
def material() -> Material:
    made = _set()
    return Material(made.views, made.truth, SMALL)


def test_head_of_the_study_is_the_one_that_edge_train_would_train(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(RECIPE, epochs=(4, 0), weight_decay=1.0, label_smoothing=0.0)
    monkeypatch.setattr(heads, "RECIPE", short)
    rows = Fixed(material.views[0] - 8, np.eye(CLASSES, dtype=np.float32)[material.truth])
    offsets = logit_offsets("logit-adjustment", COUNTS)
    ours = train_head(rows, offsets, decay=1.0, seed=3, dropout=0.0)

    limit = (6 / (FEATURES + CLASSES)) ** 0.5
    start = np.random.default_rng(3).uniform(-limit, limit, (FEATURES, CLASSES)).astype(np.float32)
    dense = keras.layers.Dense(CLASSES)
    dense.build((None, FEATURES))
    dense.set_weights([start, np.zeros(CLASSES, np.float32)])
    inputs = keras.Input((FEATURES,))
    model = keras.Model(inputs, LogitsOf(dense, offsets)(inputs))
    steps = -(-rows.rows // short.batch_size) * short.epochs[0]
    compile_trainer(model, short, short.learning_rate[0], steps)
    model.fit(
        rows.features,
        rows.shares,
        batch_size=short.batch_size,
        epochs=short.epochs[0],
        shuffle=False,
        verbose=0,
    )
    np.testing.assert_allclose(ours.weights, dense.kernel.numpy(), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(ours.bias, dense.bias.numpy(), rtol=1e-3, atol=1e-5)
    assert not np.allclose(ours.weights, start, atol=1e-3)


def test_cosine_head_descends_along_the_slope_of_its_loss() -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(FEATURES, CLASSES))
    features = rng.normal(size=(7, FEATURES))
    shares = np.eye(CLASSES)[rng.integers(0, CLASSES, 7)]

    def loss(values: NDArray[np.float64]) -> float:
        cosines = (features / np.linalg.norm(features, axis=1)[:, None]) @ (
            values / np.linalg.norm(values, axis=0)
        )
        logits = heads.COSINE_SCALE * cosines
        return float(-(shares * (logits - np.log(np.exp(logits).sum(1, keepdims=True)))).sum(1).mean())

    head = heads.Head(weights.astype(np.float32), np.zeros(CLASSES, np.float32), cosine=True)
    slope, bias = heads._gradients(
        head, features.astype(np.float32), shares.astype(np.float32), np.zeros(CLASSES, np.float32)
    )
    for place in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[place] = 1e-5
        assert slope[place] == pytest.approx((loss(weights + step) - loss(weights - step)) / 2e-5, abs=1e-3)
    assert not bias.any()


def test_interpolated_features_lie_between_two_images_of_the_class(material: Material) -> None:
    own = material.own.reshape(-1, FEATURES)
    for point in interpolate(material, 40, np.random.default_rng(0)):
        ways = [(a, b) for i, a in enumerate(own) for b in own[i + 1 :]]
        detours = [
            np.linalg.norm(point - a) + np.linalg.norm(point - b) - np.linalg.norm(a - b) for a, b in ways
        ]
        assert min(detours) < 1e-4


def test_synthetic_features_have_the_mean_of_the_class_and_the_spread_that_is_meant(
    material: Material,
) -> None:
    own = material.own.reshape(-1, FEATURES)
    first = material.views[0]
    within = np.mean([np.cov(first[material.truth == label].T) for label in (0, 1)], axis=0)
    shared = shared_covariance(material, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(shared.mean(0), own.mean(0), atol=0.01)
    np.testing.assert_allclose(np.cov(shared.T), within, atol=0.005)
    drawn = own_distribution(material, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), own.mean(0), atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), np.diag(own.var(0)), atol=0.005)


def test_calibrated_features_are_drawn_about_the_image_and_its_two_nearest_classes(
    material: Material,
) -> None:
    # With two other classes these are the nearest ones of every image.
    roots = np.sqrt(material.views[0])
    others = [roots[material.truth == label] for label in (0, 1)]
    drawn = np.sqrt(calibrated(material, 40_000, np.random.default_rng(0)))
    own = roots[material.truth == SMALL].mean(0)
    np.testing.assert_allclose(drawn.mean(0), (others[0].mean(0) + others[1].mean(0) + own) / 3, atol=0.005)


def test_reduced_class_keeps_fewer_images_of_the_same_and_others_keep_all() -> None:
    features = _set((12, 10, 9))
    few, more = (reduced(features, SMALL, Case("set", "c", count, 5)) for count in (3, 6))
    assert np.bincount(few.truth).tolist() == [12, 10, 3] and np.bincount(more.truth).tolist() == [12, 10, 6]
    kept = {tuple(row) for row in more.own[0].tolist()}
    assert {tuple(row) for row in few.own[0].tolist()} < kept
    assert {tuple(row) for row in reduced(features, SMALL, Case("set", "c", 3, 6)).own[0].tolist()} != kept


@pytest.mark.parametrize(
    ("name", "count", "images"),
    [
        ("adjusted", 5, (5, 5)),
        ("interpolated", 5, (5, 0)),
        ("interpolated to 20", 20, (5, 5)),
        ("interpolated to the largest", 40, (5, 5)),
    ],
)
def test_method_fills_the_class_or_takes_the_place_of_its_images_and_adjusts_by_what_is_there(
    name: str, count: int, images: tuple[int, int], material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[Epochs, Floats]] = []

    def keep(epochs: Epochs, offsets: Floats, decay: float, seed: int, cosine: bool) -> heads.Head:
        given.append((epochs, offsets))
        return heads.Head(np.zeros((FEATURES, CLASSES), np.float32), np.zeros(CLASSES, np.float32))

    monkeypatch.setattr(methods, "train_head", keep)
    next(method for method in METHODS if method.name == name).train(material, CLASSES, 0)
    epochs, offsets = given[0]
    np.testing.assert_array_equal(offsets, logit_offsets("logit-adjustment", [40, 36, count]))
    known = {tuple(row) for row in material.own.reshape(-1, FEATURES).tolist()}
    for epoch in (0, 1):
        features, shares = epochs.draw(epoch)
        assert len(features) == epochs.rows and shares.sum(axis=0).tolist() == [40, 36, count]
        own = features[shares[:, SMALL] == 1].tolist()
        assert sum(tuple(row) in known for row in own) == images[epoch]


def test_interrupted_study_goes_on_to_the_figures_of_one_go(tmp_path: Path) -> None:
    features = _set((12, 10, 9))
    compared = (Method("adjusted"), Method("interpolated to 20", synthesis="interpolated", filled="few"))

    def run(place: Path) -> list[Results]:
        return list(run_cases(features, (3, 5), 2, compared, place))

    whole = run(tmp_path / "whole")
    assert [len(each) for each in whole] == [8, 8, 8]
    for path in sorted(tmp_path.glob("whole-[ab].jsonl")):
        lines = path.read_text().splitlines(keepends=True)
        (tmp_path / path.name.replace("whole", "cut")).write_text("".join(lines[:3]) + lines[3][:40])
    assert run(tmp_path / "cut") == whole
    assert (tmp_path / "cut-a.jsonl").read_text() == (tmp_path / "whole-a.jsonl").read_text()
