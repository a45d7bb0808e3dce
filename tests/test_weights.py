from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from edge_classify.edge.errors import OptionError, WeightsError
from edge_classify.train.models import build_cnn
from edge_classify.train.weights import batch_norms, build_base

from .support.commands import run_command


@pytest.fixture(scope="module")
def base() -> Any:
    return build_base("mobilenet_v2", "none", 32, 0.35).network


@pytest.fixture(scope="module")
def weights_file(base: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mein netz.weights.h5"
    base.save_weights(path)
    return path


def _save_whole(base: Any, path: Path) -> None:
    base.save(path)


def _save_weights(base: Any, path: Path) -> None:
    base.save_weights(path)


@pytest.mark.parametrize(
    ("name", "save"), [("model.h5", _save_whole), ("base.weights.h5", _save_weights)]
)  # fmt: skip
def test_weights_from_a_file_are_those_that_were_saved(
    base: Any, tmp_path: Path, name: str, save: Callable[[Any, Path], None]
) -> None:
    save(base, tmp_path / name)
    loaded = build_base(
        "mobilenet_v2", str(tmp_path / name), 48, 0.35
    ).network  # The weights don't depend on the size.
    assert loaded.input_shape == (None, 48, 48, 3)
    for ours, theirs in zip(loaded.get_weights(), base.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_weights_file_of_another_width_does_not_fit(base: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"narrow{suffix}"
    (_save_whole if suffix == ".h5" else _save_weights)(base, path)
    with pytest.raises(WeightsError, match=r"narrow.* does not fit MobileNetV2 of this --alpha"):
        build_base("mobilenet_v2", str(path), 32, 0.5)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_weights_file_of_another_architecture_does_not_fit(tmp_path: Path, suffix: str) -> None:
    # Loading by name would leave every layer as it was, and say nothing.
    path = tmp_path / f"cnn{suffix}"
    (_save_whole if suffix == ".h5" else _save_weights)(build_cnn(32, 3, 0.2), path)
    with pytest.raises(WeightsError, match="does not fit MobileNetV2"):
        build_base("mobilenet_v2", str(path), 32, 0.35)


def test_weights_file_with_older_layer_names_is_loaded_in_the_order_of_the_network(
    base: Any, tmp_path: Path
) -> None:
    # The published files of MobileNetV3 name their layers otherwise than Keras 3.
    path = tmp_path / "published.h5"
    _save_whole(base, path)
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        names = list(group.attrs["layer_names"])
        for name in names:
            group.move(name, f"old {name}")
        group.attrs["layer_names"] = [f"old {name}" for name in names]
    loaded = build_base("mobilenet_v2", str(path), 32, 0.35).network
    for ours, theirs in zip(loaded.get_weights(), base.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_weights_file_of_a_backbone_without_widths_is_refused_without_naming_alpha(
    base: Any, tmp_path: Path
) -> None:
    _save_weights(base, tmp_path / "narrow.weights.h5")
    with pytest.raises(WeightsError, match=r"narrow\.weights\.h5 does not fit ResNet50: "):
        build_base("resnet50", str(tmp_path / "narrow.weights.h5"), 32, 1.0)


def test_input_below_32_pixels_is_refused() -> None:
    with pytest.raises(OptionError, match=r"mobilenet needs --image-size 32 or more\. Received: 31"):
        build_base("mobilenet", "none", 31, 1.0)


def test_batch_norms_of_mobilenet_v2_are_52(base: Any) -> None:
    norms = batch_norms(base)  # One behind each of its convolutions.
    assert len(norms) == 52 and (norms[0].name, norms[-1].name) == ("bn_Conv1", "Conv_1_bn")


@pytest.mark.parametrize("name", ["text.h5", "text.weights.h5", "empty.h5", "bare.h5", "bare.weights.h5"])
def test_weights_file_that_holds_no_weights_does_not_fit(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("bare"):
        h5py.File(path, "w").close()
    else:
        path.write_text("hello" if name.startswith("text") else "")
    with pytest.raises(WeightsError, match=f"{name} does not fit MobileNetV2"):
        build_base("mobilenet_v2", str(path), 32, 0.35)


def test_weights_file_cut_off_does_not_fit(weights_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.weights.h5"
    path.write_bytes(weights_file.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="does not fit MobileNetV2"):
        build_base("mobilenet_v2", str(path), 32, 0.35)


def test_weights_file_that_is_missing_or_of_another_suffix_is_refused(
    weights_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"gone\.h5: no such file.*one of: imagenet, none"):
        build_base("mobilenet_v2", str(tmp_path / "gone.h5"), 32, 0.35)
    with pytest.raises(WeightsError, match="no such file"):
        build_base("mobilenet_v2", str(tmp_path), 32, 0.35)
    other = shutil.copy(weights_file, tmp_path / "model.keras")
    with pytest.raises(WeightsError, match=r"must be a Keras \.h5 or \.weights\.h5 file"):
        build_base("mobilenet_v2", str(other), 32, 0.35)


def test_imagenet_weights_of_an_unpublished_width_are_refused_with_the_published_ones() -> None:
    widths = r"mobilenet_v2 for --alpha 0\.35, 0\.5, 0\.75, 1\.0, 1\.3, 1\.4\. Received: 0\.6"
    with pytest.raises(OptionError, match=widths):
        build_base("mobilenet_v2", "imagenet", 32, 0.6)


def test_imagenet_weights_without_network_end_with_the_ways_out(shapes: Path, tmp_path: Path) -> None:
    # A proxy that nobody listens at stands for the missing network.
    nowhere = "http://127.0.0.1:9"
    env = {"KERAS_HOME": str(tmp_path / "keras"), "https_proxy": nowhere, "http_proxy": nowhere}
    result = run_command("edge-train", shapes, "-o", tmp_path / "run", "--model", "mobilenet_v2", env=env)
    assert result.returncode == 1 and "Traceback" not in result.stderr and result.stdout == ""
    error = result.stderr.splitlines()[-1]
    assert error.startswith("Error: The ImageNet weights of MobileNetV2 cannot be downloaded (")
    assert "Fetch https://" in error and "--weights none" in error and "--weights FILE" in error
    assert result.stderr.count("\n") == 2 and "Downloading the ImageNet weights" in result.stderr
    assert (Path(__file__).parent.parent / error.split("See ")[1]).is_file()
    assert [path.name for path in tmp_path.iterdir() if path.name != "keras"] == []
