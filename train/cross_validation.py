"""Cross-validation: for each fold a model is trained as the one that ships, and answers the fold's images."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ..edge.console import say
from .cache import Cache
from .dataset import PreparedData
from .evaluation import predict_examples
from .one_model import predictor, train_on
from .options import TrainOptions
from .output import folds_of
from .pooled import FoldAnswers, PooledEvaluation, pool_answers


def cross_validate(
    name: str, folds: Sequence[PreparedData], work: Path, options: TrainOptions, cache: Cache
) -> PooledEvaluation:
    """Train the model `name` once for each fold, as the one that ships, and pool the answers to all images.

    Nothing but the answers at the end sees a fold's own images. They are kept in `work`, and folds whose
    answers are there are not trained again. Raises OptionError when a training diverges, DatasetError when
    the disk is full, and KeyboardInterrupt.
    """
    folder = folds_of(work, name)
    folder.mkdir(exist_ok=True)
    answers = []
    for number, data in enumerate(folds, 1):
        path = folder / f"{number}.npz"
        found = FoldAnswers.read(path, data.split.sha256)
        if found is None or not found.fits(data.rows["test"], len(data.split.labels)):
            began = time.monotonic()
            note = f" fold {number}/{len(folds)}"
            found = _train_fold(name, note, data, folder / str(number), options, cache)
            found.write(path)
            shutil.rmtree(folder / str(number))  # Its checkpoint.
            say(f"{name}{note}: {found.describe(data.truth)}, in {time.monotonic() - began:.0f} s")
        answers.append(found)
    return pool_answers(answers, folds[0].truth, folds[0].split.labels)


def _train_fold(
    name: str, note: str, data: PreparedData, work: Path, options: TrainOptions, cache: Cache
) -> FoldAnswers:
    work.mkdir(exist_ok=True)
    trained = train_on(name, data, work, options, cache, note)
    predict, size = predictor(trained.model), trained.architecture.size
    confidence = trained.fit_confidence(data)
    test = data.examples("test", size)
    return FoldAnswers(
        split=data.split.sha256,
        rows=test.rows,
        raw=predict_examples(predict, test),
        temperature=confidence.temperature,
        threshold=confidence.threshold.value if confidence.threshold else None,
        training_images=len(data.rows["train"]),
    )
