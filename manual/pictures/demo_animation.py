"""The README's moving picture, docs/pictures/demo.webp: train, convert and classify live, from a real run.

    python -m manual.pictures.demo_animation

Three commands run one after the other in terminals of their own, on drawn photos and a drawn film, and what
the terminals showed becomes the picture. Waiting is cut, and the picture says how much of it. Beside the
third command stand the pictures that it saved itself, each while its number is on the terminal.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from edge_classify.edge.console import say
from PIL import Image, ImageDraw

from ..things import CLASSES, draw_thing
from ..workspace import environment
from .terminal import PAPER, Cell, Painter, Recording, Screen, load_font, record

TARGET = Path(__file__).parents[2] / "docs" / "pictures" / "demo.webp"
_SIZE = (800, 450)
_HEAD, _MARGIN, _ROWS = 44, 12, 21
_BESIDE = 320  # Pixels of the camera's picture.
_PHOTOS_EACH = 200  # From 500 on in all, a model is trained once.
_FILM_RATE, _FILM_EACH = 10, 30  # Frames a second, and of each thing.
_FILM = (("mug", "a"), ("spoon", "b"), ("plate", "c"))

_LETTERS, _TYPED = 4, 0.1  # Typed at once, and the seconds that they take.
_PAUSE = 0.7  # Longer standstill is cut to this.
_SAID = 2.0  # Seconds; from here on it is said that something was cut.
_CAPTION = 1.2  # Seconds that this is shown.
_LAPSE = 0.15  # Seconds of each screen in between, where a step has such.
_ACCENT, _QUIET = (97, 175, 239), (128, 134, 146)
_PAINTER = Painter(14)


@dataclass(frozen=True)
class Step:
    """A command, its name in the head, and how long its start, its end and its last screen are shown.

    Times are in seconds. `between` is how many screens of the rest are shown, each for a moment.
    """

    title: str
    command: str
    first: float
    last: float
    stays: float
    between: int = 0
    live: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of its terminal."""
        pixels = _SIZE[0] - 2 * _MARGIN - (_BESIDE + _MARGIN if self.live else 0)
        return _PAINTER.columns_in(pixels), _ROWS


STEPS = (
    Step("Train", "edge-train photos --model cnn --preset fast --output run", 3.0, 1.0, 2.5, 25),
    Step("Convert", "edge-convert run --output models", 1.0, 0.7, 3.5),
    Step(
        "Classify live",
        "edge-classify -m models/{shipped} --camera film.mp4 --save-annotated seen",
        11.0, 0.0, 1.0, live=True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """What the picture shows for some seconds."""

    step: Step
    screen: Screen
    seconds: float
    caption: str = ""
    seen: Path | None = None


def main() -> None:
    """Run the commands and write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "demo"
        _write_photos(folder / "photos")
        _write_film(folder / "film.mp4")
        scenes: list[Scene] = []
        shipped = ""
        for each in STEPS:
            step = replace(each, command=each.command.format(shipped=shipped))
            say(f"$ {step.command}")
            prompt = f"$ {step.command}"
            recording = record(shlex.split(step.command), environment(folder), folder, step.size, prompt)
            if recording.status != 0:
                sys.exit("\n".join(recording.lines()))
            told = re.search(r"^Ship (\S+):", "\n".join(recording.lines()), re.MULTILINE)
            shipped = told[1] if told else "cnn_int8.tflite"  # What the program itself recommends.
            scenes += [*_typing(step), *_showing(step, recording, folder / "seen")]
        _save([_draw(scene) for scene in scenes], [scene.seconds for scene in scenes])
    seconds = sum(scene.seconds for scene in scenes)
    say(f"{TARGET.name}: {seconds:.0f} s, {len(scenes)} frames, {TARGET.stat().st_size / 1e6:.2f} MB")


def _write_photos(folder: Path) -> None:
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(_PHOTOS_EACH):
            draw_thing(name, f"photo {number}").save(folder / name / f"{number:03}.jpg", quality=90)


def _write_film(path: Path) -> None:
    """Write a film of one thing after the other, each seen by a hand that is not quite still."""
    import cv2

    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), _FILM_RATE, (_BESIDE, _BESIDE))
    for name, seed in _FILM:
        thing = np.asarray(draw_thing(name, seed, _BESIDE + 40))[:, :, ::-1]
        for number in range(_FILM_EACH):
            left, top = 20 + round(12 * np.sin(number / 5)), 20 + round(9 * np.cos(number / 7))
            film.write(np.ascontiguousarray(thing[top : top + _BESIDE, left : left + _BESIDE]))
    film.release()


def _typing(step: Step) -> Iterator[Scene]:
    for end in range(0, len(step.command) + _LETTERS, _LETTERS):
        yield Scene(step, _prompt(step.command[:end], step.size), _TYPED)


def _prompt(command: str, size: tuple[int, int]) -> Screen:
    text = f"$ {command}█"
    lines = [text[start : start + size[0]] for start in range(0, len(text), size[0])]
    return tuple(tuple(Cell(letter) for letter in line) for line in lines)


def _showing(step: Step, recording: Recording, folder: Path) -> Iterator[Scene]:
    """Yield what a command showed, without standstill; what was cut is said where it is missing."""
    times = [*(moment.time for moment in recording.moments), recording.seconds]
    lasted = [end - start for start, end in pairwise(times)]
    kept, between = _kept(lasted, step)
    fast = f"{sum(lasted[index] for index in range(min(between), max(between) + 1)):.0f} s" if between else ""
    fast = f"{fast} in {len(between) * _LAPSE:.0f} s"
    cut = 0.0
    seen = None
    scene = None
    for index, moment in enumerate(recording.moments):
        seen = _seen(moment.screen, folder) or seen if step.live else None
        if index in between:
            yield Scene(step, moment.screen, _LAPSE, fast, seen)
            cut = 0.0
            continue
        cut += lasted[index] - kept[index]
        if kept[index]:
            caption = f"{cut:.0f} s later" if cut >= _SAID else ""
            seconds = max(kept[index], _CAPTION if caption else 0)
            scene = Scene(step, moment.screen, seconds, caption, seen)
            yield scene
            cut = 0.0
    if scene is not None:
        yield replace(scene, seconds=step.stays, caption="")


def _kept(lasted: Sequence[float], step: Step) -> tuple[list[float], set[int]]:
    """Return how long each moment is shown, and which ones between its start and its end are, too."""
    short = [min(seconds, _PAUSE) for seconds in lasted]
    kept = [0.0] * len(short)
    for order, most in ((range(len(short)), step.first), (range(len(short) - 1, -1, -1), step.last)):
        left = most
        for index in order:
            if kept[index] or short[index] > left:
                break
            kept[index] = short[index]
            left -= short[index]
    kept[-1] = short[-1]
    rest = [index for index, seconds in enumerate(kept) if not seconds]
    between = {rest[round(place)] for place in np.linspace(0, len(rest) - 1, step.between)} if rest else set()
    return kept, between


def _seen(screen: Screen, folder: Path) -> Path | None:
    """Return the saved picture of the frame whose number stands on the terminal."""
    text = "\n".join("".join(cell.text for cell in row) for row in screen)
    numbers = re.findall(r"frame (\d+)", text)
    path = folder / f"camera_{int(numbers[-1]):06d}.jpg" if numbers else folder
    return path if path.is_file() else None


def _draw(scene: Scene) -> Image.Image:
    picture = Image.new("RGB", _SIZE, PAPER)
    draw = ImageDraw.Draw(picture)
    x = float(_MARGIN)
    for number, step in enumerate(STEPS, start=1):
        now = step.title == scene.step.title
        font = load_font(18, bold=now)
        text = f"{number} {step.title}"
        draw.text((x, 10), text, fill=_ACCENT if now else _QUIET, font=font)
        x += load_font(18, bold=True).getlength(f"{text}    ")
    draw.line((0, _HEAD - 6, _SIZE[0], _HEAD - 6), fill=(58, 62, 70))
    _PAINTER.paint(picture, scene.screen, (_MARGIN, _HEAD))
    if scene.seen is not None:
        corner = (_SIZE[0] - _BESIDE - _MARGIN, _HEAD + _MARGIN)
        with Image.open(scene.seen) as seen:
            picture.paste(seen.convert("RGB"), corner)
        name = f"{scene.seen.parent.name}/{scene.seen.name}"
        draw.text((corner[0], corner[1] + _BESIDE + 8), name, fill=_QUIET, font=load_font(16))
    if scene.caption:
        font = load_font(18, bold=True)
        width = font.getlength(scene.caption)
        box = (_SIZE[0] - width - 44, _SIZE[1] - 52, _SIZE[0] - 12, _SIZE[1] - 12)
        draw.rounded_rectangle(box, 8, fill=_ACCENT)
        draw.text((box[0] + 16, box[1] + 9), scene.caption, fill=PAPER, font=font)
    return picture


def _save(pictures: Sequence[Image.Image], seconds: Sequence[float]) -> None:
    """Write the animation; times are rounded so that their sum is kept."""
    ends = np.rint(np.cumsum(seconds) * 1000).astype(int)
    lengths = np.diff(ends, prepend=0).tolist()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    pictures[0].save(
        TARGET, "WEBP", save_all=True, append_images=pictures[1:], duration=lengths, loop=0,
        quality=80, method=4, allow_mixed=True, minimize_size=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
