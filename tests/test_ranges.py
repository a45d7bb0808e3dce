from __future__ import annotations

import numpy as np
import pytest
from edge_classify.convert.tflite.flatgraph import read_layers, unpack
from edge_classify.convert.tflite.ranges import Clip, RangeCollector, TensorRange, observe
from edge_classify.edge.errors import ConversionError
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from .support.tiny_tflite import PLANTED, Builder, colours, tiny_classifier

LAYER = read_layers(unpack(tiny_classifier()))[0]


def collect(*batches: NDArray[np.float32]) -> TensorRange:
    collector = RangeCollector(LAYER)
    for batch in batches:
        collector.add(batch)
    return collector.result()


def rounding_error(values: NDArray[np.float32], bounds: tuple[float, float]) -> float:
    """What 8 bits between these bounds do to the values, computed on the values themselves."""
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    step = (high - low) / 255
    stored = np.rint((np.clip(values, low, high) - low) / step)
    return float(np.square(stored * step + low - values).mean())


def test_ranges_of_a_layer_are_what_it_gives_on_the_images() -> None:
    images, _ = colours(5, 0)
    ranges = observe(tiny_classifier(), iter(images))
    seen = ranges.tensors[LAYER.output]
    assert ranges.images == 5
    np.testing.assert_allclose(seen.channel_minimum, images.min((0, 1, 2)) / 255, rtol=1e-6)
    np.testing.assert_allclose(seen.channel_maximum, images.max((0, 1, 2)) / 255, rtol=1e-6)
    assert seen.maximum == seen.channel_maximum.max()


def test_range_of_the_input_is_all_of_8_bits_whatever_the_images_show() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    seen = observe(tiny_classifier(), [grey]).tensors[0]
    assert (seen.minimum, seen.maximum) == (0, 255) and seen.bounds("mse") == (0, 255)


def test_uneven_channels_show_in_imbalance_and_levels() -> None:
    images, _ = colours(5, 0)
    layers = {layer.name: layer for layer in read_layers(unpack(tiny_classifier(PLANTED)))}
    ranges = observe(tiny_classifier(PLANTED), images)
    assert ranges.tensors[layers["project"].output].imbalance > 1.5
    assert ranges.tensors[layers["project"].output].channel_ranges[:3].max() < 0.01
    assert ranges.tensors[layers["stem"].output].median_levels > 60


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_order_of_the_images_does_not_matter(values: list[float], random: object) -> None:
    rows = np.array(values, np.float32).reshape(-1, 1)
    batches = [rows[i : i + 7] for i in range(0, len(rows), 7)]
    shuffled = batches[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = collect(*batches), collect(*shuffled)
    assert one.bin_width == other.bin_width and (one.counts == other.counts).all()
    assert one.bounds("mse") == other.bounds("mse")


@given(st.integers(0, 2**32 - 1), st.floats(1, 500), st.sampled_from(("mse", "percentile")))
def test_clipping_stays_inside_what_was_seen(seed: int, outlier: float, clip: Clip) -> None:
    values = np.random.default_rng(seed).normal(size=(3000, 1)).astype(np.float32)
    values[0] = outlier
    seen = collect(values)
    low, high = seen.bounds(clip)
    assert seen.minimum <= low < high <= seen.maximum


@given(st.integers(0, 2**32 - 1), st.floats(5, 100))
def test_least_error_bounds_round_better_than_all_of_the_range(seed: int, outlier: float) -> None:
    values = np.random.default_rng(seed).normal(size=(8000, 1)).astype(np.float32)
    values[0] = outlier
    seen = collect(values)
    # Rounding is taken as evenly distributed. Of 8,000 values the quotient then has a standard deviation of
    # 1.3 % by chance: a tenth is more than seven of them.
    assert rounding_error(values, seen.bounds("mse")) <= rounding_error(values, seen.bounds("none")) * 1.1


def test_least_error_bounds_cut_a_long_tail_where_that_pays() -> None:
    values = [np.random.default_rng(seed).laplace(size=(8000, 1)).astype(np.float32) for seed in range(40)]
    seen, every = collect(*values), np.concatenate(values)
    low, high = seen.bounds("mse")
    assert seen.minimum < low and high < seen.maximum
    assert rounding_error(every, (low, high)) < 0.95 * rounding_error(every, seen.bounds("none"))


def test_percentile_bounds_leave_out_one_value_in_ten_thousand_at_each_end() -> None:
    values = np.linspace(-1, 1, 8000, dtype=np.float32).reshape(-1, 1)
    seen = collect(values, values, values, np.full((1, 1), 100, np.float32))
    low, high = seen.bounds("percentile")
    assert low == pytest.approx(-1, abs=0.03) and high == pytest.approx(1, abs=0.04)
    assert seen.bounds("none") == (-1, 100)


@pytest.mark.parametrize("channels", [2, 6, 64])
def test_histogram_of_a_large_tensor_takes_values_of_all_channels(channels: int) -> None:
    values = np.zeros((2**19 // channels, channels), np.float32)
    values[:, -1] = np.linspace(0, 50, len(values))
    assert collect(values).bounds("percentile")[1] > 49


def test_no_images_are_refused() -> None:
    with pytest.raises(ConversionError, match="No images"):
        observe(tiny_classifier(), [])


def test_images_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(ConversionError, match=r"\(8, 8, 3\)\. Received: \(9, 8, 3\)"):
        observe(tiny_classifier(), [np.zeros((9, 8, 3), np.uint8)])


def test_layer_that_gives_infinities_is_named() -> None:
    build = Builder()
    build.conv("tiny/huge/convolution", np.full((3, 3), 1e38), np.zeros(3))
    with pytest.raises(ConversionError, match="'pool' \\(MEAN\\) gives values that are not finite"):
        observe(build.head(np.eye(3)), colours(1, 0)[0] + 1)


def test_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(ConversionError, match="no TFLite flatbuffer"):
        observe(b"not a model at all", [])
