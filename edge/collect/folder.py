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
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from itertools import count
from pathlib import Path

from ..durable import sync_folder
from ..errors import OptionError
from ..file_batch import FileBatch
from ..files import write_atomically
from ..parts import place
from ..picture_kinds import looks_like_picture
from .scenes import Scenes

UNSURE = "unsure"
LABELLED = "labelled"
README = "README.txt"
_NAME = re.compile(r"\d{8}-\d{6}-([0-9a-f]{16})(?:-\d+)?")
_UNTITLED = ("Cc", "Cs", "Zl", "Zp")  # What edge-train refuses in the name of a class: controls, surrogates.
_END = 16  # Bytes; no JPEG and no record ends in so many zeros.
_LONGEST = 255  # Bytes of a file's name on Linux, macOS and Windows.
_TEXT = """\
unsure/ holds pictures that a model was not sure of or does not know, each with a .json file that says why.
Move each picture into the folder of its class in labelled/, or delete it; make folders for new classes.
Then take out the folders of classes that stayed empty, and train: edge-train labelled
Leave the .json files in unsure/: a scene is not collected again while its picture or its .json file is here.
"""


class CollectFolder:
    """Puts pictures into a folder, and counts its contents.

    `pictures` and `bytes` count all files in the folder, also those that a person has sorted. `scenes` holds
    the scenes of all pictures that were found or added. `damaged` are the pictures and records that were
    found empty or cut, as a power cut leaves files that were not synced: their scenes are not known.
    """

    def __init__(
        self, root: Path, labels: Iterable[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the folder's path and the labels of all models; `prepare` makes the folder.

        `clock` gives seconds.
        """
        self.root = root
        self._labels = tuple(dict.fromkeys(labels))
        self.pictures = 0
        self.bytes = 0
        self.scenes = Scenes()
        self.damaged: list[Path] = []
        self._batch = FileBatch(root / UNSURE, clock)

    def prepare(self) -> None:
        """Make the missing folders, and count the files; raises OSError, and OptionError for a link.

        The parent folder must exist: a missing one may belong to a disk that was removed.
        """
        inner = (self.root / UNSURE, self.root / LABELLED)
        new = [folder for folder in (self.root, *inner) if not folder.exists()]
        for folder in (self.root, *inner):
            folder.mkdir(exist_ok=True)
            if folder != self.root and folder.is_symlink():
                raise OptionError(
                    f"{folder} is a link, and is not followed. Name the folder that it leads to, or remove it"
                )
        for parent in dict.fromkeys(folder.parent for folder in new):
            sync_folder(parent)
        _write_new(self.root / README, _TEXT)
        self._make_class_folders(self.root / LABELLED)
        self._count()

    def add(self, picture: bytes, scene: int, record: Mapping[str, object]) -> None:
        """Write a JPEG file and its record, which get their names by `commit`; after OSError neither exists.

        The record gets the time and the scene. It gets its name first, so that no picture lacks its record.
        """
        now = datetime.now(timezone.utc)
        stated = {"time": now.isoformat(timespec="seconds"), "scene": f"{scene:016x}"}
        text = json.dumps({**record, **stated}, indent=1) + "\n"
        name = f"{now:%Y%m%d-%H%M%S}-{scene:016x}"
        contents = [(f"{name}.json", text.encode()), (f"{name}.jpg", picture)]
        self._batch.add(contents, partial(self._give_names, name))
        self.pictures += 1
        self.bytes += len(picture) + len(text)
        self.scenes.add(scene)

    @property
    def is_due(self) -> bool:
        """Whether pictures wait for `commit` that should not wait longer."""
        return self._batch.is_due

    def commit(self) -> list[OSError]:
        """Give pictures and records their names; return an error for each picture that could not be kept."""
        return self._batch.commit()

    def _give_names(self, name: str, parts: Sequence[Path]) -> None:
        record, picture = parts
        for number in count(1):
            path = self.root / UNSURE / (name if number == 1 else f"{name}-{number}")
            if os.path.lexists(path.with_suffix(".jpg")):
                continue
            with suppress(FileExistsError):
                place(record, path.with_suffix(".json"), replace=False)
                break
        try:
            place(picture, path.with_suffix(".jpg"), replace=False)
        except BaseException:
            path.with_suffix(".json").unlink(missing_ok=True)
            raise

    def _count(self) -> None:
        self.pictures = self.bytes = 0
        self.scenes, self.damaged = Scenes(), []
        stems = set()
        for path in _files(self.root):
            try:
                size = path.lstat().st_size
                collected = _NAME.fullmatch(path.stem) and path.suffix in (".jpg", ".json")
                if collected and not path.is_symlink() and _is_damaged(path, size):
                    self.damaged.append(path)
            except OSError:  # A person is sorting the files, or only others may read this one.
                continue
            self.bytes += size
            self.pictures += looks_like_picture(str(path))
            stems.add(path.stem)
        lost = {path.stem for path in self.damaged}
        for stem in stems - lost:
            if match := _NAME.fullmatch(stem):
                self.scenes.add(int(match[1], 16))

    def _make_class_folders(self, labelled: Path) -> None:
        present = set(os.listdir(labelled))  # noqa: PTH208 - names, of which there may be thousands.
        for label in self._labels:
            if label in present or (_can_name_a_class(label) and _make(labelled / label)):
                continue
            folder = labelled / _substitute(label)
            if folder.name not in present:
                folder.mkdir(exist_ok=True)
            if folder.is_symlink():  # Nothing is written through a link.
                continue
            text = "This folder is for the class {}, whose name no folder can have here.\n"
            _write_new(folder / README, text.format(json.dumps(label)))


def _is_damaged(path: Path, size: int) -> bool:
    """Return whether a picture or record was cut: it is empty, or zeros stand where its end should be."""
    if size == 0:
        return True
    with path.open("rb") as file:
        file.seek(max(0, size - _END))
        return not file.read(_END).strip(b"\0")


def _write_new(path: Path, text: str) -> None:
    """Write a file unless there is something of this name; a link is left alone."""
    if not os.path.lexists(path):
        with suppress(FileExistsError):
            write_atomically(path, text, replace=False)


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
