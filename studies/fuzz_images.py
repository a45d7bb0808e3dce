"""Usage: python studies/fuzz_images.py --count 10000

Claim: a damaged image file is a picture or one clear error, and never a traceback or a warning.

Makes a small file of every format and mode that Pillow writes, damages it (cuts it off, flips bits, inserts
bytes of another file, makes numbers extreme), and reads it in full, reduced, and as FileSource does. Any
exception but ImageError, any warning that the commands do not silence, and any line on stderr, to which
decoders in C write too, is a failure. A crash ends the process; the same --seed repeats it. Prints a
Markdown table; the exit status is 1 after a failure.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import click
import numpy as np
from edge_classify.edge.errors import ImageError
from edge_classify.edge.image import load_image
from edge_classify.edge.image_file import FORMATS
from edge_classify.edge.sources.files import FileSource
from PIL import Image

SIDE = 40
COVER = (9, 7)
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F")
# The ways of saving that reach other code in the decoders.
WAYS: dict[str, tuple[dict[str, Any], ...]] = {
    "JPEG": ({}, {"progressive": True}, {"subsampling": 0, "quality": 100}, {"restart_marker_blocks": 2}),
    "PNG": ({}, {"save_all": True}, {"transparency": 1}),
    "GIF": ({}, {"save_all": True}, {"interlace": 0}, {"save_all": True, "disposal": 2}),
    "TIFF": (
        {}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}, {"compression": "jpeg"},
        {"compression": "packbits"}, {"compression": "group4"}, {"save_all": True},
    ),
    "WEBP": ({}, {"lossless": True}, {"save_all": True}),
}  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--count", type=click.IntRange(1), default=10_000, show_default=True, help="Damaged files.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the damage.")
def main(count: int, seed: int) -> None:
    """Read damaged images of every format, and count the outcomes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _stderr_of_process():  # libtiff says there what it cannot save.
            originals = make_originals()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", module="PIL")  # As the commands do.
    if missing := set(FORMATS) - {"AVIF", "HEIF"} - {name for name, _ in originals}:  # These are optional.
        raise click.ClickException(
            f"This Pillow cannot write {', '.join(sorted(missing))}: nothing to damage"
        )
    outcomes: Counter[tuple[str, str]] = Counter()
    failures: list[str] = []
    for number, (name, data) in enumerate(damaged_files(originals, count, seed)):
        outcome = check(data, name)
        kind = outcome if outcome in ("picture", "error") else "failure"
        outcomes[name, kind] += 1
        if kind == "failure":
            failures.append(f"--seed {seed}, file {number} ({name}): {outcome}")
    _print_table(outcomes)
    for failure in failures:
        click.echo(failure, err=True)
    sys.exit(1 if failures else 0)


def make_originals() -> list[tuple[str, bytes]]:
    """Return (format, bytes) of a small file for each format, mode and way of saving that Pillow has."""
    Image.init()
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    found: dict[tuple[str, bytes], None] = {}
    for name in sorted(Image.SAVE):
        for mode in MODES:
            picture = noise.convert("L").convert(mode) if mode.startswith("I") else noise.convert(mode)
            for way in WAYS.get(name, ({},)):
                options = {"append_images": [picture.rotate(90)], **way} if "save_all" in way else way
                with BytesIO() as buffer:
                    try:
                        picture.save(buffer, name, exif=exif, **options)
                    except (
                        OSError,
                        ValueError,
                        KeyError,
                        TypeError,
                        AttributeError,
                        RuntimeError,
                        ImportError,
                    ):
                        continue  # A format without this mode, or one that needs another library.
                    found[name, buffer.getvalue()] = None
    return list(found)


def damaged_files(originals: list[tuple[str, bytes]], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield `count` damaged files, all formats in turn, those that are accepted eight times as often."""
    rng = random.Random(seed)
    groups: dict[str, list[bytes]] = {}
    for name, data in originals:
        groups.setdefault(name, []).append(data)
    turns = [name for name in groups for _ in range(8 if name in FORMATS else 1)]
    for number in range(count):
        name = turns[number % len(turns)]
        data = rng.choice(groups[name])
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = rng.choice(DAMAGES)(data, rng.choice(originals)[1], rng)
        yield name, data


def check(data: bytes, name: str) -> str:
    """Return "picture" or "error" by the result of load_image, or else the failure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"damaged.{name.lower()}")
        path.write_bytes(data)
        try:
            with _stderr_of_process() as written:
                outcomes = [_read(lambda: load_image(data)), _read(lambda: load_image(path, COVER))]
                for frame in FileSource([path]):
                    if (picture := frame.picture) is not None:
                        _read(lambda picture=picture: picture.image(COVER))  # type: ignore[misc]
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    if written:
        return f"written to stderr: {written[0]!r}"
    return outcomes[0]


def _read(decode: Callable[[], Image.Image]) -> str:
    try:
        picture = decode()
    except ImageError:
        return "error"
    if picture.mode != "RGB" or np.asarray(picture).shape != (picture.height, picture.width, 3):
        raise AssertionError(f"a picture in {picture.mode} of {picture.size}")
    return "picture"


@contextmanager
def _stderr_of_process() -> Iterator[list[bytes]]:
    """Collect the text that is written to file descriptor 2, which C libraries use: at most one element."""
    written: list[bytes] = []
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield written
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            written += [text for text in [file.read(500)] if text]


def _cut(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(data)
    # Headers, where sizes and offsets stand, are a small part of most files.
    reach = min(len(data), rng.choice((64, 512, len(data))))
    for _ in range(rng.choice((1, 2, 8, 64)) if data else 0):
        flipped[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def _splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randrange(len(other) + 1) for _ in range(2))
    place = rng.randrange(len(data) + 1)
    return data[:place] + other[start:end] + data[place + rng.choice((0, end - start)) :]


def _exaggerate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(min(len(data), 512) + 1)
    extreme = rng.choice((b"\0\0", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
    return data[:place] + extreme + data[place + len(extreme) :]


DAMAGES = (_cut, _flip, _splice, _exaggerate)


def _print_table(outcomes: Counter[tuple[str, str]]) -> None:
    click.echo("| format | files | picture | error | failure |\n|---|---|---|---|---|")
    names = sorted({name for name, _ in outcomes}, key=lambda name: (name not in FORMATS, name))
    for name in names:
        counts = [outcomes[name, kind] for kind in ("picture", "error", "failure")]
        click.echo(f"| {name} | {sum(counts)} | {counts[0]} | {counts[1]} | {counts[2]} |")
    totals = [sum(outcomes[name, kind] for name in names) for kind in ("picture", "error", "failure")]
    click.echo(f"| **all** | {sum(totals)} | {totals[0]} | {totals[1]} | {totals[2]} |")


if __name__ == "__main__":
    main()
