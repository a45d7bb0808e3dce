from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import click
import numpy as np
import pytest
from edge_classify.train.imbalance import (
    IMBALANCE,
    choose,
    class_weights,
    log_priors,
    logit_offsets,
    sample_order,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

counts_of_classes = st.lists(st.integers(1, 5_000), min_size=2, max_size=12)
truths = st.lists(st.integers(0, 4), max_size=60).map(lambda values: np.array(values, np.int64))
seeds = st.integers(0, 2**32 - 1)


def test_auto_with_a_small_class_adjusts_logits_and_says_the_counts() -> None:
    method, reason = choose([384, 376, 376, 372, 11])
    assert method == "logit-adjustment"
    assert "11 training images" in reason
    assert "384" in reason
    assert "34.9 times" in reason


@pytest.mark.parametrize("counts", [[100, 100], [149, 100], [0, 100, 120]])
def test_auto_with_similar_counts_does_nothing(counts: list[int]) -> None:
    assert choose(counts)[0] == "none"


def test_auto_at_the_limit_adjusts_logits() -> None:
    assert choose([150, 100])[0] == "logit-adjustment"


def test_auto_without_any_image_is_refused() -> None:
    with pytest.raises(ValueError, match="no class"):
        choose([0, 0])


@settings(deadline=None, max_examples=30)
@given(counts_of_classes)
def test_balanced_weights_are_those_of_scikit_learn(counts: list[int]) -> None:
    truth = np.repeat(np.arange(len(counts)), counts)
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=truth)
    weights = class_weights("balanced", counts)
    assert weights is not None
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


def test_effective_weights_of_known_counts_are_the_published_formula() -> None:
    # Cui et al., eq. 2, by hand for N = 4: beta = 0.75, E(1) = 1, E(3) = 1 + 0.75 + 0.75 ** 2 = 2.3125.
    weights = class_weights("effective", [1, 3])
    assert weights is not None
    assert weights[0] / weights[1] == pytest.approx(2.3125, rel=1e-6)


@pytest.mark.parametrize("method", ["balanced", "effective"])
@settings(deadline=None, max_examples=30)
@given(counts=counts_of_classes)
def test_weights_of_any_counts_favour_the_smaller_class_and_average_one(
    method: str, counts: list[int]
) -> None:
    weights = class_weights(method, counts)
    assert weights is not None
    assert np.average(weights, weights=counts) == pytest.approx(1, rel=1e-4)
    assert all(np.diff(weights[np.argsort(counts)]) <= 1e-6)


@pytest.mark.parametrize("method", sorted(set(IMBALANCE) - {"balanced", "effective"}))
def test_methods_that_are_no_weights_give_none(method: str) -> None:
    assert class_weights(method, [3, 1]) is None


def test_a_class_without_training_images_gives_finite_figures() -> None:
    for method in ("balanced", "effective"):
        assert np.isfinite(class_weights(method, [5, 0])).all()  # type: ignore[arg-type]
    assert np.isfinite(log_priors([5, 0])).all()


@settings(deadline=None, max_examples=30)
@given(counts_of_classes)
def test_priors_of_any_counts_are_the_frequencies(counts: list[int]) -> None:
    np.testing.assert_allclose(np.exp(log_priors(counts)), np.array(counts) / sum(counts), rtol=1e-4)


def test_offsets_are_zero_unless_logits_are_adjusted() -> None:
    np.testing.assert_allclose(logit_offsets("logit-adjustment", [3, 1], 2.0), 2 * np.log([0.75, 0.25]), 1e-6)
    assert not logit_offsets("balanced", [3, 1]).any()


@settings(deadline=None, max_examples=30)
@given(truths, seeds, st.integers(0, 50))
def test_order_without_oversampling_has_each_row_once(
    truth: NDArray[np.int64], seed: int, epoch: int
) -> None:
    order = sample_order(truth, seed, epoch, "logit-adjustment")
    assert sorted(order) == list(range(len(truth)))


@settings(deadline=None, max_examples=30)
@given(truths, seeds, st.integers(0, 50))
def test_oversampling_gives_each_class_as_many_rows_and_each_row_its_share(
    truth: NDArray[np.int64], seed: int, epoch: int
) -> None:
    order = sample_order(truth, seed, epoch, "oversample")
    counts = np.bincount(truth, minlength=5)
    assert set(np.bincount(truth[order], minlength=5)[counts > 0]) <= {counts.max()}
    times = np.bincount(order, minlength=len(truth))
    for label in np.unique(truth):
        assert np.ptp(times[truth == label]) <= 1
    assert len(np.unique(order)) == len(truth)


def test_order_changes_by_epoch_and_seed_and_repeats_for_the_same() -> None:
    truth = np.repeat([0, 1], [50, 5])
    first = sample_order(truth, 1, 0, "oversample")
    assert np.array_equal(first, sample_order(truth, 1, 0, "oversample"))
    assert not np.array_equal(first, sample_order(truth, 1, 1, "oversample"))
    assert not np.array_equal(first, sample_order(truth, 2, 0, "oversample"))


@pytest.fixture(scope="module")
def bar() -> ModuleType:
    path = Path(__file__).parent.parent / "studies" / "imbalance.py"
    spec = importlib.util.spec_from_file_location("imbalance_bar", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Its dataclass looks itself up there.
    spec.loader.exec_module(module)
    return module


def _class_folders(root: Path, labels: str, images: int) -> Path:
    for label in labels:
        (root / label).mkdir(parents=True)
        for number in range(images):
            (root / label / f"{number}.png").write_bytes(f"{label}{number}".encode())
    return root


def test_bar_of_undivided_folder_takes_test_images_apart_from_training_images(
    bar: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum(bar.LARGE) + 14 == 1900
    monkeypatch.setattr(bar, "LARGE", (12, 11, 10, 9))
    monkeypatch.setattr(bar, "TEST_IMAGES", 4)
    data = _class_folders(tmp_path / "data", "abcdef", 16)
    counts = bar.class_counts(data, "b", None, 5)
    assert counts == {"a": 12, "c": 11, "d": 10, "e": 9, "b": 5}
    bar.make_folder(data, tmp_path / "made", counts, 0)
    names = {
        subset: {path.read_bytes() for path in (tmp_path / "made" / subset).rglob("*.png")}
        for subset in ("train", "test")
    }
    assert (len(names["train"]), len(names["test"])) == (47, 20)
    assert not names["train"] & names["test"]
    assert len(list((tmp_path / "made" / "train" / "b").iterdir())) == 5


def test_bar_with_too_few_images_names_the_folder_and_both_counts(bar: ModuleType, tmp_path: Path) -> None:
    data = _class_folders(tmp_path / "data", "abcde", 20)
    with pytest.raises(click.ClickException, match=r"data/a has 20 images, and 580 are needed"):
        bar.make_folder(data, tmp_path / "made", bar.class_counts(data, "b", None, 14), 0)


def test_bar_for_a_class_that_is_not_there_lists_those_that_are(bar: ModuleType, tmp_path: Path) -> None:
    data = _class_folders(tmp_path / "data", "abcde", 1)
    with pytest.raises(click.UsageError, match="no class 'x'"):
        bar.class_counts(data, "x", None, 14)


def test_bar_reads_the_small_class_and_means_from_what_edge_train_measured(
    bar: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = {
        "classes": [{"label": "a", "f1": 0.9}, {"label": "b", "f1": 0.5}],
        "macro_f1": 0.7,
        "accuracy": 0.8,
    }
    command = tmp_path / "edge-train"
    command.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\n"
        "given = dict(zip(sys.argv[2::2], sys.argv[3::2]))\n"
        "out = pathlib.Path(given['--output'], given['--model'])\n"
        f"out.mkdir(parents=True)\n(out / 'metrics.json').write_text({json.dumps(metrics)!r})\n"
    )
    command.chmod(0o755)
    monkeypatch.setattr(bar.sys, "executable", str(tmp_path / "python"))
    score = bar.train(tmp_path, tmp_path / "run", "mobilenet_v2", (), 0, "b")
    assert score == bar.Score(0.5, 0.7, 0.8)
    assert bar.mean_score([score, bar.Score(0.7, 0.9, 1.0)]) == bar.Score(0.6, 0.8, 0.9)
