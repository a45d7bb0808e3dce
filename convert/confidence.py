"""Fits temperature and threshold anew to each variant: quantization changes how sure a model is."""

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
from .candidate import Candidate
from .scoring import predict_files

# A residual within 5 % of 1 moves a probability of 0.9 by about one point.
_TOLERANCE = 0.05
_MOST_ROUNDS = 3


@dataclass(frozen=True)
class _Measured:
    """A candidate and what it gives for the validation images, float32 [images, classes]."""

    candidate: Candidate
    probabilities: NDArray[np.float32]

    def loss(self, truth: NDArray[np.int64], temperature: float = 1.0) -> float:
        return temperature_loss(self.probabilities, truth, temperature, self.candidate.step)


def refit_confidence(
    candidates: Sequence[Candidate], validation: Sequence[LabelledImage], name: str
) -> tuple[list[Candidate], list[SkippedImage]]:
    """Return the candidates with temperature and threshold fitted to their own validation outputs.

    A candidate whose own best temperature differs gets that one, which is fitted at most three times: where
    8-bit probabilities are nearly all 0 or 1, the first fit falls short. Where no validation image can be
    read, all stay as they are, which is said. Also returns the images that cannot be read. Raises
    DatasetError when one vanishes meanwhile.
    """
    if not any(image.path.is_file() for image in validation):
        say(f"{name}: no validation images here; temperature and threshold stay as they are")
        return list(candidates), []
    say(f"{name}: fitting temperature and threshold on {len(validation):,} validation images")
    predictions = predict_files([c.sealed for c in candidates], validation, f"fitting {name}")
    if not predictions.images:
        say(f"{name}: no validation image can be read; temperature and threshold stay as they are")
        return list(candidates), predictions.skipped
    truth = true_indices(predictions.images, candidates[0].card.labels)
    measured = [_Measured(*pair) for pair in zip(candidates, predictions.probabilities, strict=True)]
    settled = _settle_temperatures(measured, predictions.images, truth, name)
    return [_with_threshold(item, truth, name) for item in settled], predictions.skipped


def _settle_temperatures(
    measured: Sequence[_Measured],
    images: Sequence[LabelledImage],
    truth: NDArray[np.int64],
    name: str,
) -> list[_Measured]:
    """Build in what temperature is needed, as long as that lowers the loss on `images`."""
    best = list(measured)
    unsettled: Sequence[int] = range(len(best))
    for _ in range(_MOST_ROUNDS):
        remade = {i: _adjusted(best[i], truth, name) for i in unsettled}
        again = {i: candidate for i, candidate in remade.items() if candidate is not None}
        if not again:
            break
        outputs = predict_files([c.sealed for c in again.values()], images, f"fitting {name}")
        if outputs.skipped:  # It could be read a minute ago.
            raise DatasetError(outputs.skipped[0].reason)
        pairs = zip(again.items(), outputs.probabilities, strict=True)
        others = {i: _Measured(candidate, probabilities) for (i, candidate), probabilities in pairs}
        unsettled = [i for i, other in others.items() if other.loss(truth) < best[i].loss(truth)]
        for i in unsettled:
            best[i] = others[i]
    return best


def _adjusted(item: _Measured, truth: NDArray[np.int64], name: str) -> Candidate | None:
    """Return the candidate with its residual temperature built in too; None when there is no need.

    There is none when the residual is small, or no better than 1 beyond chance: by the likelihood-ratio
    test, twice the gain in log-likelihood must exceed 3.84, the 95 % quantile of chi-squared with one
    degree of freedom (Wilks, Ann. Math. Stat. 9, 1938).
    """
    recipe, old = item.candidate.recipe, item.candidate.card.output.temperature
    residual = fit_temperature(item.probabilities, truth, item.candidate.step)
    gain = 2 * len(truth) * (item.loss(truth) - item.loss(truth, residual))
    if abs(residual - 1) <= _TOLERANCE or gain <= Z95**2:
        return None
    manner = "too sure" if residual > 1 else "not sure enough"
    new = round(old * residual, 4)
    if not item.candidate.takes_temperature:
        say(
            f"{name}: {recipe.name} is {manner}, and stays so without the temperature {new:.2f}: {TAKES_NONE}"
        )
        return None
    say(f"{name}: {recipe.name} is {manner}: temperature {new:.2f} instead of {old:.2f}")
    return item.candidate.at(new)


def _with_threshold(item: _Measured, truth: NDArray[np.int64], name: str) -> Candidate:
    """Choose the threshold for the precision that the card states; without one, leave it alone."""
    candidate, output = item.candidate, item.candidate.card.output
    if output.threshold_precision is None:
        return candidate
    chosen = choose_threshold(item.probabilities, truth, output.threshold_precision)
    if chosen is None:
        say(
            f"{name}: {candidate.recipe.name} never answers unknown: no threshold shows a precision of "
            f"{output.threshold_precision:.1%} on {len(truth):,} validation images"
        )
    output = replace(output, threshold=chosen.value if chosen else None)
    return replace(candidate, card=replace(candidate.card, output=output))
