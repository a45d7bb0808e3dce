"""Whether a model reads pictures as the options say: other readings are tried on labelled images."""

from __future__ import annotations

from ..edge.classifier import Classifier
from ..edge.console import say
from ..edge.doctor.diagnosis import StatedBy, diagnose, stated_by
from ..edge.doctor.feeding import exchanged_only, try_ways, ways_around
from ..edge.doctor.images import spread_sample
from ..edge.modelfile import ModelFile
from ..edge.progress import progress
from ..edge.statistics.chance import Standing, against_chance, untold_remark
from .job_tools import ConversionOutcome
from .scoring import Scored
from .sources.job import Job


def check_reading(job: Job, float32: Scored, outcome: ConversionOutcome) -> None:
    """Try other readings of a model whose reading is by options, or that is not better than chance.

    What is said of one that is not better than chance goes to `outcome`; that another reading is better is
    said at once. The float32 file is what is tried: its answers are the model's own.
    """
    accuracy = float32.accuracy
    if accuracy is None:
        return
    if remark := untold_remark(job.name, accuracy):
        say(remark)
    at_chance = against_chance(accuracy) is Standing.NOT_BETTER
    if job.reading is None and not at_chance:
        return
    classifier = Classifier(ModelFile.read(float32.variant.sealed))
    ways = exchanged_only() if job.reading is None else ways_around(job.reading)
    images = spread_sample(job.images.evaluation)
    with progress(f"trying other readings of {job.name}", len(images), "images") as advance:
        trial = try_ways(classifier, ways, images, advance=advance)
    source = stated_by(job.card) if job.reading is None else StatedBy.OPTIONS
    said = diagnose(job.name, accuracy, trial, source)
    if at_chance:
        outcome.at_chance += said
        return
    for sentence in said:
        say(sentence)
