from __future__ import annotations

from dataclasses import replace

import pytest
from edge_classify.benchmarks.scoring.pairing import choose_bases
from edge_classify.edge.card import ConversionInfo, InputSpec, ModelCard, TrainingInfo

_CARD = ModelCard("a", ("x", "y"), InputSpec(8, 8, "float32"))


def _card(text: str) -> ModelCard | None:
    """Return the card of "name/variant", or of "name/variant/seed"; None for "none"."""
    if text == "none":
        return None
    name, variant, *seed = text.split("/")
    training = TrainingInfo("cnn", "none", "data", int(seed[0]), "0" * 64) if seed else None
    return replace(_CARD, name=name, conversion=ConversionInfo(variant, {}), training=training)


@pytest.mark.parametrize(
    ("models", "bases"),
    [
        (["a/float32", "a/int8", "b/float32", "b/int8"], [None, 0, 0, 2]),
        (["a/int8", "a/float32"], [1, None]),
        (["a/int8", "a/float32", "b/int8"], [1, None, 1]),
        (["a/int8", "a/dynamic"], [None, 0]),
        (["none", "a/int8", "a/float32"], [None, 2, 0]),
        (["a/float32/1", "a/int8/2", "a/float32/2"], [None, 2, 0]),  # Two trainings of the same name.
        (["none", "none"], [None, 0]),
        (["a/int8"], [None]),
        ([], []),
    ],
)
def test_base_of_each_model_is_its_float_variant_or_the_first(
    models: list[str], bases: list[int | None]
) -> None:
    assert choose_bases([_card(text) for text in models]) == bases


def test_base_that_is_named_is_that_of_all_others() -> None:
    cards = [_card(text) for text in ("a/float32", "a/int8", "b/int8")]
    assert choose_bases(cards, 2) == [2, 2, None]
