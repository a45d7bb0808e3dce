"""Usage: python studies/fuzz_models.py --count 2000 edge/default_model.tflite other.tflite

Claim: with --untrusted, a damaged model file that crashes, hangs or takes memory is an error and nothing
else.

Damages model files and runs each in a child process. Bits are flipped, and parts cut off, moved, doubled and
zeroed, in the flatbuffer, in the card and in the zip's directory; most files get a new checksum, so that the
damage gets past it. Each file is loaded with `untrusted` and classifies a picture. Allowed are an answer, a
refusal by this program or by the runtime, and a child process that crashed, was stopped for its time or
memory, or gave a broken answer. Anything else is a fault of the runner, and makes the exit status 1.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path

import click
import numpy as np
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import EdgeClassifyError, ModelFileError
from edge_classify.edge.foreign import ForeignFacts
from edge_classify.edge.modelfile import CARD_NAME, ModelFile, Normalization
from edge_classify.edge.runtime import Execution

FAULT = "fault of the runner"
# What messages of edge/isolation/parent.py say; the first that is found counts.
_OUTCOMES = (
    ("crashed the interpreter", "child crashed"),
    ("process ended with exit status", FAULT),
    ("seconds", "child stopped: time"),
    ("of memory", "child stopped: memory"),
    ("broken message", "child answered nonsense"),
    (" cannot run it (", "refused by the runtime"),
    ("cannot be run (", "refused by the runtime"),
)
_WORKERS = 2


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", metavar="FILE...", nargs=-1, required=True,
                type=click.Path(exists=True, dir_okay=False, path_type=Path))  # fmt: skip
@click.option(
    "--count", type=click.IntRange(1), default=2000, show_default=True, help="Damaged files in all."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed makes the same files.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder for files that show a fault.")
def main(files: tuple[Path, ...], count: int, seed: int, keep: Path | None) -> None:
    """Damage FILEs, run each, and count the outcomes."""
    outcomes: Counter[str] = Counter()
    shares = [len(range(number, count, len(files))) for number in range(len(files))]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_WORKERS) as pool:
        for path, share in zip(files, shares, strict=True):
            wanted = islice(_write_damaged(path, Path(folder), seed), share)
            for damaged, outcome, detail in _spread(pool, wanted):
                outcomes[outcome] += 1
                if outcome == FAULT:
                    click.echo(f"{path}, {damaged.stem}: {detail}", err=True)
                    if keep is not None:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / damaged.name).write_bytes(damaged.read_bytes())
                damaged.unlink()
    for outcome, number in outcomes.most_common():
        click.echo(f"{number:6}  {outcome}")
    if outcomes[FAULT]:
        sys.exit(1)


def _spread(pool: ThreadPoolExecutor, paths: Iterator[Path]) -> Iterator[tuple[Path, str, str]]:
    """Run the files by the pool, and yield each with its outcome; only a few files exist at a time."""
    while group := list(islice(paths, 10 * _WORKERS)):
        for path, (outcome, detail) in zip(group, pool.map(run_one, group), strict=True):
            yield path, outcome, detail


def run_one(path: Path) -> tuple[str, str]:
    """Return the name of a file's outcome, and the message."""
    try:
        file = ModelFile.read(path)
        normalization = None if file.card or file.normalization else Normalization((0.0,), (255.0,))
        classifier = Classifier(file, ForeignFacts(normalization=normalization), Execution(untrusted=True))
        pixels = np.full((classifier.spec.height, classifier.spec.width, 3), 128, np.uint8)
        return "answer", classifier.classify_pixels(pixels).best.label
    except EdgeClassifyError as error:
        text = str(error)
        refused = "refused by the runner" if isinstance(error, ModelFileError) else FAULT
        return next((name for part, name in _OUTCOMES if part in text), refused), text
    except Exception as error:
        return FAULT, f"{type(error).__name__}: {error}"


def _write_damaged(path: Path, folder: Path, seed: int) -> Iterator[Path]:
    """Write damaged copies of a file without end; the name holds a number and the kind of damage."""
    original = path.read_bytes()
    end = ModelFile.read(path).zip_offset
    rng = random.Random(f"{seed} {path.name}")
    number = 0
    while True:
        kind = rng.choice(list(_DAMAGES))
        place = rng.choice((0, 0, 0, end))  # Three in four in the flatbuffer.
        data = bytearray(original)
        for _ in range(rng.choice((1, 1, 2, 8))):
            low, high = (0, end) if place == 0 or end == len(original) else (end, len(data))
            _DAMAGES[kind](rng, data, min(low, len(data)), min(high, len(data)))
        raw = bytes(data)
        if place == 0 and rng.random() < 0.8:
            raw = with_true_checksum(raw)
        damaged = folder / f"{number:06}-{kind}.tflite"
        damaged.write_bytes(raw)
        yield damaged
        number += 1


def with_true_checksum(raw: bytes) -> bytes:
    """Return a sealed file with the checksum of the bytes before the zip; other files unchanged."""
    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            start = min(entry.header_offset for entry in archive.infolist())
            entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError):
        return raw
    buffer = BytesIO(raw[:start])
    buffer.seek(0, 2)
    with zipfile.ZipFile(buffer, "a") as archive:
        for entry, data in entries:
            if entry.filename == CARD_NAME:
                card = json.loads(data) | {"sha256": hashlib.sha256(raw[:start]).hexdigest()}
                archive.writestr(entry, json.dumps(card))
            else:
                archive.writestr(entry, data)
    return buffer.getvalue()


def _place(rng: random.Random, low: int, high: int) -> int:
    """Return an offset between both: mostly in the first or last 20,000 bytes, where the tables are."""
    size = max(1, high - low)
    near = min(size, 20_000)
    return low + rng.choice((rng.randrange(size), rng.randrange(near), size - 1 - rng.randrange(near)))


def _flip(rng: random.Random, data: bytearray, low: int, high: int) -> None:
    place = _place(rng, low, high)
    if place < len(data):
        data[place] ^= 1 << rng.randrange(8)


def _set_word(rng: random.Random, data: bytearray, low: int, high: int) -> None:
    place = _place(rng, low, high) & ~3
    word = rng.choice(
        (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFF, rng.getrandbits(32), rng.getrandbits(8))
    )
    if place + 4 <= len(data):
        data[place : place + 4] = word.to_bytes(4, "little")


def _zero(rng: random.Random, data: bytearray, low: int, high: int) -> None:
    place, size = _place(rng, low, high), rng.randrange(1, 5000)
    stop = min(place + size, len(data))
    data[place:stop] = bytes(stop - place)


def _truncate(rng: random.Random, data: bytearray, low: int, high: int) -> None:
    del data[max(8, _place(rng, low, high)) :]


def _remove(rng: random.Random, data: bytearray, low: int, high: int) -> None:
    place = max(8, _place(rng, low, high))
    del data[place : place + rng.randrange(1, 5000)]


def _splice(rng: random.Random, data: bytearray, low: int, high: int) -> None:
    source, target, size = _place(rng, low, high), _place(rng, low, high), rng.randrange(4, 3000)
    part = data[source : source + size]
    data[target : target + len(part)] = part


_DAMAGES = {
    "flip": _flip,
    "word": _set_word,
    "zero": _zero,
    "truncate": _truncate,
    "remove": _remove,
    "splice": _splice,
}

if __name__ == "__main__":
    main()
