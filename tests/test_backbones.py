"""Every backbone against Keras's own network and preprocessing, and through conversion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from edge_classify.benchmarks.scoring.labelled import labelled_images
from edge_classify.benchmarks.scoring.predict import read_pixels
from edge_classify.convert.calibration import CalibrationSet, load_calibration
from edge_classify.convert.recipes import RECIPES
from edge_classify.convert.sources.traced_model import to_tflite, trace
from edge_classify.edge.card import InputSpec, ModelCard
from edge_classify.edge.errors import OptionError, WeightsError
from edge_classify.edge.runtime import load_interpreter
from edge_classify.edge.tflite.sealing import complete_card
from edge_classify.train.backbones import BACKBONES, check_alpha, check_weights
from edge_classify.train.models import build
from edge_classify.train.weights import batch_norms, build_base
from numpy.typing import NDArray

from .support.pictures import SHAPES
from .support.train_options import make_architecture

SIZE = 64
GET_FILE = "keras.src.utils.file_utils.get_file"  # What downloads the published weights.
PREPROCESSING = {
    "mobilenet_v3_small": "mobilenet_v3",
    "mobilenet_v3_large": "mobilenet_v3",
    "efficientnet_b0": "efficientnet",
    "efficientnet_v2_b0": "efficientnet_v2",
}


OF_KERAS = [name for name, backbone in BACKBONES.items() if backbone.wheel is None]


def _slow_but(names: Sequence[str], among: Iterable[str] = BACKBONES) -> list[Any]:
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in among]


def _fit_batch_norm(network: Any, call: Any) -> None:
    """Give batch norm the statistics of what `call` sees, else a random network gives nearly constants."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
    for layer in batch_norms(network):
        layer.momentum = 0.0
    call(training=True)


@dataclass(frozen=True)
class Original:
    """A network of keras.applications, the files with its weights, and its features of `pixels`."""

    name: str
    files: dict[str, Path]
    pixels: NDArray[np.float32]
    features: NDArray[np.float32]


def _set_normalization(network: Any, mean: Sequence[float], variance: Sequence[float]) -> None:
    layer = next(layer for layer in network.layers if isinstance(layer, keras.layers.Normalization))
    layer.set_weights([np.array(mean), np.array(variance), np.array(0)])
    layer.finalize_state()


@pytest.fixture(scope="module", params=_slow_but(["mobilenet_v2", "resnet50"], OF_KERAS))
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A network as Keras builds it for its ImageNet weights, with random ones in files of both kinds."""
    name = request.param
    folder = tmp_path_factory.mktemp(name)
    files = {"imagenet": folder / "base.h5", "h5": folder / "base.h5", "weights": folder / "base.weights.h5"}
    keras.utils.set_random_seed(0)
    constructor = getattr(keras.applications, BACKBONES[name].constructor)
    arguments: dict[str, Any] = {"include_top": False, "pooling": "avg", "input_shape": (SIZE, SIZE, 3)}
    network = constructor(weights=None, **arguments)
    with pytest.MonkeyPatch.context() as patch:
        if name == "efficientnet_b0":  # Its graph differs with ImageNet weights.
            # The published file holds deviations: https://github.com/tensorflow/tensorflow/issues/49930
            _set_normalization(network, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
            network.save(files["h5"])
            patch.setattr(GET_FILE, lambda *_, **__: str(files["h5"]))
            network = constructor(weights="imagenet", **arguments)
    blocks = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3))
    pixels = np.kron(blocks, np.ones((1, SIZE // 8, SIZE // 8, 1))).astype(np.float32)
    module = getattr(keras.applications, PREPROCESSING.get(name, name))
    prepared = module.preprocess_input(pixels.copy())
    _fit_batch_norm(network, lambda training: network(prepared, training=training))
    network.save(files["h5"])
    network.save_weights(files["weights"])
    return Original(name, files, pixels, np.asarray(network(prepared)))


@pytest.mark.parametrize("source", ["imagenet", "h5", "weights"])
def test_features_of_raw_pixels_equal_those_of_keras_preprocessing_and_network(
    original: Original, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GET_FILE, lambda *_, **__: str(original.files["imagenet"]))
    weights = "imagenet" if source == "imagenet" else str(original.files[source])
    base = build_base(original.name, weights, SIZE, 1.0)
    features = np.asarray(base.network(base.scaling(original.pixels)))
    # Rounding of the inputs by one part in ten million changes ResNet50's features by as much.
    tolerance = 1e-3 if original.name == "resnet50" else 2e-4
    assert original.features.std(0).mean() > 0.2
    assert np.abs(features - original.features).max() < tolerance


@pytest.mark.parametrize(
    ("mean", "variance", "deviation"),
    [
        # The published file holds deviations: https://github.com/tensorflow/tensorflow/issues/49930
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (0.229, 0.224, 0.225)),
        ((0.5, 0.4, 0.3), (0.04, 0.09, 0.0625), (0.2, 0.3, 0.25)),
    ],
)
def test_efficientnet_is_scaled_by_the_statistics_in_its_file(
    mean: Sequence[float], variance: Sequence[float], deviation: Sequence[float], tmp_path: Path
) -> None:
    network = keras.applications.EfficientNetB0(
        include_top=False, weights=None, pooling="avg", input_shape=(32, 32, 3)
    )
    _set_normalization(network, mean, variance)
    network.save_weights(tmp_path / "own.weights.h5")
    base = build_base("efficientnet_b0", str(tmp_path / "own.weights.h5"), 32, 1.0)
    pixels = np.array([0, 128, 255, 200, 10, 30], np.float32).reshape(1, 1, 2, 3)
    assert np.allclose(base.scaling(pixels), (pixels / 255 - mean) / deviation, atol=1e-5)


def test_base_has_no_scaling_of_its_own_and_can_be_cut_and_saved(tmp_path: Path) -> None:
    built = build(make_architecture("efficientnet_b0", alpha=1.0, image_size={"efficientnet_b0": 32}))
    assert built.base is not None
    kinds = {type(layer) for layer in built.base.layers}
    assert not kinds & {keras.layers.Rescaling, keras.layers.Normalization, keras.layers.Lambda}
    cut = keras.Model(built.base.input, built.base.get_layer("block2a_expand_conv").output)
    assert cut.output_shape[1:3] == (16, 16)
    built.model.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.allclose(loaded(pixels), built.model(pixels), atol=1e-6)


@dataclass(frozen=True)
class Trained:
    """A network with random features and a fitted head, and its probabilities of `pixels`."""

    model: Any
    card: ModelCard
    calibration: CalibrationSet
    pixels: NDArray[np.float32]
    probabilities: NDArray[np.float32]


@pytest.fixture(scope="module", params=_slow_but(["mobilenet_v3_small"]))
def trained(request: pytest.FixtureRequest, shapes: Path) -> Trained:
    keras.utils.set_random_seed(0)
    name = request.param
    model = build(make_architecture(name, alpha=1.0, image_size={name: SIZE})).model
    card = ModelCard(name, tuple(sorted(SHAPES)), InputSpec(SIZE, SIZE, "float32"))
    images = labelled_images(shapes).images[::2]
    decoded = [read_pixels(image, card.input, card.preprocess) for image in images]
    pixels = np.stack(decoded).astype(np.float32)
    _fit_batch_norm(model.layers[2], lambda training: model(pixels, training=training))
    features = np.asarray(keras.Model(model.input, model.layers[-1].input)(pixels), np.float64)
    truth = np.array([card.labels.index(image.label) for image in images])
    model.layers[-1].set_weights(_ridge(features, np.eye(3)[truth] * 6 - 2))
    probabilities = np.asarray(model(pixels, training=False))
    calibration = load_calibration(images, len(images), card)
    return Trained(model, card, calibration, pixels, probabilities)


def _ridge(features: NDArray[np.float64], targets: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return kernel and bias of a ridge regression, in its dual form."""
    mean = features.mean(0)
    gram = (features - mean) @ (features - mean).T
    gram += np.eye(len(gram)) * np.trace(gram) / len(gram)
    kernel = (features - mean).T @ np.linalg.solve(gram, targets)
    return [kernel, -mean @ kernel]


# Means over the images of the largest difference of a probability, about twice the worst that was seen; for
# int8 that is 0.26, of efficientnet_lite2: with random weights 8 bits cost a deep network much.
@pytest.mark.parametrize(
    ("variant", "tolerance"), [("float32", 1e-4), ("float16", 0.01), ("dynamic", 0.1), ("int8", 0.5)]
)
def test_converted_backbone_agrees_with_keras(trained: Trained, variant: str, tolerance: float) -> None:
    function = trace(lambda image: trained.model(image, training=False), SIZE, SIZE)
    flatbuffer = to_tflite(function, RECIPES[variant], trained.calibration)
    card = complete_card(flatbuffer, trained.card, RECIPES[variant].io)  # Checks the input's scale.
    interpreter = load_interpreter(flatbuffer, 1)
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for image in trained.pixels:
        interpreter.set_tensor(given["index"], image[None].astype(card.input.dtype))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(result["index"])[0].astype(np.float32))
    probabilities = (np.array(answers) - card.output.zero_point) * card.output.scale
    assert set(trained.probabilities.argmax(1)) == {0, 1, 2}
    assert np.abs(probabilities - trained.probabilities).max(1).mean() < tolerance
    # A network of random weights has features that 8 bits blur: by chance it would be 0.33.
    least = 0.75 if variant == "int8" else 0.9
    assert (probabilities.argmax(1) == trained.probabilities.argmax(1)).mean() >= least
    if variant == "int8":
        dtypes = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
        assert dtypes == {"uint8", "int8", "int32"}  # No operation was left in float.


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_KERAS)
def test_widths_with_imagenet_weights_are_those_that_keras_has(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked_for(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(GET_FILE, asked_for)
    backbone = BACKBONES[name]
    constructor = getattr(keras.applications, backbone.constructor)
    for alpha in (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4) if backbone.has_alpha else (1.0,):
        arguments = {"alpha": alpha} if backbone.has_alpha else {}
        expected = FileNotFoundError if alpha in backbone.widths else ValueError
        with pytest.raises(expected):
            constructor(
                input_shape=(224, 224, 3), include_top=False, pooling="avg", weights="imagenet", **arguments
            )


def test_download_that_fails_names_the_network_and_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise Exception("URL fetch failure")  # As Keras does.

    monkeypatch.setattr(GET_FILE, fail)
    with pytest.raises(WeightsError, match=r"weights of MobileNetV3Small .*URL fetch.*--weights none"):
        build_base("mobilenet_v3_small", "imagenet", 32, 1.0)


def test_alpha_of_a_backbone_of_one_width_is_refused() -> None:
    with pytest.raises(OptionError, match=r"resnet50 comes in one width only, --alpha 1\. Received: 0\.5"):
        check_alpha("resnet50", "none", 0.5)
    check_alpha("resnet50", "imagenet", 1.0)
    check_alpha("mobilenet_v3_large", "none", 0.6)


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (("cnn",), "and 0 are to be trained. Name"),
        (("mobilenet", "cnn", "resnet50"), "and 2 are to be trained: mobilenet, resnet50. Name"),
    ],
)
def test_weights_file_for_none_or_several_backbones_is_refused(models: tuple[str, ...], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        check_weights(models, "own.h5")
    check_weights(models, "imagenet")
    check_weights(("cnn", "mobilenet"), "own.h5")
