"""Usage: python studies/twins.py FOLDER ... [--distinct FOLDER] [--sheet FILE.png] [--time TREE]

Claims: of mirrored, re-encoded and resized copies edge-train's audit finds at least 97 %, of parts with 90 %
of each side at least 83 %, and of those without 10 % at each of the four sides at least 77 %, in each of five
sets of photos (568 to 60,000); in 1,000 photos of as many classes it finds no pair.

Makes copies of a sample of the pictures in each FOLDER, puts them among all of its pictures, and prints as a
Markdown table which share of each kind is found: original and copy are in one group. What is found among the
pictures themselves is counted apart; in a folder given with --distinct, where no two pictures show the same,
it is false. --sheet draws 56 pairs, one of each group, to look at. --time compares the time of the audit with
that of another tree of the sources, in turns.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from statistics import median

import click
import numpy as np
from edge_classify.edge.cores import cores
from edge_classify.edge.picture_kinds import SUFFIXES
from edge_classify.train.audit import audit_images
from edge_classify.train.findings import Audit
from edge_classify.train.image_facts import ImageFacts, inspect_image
from PIL import Image, ImageDraw, ImageOps

Change = Callable[[Image.Image, random.Random], bytes]
TURNS = 3
PAIRS_ON_SHEET = 56
SIDE, COLUMNS = 96, 8
ROOT = Path(__file__).parent.parent


def _saved(image: Image.Image, format: str, **options: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _jpeg(image: Image.Image, rng: random.Random) -> bytes:
    return _saved(image, "JPEG", quality=rng.randint(40, 95))


def _resized(image: Image.Image, across: float, down: float) -> Image.Image:
    return image.resize((round(image.width * across), round(image.height * down)), Image.Resampling.BICUBIC)


def _cropped(image: Image.Image, share: float, rng: random.Random) -> Image.Image:
    """Return a part with `share` of each side, from a random place."""
    width, height = round(image.width * share), round(image.height * share)
    x, y = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((x, y, x + width, y + height))


def _middle(image: Image.Image, rng: random.Random) -> bytes:
    x, y = round(image.width * 0.1), round(image.height * 0.1)
    return _saved(image.crop((x, y, image.width - x, image.height - y)), "PNG")


def _everything(image: Image.Image, rng: random.Random) -> bytes:
    return _jpeg(ImageOps.mirror(_cropped(_resized(image, 1.5, 1.4), 0.9, rng)), rng)


KINDS: dict[str, Change] = {
    "mirrored": lambda image, rng: _saved(ImageOps.mirror(image), "PNG"),
    "JPEG, quality 40": lambda image, rng: _saved(image, "JPEG", quality=40),
    "JPEG, quality 40 to 95": _jpeg,
    "WebP, quality 75": lambda image, rng: _saved(image, "WEBP", quality=75),
    "half the size": lambda image, rng: _saved(_resized(image, 0.5, 0.5), "PNG"),
    "double the size": lambda image, rng: _saved(_resized(image, 2, 2), "PNG"),
    "other aspect": lambda image, rng: _saved(_resized(image, rng.uniform(0.8, 1.2), 1), "PNG"),
    "half the size, mirrored, JPEG": lambda image, rng: _jpeg(
        ImageOps.mirror(_resized(image, 0.5, 0.5)), rng
    ),
    "90 % of each side, anywhere": lambda image, rng: _saved(_cropped(image, 0.9, rng), "PNG"),
    "10 % off each of the four sides": _middle,
    "enlarged, cropped, mirrored, JPEG": _everything,
}


@dataclass(frozen=True)
class Found:
    """What was found in one folder: recall by kind, and the audit of the pictures without their copies."""

    images: int
    sampled: int
    recall: dict[str, float]
    audit: Audit


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--distinct", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A folder in which no two pictures show the same; several times.")  # fmt: skip
@click.option("--sample", type=click.IntRange(1), default=300, show_default=True,
              help="Pictures of each folder that are copied.")  # fmt: skip
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path),
              help="Draw pairs of the first folder here.")  # fmt: skip
@click.option("--time", "other", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="A tree of the sources to compare the time of --audit-only with.")  # fmt: skip
def main(
    folders: Sequence[Path], distinct: Sequence[Path], sample: int, sheet: Path | None, other: Path | None
) -> None:
    """Measure which copies the audit of edge-train finds in FOLDERS, and what it finds that is none."""
    names = [*folders, *distinct]
    if not names:
        raise click.UsageError("Give a folder of pictures")
    columns = {folder: measure(folder, sample) for folder in names}
    click.echo("| copies | " + " | ".join(folder.name for folder in names) + " |")
    click.echo("|---|" + "---:|" * len(names))
    for kind in KINDS:
        _row(kind, [f"{found.recall[kind]:.1%}" for found in columns.values()])
    _row("pictures", [f"{found.images:,}" for found in columns.values()])
    _row("of which copied", [f"{found.sampled:,}" for found in columns.values()])
    _row("in groups of near-duplicates", [f"{_in_groups(found.audit):,}" for found in columns.values()])
    _row("groups", [f"{len(_groups(found.audit)):,}" for found in columns.values()])
    _row("groups of several classes", [f"{_contradicting(found.audit):,}" for found in columns.values()])
    _row("mirror images of other classes", [f"{len(found.audit.mirrored):,}" for found in columns.values()])
    for folder in distinct:
        click.echo(f"\n{folder.name}: {_in_groups(columns[folder].audit):,} pictures are in false groups")
    if sheet is not None:
        draw_pairs(names[0], columns[names[0]].audit, sheet)
    if other is not None:
        for folder in names:
            compare_times(folder, other)


def measure(folder: Path, sample: int) -> Found:
    """Return what is found among all pictures of a folder and copies of some of them.

    No picture is copied twice in a round, so that no copy is found by way of another.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    sample = min(sample, len(paths))
    with ThreadPoolExecutor(cores()) as pool:
        facts = list(pool.map(lambda path: _facts(path.read_bytes(), path.relative_to(folder)), paths))
    recall: dict[str, float] = {}
    kinds = list(KINDS)
    at_once = len(paths) // sample
    for start in range(0, len(kinds), at_once):
        recall |= _find_copies(paths, facts, kinds[start : start + at_once], sample)
    return Found(len(facts), sample, recall, _audit(facts))


def _find_copies(
    paths: Sequence[Path], facts: Sequence[ImageFacts], kinds: Sequence[str], sample: int
) -> dict[str, float]:
    """Return the share of copies that are found, by kind; each kind has pictures of its own."""
    order = random.Random(kinds[0]).sample(range(len(paths)), sample * len(kinds))
    jobs = [(row, kinds[place // sample]) for place, row in enumerate(order)]
    with ThreadPoolExecutor(cores()) as pool:
        copies = list(pool.map(lambda job: _copy(paths[job[0]], facts[job[0]], job[1]), jobs))
    groups = _audit([*facts, *copies]).groups
    found = groups[order] == groups[len(facts) :]
    return {kind: float(np.mean(part)) for kind, part in zip(kinds, np.split(found, len(kinds)), strict=True)}


def _audit(facts: Sequence[ImageFacts]) -> Audit:
    return audit_images(facts, [Path(fact.path).parent.name for fact in facts], ["all"] * len(facts))


def _facts(raw: bytes, path: Path) -> ImageFacts:
    return inspect_image(
        raw, path.as_posix(), path.as_posix(), lambda image: None
    )  # Each file is of its own.


def _copy(path: Path, original: ImageFacts, kind: str) -> ImageFacts:
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    raw = KINDS[kind](upright, random.Random(f"{original.path} {kind}"))
    return _facts(raw, Path(original.path).with_name(f"{kind} {Path(original.path).name}"))


def _groups(audit: Audit) -> list[list[str]]:
    return [[image.path for image in group.images] for group in audit.twins if not group.identical]


def _in_groups(audit: Audit) -> int:
    return sum(len(group) for group in _groups(audit))


def _contradicting(audit: Audit) -> int:
    return sum(not group.identical for group in audit.conflicts)


def draw_pairs(folder: Path, audit: Audit, output: Path) -> None:
    """Draw the first two pictures of groups drawn by chance, one pair of each."""
    groups = _groups(audit)
    chosen = random.Random(0).sample(groups, min(PAIRS_ON_SHEET, len(groups)))
    rows = -(-len(chosen) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (2 * SIDE + 8), max(1, rows) * (SIDE + 14)), "white")
    draw = ImageDraw.Draw(page)
    for place, group in enumerate(chosen):
        x, y = place % COLUMNS * (2 * SIDE + 8), place // COLUMNS * (SIDE + 14)
        for number, path in enumerate(group[:2]):
            with Image.open(folder / path) as image:
                page.paste(image.convert("RGB").resize((SIDE, SIDE)), (x + number * SIDE, y))
        draw.text((x, y + SIDE), f"{place + 1} {Path(group[0]).parent.name}", fill="black")
    page.save(output)
    click.echo(f"\n{output}: {len(chosen)} pairs, of as many of the {len(groups)} groups in {folder.name}")


def compare_times(folder: Path, other: Path) -> None:
    """Print the median times of the audit by this tree and by another, which take turns."""
    taken: dict[Path, list[tuple[float, float]]] = {other: [], ROOT: []}
    for _ in range(TURNS):
        for tree, of_tree in taken.items():
            of_tree.append(_time(tree, folder))
    for number, what in enumerate(("", " of processor time")):
        before, after = (median(pair[number] for pair in pairs) for pairs in taken.values())
        click.echo(
            f"\n{folder.name}: {after:.1f} s{what}, by {other} {before:.1f} s: "
            f"{after / before:.2f} times as long"
        )


def _time(tree: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds that an audit took, and those of the processors; every file must be readable."""
    code = "from edge_classify.train.cli import main; main()"
    command = [sys.executable, "-c", code, str(folder.resolve()), "--audit-only", "--cache", "none"]
    environment = {**os.environ, "PYTHONPATH": str((tree / "tests" / ".ns").resolve())}
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, env=environment, cwd=tree, capture_output=True, check=True)
    after = os.times()
    processors = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, processors


def _row(name: str, values: Sequence[str]) -> None:
    click.echo(f"| {name} | " + " | ".join(values) + " |")


if __name__ == "__main__":
    main()
