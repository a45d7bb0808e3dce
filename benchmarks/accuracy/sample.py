"""A part of a data set, small enough to be copied to a device, that stands for the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...edge.errors import OptionError
from ..split import LabelledImage


def choose_sample(images: Sequence[LabelledImage], count: int, seed: int = 0) -> list[LabelledImage]:
    """Return `count` images, of each class its share, in the order in which they are given.

    Stratified by class: shares are rounded by the largest remainder, and a class gets at least one image
    where there is room for all classes. All are returned where there are no more than `count`. The same
    arguments give the same images. Raises OptionError for a count below 1.
    """
    if count < 1:
        raise OptionError(f"A sample needs at least one image. Received: {count}")
    if count >= len(images):
        return list(images)
    places: dict[str, list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault(image.label, []).append(place)
    rng = np.random.default_rng(seed)
    chosen: list[int] = []
    for members, share in zip(places.values(), _shares([*map(len, places.values())], count), strict=True):
        chosen += (int(members[i]) for i in rng.permutation(len(members))[:share])
    return [images[place] for place in sorted(chosen)]


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """Divide `count`, below the sum of `sizes`, in their proportion: whole numbers, none above its size."""
    least = 1 if count >= len(sizes) else 0
    wanted = [max(size * count / sum(sizes), least) for size in sizes]
    shares = [int(share) for share in wanted]
    while (missing := count - sum(shares)) != 0:
        # By one at a time: the class furthest below what it wanted, or the one furthest above.
        step = 1 if missing > 0 else -1
        open_to = [i for i, n in enumerate(shares) if (n < sizes[i] if step > 0 else n > least)]
        shares[max(open_to, key=lambda i: step * (wanted[i] - shares[i]))] += step
    return shares
