"""Everything that the variants of one model are made with, and the outcome of a whole conversion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..benchmarks.scoring.split import SkippedImage
from ..edge.console import say
from ..edge.errors import ConversionError
from ..edge.labelled import LabelledImage
from .calibration import CalibrationSet, load_calibration
from .confidence import refit_confidence
from .output import Converted
from .recipes import Recipe
from .repair.report import RepairReport
from .scoring import Scored, Scorer
from .sources.job import TRAINING_IMAGES, Job
from .tflite.compatibility import OlderRuntime
from .variant import Variant, VariantMaker


@dataclass(frozen=True)
class ConversionSettings:
    """What to make, and where. `max_drop` is the top-1 accuracy, a fraction, that int8 may lose unrepaired.

    ConversionSettings((find_recipe("float16"), find_recipe("int8")), Path("models"))
    """

    recipes: tuple[Recipe, ...]
    output: Path
    calibration_images: int = 100
    max_drop: float = 0.01
    target: OlderRuntime | None = None
    force: bool = False


@dataclass
class ConversionOutcome:
    """The files made so far, in order, the images that could not be read, and the repairs.

    `unrepaired` holds a sentence for each model whose int8 variant could not be repaired.
    """

    files: list[Converted] = field(default_factory=list)
    skipped: dict[str, SkippedImage] = field(default_factory=dict)
    unrepaired: list[str] = field(default_factory=list)
    repairs: list[RepairReport] = field(default_factory=list)

    def skip(self, images: Sequence[SkippedImage]) -> None:
        """Remember images that could not be read, each once."""
        self.skipped |= {image.path: image for image in images}


@dataclass(frozen=True)
class JobTools:
    """The tools that make and score one model's variants; confidence is fitted on `validation`."""

    job: Job
    maker: VariantMaker
    scorer: Scorer
    calibration: CalibrationSet | None
    validation: list[LabelledImage]

    def fit_and_score(self, variants: Sequence[Variant], outcome: ConversionOutcome) -> list[Scored]:
        """Fit temperature and threshold of the variants, and score them."""
        fitted, unread = refit_confidence(variants, self.validation, self.job.name)
        if self.job.images.evaluation:
            say(f"{self.job.name}: scoring on {len(self.job.images.evaluation):,} images")
        scored = self.scorer.score(fitted)
        outcome.skip([*unread, *self.scorer.skipped])
        return scored


def open_job_tools(job: Job, settings: ConversionSettings, outcome: ConversionOutcome) -> JobTools:
    """Load a model and choose its images.

    Raises CardError, and ConversionError when the model cannot be loaded or needs calibration images and has
    none.
    """
    model = job.load()
    calibration = None
    if any(recipe.calibrated for recipe in settings.recipes):
        calibration = choose_calibration(job, settings.calibration_images)
        for warning in calibration.warnings:
            say(f"{job.name}: {warning}")
        outcome.skip(calibration.skipped)
    elif job.images.calibrated_with != TRAINING_IMAGES and not job.images.validation:
        say(
            f"{job.name}: --calibration has no effect without an int8 variant, since none of its images "
            "lies in a folder that is named like a class, and the confidence cannot be fitted to them"
        )
    used = {image.path for image in calibration.images} if calibration else set()
    validation = [image for image in job.images.validation if image.path not in used]
    maker = VariantMaker(model, job.card, calibration, settings.target)
    if not job.images.evaluation:
        say(f"{job.name}: nothing is scored, for want of labelled images: give some with --data FOLDER")
        if calibration is not None:
            say(f"{job.name}: losses are estimated on images of --calibration")
    scorer = Scorer(model, job.images.evaluation, job.card, job.images.dataset)
    return JobTools(job, maker, scorer, calibration, validation)


def choose_calibration(job: Job, count: int) -> CalibrationSet:
    """Choose images to calibrate with that nothing is scored on; a larger set begins with the smaller ones.

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
