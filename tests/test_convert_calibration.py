"""The images that int8 is calibrated with."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from edge_classify.benchmarks.split import LabelledImage, Split
from edge_classify.convert.calibration import load_calibration, order_by_turns
from edge_classify.edge.card import ModelCard
from edge_classify.edge.errors import ConversionError
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(0, 12), min_size=2, max_size=6), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_calibration_images_are_spread_over_the_classes(counts: list[int], wanted: int, seed: int) -> None:
    labels = [f"class {i}" for i in range(len(counts))]
    images = [
        LabelledImage(Path(f"{label}/{n}.png"), label)
        for label, count in zip(labels, counts, strict=True)
        for n in range(count)
    ]
    chosen = order_by_turns(images, labels, seed)[:wanted]
    assert len(chosen) == len(set(chosen)) == min(wanted, sum(counts))
    per_class = Counter(image.label for image in chosen)
    fair = max(per_class.values(), default=0)
    for label, available in zip(labels, counts, strict=True):
        assert per_class[label] >= min(available, fair - 1)
    assert chosen == order_by_turns(images, labels, seed)[:wanted]


def test_calibration_set_holds_a_zero_and_a_255_and_no_unreadable_image(
    run: Path, shapes: Path, tmp_path: Path
) -> None:
    card = ModelCard.from_json((run / "cnn" / "card.json").read_bytes())
    (tmp_path / "bad.png").write_bytes(b"")
    good = Split.read(run).subset("train", shapes)[:3]
    bad = LabelledImage(tmp_path / "bad.png", "blue 3")
    calibration = load_calibration([bad, *good], 2, card)
    assert calibration.info.images == 2
    assert [file.path for file in calibration.skipped] == [str(bad.path)]
    assert sum(calibration.info.per_class.values()) == 2
    first, second = calibration.read()
    assert (first.min(), first.max()) == (0, 255)
    assert calibration.info.sha256 == hashlib.sha256(first.tobytes() + second.tobytes()).hexdigest()
    with pytest.raises(ConversionError, match="None of the 1 training images"):
        load_calibration([bad], 1, card)
