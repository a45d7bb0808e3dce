"""Runs of edge-train that take part, their images by use, and their float32 and int8 files."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from edge_classify.convert.calibration import usual_count
from edge_classify.convert.job_tools import choose_calibration
from edge_classify.convert.outliers import OUTLIERS
from edge_classify.convert.quiet import import_tensorflow
from edge_classify.convert.recipes import FLOAT32, INT8
from edge_classify.convert.sources.job import BEFORE_REFIT_NAME, KERAS_NAME, Job, ModelSource
from edge_classify.convert.sources.jobs import find_jobs
from edge_classify.convert.variant import VariantMaker
from edge_classify.edge.errors import EdgeClassifyError, SourceError
from edge_classify.edge.labelled import LabelledImage, scan_class_folders
from edge_classify.edge.sources.paths import find_images

VARIANTS = (FLOAT32, INT8)
# The kinds of unknown images: names of pictures begin with one, such as "far: cats".
NEAR, FAR, MADE_UP = "near", "far", "made up"
_EACH_MADE_UP = 50  # Images of each kind of made-up outliers; those of a kind hardly differ.
_SEED = 19


@dataclass(frozen=True)
class Pictures:
    """Images of one use. `outlier` names the made-up outlier that each is turned into; None for none."""

    name: str
    images: Sequence[LabelledImage]
    outlier: str | None = None


@dataclass(frozen=True)
class StudyRun:
    """One model of a run. `name` is that of its set: runs of one name are seeds.

    `data` has the images; classes that the model does not know are near outliers.
    """

    name: str
    path: Path
    data: Path
    job: Job

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that the model knows."""
        return self.job.card.labels

    @property
    def refit(self) -> bool:
        """Whether the model has learned from the validation images too."""
        return self.job.load_before_refit is not None

    def known(self) -> list[Pictures]:
        """Return the run's images of known classes."""
        images = self.job.images
        return [
            Pictures("train", images.calibration),
            Pictures("validation", images.validation),
            Pictures("test", images.evaluation),
        ]

    def unknown(self, far: Sequence[Path], most: int) -> list[Pictures]:
        """Return the unknown images: near ones, at most `most` of each folder of `far`, and made-up ones.

        Folders of `far` that hold the run's own data, or lie in it, are left out. Made-up outliers are made
        of test images.
        """
        found = scan_class_folders(self.data)
        near = [i for i in found.images(found.evaluation_subset) if i.label not in self.labels]
        others = [folder for folder in far if not _overlap(folder.resolve(), self.data.resolve())]
        made = draw(self.job.images.evaluation, _EACH_MADE_UP, MADE_UP)
        return [
            *([Pictures(NEAR, near)] if near else []),
            *(Pictures(f"{FAR}: {folder.name}", far_images(folder, most)) for folder in others),
            *(Pictures(f"{MADE_UP}: {kind}", made, kind) for kind in OUTLIERS),
        ]


def open_run(text: str) -> StudyRun:
    """Return the run of NAME=RUN=DATA.

    Raises UsageError for another form and for a run of several models, and ClickException for what
    edge-convert refuses.
    """
    parts = text.split("=")
    if len(parts) != 3 or not all(parts):
        raise click.UsageError(f"A run is NAME=RUN=DATA. Received: {text}")
    name, path, data = parts[0], Path(parts[1]), Path(parts[2])
    try:
        jobs = find_jobs(ModelSource(path, data), None)
    except EdgeClassifyError as error:
        raise click.ClickException(str(error)) from None
    if len(jobs) > 1:
        names = ", ".join(job.name for job in jobs)
        raise click.UsageError(f"{path} has several models ({names}). Give the folder of one of them")
    if not jobs[0].images.validation or not jobs[0].images.evaluation:
        raise click.UsageError(f"{path} kept no validation or no test images, and the study needs both")
    return StudyRun(name, path, data, jobs[0])


def far_images(folder: Path, most: int) -> list[LabelledImage]:
    """Return at most `most` pictures of a folder, at any depth, drawn by a seed.

    Where the folder has test/, those of it. Raises UsageError for none.
    """
    place = folder / "test" if (folder / "test").is_dir() else folder
    try:
        paths = find_images([place], recursive=True)
    except SourceError as error:
        raise click.UsageError(f"--far {error}") from None
    return draw([LabelledImage(path, path.parent.name) for path in paths], most, folder.name)


def draw(images: Sequence[LabelledImage], most: int, seed: str) -> list[LabelledImage]:
    """Return at most `most` of the images, in their order: the same ones each time."""
    if len(images) <= most:
        return list(images)
    chosen = sorted(random.Random(f"{_SEED} {seed}").sample(range(len(images)), most))
    return [images[number] for number in chosen]


def make_files(run: StudyRun, folder: Path, *, before: bool = False) -> dict[str, bytes]:
    """Return the flatbuffers of a run's model by variant, with the card's temperature; `folder` keeps them.

    With `before` they are those of the model from before it learned from the validation images. The int8 file
    has the temperature that was fitted to the float model.
    """
    keras = _model_folder(run) / (BEFORE_REFIT_NAME if before else KERAS_NAME)
    key = hashlib.sha256(keras.read_bytes()).hexdigest()[:16]
    places = {recipe.name: folder / f"{run.name}-{key}-{recipe.name}.tflite" for recipe in VARIANTS}
    if not all(place.is_file() for place in places.values()):
        import_tensorflow("The study", "train")  # Takes seconds, and a study that goes on needs none of it.
        folder.mkdir(parents=True, exist_ok=True)
        job = run.job
        load = job.load_before_refit if before and job.load_before_refit else job.load
        calibration = choose_calibration(job, usual_count(len(run.labels)))
        maker = VariantMaker(load(), job.card, calibration)
        for recipe in VARIANTS:
            made = maker.make(recipe, job.card.output.temperature).flatbuffer
            partial = places[recipe.name].with_suffix(".partial")
            partial.write_bytes(made)
            partial.rename(places[recipe.name])
    return {name: place.read_bytes() for name, place in places.items()}


def _model_folder(run: StudyRun) -> Path:
    return run.path if (run.path / KERAS_NAME).is_file() else run.path / run.job.name


def _overlap(one: Path, other: Path) -> bool:
    return one == other or one in other.parents or other in one.parents
