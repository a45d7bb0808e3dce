from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from edge_classify.edge.errors import DatasetError
from edge_classify.train.options import ALL_LAYERS
from edge_classify.train.output import UNFINISHED
from edge_classify.train.request import TrainingRequest
from hypothesis import example, given
from hypothesis import strategies as st

from .support.train_options import make_options

VERSIONS = {"keras": "3.15.0", "numpy": "2.0"}


def _request(**changes: Any) -> TrainingRequest:
    values: dict[str, Any] = {
        "data": "shapes",
        "options": make_options(),
        "command": "edge-train shapes -o run",
        "folder": "/home/me",
        "versions": VERSIONS,
    }
    return TrainingRequest(**{**values, **changes})


@given(
    data=st.text(), command=st.text(), finished=st.lists(st.sampled_from(["cnn", "resnet50"]), unique=True),
    options=st.builds(
        make_options, seed=st.integers(0, 2**32 - 1), alpha=st.floats(0.1, 2), cache=st.text(),
        epochs=st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99)),
        image_labels=st.lists(st.text()).map(tuple), label_columns=st.just("image=1,label=2"),
    ),
)  # fmt: skip
# ALL_LAYERS is a number of layers alone, and no value of another option.
@example(data="", command="", finished=[], options=make_options(seed=ALL_LAYERS, fine_tune_layers=ALL_LAYERS))
def test_request_written_and_read_again_is_the_same(data: str, command: str, finished: list[str],
                                                    options: Any) -> None:  # fmt: skip
    request = _request(data=data, command=command, finished=tuple(finished), options=options)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / UNFINISHED).mkdir()
        request.write(Path(folder) / UNFINISHED)
        assert TrainingRequest.read(Path(folder)) == request


def test_request_takes_the_first_split_and_refuses_another() -> None:
    request = _request().on_split("a" * 64)
    assert request.on_split("a" * 64) == request
    with pytest.raises(DatasetError, match="shapes has changed since the training began"):
        request.on_split("b" * 64)


def test_request_notes_a_model_once_however_often_it_is_finished() -> None:
    request = _request().with_finished("cnn").with_finished("resnet50").with_finished("cnn")
    assert sorted(request.finished) == ["cnn", "resnet50"]


def test_request_has_progress_with_a_finished_model_or_a_checkpoint(tmp_path: Path) -> None:
    assert not _request().has_progress(tmp_path)
    assert _request().with_finished("cnn").has_progress(tmp_path)
    (tmp_path / "cnn.checkpoint.npz").touch()
    assert _request().has_progress(tmp_path)


def test_request_names_every_library_that_changed_and_none_that_did_not() -> None:
    assert _request().remark_on_versions(dict(VERSIONS)) is None
    remark = _request().remark_on_versions({"keras": "3.16.0", "numpy": "2.0", "pillow": "11.0"})
    assert remark is not None and "numpy" not in remark
    assert "libraries have changed: keras (was 3.15.0, is 3.16.0), pillow (was absent, is 11.0)" in remark
