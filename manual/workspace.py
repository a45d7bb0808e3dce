"""Makes the example workspace, in which the commands of the manual run.

    python -m manual.workspace FOLDER

Everything is drawn, trained and converted here, in about a minute; nothing is downloaded.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

from manual.things import CLASSES, draw_thing

PHOTOS_EACH = 80
# What the reader has who did what the start page says.
TRAIN = (
    "edge-train", "photos", "--model", "cnn", "--preset", "fast", "--folds", "0", "--image-size", "48",
    "--output", "run",
)  # fmt: skip
CONVERT = ("edge-convert", "run", "--output", "models")


def make_workspace(folder: Path) -> None:
    """Make the workspace in a folder that is not there yet; raises CalledProcessError if a command fails."""
    folder.mkdir(parents=True)
    _write_photos(folder)
    _write_film(folder / "film.mp4")
    for command in (TRAIN, CONVERT):
        subprocess.run(command, cwd=folder, check=True, env=environment(folder), stdout=subprocess.DEVNULL)
    _write_their_model(folder)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a command's process: this Python's commands first, and a cache of its own."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EDGE_", "COLUMNS", "LINES"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    cache = folder.parent / f"{folder.name}.cache"
    return {**own, "PATH": path, "EDGE_CLASSIFY_CACHE": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"}


def _write_photos(folder: Path) -> None:
    rows = []
    for name in CLASSES:
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(PHOTOS_EACH):
            path = f"{name}/{number:03}.jpg"
            draw_thing(name, f"photo {number}").save(folder / "photos" / path, quality=90)
            rows.append((path, name))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "class"), *rows])
    (folder / "new-photos").mkdir()
    for number, name in enumerate(("mug", "spoon", "plate", "fork", "mug", "spoon"), start=1):
        draw_thing(name, f"new {number}", 320).save(folder / f"new-photos/{number}.jpg", quality=92)


def _write_film(path: Path) -> None:
    """Write six seconds: a mug, then a spoon, each seen by a hand that is not quite still."""
    import cv2
    import numpy as np

    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 240))
    for number in range(60):
        thing = np.asarray(draw_thing("mug" if number < 30 else "spoon", "film 3", 360))
        left, top = 20 + round(12 * np.sin(number / 5)), 60 + round(9 * np.cos(number / 7))
        film.write(np.ascontiguousarray(thing[top : top + 240, left : left + 320, ::-1]))
    film.release()


def _write_their_model(folder: Path) -> None:
    """Write a Keras model as somebody else has it: no card, labels in a file, pixels from -1 to 1."""
    script = Path(__file__).with_name("their_model.py")
    command = [sys.executable, str(script), "photos", "theirs.keras"]
    subprocess.run(command, cwd=folder, check=True, env=environment(folder), stdout=subprocess.DEVNULL)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():
        sys.exit("Usage: python -m manual.workspace FOLDER (one that is not there yet)")
    make_workspace(Path(sys.argv[1]))
