"""Pictures of photos: frames with their answers, file names, what was collected and sorted, drawn patterns.

Run: python -m manual.pictures.photos WORKSPACE (an example workspace; it is copied, and stays as it is)
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from edge_classify.edge.appended import read_directory, read_entry
from edge_classify.edge.console import say
from PIL import Image, ImageDraw, ImageFont

from manual.run import copy_workspace
from manual.workspace import environment

from .paper import INK, PICTURES

MODEL = "models/cnn_int8.tflite"
_GAP = 16
_LINE = 26
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"

Caption = Sequence[str]


def row(pictures: Sequence[tuple[Image.Image, Caption]], side: int) -> Image.Image:
    """Return pictures side by side, `side` pixels wide each, with lines of text below them."""
    font = ImageFont.truetype(_FONT, 18)
    lines = max(len(caption) for _, caption in pictures)
    fitted = [picture.convert("RGB").resize(_fit(picture, side)) for picture, _ in pictures]
    height = max(picture.height for picture in fitted)
    paper = Image.new("RGB", (_GAP + len(fitted) * (side + _GAP), height + 2 * _GAP + lines * _LINE), "white")
    ink = ImageDraw.Draw(paper)
    for place, (picture, (_, caption)) in enumerate(zip(fitted, pictures, strict=True)):
        left = _GAP + place * (side + _GAP)
        paper.paste(picture, (left, _GAP))
        for number, line in enumerate(caption):
            ink.text((left, _GAP + height + 6 + number * _LINE), line, INK, font)
    return paper


def rows(papers: Sequence[Image.Image]) -> Image.Image:
    """Return papers below each other."""
    whole = Image.new("RGB", (max(paper.width for paper in papers), sum(p.height for p in papers)), "white")
    top = 0
    for paper in papers:
        whole.paste(paper, (0, top))
        top += paper.height
    return whole


def keep(picture: Image.Image, name: str, colors: int = 128) -> None:
    """Write docs/pictures/`name`.png with a palette, which keeps it small."""
    path = PICTURES / f"{name}.png"
    picture.convert("RGB").quantize(colors, dither=Image.Dither.NONE).save(path, optimize=True)
    say(f"{path.relative_to(PICTURES.parents[1])}: {path.stat().st_size / 1000:.0f} kB")


def command(folder: Path, *words: str) -> str:
    """Run one of the four commands in a folder, and return what it printed to stdout."""
    done = subprocess.run(
        words, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def draw_frames(folder: Path) -> None:
    """Show three frames of the film as --save-annotated keeps them."""
    command(
        folder, "edge-classify", "--model", MODEL, "film.mp4", "--smooth", "5", "--save-annotated", "seen"
    )
    found = sorted((folder / "seen").rglob("*.*g"))
    chosen = [found[len(found) * part // 6] for part in (1, 3, 5)]
    keep(row([(Image.open(path), ()) for path in chosen], 300), "live-camera-frames")


def draw_names(folder: Path) -> None:
    """Show photos with names that begin with their class."""
    chosen = [(kind, number) for kind in ("mug", "plate", "spoon") for number in ("000", "001")]
    pictures = [
        (Image.open(folder / "photos" / kind / f"{number}.jpg"), (f"{kind}.{number}.jpg",))
        for kind, number in chosen
    ]
    keep(row(pictures, 144), "labels-from-names")


def draw_collected(folder: Path) -> None:
    """Show what --collect keeps of the photos and the film, with the reason in its record."""
    command(
        folder, "edge-classify", "--model", MODEL, "--recursive", "photos", "new-photos", "film.mp4",
        "--collect", "unsure", "--collect-below", "0.9",
    )  # fmt: skip
    pictures: list[tuple[Image.Image, Caption]] = []
    for path in sorted((folder / "unsure" / "unsure").glob("*.jpg"), key=_score)[:4]:
        record = _record(path)
        first, second = record["models"][0]["predictions"][:2]
        says = [f"{found['label']} {found['score']:.0%}" for found in (first, second)]
        pictures.append((Image.open(path), says))
    keep(row(pictures, 220), "collected")


def draw_sorted(folder: Path) -> None:
    """Show the folders that the example makes of new-photos."""
    examples = PICTURES.parents[1] / "examples" / "sort_photos.py"
    command(folder, sys.executable, str(examples), MODEL, "new-photos", "sorted")
    found = sorted((folder / "sorted").rglob("*.jpg"))
    pictures = [(Image.open(path), (f"sorted/{path.parent.name}/", path.name)) for path in found]
    keep(row(pictures, 144), "python-sorted")


def draw_patterns(folder: Path) -> None:
    """Show the golden examples in the model file."""
    model = folder / MODEL
    names = [name for name in read_directory(model).names if name.startswith("golden_")]
    pictures = [
        (
            Image.open(io.BytesIO(read_entry(model, name))).resize((288, 288), Image.Resampling.NEAREST),
            (name,),
        )
        for name in names
    ]
    keep(row(pictures, 288), "finished-patterns", 256)


def _record(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return found


def _score(path: Path) -> float:
    return float(_record(path)["models"][0]["predictions"][0]["score"])


def _fit(picture: Image.Image, side: int) -> tuple[int, int]:
    return side, round(picture.height * side / picture.width)


def main(workspace: Path) -> None:
    """Make all of them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = copy_workspace(workspace, Path(scratch) / "example")
        for draw in (draw_frames, draw_names, draw_collected, draw_sorted, draw_patterns):
            draw(folder)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
