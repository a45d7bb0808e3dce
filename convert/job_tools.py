"""Everything that the variants of one model are made with, and the outcome of a whole conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..benchmarks.scoring.predict import read_pixels
from ..benchmarks.scoring.split import SkippedImage
from ..edge.card import ModelCard
from ..edge.console import say
from ..edge.errors import ConversionError, ImageError
from ..edge.labelled import LabelledImage
from .calibration import CalibrationSet, load_calibration, usual_count
from .confidence import refit_confidence
from .fitted import FittedVariant
from .golden import PHOTOS_CHOSEN_FROM, GoldenChoice, choose_patterns, choose_photos
from .output import Converted
from .recipes import MIXED, Recipe
from .repair.report import RepairReport
from .scoring import Scored, Scorer, predict_files
from .signatures import ModelSigner
from .sources.job import TRAINING_IMAGES, Job
from .tflite.compatibility import OlderRuntime
from .unknown import UnknownFitter
from .variant import Variant, VariantMaker

# Enough to exclude a loss of half a point where no answer differs.
_MOST_UNLABELLED = 1000


@dataclass(frozen=True)
class ConversionSettings:
    """What to make, and where. `max_drop` is the top-1 accuracy, a fraction, that int8 may lose unrepaired.

    `calibration_images` is how many images calibrate int8; None for 100, or two of each class.
    With `golden_photos` two of the user's photos travel in each file, in place of drawn patterns. With a
    `signer` each file is signed. With `unknown` the files of a training can answer that a picture shows none
    of the classes.

    ConversionSettings((find_recipe("float16"), find_recipe("int8")), Path("models"))
    """

    recipes: tuple[Recipe, ...]
    output: Path
    calibration_images: int | None = None
    max_drop: float = 0.01
    golden_photos: bool = False
    target: OlderRuntime | None = None
    force: bool = False
    unknown: bool = False
    signer: ModelSigner | None = None


@dataclass
class ConversionOutcome:
    """The files made so far, in order, the images that could not be read, and the repairs.

    `unrepaired` holds a sentence for each model whose int8 variant could not be repaired, `at_chance` what is
    said of the models that are not better than chance, and `unwritten` what is said of each file that
    could not be written where it belongs.
    """

    files: list[Converted] = field(default_factory=list)
    skipped: dict[str, SkippedImage] = field(default_factory=dict)
    unrepaired: list[str] = field(default_factory=list)
    repairs: list[RepairReport] = field(default_factory=list)
    at_chance: list[str] = field(default_factory=list)
    unwritten: list[str] = field(default_factory=list)

    def skip(self, images: Sequence[SkippedImage]) -> None:
        """Remember images that could not be read, each once."""
        self.skipped |= {image.path: image for image in images}


@dataclass(frozen=True)
class JobTools:
    """The tools that make and score one model's variants; confidence is fitted on `validation`.

    `before_refit` makes variants of the model from before it learned from these; None where it has not.
    `unknown` fits the output for unknown things; None where there shall be none.
    """

    job: Job
    maker: VariantMaker
    scorer: Scorer
    calibration: CalibrationSet | None
    validation: list[LabelledImage]
    golden_photos: bool = False
    before_refit: VariantMaker | None = None
    unknown: UnknownFitter | None = None

    @property
    def scores_validation(self) -> bool:
        """Whether the scored images are those that confidence is fitted on, and a file chosen by."""
        scored = {image.path for image in self.job.images.evaluation}
        return bool(scored) and any(image.path in scored for image in self.validation)

    @property
    def unlabelled(self) -> list[LabelledImage]:
        """Images of unknown classes that nothing is calibrated with: answers to them are compared.

        Not training images: a model is surer of these, and quantizing changes fewer answers.
        """
        if self.job.images.calibrated_with == TRAINING_IMAGES:
            return []
        taken = [*self.job.images.evaluation, *self.job.images.validation]
        taken += self.calibration.images if self.calibration else []
        paths = {image.path.resolve() for image in taken}
        own = [image for image in self.job.images.calibration if image.path.resolve() not in paths]
        return own[:_MOST_UNLABELLED]

    def fit_and_score(
        self, variants: Sequence[Variant], outcome: ConversionOutcome, float32: Scored | None = None
    ) -> list[Scored]:
        """Fit temperature and threshold of the variants, score them, and compare their answers.

        They are compared with those of `float32`, or else of the first variant.
        """
        fitted, unread = self._fit(variants)
        if self.job.images.evaluation:
            say(f"{self.job.name}: scoring on {len(self.job.images.evaluation):,} images")
        scored = self.scorer.score(fitted)
        outcome.skip([*unread, *self.scorer.skipped])
        if self.unlabelled:
            scored = self._answer_unlabelled(scored, outcome)
        return [item.compared_with(float32 or scored[0]) for item in scored]

    def _fit(self, variants: Sequence[Variant]) -> tuple[list[FittedVariant], list[SkippedImage]]:
        """Fit temperature and threshold of the variants to the validation images.

        A model that has learned from these is represented by the same variants of the model from before. A
        repair has no such variant: it keeps what it has.
        """
        if self.before_refit is None:
            fitted, unread = refit_confidence(variants, self.validation, self.job.name)
            return self._with_unknown(fitted, {}), unread
        by_recipe = [variant for variant in variants if variant.recipe is not MIXED]
        if not by_recipe:
            return self._with_unknown([FittedVariant(variant) for variant in variants], {}), []
        say(f"{self.job.name} has learned from the validation images: the model from before answers them")
        earlier = [self.before_refit.make(v.recipe, v.card.output.temperature) for v in by_recipe]
        before, unread = refit_confidence(earlier, self.validation, self.job.name)
        found = {item.variant.recipe: item for item in before}
        fitted = [_as_fitted(variant, found.get(variant.recipe)) for variant in variants]
        return self._with_unknown(fitted, {recipe: item.variant for recipe, item in found.items()}), unread

    def _with_unknown(
        self, fitted: Sequence[FittedVariant], earlier: Mapping[Recipe, Variant]
    ) -> list[FittedVariant]:
        """Return the variants with an output for unknown things, where they can have one and it is wanted.

        `earlier` are variants of the model from before it learned from the validation images.
        """
        if self.unknown is None:
            return list(fitted)
        variants = [item.variant for item in fitted]
        made = self.unknown.fit(variants, [earlier.get(variant.recipe) for variant in variants])
        return [replace(item, variant=variant) for item, variant in zip(fitted, made, strict=True)]

    def _answer_unlabelled(self, scored: Sequence[Scored], outcome: ConversionOutcome) -> list[Scored]:
        """Return the variants with their answers to the unlabelled images, where any of these can be read."""
        files = [item.variant.sealed for item in scored]
        found = predict_files(files, self.unlabelled, f"comparing {self.job.name}")
        outcome.skip(found.skipped)
        if not found.images:
            return list(scored)
        rows = zip(scored, found.probabilities, strict=True)
        return [replace(item, unlabelled=probabilities.argmax(1)) for item, probabilities in rows]

    def choose_golden(self, variant: Variant) -> GoldenChoice:
        """Return the golden examples of a variant's file.

        Photos are those that were scored, one of each class, or else images to calibrate with. Raises
        ConversionError where photos are wanted and none can be read.
        """
        sealed, tolerance = variant.sealed, variant.recipe.tolerance
        if not self.golden_photos:
            return choose_patterns(sealed, tolerance)
        card = variant.card
        photos = self.scorer.one_of_each_class or self.job.images.calibration
        pixels = _read_some(photos, card)
        if not pixels:
            raise ConversionError(f"{self.job.name}: --golden photos finds none that can be read")
        return choose_photos(sealed, pixels, tolerance)


def _as_fitted(variant: Variant, earlier: FittedVariant | None) -> FittedVariant:
    """Return a variant with the confidence of the same variant of the model from before its refit."""
    if earlier is None:
        return FittedVariant(variant)
    output = earlier.variant.card.output
    if output.temperature != variant.card.output.temperature:
        variant = variant.at(output.temperature)
    fitted = replace(variant.card.output, threshold=output.threshold)
    return FittedVariant(replace(variant, card=replace(variant.card, output=fitted)), earlier.validation)


def _read_some(images: Sequence[LabelledImage], card: ModelCard) -> list[NDArray[np.uint8]]:
    """Return the pixels of the first images that can be read, as many as photos are chosen from."""
    found: list[NDArray[np.uint8]] = []
    for image in images:
        if len(found) == PHOTOS_CHOSEN_FROM:
            break
        try:
            found.append(read_pixels(image, card.input, card.preprocess))
        except ImageError:
            continue  # Calibration or scoring reported it.
    return found


def open_job_tools(job: Job, settings: ConversionSettings, outcome: ConversionOutcome) -> JobTools:
    """Load a model and choose its images.

    Raises CardError, and ConversionError when the model cannot be loaded or needs calibration images and has
    none.
    """
    model = job.load()
    calibration = None
    if any(recipe.calibrated for recipe in settings.recipes):
        calibration = choose_calibration(
            job, settings.calibration_images or usual_count(len(job.card.labels))
        )
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
    before = None
    if job.load_before_refit is not None:
        before = VariantMaker(job.load_before_refit(), job.card, calibration, settings.target)
    unknown = UnknownFitter(job.name, job.images.training, validation) if settings.unknown else None
    tools = JobTools(job, maker, scorer, calibration, validation, settings.golden_photos, before, unknown)
    if tools.scores_validation:
        say(
            f"{job.name}: no test images were kept: the {len(job.images.evaluation):,} scored images are "
            "validation images, which chose the epoch, the temperature, the threshold and the file to ship. "
            "The figures are a little too good"
        )
    return tools


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
