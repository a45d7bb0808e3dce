from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edge_classify.train.cache import Cache, open_cache
from edge_classify.train.dataset import prepare_audit, split_audited
from PIL import ImageOps

from .support.pictures import SHAPES, make_picture, write_shapes
from .support.train_options import make_options


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with open_cache(str(tmp_path / "cache"), tmp_path, None) as opened:
        yield opened


def test_rows_of_every_subset_are_the_pictures_that_the_split_names(tmp_path: Path, cache: Cache) -> None:
    root = write_shapes(tmp_path / "d", 8)
    (root / SHAPES[0] / "a broken.png").write_bytes(b"x")
    options = make_options(image_size={"cnn": 40}, models=("cnn",))
    prepared = split_audited(prepare_audit(str(root), tmp_path, cache, options))
    assert [file.path for file in prepared.split.skipped] == [f"{SHAPES[0]}/a broken.png"]
    assert sum(len(rows) for rows in prepared.rows.values()) == len(prepared.split.images) == 24
    for subset, rows in prepared.rows.items():
        examples = prepared.examples(subset, 40)
        for row, truth in zip(rows, examples.truth, strict=True):
            label, name = prepared.paths[row].split("/")
            expected = make_picture(label, int(Path(name).stem.split()[1])).resize((40, 40), 2)
            assert np.array_equal(prepared.pixels[40][row], np.asarray(expected))
            assert prepared.split.labels[truth] == label


def test_audit_alone_keeps_facts_and_no_pixels(tmp_path: Path, cache: Cache) -> None:
    root = write_shapes(tmp_path / "d", 3)
    audited = prepare_audit(str(root), tmp_path, cache, make_options(), audit_only=True)
    assert audited.decoded.pixels == {} and len(audited.decoded.facts) == 9
    assert [path.name for path in cache.root.iterdir()] == ["facts"]
    assert json.loads((tmp_path / "audit.json").read_text())["images"] == 9


@pytest.mark.parametrize(
    ("given", "test_split", "share"),
    [(None, 0.0, 0.1), (None, 0.2, 0.2), (0.5, 0.0, 0.5)],
)
def test_validation_share_is_smaller_for_many_images_unless_given(
    given: float | None, test_split: float, share: float, tmp_path: Path, cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("edge_classify.train.dataset.MANY_IMAGES", 18)
    root = write_shapes(tmp_path / "d", 6)
    options = make_options(validation_split=given, test_split=test_split)
    audited = prepare_audit(str(root), tmp_path, cache, options, audit_only=True)
    assert audited.shares == (share, test_split) and audited.options.validation_split == share


def test_given_test_folder_does_not_count_for_the_validation_share(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_classify.train.dataset.MANY_IMAGES", 18)
    write_shapes(tmp_path / "d" / "train", 5)
    write_shapes(tmp_path / "d" / "test", 5, seed=50)
    options = make_options(validation_split=None)
    audited = prepare_audit(str(tmp_path / "d"), tmp_path, cache, options, audit_only=True)
    assert audited.shares[0] == 0.2


def test_twins_of_given_test_images_are_found_said_and_not_trained_on(
    tmp_path: Path, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "d"
    write_shapes(root / "train", 6)
    write_shapes(root / "test", 4, seed=50)
    leaked = (root / "test" / SHAPES[1] / "bild 000.png").read_bytes()
    (root / "train" / SHAPES[1] / "copy.png").write_bytes(leaked)
    ImageOps.mirror(make_picture(SHAPES[2], 51)).save(root / "train" / SHAPES[2] / "mirrored.png")
    options = make_options(image_size={"cnn": 32}, models=("cnn",))
    prepared = split_audited(prepare_audit(str(root), tmp_path, cache, options))
    left_out = [f"train/{SHAPES[1]}/copy.png", f"train/{SHAPES[2]}/mirrored.png"]
    assert sorted(file.path for file in prepared.split.left_out) == sorted(left_out)
    used = np.concatenate([*prepared.rows.values()])
    assert not {prepared.paths.index(path) for path in left_out} & set(used.tolist())
    assert {prepared.paths[row].split("/")[0] for row in prepared.rows["test"]} == {"test"}
    message = capsys.readouterr().err
    assert "2 of 12 test images" in message and "copy.png" in message
    assert json.loads((tmp_path / "audit.json").read_text())["leaks"]


@pytest.mark.parametrize(
    ("share", "said"), [(0.9, "Few images are left to train on: 3 of 24, and 1 of class"), (0.2, "")]
)
def test_shares_that_leave_little_to_train_on_are_warned_of_with_the_number(
    share: float, said: str, tmp_path: Path, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    options = make_options(
        image_size={"cnn": 40}, models=("cnn",), validation_split=share, test_split=share, duplicates="exact"
    )
    split_audited(prepare_audit(str(write_shapes(tmp_path / "d", 8)), tmp_path, cache, options))
    warned = capsys.readouterr().err
    assert said in warned and bool(said) == ("Few images" in warned)
