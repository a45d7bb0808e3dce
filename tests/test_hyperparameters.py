from __future__ import annotations

from typing import Any

import pytest
from edge_classify.train.hyperparameters import (
    Hyperparameters,
    choose_compute,
    choose_hyperparameters,
    describe,
    is_scratch,
)
from edge_classify.train.options import BATCH_NORMS, OPTIMIZERS, PRESETS
from hypothesis import given
from hypothesis import strategies as st

from .support.train_options import make_options

UNSET: dict[str, Any] = {
    "weights": "imagenet",
    "epochs": None,
    "learning_rate": None,
    "batch_size": None,
    "fine_tune_layers": None,
    "imbalance": "none",
    "dropout": None,
}
MODELS = st.sampled_from(["cnn", "mobilenet_v2"])
COUNTS = st.lists(st.integers(1, 30_000), min_size=2, max_size=8)
GIVEN: dict[str, st.SearchStrategy[Any]] = {
    "learning_rate": st.tuples(st.floats(1e-6, 1), st.floats(1e-6, 1)),
    "optimizer": st.sampled_from(OPTIMIZERS),
    "schedule": st.sampled_from(["cosine", "constant"]),
    "warmup": st.floats(0, 0.5),
    "weight_decay": st.floats(0, 1),
    "label_smoothing": st.floats(0, 0.9),
    "batch_size": st.integers(1, 512),
    "fine_tune_layers": st.integers(0, 200),
    "batch_norm": st.sampled_from(BATCH_NORMS),
    "dropout": st.floats(0, 0.9),
    "augment": st.sampled_from([(), ("flip",), ("zoom", "erase")]),
    "mix": st.sampled_from(["none", "mixup", "cutmix"]),
    "views": st.integers(1, 50),
    "imbalance": st.sampled_from(["none", "balanced", "effective", "oversample", "logit-adjustment"]),
    "patience": st.integers(1, 30),
}


def _choose(
    model: str = "mobilenet_v2", counts: tuple[int, ...] = (100, 100), **changes: Any
) -> Hyperparameters:
    return choose_hyperparameters(model, make_options(**{**UNSET, **changes}), counts)


@given(MODELS, COUNTS, st.sampled_from(PRESETS), st.fixed_dictionaries({}, optional=GIVEN))
def test_every_option_that_is_given_wins_over_preset_and_data(
    model: str, counts: list[int], preset: str, given_: dict[str, Any]
) -> None:
    chosen = _choose(model, tuple(counts), preset=preset, **given_)
    assert {name: getattr(chosen, name) for name in given_} == given_


@given(COUNTS, st.sampled_from(PRESETS), st.tuples(st.integers(0, 50), st.integers(1, 50)))
def test_epochs_that_are_given_win_and_are_one_phase_from_random_weights(
    counts: list[int], preset: str, epochs: tuple[int, int]
) -> None:
    assert _choose("mobilenet_v2", tuple(counts), preset=preset, epochs=epochs).epochs == epochs
    assert _choose("cnn", tuple(counts), preset=preset, epochs=epochs).epochs == (sum(epochs), 0)


@given(MODELS, COUNTS, st.sampled_from(PRESETS), st.sampled_from(["imagenet", "none"]))
def test_recipe_of_any_data_is_complete_and_bounded(
    model: str, counts: list[int], preset: str, weights: str
) -> None:
    chosen = _choose(model, tuple(counts), preset=preset, weights=weights, imbalance="auto")
    values = chosen.to_json()
    assert [name for name, value in values.items() if value is None] == ["patience"]
    assert 8 <= sum(chosen.epochs) <= 80 and chosen.views >= 1
    assert all(0 < rate <= 0.1 for rate in chosen.learning_rate)
    assert chosen.imbalance != "auto"


@pytest.mark.parametrize("model", ["cnn", "mobilenet_v2"])
@pytest.mark.parametrize("images", [100, 2_000, 10_000, 50_000])
def test_slower_presets_never_train_shorter(model: str, images: int) -> None:
    fast, balanced, best = (_choose(model, (images // 2,) * 2, preset=preset) for preset in PRESETS)
    for less, more in ((fast, balanced), (balanced, best)):
        # A head alone has more epochs, each of which takes next to nothing.
        assert less.epochs[1] <= more.epochs[1] and (model != "cnn" or less.epochs[0] <= more.epochs[0])
        assert less.fine_tune_layers <= more.fine_tune_layers and less.views <= more.views


@pytest.mark.parametrize("preset", PRESETS)
def test_more_images_are_seen_in_fewer_epochs_and_larger_batches(preset: str) -> None:
    preset_values = [
        _choose("cnn", (images // 2,) * 2, preset=preset) for images in (200, 2_000, 20_000, 100_000)
    ]
    epochs = [sum(chosen.epochs) for chosen in preset_values]
    assert epochs == sorted(epochs, reverse=True) and epochs[0] > epochs[-1]
    assert [chosen.batch_size for chosen in preset_values] == [32, 32, 128, 128]


def test_fast_preset_trains_the_head_only_unless_layers_are_asked_for() -> None:
    heads = [_choose(preset="fast", counts=(images // 2,) * 2).epochs for images in (200, 2_000, 20_000)]
    assert heads == [(80, 0), (40, 0), (15, 0)]
    assert _choose(preset="fast", fine_tune_layers=0).epochs == (80, 0)
    asked = _choose(preset="fast", fine_tune_layers=20)
    assert asked.fine_tune_layers == 20 and asked.epochs == (15, 3)


def test_labels_are_smoothed_from_random_weights_only_and_adjusted_logits_decay_strongly() -> None:
    adjusted, plain = _choose(imbalance="logit-adjustment"), _choose(imbalance="none")
    scratch = _choose("cnn", imbalance="none")
    assert (adjusted.label_smoothing, plain.label_smoothing, scratch.label_smoothing) == (0, 0, 0.1)
    assert (adjusted.weight_decay, plain.weight_decay) == (1.0, 0.1)


def test_auto_imbalance_is_chosen_by_the_counts() -> None:
    assert _choose(counts=(100, 14), imbalance="auto").imbalance == "logit-adjustment"
    assert _choose(counts=(100, 90), imbalance="auto").imbalance == "none"


def test_batch_norm_is_trained_with_all_layers_and_images_enough_for_statistics() -> None:
    assert _choose(counts=(1_000, 1_000), preset="best").batch_norm == "trained"
    assert _choose(counts=(1_000, 999), preset="best").batch_norm == "frozen"
    assert _choose(counts=(1_000, 1_000), preset="balanced").batch_norm == "frozen"


def test_sgd_is_chosen_for_many_steps_from_random_weights() -> None:
    assert _choose("cnn", (25_000, 25_000), preset="best").optimizer == "sgd"
    assert _choose("cnn", (50, 50), preset="fast").optimizer == "adamw"
    assert _choose("mobilenet_v2", (25_000, 25_000), preset="best").optimizer == "adamw"


def test_model_is_from_scratch_without_weights_and_the_cnn_always() -> None:
    assert is_scratch("cnn", "imagenet") and not is_scratch("resnet50", "imagenet")
    assert is_scratch("resnet50", "none")


@pytest.mark.parametrize("preset", PRESETS)
def test_description_tells_what_was_choose(preset: str) -> None:
    chosen = _choose(counts=(3_000, 300), preset=preset, imbalance="auto")
    text = describe(chosen, scratch=False)
    assert f"{chosen.epochs[0]} + {chosen.epochs[1]} epochs" in text
    assert f"batches of {chosen.batch_size}" in text
    assert "imbalance: logit-adjustment" in text
    tuned = {"fast": None, "balanced": "60 layers fine-tuned", "best": "all layers fine-tuned"}[preset]
    assert tuned in text if tuned else "fine-tuned" not in text


def test_description_of_a_model_from_random_weights_has_one_phase() -> None:
    chosen = _choose(
        "cnn",
        compute="bfloat16",
        label_smoothing=0.25,
        mix="mixup",
        optimizer="sgd",
        learning_rate=(0.3, 0.1),
    )
    text = describe(chosen, scratch=True)
    assert text.startswith(f"{chosen.epochs[0]} epochs, ") and "fine-tuned" not in text
    assert "mixup" in text and "sgd at 0.3" in text
    assert "label smoothing 0.25" in text and "computed in bfloat16" in text and "imbalance" not in text


@pytest.mark.parametrize(
    ("flags", "model", "chosen"),
    [
        ("fpu avx2 amx_bf16 amx_tile", "cnn", "bfloat16"),
        ("fpu avx512_bf16", "cnn", "bfloat16"),
        ("fpu avx2 avx512f", "cnn", "float32"),
        ("fpu avx512_bf16", "mobilenet_v2", "float32"),
    ],
)
def test_auto_compute_is_bfloat16_for_the_cnn_on_processors_that_have_it(
    flags: str, model: str, chosen: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n")
    monkeypatch.setattr("edge_classify.train.hyperparameters.CPU_INFO", info)
    assert choose_compute("auto", model) == chosen
    assert choose_compute("float32", model) == "float32"


def test_auto_compute_of_an_unknown_processor_is_float32(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_classify.train.hyperparameters.CPU_INFO", tmp_path / "missing")
    assert choose_compute("auto", "cnn") == "float32"
