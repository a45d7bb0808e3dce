"""Classes in the names of image files: "cat.0.jpg", "great_dane_12.png", "cat (1).jpg", "0001_cat.jpg"."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath
from typing import Literal

Place = Literal["start", "end"]
PLACES: tuple[Place, ...] = ("start", "end")
# What cameras, phones and programs begin the names of all their files with.
_OF_PROGRAMS = (
    "img", "imgs", "image", "images", "imag", "pic", "pics", "picture", "pictures", "photo", "photos",
    "foto", "fotos", "bild", "bilder", "dsc", "dscn", "dscf", "dsci", "dcim", "pxl", "mvi", "vid",
    "video", "gopr", "dji", "cimg", "sam", "frame", "frames", "scan", "screenshot", "screen", "snapshot",
    "shot", "capture", "cam", "camera", "webcam", "whatsapp", "signal", "facebook", "fb", "download",
    "downloads", "unnamed", "untitled", "file", "sample", "crop", "cropped", "from",
)  # fmt: skip
_SUBSETS = ("train", "training", "test", "testing", "val", "valid", "validation")
_WORD = re.compile(r"[^\s._()\[\]{}~+,-]+")
_NUMBERED = {
    "start": re.compile(r"([^\W\d_]+)\d+"),
    "end": re.compile(r"\d+([^\W\d_]+)"),
}
_SHORTEST_GLUED = 3  # Letters before a number; fewer in a later word may be a part of a checksum.


def label_in_name(name: str, place: Place = "start") -> str | None:
    """Return the words before the first number in a file's name, or those after its last one ("end").

    What cameras call all their pictures (IMG, DSC, frame) is no class; None where nothing else is there. A
    number is a class where another number follows it.

    Example:
        >>> label_in_name("great_dane_12.jpg"), label_in_name("IMG_0001.jpg"), label_in_name("7_0012.png")
        ('great_dane', None, '7')
    """
    stem = unicodedata.normalize("NFC", PurePath(name).stem)
    words = list(_WORD.finditer(stem))
    if place == "end":
        words.reverse()
    spans: list[tuple[int, int]] = []
    for number, word in enumerate(words):
        if not any(c.isdigit() for c in word[0]):
            spans.append(word.span())
            continue
        glued = _NUMBERED[place].fullmatch(word[0])
        if glued and (not number or len(glued[1]) >= _SHORTEST_GLUED):
            spans.append((word.start() + glued.start(1), word.start() + glued.end(1)))
        elif not number and word[0].isdecimal() and any(c.isdigit() for w in words[1:2] for c in w[0]):
            return word[0]
        break
    while spans and stem[slice(*spans[-1])].lower() in _OF_PROGRAMS:
        spans.pop()
    while spans and stem[slice(*spans[0])].lower() in _OF_PROGRAMS:
        spans.pop(0)
    return stem[min(spans)[0] : max(spans)[1]] if spans else None


def classes_in_names(names: Iterable[str], place: Place = "start") -> list[str]:
    """Return what may be the classes that many file names hold: none where the names look otherwise.

    At least two must occur twice or more, in nine of ten names; "train" and "test" are no classes.
    """
    names = list(names)
    counts = Counter(label for name in names if (label := label_in_name(name, place)))
    repeated = sorted(label for label, count in counts.items() if count > 1)
    if len(repeated) < 2 or sum(counts[label] for label in repeated) < 0.9 * len(names):
        return []
    return [] if are_subsets(repeated) or all(label.isdecimal() for label in repeated) else repeated


def are_subsets(labels: Iterable[str]) -> bool:
    """Return whether all of these are names of subsets, such as train and test."""
    return all(label.lower() in _SUBSETS for label in labels)
