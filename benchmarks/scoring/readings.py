"""Models that are not better than chance on labelled images: other readings of them are tried, and told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...edge.classifier import Classifier
from ...edge.doctor.diagnosis import diagnose, stated_by
from ...edge.doctor.feeding import try_ways, ways_to_feed
from ...edge.doctor.images import spread_sample
from ...edge.errors import EdgeClassifyError
from ...edge.foreign import NO_FACTS, ForeignFacts
from ...edge.labelled import LabelledImage
from ...edge.modelfile import ModelFile
from ...edge.progress import progress
from ...edge.runtime import Execution
from ...edge.statistics.chance import Standing, against_chance
from ..results.result import MeasuredAccuracy, Result


def examine_at_chance(
    results: Sequence[Result],
    images: Sequence[LabelledImage],
    facts: ForeignFacts = NO_FACTS,
) -> list[str]:
    """Return sentences about the scored models that are not better than chance, each file once.

    Other readings are tried on a sample of `images`, by the runtime that the model was measured with.
    `facts` are those that the models without a card were scored with.
    """
    doubtful: dict[str, tuple[MeasuredAccuracy, Execution]] = {}
    for result in results:
        accuracy = result.accuracy
        if accuracy is not None and against_chance(accuracy) is Standing.NOT_BETTER:
            doubtful.setdefault(result.file, (accuracy, result.known_execution()))
    said = []
    for file, (accuracy, execution) in doubtful.items():
        try:
            model = ModelFile.read(Path(file))
            said += _examine(Classifier(model, facts.on(model), execution), accuracy, images)
        except EdgeClassifyError as error:
            said.append(f"{error}. So other readings of it could not be tried")
    return said


def _examine(
    classifier: Classifier, accuracy: MeasuredAccuracy, images: Sequence[LabelledImage]
) -> list[str]:
    name = Path(classifier.file.name).name
    sample = spread_sample(images)
    with progress(f"trying other readings of {name}", len(sample), "images") as advance:
        trial = try_ways(classifier, ways_to_feed(classifier, scaling_known=True), sample, advance=advance)
    return diagnose(name, accuracy, trial, stated_by(classifier.file.card))
