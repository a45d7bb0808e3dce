from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_classify.train.checkpoint import Checkpoint, State
from hypothesis import given, settings
from hypothesis import strategies as st

from .support.report_data import epoch_row


def _state(rows: int = 2) -> State:
    rng = np.random.default_rng(0)

    def arrays(count: int) -> list[Any]:
        return [rng.normal(size=(3, i % 4)).astype(np.float32) for i in range(count)]

    return State(
        phase=2,
        rows=[epoch_row(phase=1 + i, val_loss=math.nan) for i in range(rows)],
        trainable_parameters=[33, 4_000],
        seconds=1.5,
        best_loss=0.25,
        refitted=True,
        last=arrays(12),
        best=arrays(12),
        optimizer=[np.array(17, np.int64), *arrays(2)],
        before=arrays(3),
    )


def _same(one: State, other: State) -> bool:
    facts = ("phase", "trainable_parameters", "seconds", "best_loss", "refitted")
    arrays = ("last", "best", "optimizer", "before")
    return (
        all(getattr(one, name) == getattr(other, name) for name in facts)
        and str(one.rows) == str(other.rows)
        and all(
            a.dtype == b.dtype and np.array_equal(a, b)
            for name in arrays
            for a, b in zip(getattr(one, name), getattr(other, name), strict=True)
        )
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cnn.checkpoint.npz"


def test_state_written_and_read_again_is_the_same(path: Path) -> None:
    path.write_bytes(_state().to_bytes())
    read = State.from_file(path)
    assert read is not None and _same(read, _state())


def test_state_without_an_epoch_survives_the_file(path: Path) -> None:
    path.write_bytes(State().to_bytes())
    read = State.from_file(path)
    assert read is not None and _same(read, State()) and read.best_loss == math.inf


def test_state_counts_the_epochs_of_a_phase() -> None:
    assert [_state(3).epochs(phase) for phase in (1, 2, 3, 4)] == [1, 1, 1, 0]


WHOLE = _state().to_bytes()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_file_with_a_changed_byte_or_cut_off_is_no_state(place: int, change: int) -> None:
    damaged = WHOLE[:place]
    if change:
        damaged += bytes([WHOLE[place] ^ change]) + WHOLE[place + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.npz"
        path.write_bytes(damaged)
        assert State.from_file(path) is None


def test_state_of_a_version_with_other_fields_is_no_state(path: Path) -> None:
    state = _state()
    state.__dict__["unknown"] = 1
    path.write_bytes(state.to_bytes())
    assert State.from_file(path) is None


def test_checkpoint_without_a_file_begins_anew_in_silence(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _same(Checkpoint(path).load(), State())
    assert capsys.readouterr().err == ""


def test_damaged_checkpoint_begins_anew_and_says_so(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.write_bytes(_state().to_bytes()[:-30])
    assert _same(Checkpoint(path).load(), State())
    assert str(path) in capsys.readouterr().err


def test_saves_in_quick_succession_are_written_once_unless_asked_for_at_once(path: Path) -> None:
    checkpoint = Checkpoint(path)
    for rows in (1, 2, 3):
        checkpoint.save(_state(rows))
    assert len(Checkpoint(path).load().rows) == 1
    checkpoint.save(_state(3), at_once=True)
    assert len(Checkpoint(path).load().rows) == 3


def test_write_that_breaks_off_leaves_the_earlier_checkpoint_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(path)
    checkpoint.save(_state(1), at_once=True)

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", break_off)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(_state(2), at_once=True)
    assert len(Checkpoint(path).load().rows) == 1
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_checkpoint_that_cannot_be_written_names_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    with pytest.raises(Exception, match="cannot be written"):
        Checkpoint(path).save(_state(), at_once=True)
