"""The script that makes a model collapse in 8 bits leaves its float answers, and all else, alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .support.conversion import keras_model

SCRIPT = Path(__file__).parent.parent / "studies" / "collapse.py"


def collapse(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_collapsed_copy_has_large_channels_and_the_same_answers(run: Path, tmp_path: Path) -> None:
    result = collapse(run, tmp_path / "bad", "--where", "first,last", "--factor", "64", "--channels", "2")
    assert result.returncode == 0, result.stderr
    before, after = keras_model(run, "mobilenet_v2"), keras_model(tmp_path / "bad", "mobilenet_v2")
    pixels = np.random.default_rng(5).integers(0, 256, (4, *before.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(after.predict(pixels, verbose=0), before.predict(pixels, verbose=0), atol=1e-4)
    norms = [
        next(layer for layer in model.layers if hasattr(layer, "layers")).get_layer(
            "expanded_conv_project_BN"
        )
        for model in (before, after)
    ]
    ratio = np.asarray(norms[1].gamma) / np.asarray(norms[0].gamma)
    assert sorted(ratio.round(3))[-3:] == [1, 64, 64]
    for name in ("mobilenet_v2/card.json", "split.json", "cnn/model.keras"):
        assert (tmp_path / "bad" / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.slow
def test_collapsed_cnn_has_large_channels_in_its_first_layer_and_the_same_answers(
    run: Path, tmp_path: Path
) -> None:
    result = collapse(run, tmp_path / "bad", "--model", "cnn", "--factor", "64", "--channels", "2")
    assert result.returncode == 0, result.stderr
    before, after = keras_model(run, "cnn"), keras_model(tmp_path / "bad", "cnn")
    pixels = np.random.default_rng(5).integers(0, 256, (4, *before.input_shape[1:])).astype(np.float32)
    np.testing.assert_allclose(after.predict(pixels, verbose=0), before.predict(pixels, verbose=0), atol=1e-4)
    first = [next(layer for layer in model.layers if hasattr(layer, "gamma")) for model in (before, after)]
    ratio = np.asarray(first[1].gamma) / np.asarray(first[0].gamma)
    assert sorted(ratio.round(3))[-3:] == [1, 64, 64]


def test_collapse_of_what_is_no_run_or_onto_what_exists_is_refused(run: Path, tmp_path: Path) -> None:
    for arguments, told in (
        ((tmp_path, tmp_path / "bad"), "holds no mobilenet_v2/model.keras"),
        ((run, tmp_path), "exists, and is not replaced"),
        ((run, tmp_path / "bad", "--model", "cnn", "--where", "last"), "must be of first. Received: last"),
        ((run, tmp_path / "bad", "--where", "middle"), "must be of first, b1, b6, last. Received: middle"),
    ):
        result = collapse(*arguments)
        assert result.returncode != 0 and told in result.stderr
        assert "Traceback" not in result.stderr
