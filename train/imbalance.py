"""The methods for classes with few images: weights, repeated images, or adjusted logits.

Counts are the numbers of *training* images by class index; classes without any are allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IMBALANCE = ("auto", "none", "balanced", "effective", "oversample", "logit-adjustment")

# Below this ratio of the largest class to the smallest, no method improved macro F1 (features of MobileNetV2,
# five classes of CIFAR-10); at a ratio of 2, adjusted logits do.
BALANCED_RATIO = 1.5
# The theory says 1. A network that memorizes a few images underrates their class on new ones, and a larger
# value compensates: the best of 0.5..3, measured for a last layer with a decoupled weight decay of 1.
TAU = 1.5


def choose(counts: Sequence[int]) -> tuple[str, str]:
    """Return the method that "auto" stands for, and a sentence that explains the choice.

    Raises ValueError when no class has an image.
    """
    present = [count for count in counts if count > 0]
    if not present:
        raise ValueError("no class has a training image")
    few, many = min(present), max(present)
    classes = f"the smallest class has {few:,} training {_images(few)} and the largest {many:,}"
    if many < BALANCED_RATIO * few:
        return (
            "none",
            f"Imbalance: nothing is done, because {classes}, less than {BALANCED_RATIO:g} times as many",
        )
    return (
        "logit-adjustment",
        f"Imbalance: logits are adjusted by the frequencies of the classes, because {classes}, "
        f"{many / few:.3g} times as many",
    )


def class_weights(method: str, counts: Sequence[int]) -> NDArray[np.float32] | None:
    """Return the weight of an image of each class in the loss, float32 [classes]; None for equal weights.

    "balanced": images / (classes * images of the class), as scikit-learn defines it. "effective":
    proportional to (1 - beta) / (1 - beta ** images of the class) with beta = (N - 1) / N for N images,
    from the effective number of samples (Cui et al., CVPR 2019, eq. 2). There N is the number of distinct
    images that a class could have, which is unknown; here it is the number of images. Both are scaled to a
    mean weight of 1 for an image, so that the learning rate means the same with and without weights.
    """
    number = np.asarray(counts, np.float64)
    if method == "balanced":
        weights = 1 / np.maximum(number, 1)
    elif method == "effective":
        beta = 1 - 1 / max(number.sum(), 2)
        weights = (1 - beta) / (1 - beta ** np.maximum(number, 1))
    else:
        return None
    mean = (weights * number).sum() / max(number.sum(), 1)
    return np.asarray(weights / max(mean, 1e-12), np.float32)


def validation_weights(method: str, counts: Sequence[int]) -> NDArray[np.float32] | None:
    """Return the weights of the validation loss that corresponds to the training loss of `method`.

    `counts` are those of the validation images, which may have other proportions.

    With adjusted logits the validation loss is that of the training, with the offsets and without weights: a
    few validation images of a small class with large weights would choose the best epoch by chance.
    """
    return class_weights("balanced" if method == "oversample" else method, counts)


def log_priors(counts: Sequence[int]) -> NDArray[np.float32]:
    """Return ln(images of the class / images), float32 [classes]; a class without images counts as one."""
    number = np.maximum(np.asarray(counts, np.float64), 1)
    return np.asarray(np.log(number / number.sum()), np.float32)


def logit_offsets(method: str, counts: Sequence[int], tau: float = TAU) -> NDArray[np.float32]:
    """Return the offsets that are added to the logits in the training loss only, float32 [classes].

    They are tau * log_priors for "logit-adjustment", and zeros for every other method. The model then learns
    logits for equally frequent classes (Menon et al., ICLR 2021, eq. 10).
    """
    if method != "logit-adjustment":
        return np.zeros(len(counts), np.float32)
    return (np.float32(tau) * log_priors(counts)).astype(np.float32)


def sample_order(truth: NDArray[np.int64], seed: int, epoch: int, method: str) -> NDArray[np.int64]:
    """Return the rows of one epoch, shuffled: indices of `truth`, which seed and epoch decide.

    Each row occurs once. With "oversample" each class has as many rows as the largest one, and every row of
    a class occurs as often as any other of it, or once more.
    """
    rng = np.random.default_rng([seed, epoch])
    if method != "oversample":
        return rng.permutation(len(truth))
    rows = [np.flatnonzero(truth == label) for label in np.unique(truth)]
    most = max((len(own) for own in rows), default=0)
    drawn = [_repeat(own, most, rng) for own in rows]
    return rng.permutation(np.concatenate([np.empty(0, np.int64), *drawn]))


def _repeat(rows: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    rounds = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)])[:count]


def _images(count: int) -> str:
    return "image" if count == 1 else "images"
