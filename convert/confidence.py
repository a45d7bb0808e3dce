"""Fits temperature and threshold to each variant: quantization changes how sure a model is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.confidence import choose_threshold, fit_temperature, temperature_loss
from ..benchmarks.scoring.predict import true_indices
from ..benchmarks.scoring.split import SkippedImage
from ..edge.console import say
from ..edge.errors import DatasetError
from ..edge.labelled import LabelledImage
from ..edge.statistics.proportions import Z95
from ..edge.tflite.last_layer import TAKES_NONE
from .fitted import FittedVariant, ValidationAnswers
from .scoring import predict_files
from .variant import Variant

# A residual within 5 % of 1 moves a probability of 0.9 by about one point.
_TOLERANCE = 0.05
_MOST_ROUNDS = 3


@dataclass(frozen=True)
class _Measured:
    """A variant and its probabilities for the validation images, float32 [images, classes]."""

    variant: Variant
    probabilities: NDArray[np.float32]

    def loss(self, truth: NDArray[np.int64], temperature: float = 1.0) -> float:
        return temperature_loss(self.probabilities, truth, temperature, self.variant.step)


def refit_confidence(
    variants: Sequence[Variant],
    validation: Sequence[LabelledImage],
    name: str,
) -> tuple[list[FittedVariant], list[SkippedImage]]:
    """Return the variants with temperature and threshold fitted to their own validation outputs.

    A variant whose best temperature differs gets that temperature, which is fitted at most three times: where
    8-bit probabilities are nearly all 0 or 1, the first fit falls short. Where no validation image can be
    read, all stay as they are, which is reported. Also returns the images that cannot be read. Raises
    DatasetError when an image vanishes meanwhile.
    """
    if not any(image.path.is_file() for image in validation):
        say(f"{name}: no validation images here; temperature and threshold stay as they are")
        return [FittedVariant(variant) for variant in variants], []
    say(f"{name}: fitting temperature and threshold on {len(validation):,} validation images")
    predictions = predict_files([c.sealed for c in variants], validation, f"fitting {name}")
    if not predictions.images:
        say(f"{name}: no validation image can be read; temperature and threshold stay as they are")
        return [FittedVariant(variant) for variant in variants], predictions.skipped
    truth = true_indices(predictions.images, variants[0].card.labels)
    measured = [_Measured(*pair) for pair in zip(variants, predictions.probabilities, strict=True)]
    settled = _settle_temperatures(measured, predictions.images, truth, name)
    fitted = [
        FittedVariant(
            _with_threshold(item, truth, name), ValidationAnswers(item.probabilities.argmax(1), truth)
        )
        for item in settled
    ]
    return fitted, predictions.skipped


def _settle_temperatures(
    measured: Sequence[_Measured],
    images: Sequence[LabelledImage],
    truth: NDArray[np.int64],
    name: str,
) -> list[_Measured]:
    """Build in the temperatures that are needed, as long as that lowers the loss on `images`."""
    best = list(measured)
    unsettled: Sequence[int] = range(len(best))
    for _ in range(_MOST_ROUNDS):
        remade = {i: _adjusted(best[i], truth, name) for i in unsettled}
        again = {i: variant for i, variant in remade.items() if variant is not None}
        if not again:
            break
        outputs = predict_files([c.sealed for c in again.values()], images, f"fitting {name}")
        if outputs.skipped:  # It was read a minute ago.
            raise DatasetError(outputs.skipped[0].reason)
        pairs = zip(again.items(), outputs.probabilities, strict=True)
        others = {i: _Measured(variant, probabilities) for (i, variant), probabilities in pairs}
        unsettled = [i for i, other in others.items() if other.loss(truth) < best[i].loss(truth)]
        for i in unsettled:
            best[i] = others[i]
    return best


def _adjusted(item: _Measured, truth: NDArray[np.int64], name: str) -> Variant | None:
    """Return the variant with its residual temperature built in too; None where that is not needed.

    It is not needed where the residual is close to 1, or not better than 1 beyond chance: by the
    likelihood-ratio test, twice the gain in log-likelihood must exceed 3.84, the 95 % quantile of chi-squared
    with one degree of freedom (Wilks, Ann. Math. Stat. 9, 1938).
    """
    recipe, old = item.variant.recipe, item.variant.card.output.temperature
    residual = fit_temperature(item.probabilities, truth, item.variant.step)
    gain = 2 * len(truth) * (item.loss(truth) - item.loss(truth, residual))
    if abs(residual - 1) <= _TOLERANCE or gain <= Z95**2:
        return None
    manner = "too sure" if residual > 1 else "not sure enough"
    new = round(old * residual, 4)
    if not item.variant.takes_temperature:
        say(
            f"{name}: {recipe.name} is {manner}, and stays so without the temperature {new:.2f}: {TAKES_NONE}"
        )
        return None
    say(f"{name}: {recipe.name} is {manner}: temperature {new:.2f} instead of {old:.2f}")
    return item.variant.at(new)


def _with_threshold(item: _Measured, truth: NDArray[np.int64], name: str) -> Variant:
    """Choose the threshold for the card's precision; a card without one keeps its threshold."""
    variant, output = item.variant, item.variant.card.output
    if output.threshold_precision is None:
        return variant
    chosen = choose_threshold(item.probabilities, truth, output.threshold_precision)
    if chosen is None:
        say(
            f"{name}: {variant.recipe.name} is never unsure: no threshold shows a precision of "
            f"{output.threshold_precision:.1%} on {len(truth):,} validation images"
        )
    output = replace(output, threshold=chosen.value if chosen else None)
    return replace(variant, card=replace(variant.card, output=output))
