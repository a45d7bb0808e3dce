"""The folder of collected pictures, in the form that edge-train takes after a person has sorted them.

DIR/README.txt            what to do with them
DIR/unsure/NAME.jpg       a picture; NAME is the time (UTC) and the hash of its scene
DIR/unsure/NAME.json      why it was kept, and the answer of each model
DIR/labelled/<class>/     empty, for a person to move pictures to
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path

from ..files import write_atomically
from ..picture_kinds import looks_like_picture
from .scenes import Scenes

UNSURE = "unsure"
LABELLED = "labelled"
README = "README.txt"
_NAME = re.compile(r"\d{8}-\d{6}-([0-9a-f]{16})(?:-\d+)?")
_UNTITLED = ("Cc", "Cs", "Zl", "Zp")  # What edge-train refuses in the name of a class: controls, surrogates.
_LONGEST = 255  # Bytes of a file's name on Linux, macOS and Windows.
_TEXT = """\
unsure/ holds pictures that a model was not sure of, each with a .json file that says why.
Move each picture into the folder of its class in labelled/, or delete it; make folders for new classes.
Then take out the folders of classes that stayed empty, and train: edge-train labelled
Leave the .json files in unsure/: a scene is not collected again while its picture or its .json file is here.
"""


class CollectFolder:
    """Puts pictures into a folder, and counts its contents.

    `pictures` and `bytes` count all files in the folder, also those that a person has sorted. `scenes` holds
    the scenes of all pictures that were found or added.
    """

    def __init__(self, root: Path, labels: Iterable[str]) -> None:
        """Take the folder's path and the labels of all models; `prepare` makes the folder."""
        self.root = root
        self._labels = tuple(dict.fromkeys(labels))
        self.pictures = 0
        self.bytes = 0
        self.scenes = Scenes()

    def prepare(self) -> None:
        """Make the missing folders, and count the files; raises OSError.

        The parent folder must exist: a missing one may belong to a disk that was removed.
        """
        for folder in (self.root, self.root / UNSURE, self.root / LABELLED):
            folder.mkdir(exist_ok=True)
        if not (self.root / README).exists():
            write_atomically(self.root / README, _TEXT)
        self._make_class_folders(self.root / LABELLED)
        self._count()

    def add(self, picture: bytes, scene: int, record: Mapping[str, object]) -> None:
        """Write a JPEG file and its record; after OSError or OptionError neither exists.

        The record, which gets the time and the scene, is written first, so that no picture lacks its record.
        """
        now = datetime.now(timezone.utc)
        stated = {"time": now.isoformat(timespec="seconds"), "scene": f"{scene:016x}"}
        text = json.dumps({**record, **stated}, indent=1) + "\n"
        path = self._free_name(f"{now:%Y%m%d-%H%M%S}-{scene:016x}")
        write_atomically(path.with_suffix(".json"), text)
        try:
            write_atomically(path.with_suffix(".jpg"), picture)
        except BaseException:
            path.with_suffix(".json").unlink(missing_ok=True)
            raise
        self.pictures += 1
        self.bytes += len(picture) + len(text)
        self.scenes.add(scene)

    def _free_name(self, name: str) -> Path:
        path, count = self.root / UNSURE / name, 1
        while path.with_suffix(".json").exists() or path.with_suffix(".jpg").exists():
            count += 1
            path = path.with_name(f"{name}-{count}")
        return path

    def _count(self) -> None:
        self.pictures = self.bytes = 0
        for path in _files(self.root):
            try:
                self.bytes += path.lstat().st_size
            except FileNotFoundError:  # A person is sorting the files.
                continue
            self.pictures += looks_like_picture(str(path))
            if match := _NAME.fullmatch(path.stem):
                self.scenes.add(int(match[1], 16))

    def _make_class_folders(self, labelled: Path) -> None:
        present = set(os.listdir(labelled))  # noqa: PTH208 - names, of which there may be thousands.
        for label in self._labels:
            if label in present or (_can_name_a_class(label) and _make(labelled / label)):
                continue
            folder = labelled / _substitute(label)
            if folder.name not in present:
                folder.mkdir(exist_ok=True)
            if not (folder / README).exists():
                text = "This folder is for the class {}, whose name no folder can have here.\n"
                write_atomically(folder / README, text.format(json.dumps(label)))


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield Path(folder, name)


def _can_name_a_class(label: str) -> bool:
    """Return whether a folder can have this name, and edge-train would read exactly this label from it."""
    return (
        label == label.strip()
        and not label.startswith(".")
        and not label.endswith(".")  # Windows would drop it.
        and not any(c in "/\\" or unicodedata.category(c) in _UNTITLED for c in label)
        and 0 < len(label.encode()) <= _LONGEST
    )


def _make(folder: Path) -> bool:
    """Make a folder, and return False where the disk cannot: not every disk allows every name.

    A folder that exists already has another label on a disk for which "Cat" and "cat" are equal. A disk that
    cannot be written is noticed when the substitute is made.
    """
    try:
        folder.mkdir()
    except OSError:
        return False
    return True


def _substitute(label: str) -> str:
    """Return a unique name for a label: its plain letters and digits, and a part of its SHA-256."""
    readable = re.sub(r"[^A-Za-z0-9]+", "_", label)[:40].strip("_")
    digest = hashlib.sha256(label.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{readable or 'class'}-{digest}"
