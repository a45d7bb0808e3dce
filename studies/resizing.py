"""Usage: python studies/resizing.py MODEL.tflite ... --photos FOLDER [--mediapipe PYTHON] [--count 0]

Claim: phones and browsers, which resize photos in their own ways, give the answers of edge-classify.

Each photo is resized as edge-classify does (Pillow's antialiased bilinear filter), by OpenCV's INTER_LINEAR
(no antialiasing), INTER_AREA and INTER_NEAREST, and as MediaPipe's source does on a processor (bilinear
without antialiasing, corners upon corners). With PYTHON, the interpreter of an environment that has MediaPipe
(`make clients` keeps one in .pytest_cache/clients), its ImageClassifier is asked itself. Prints how often
each gives the best label of edge-classify, with 95 % intervals, and, where FOLDER holds folders with the
names of the model's classes, the accuracy. studies/raw_photos.py makes photos of 300 to 4,000 pixels.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.cores import cores
from edge_classify.edge.image import load_image, load_input
from edge_classify.edge.sources.paths import find_images
from edge_classify.edge.statistics.paired import mcnemar
from edge_classify.edge.statistics.proportions import wilson_interval
from numpy.typing import NDArray

CLIENT = Path(__file__).parents[1] / "tests" / "clients" / "mediapipe_client.py"
_BATCH = 40  # Photos whose inputs are in memory together.

Pixels = NDArray[np.uint8]
Resize = Callable[[Pixels, tuple[int, int]], Pixels]


def _opencv(how: int) -> Resize:
    return lambda photo, size: np.asarray(cv2.resize(photo, size, interpolation=how), np.uint8)


def as_mediapipe(photo: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize as MediaPipe's ImageToTensorConverterOpenCv: point (x, y) shows point (x, y) * scale."""
    height, width = photo.shape[:2]
    scale = np.array([[width / size[0], 0, 0], [0, height / size[1], 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(photo, scale, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


FILTERS: Mapping[str, Resize] = {
    "OpenCV linear": _opencv(cv2.INTER_LINEAR),
    "OpenCV area": _opencv(cv2.INTER_AREA),
    "OpenCV nearest": _opencv(cv2.INTER_NEAREST),
    "as MediaPipe": as_mediapipe,
}
OURS, MEDIAPIPE = "edge-classify", "MediaPipe"


@dataclass(frozen=True)
class Answers:
    """The best label of each photo by way of resizing, and the true labels (None: not of the model)."""

    best: Mapping[str, NDArray[np.int64]]
    truth: NDArray[np.int64] | None

    def rows(self) -> list[str]:
        """Return a line of the table for each way."""
        return [self._row(way, answers) for way, answers in self.best.items()]

    def _row(self, way: str, answers: NDArray[np.int64]) -> str:
        ours = self.best[OURS]
        cells = [way, _share(answers == ours)]
        if self.truth is not None:
            right, right_ours = answers == self.truth, ours == self.truth
            cells += [_share(right), f"{mcnemar(right_ours, right).p_value:.3f}"]
        return f"| {' | '.join(cells)} |"


def _share(hits: NDArray[np.bool_]) -> str:
    low, high = wilson_interval(int(hits.sum()), len(hits))
    return f"{hits.mean():.1%} ({low:.1%} to {high:.1%})"


def answer(classifier: Classifier, paths: Sequence[Path]) -> dict[str, NDArray[np.int64]]:
    """Classify every photo resized in each way; the indices of the best labels."""
    spec = classifier.spec
    found: dict[str, list[int]] = {way: [] for way in (OURS, *FILTERS)}

    def resize(path: Path) -> list[Pixels]:
        photo = np.asarray(load_image(path))
        others = [resize(photo, (spec.width, spec.height)) for resize in FILTERS.values()]
        return [load_input(path, spec, classifier.preprocess), *others]

    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(paths), _BATCH):
            for inputs in pool.map(resize, paths[start : start + _BATCH]):
                for way, pixels in zip(found, inputs, strict=True):
                    found[way].append(classifier.classify_pixels(pixels).best.index)
    return {way: np.array(best) for way, best in found.items()}


def ask_mediapipe(
    python: str, models: Sequence[Path], paths: Sequence[Path]
) -> dict[str, list[dict[str, float]]]:
    """Return MediaPipe's score by label, for each model and photo."""
    work = json.dumps({"models": list(map(str, models)), "pictures": list(map(str, paths))})
    done = subprocess.run([python, CLIENT], input=work, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{python} could not run MediaPipe: {done.stderr.strip()[-300:]}")
    found: dict[str, list[dict[str, float]]] = json.loads(done.stdout)
    return found


def find_truth(labels: Sequence[str], paths: Sequence[Path]) -> NDArray[np.int64] | None:
    """Return the class of each photo by the name of its folder; None unless all are classes of the model."""
    names = [path.parent.name for path in paths]
    return np.array([labels.index(name) for name in names]) if set(names) <= set(labels) else None


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--photos", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--mediapipe", "python", help="Interpreter of an environment with MediaPipe.")
@click.option("--count", default=0, help="At most so many photos, spread over all; 0: all.")
def main(models: tuple[Path, ...], photos: Path, python: str | None, count: int) -> None:
    """Print a table for each model."""
    paths: list[Path] = find_images([photos], recursive=True)
    paths = paths[:: max(1, len(paths) // count)] if count else paths
    theirs: dict[str, Any] = ask_mediapipe(python, models, paths) if python else {}
    for model in models:
        classifier = Classifier.from_file(model)
        best = answer(classifier, paths)
        if python:
            scores = theirs[str(model)]
            best[MEDIAPIPE] = np.array([classifier.labels.index(max(s, key=s.__getitem__)) for s in scores])
        answers = Answers(best, find_truth(classifier.labels, paths))
        click.echo(f"\n{model.name}, {classifier.spec.width}x{classifier.spec.height}, {len(paths)} photos\n")
        more = " accuracy | p of the difference |" if answers.truth is not None else ""
        click.echo(f"| resized by | same answer as edge-classify |{more}\n{'|---' * (2 + 2 * bool(more))}|")
        click.echo("\n".join(answers.rows()))


if __name__ == "__main__":
    main()
