from __future__ import annotations

import numpy as np
import pytest
from edge_classify.train.augmentation import make_augmentation, reseed
from edge_classify.train.degradation import MAX_EXPOSURE, MAX_NOISE, RandomDegradation
from edge_classify.train.options import DEGRADATIONS
from numpy.typing import NDArray
from PIL import Image

SIDE, COUNT, REDUCED = 64, 40, 16
Pictures = NDArray[np.float32]


def degrade(pictures: Pictures, *names: str, seed: int = 0) -> Pictures:
    return np.asarray(RandomDegradation(names, seed)(pictures, training=True))


def flat(value: float) -> Pictures:
    return np.full((COUNT, SIDE, SIDE, 3), value, np.float32)


def photo() -> Image.Image:
    """Return a picture of REDUCED * SIDE pixels, whose left half is dull and whose right half is rich.

    Its spectrum falls as that of photos does, with the inverse of the frequency: D. J. Field, J. Opt. Soc.
    Am. A 4, 1987.
    """
    side = SIDE * REDUCED
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(rng.standard_normal((side, side))) / frequency
    grey = np.fft.irfft2(waves, (side, side))
    rich = np.linspace(0, 60, side) / grey.std()
    return Image.fromarray(np.clip(grey * rich + 128, 0, 255).astype(np.uint8)).convert("RGB")


def local_energy(change: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the mean square in squares of 8 pixels, of pictures [..., SIDE, SIDE, 3], as one row."""
    squares = (change**2).mean(axis=-1).reshape(-1, SIDE // 8, 8, SIDE // 8, 8)
    return np.asarray(squares.mean(axis=(0, 2, 4))).ravel()


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """Return the same photo COUNT times, as edge-classify reduces it."""
    small = photo().resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.tile(np.asarray(small, np.float32), (COUNT, 1, 1, 1))


def test_degradation_outside_training_or_by_nothing_changes_nothing(pictures: Pictures) -> None:
    layer = RandomDegradation(DEGRADATIONS, 0)
    assert np.array_equal(layer(pictures), pictures)
    assert np.array_equal(degrade(pictures), pictures)


def test_resampling_changes_pictures_where_a_filter_without_antialiasing_does(pictures: Pictures) -> None:
    # Pillow's transform() takes the four pixels around a point, and no others: no antialiasing.
    scale = (REDUCED, 0, 0, 0, REDUCED, 0)
    aliased = photo().transform((SIDE, SIDE), Image.Transform.AFFINE, scale, Image.Resampling.BILINEAR)
    by_filter = np.asarray(aliased, np.float32) - pictures[0]
    by_us = degrade(pictures, "resampling") - pictures
    energies = local_energy(by_filter), local_energy(by_us)
    assert np.corrcoef(*energies)[0, 1] > 0.8
    strongest = max(local_energy(picture).mean() for picture in by_us)
    assert 0.4 < strongest / energies[0].mean() < 2


def test_resampling_leaves_some_pictures_as_they_are_and_flat_ones_all(pictures: Pictures) -> None:
    out = degrade(pictures, "resampling")
    same = [np.array_equal(one, picture) for one, picture in zip(out, pictures, strict=True)]
    assert 8 < sum(same) < 32
    assert np.abs(degrade(flat(100), "resampling") - 100).max() < 0.5


def test_camera_changes_exposure_by_at_most_its_limit_and_adds_noise_to_flat_pictures() -> None:
    out = degrade(flat(100), "camera")
    stops = np.log2(out.mean(axis=(1, 2, 3)) / 100)
    assert np.abs(stops).max() < MAX_EXPOSURE + 0.05
    assert (stops < -0.1).any() and (stops > 0.1).any()
    deviations = out.std(axis=(1, 2, 3))
    assert deviations.max() < MAX_NOISE * 1.1
    assert deviations.max() > MAX_NOISE / 2
    assert (deviations < 1e-3).sum() > 8


def test_camera_blurs_some_pictures(pictures: Pictures) -> None:
    def roughness(values: Pictures) -> NDArray[np.floating]:
        steps = np.abs(np.diff(values, axis=2))
        return np.asarray(steps.mean(axis=(1, 2, 3)) / values.mean(axis=(1, 2, 3)))

    assert roughness(degrade(pictures, "camera")).min() < 0.8 * roughness(pictures[:1])[0]


def test_degraded_values_stay_those_of_pixels() -> None:
    rng = np.random.default_rng(0)
    noise = rng.choice([0, 255], (COUNT, SIDE, SIDE, 3)).astype(np.float32)
    out = degrade(noise, *DEGRADATIONS)
    assert out.shape == noise.shape and out.dtype == np.float32
    assert out.min() == 0 and out.max() == 255


def test_degradation_depends_on_the_seed_alone(pictures: Pictures) -> None:
    one, other = (make_augmentation(DEGRADATIONS, 3) for _ in range(2))
    first = np.asarray(one(pictures, training=True))
    assert np.array_equal(first, other(pictures, training=True))
    assert not np.array_equal(first, one(pictures, training=True))
    reseed(other, 1, 2)
    again = np.asarray(other(pictures, training=True))
    reseed(one, 1, 2)
    assert np.array_equal(again, one(pictures, training=True))


def test_names_decide_which_changes_are_made(pictures: Pictures) -> None:
    assert np.array_equal(make_augmentation(("zoom",), 0)(flat(9), training=True), flat(9))
    assert np.array_equal(make_augmentation((), 0)(pictures, training=True), pictures)
    assert not np.array_equal(make_augmentation(("resampling",), 0)(pictures, training=True), pictures)
    assert np.abs(np.asarray(make_augmentation(("resampling",), 0)(flat(9), training=True)) - 9).max() < 0.5
    assert np.abs(np.asarray(make_augmentation(("camera",), 0)(flat(9), training=True)) - 9).max() > 5
