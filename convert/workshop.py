"""What the files of one model are made with, and what came of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..benchmarks.scoring.split import SkippedImage
from ..edge.console import say
from ..edge.errors import ConversionError
from ..edge.labelled import LabelledImage
from .calibration import CalibrationSet, load_calibration
from .candidate import Candidate, CandidateMaker
from .confidence import refit_confidence
from .converted import Converted
from .doctor.treatment import Treatment
from .recipes import Recipe
from .scoring import Scored, Scorer
from .sources.jobs import Job
from .tflite.compatibility import OlderRuntime


@dataclass(frozen=True)
class Settings:
    """What to make and where. `max_drop` is the most top-1 (a fraction) that int8 may lose unrepaired."""

    recipes: tuple[Recipe, ...]
    output: Path
    calibration_images: int = 100
    max_drop: float = 0.01
    target: OlderRuntime | None = None
    force: bool = False


@dataclass
class Outcome:
    """What a run made so far, in order; `unrepaired` says of which models int8 could not be repaired."""

    files: list[Converted] = field(default_factory=list)
    skipped: dict[str, SkippedImage] = field(default_factory=dict)
    unrepaired: list[str] = field(default_factory=list)
    treatments: list[Treatment] = field(default_factory=list)

    def skip(self, images: Sequence[SkippedImage]) -> None:
        """Remember images that could not be read, each once."""
        self.skipped |= {image.path: image for image in images}


@dataclass(frozen=True)
class Workshop:
    """What one model's files are made with; `validation` is what confidence is fitted on."""

    job: Job
    maker: CandidateMaker
    scorer: Scorer
    calibration: CalibrationSet | None
    validation: list[LabelledImage]

    def fit_and_score(self, candidates: Sequence[Candidate], outcome: Outcome) -> list[Scored]:
        """Fit temperature and threshold of candidates, and score them."""
        fitted, unread = refit_confidence(candidates, self.validation, self.job.name)
        if self.job.images.evaluation:
            say(f"{self.job.name}: scoring on {len(self.job.images.evaluation):,} images")
        scored = self.scorer.score(fitted)
        outcome.skip([*unread, *self.scorer.skipped])
        return scored


def open_workshop(job: Job, settings: Settings, outcome: Outcome) -> Workshop:
    """Load a model and choose its images; raises ConversionError when it needs some and has none."""
    model = job.load()
    calibration = None
    if any(recipe.calibrated for recipe in settings.recipes):
        calibration = choose_calibration(job, settings.calibration_images)
        for warning in calibration.warnings:
            say(f"{job.name}: {warning}")
        outcome.skip(calibration.skipped)
    used = {image.path for image in calibration.images} if calibration else set()
    validation = [image for image in job.images.validation if image.path not in used]
    maker = CandidateMaker(model, job.card, calibration, settings.target)
    if not job.images.evaluation:
        say(f"{job.name}: nothing is scored, for want of labelled images: give some with --data FOLDER")
        if calibration is not None:
            say(f"{job.name}: losses are estimated on images of --calibration")
    scorer = Scorer(model, job.images.evaluation, job.card, job.images.dataset)
    return Workshop(job, maker, scorer, calibration, validation)


def choose_calibration(job: Job, count: int) -> CalibrationSet:
    """Choose images to calibrate with, none of which is scored on; a larger set begins with a smaller one.

    Raises ConversionError when there are none.
    """
    scored = {image.path.resolve() for image in job.images.evaluation}
    own = [image for image in job.images.calibration if image.path.resolve() not in scored]
    left_out = len(job.images.calibration) - len(own)
    remark = f"{left_out} images to calibrate with are also scored on, and were left out"
    if not own:
        reason = f" ({remark})" if left_out else ""
        raise ConversionError(
            f"{job.name}: int8 needs images to calibrate with, other than those to score on{reason}. Give "
            "--calibration FOLDER"
        )
    found = load_calibration(own, count, job.card, job.images.calibrated_with)
    return replace(found, warnings=(remark, *found.warnings)) if left_out else found
