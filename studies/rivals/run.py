"""Usage: python -m studies.rivals.run DATA... --output FOLDER

Claim: the manual's table of edge-train's defaults beside the recipes of Teachable Machine, Frigate, Model
Maker and notebooks: the same photos, the same starting weights, each trained and converted by its defaults.

DATA are folders with train/ and test/, and class folders in both. Every recipe learns from train alone, and
the files answer to test. FOLDER keeps each training: what is there already is not made again, so that a run
that was interrupted goes on, and tables can be printed anew. To train ours again, delete
FOLDER/SET/edge-train-*.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click
from edge_classify.edge.console import CONTEXT, Command, say

from studies.image_units import parse_rules, refuse_unused
from studies.rivals import inference_time, table
from studies.rivals.answers import EntryAnswers
from studies.rivals.catalogue import KEYS, find_rival
from studies.rivals.entry import FILE, Entry
from studies.rivals.image_set import ImageSet, draw_sample, read_set

OURS = "edge-train=--model mobilenet_v2"
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_WEIGHTS = ("same", "own", "random")


@click.command(cls=Command, context_settings=CONTEXT, help=__doc__)
@click.argument("data", nargs=-1, required=True, type=_FOLDER)
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="Keeps what is made.")  # fmt: skip
@click.option("--rival", "keys", multiple=True, type=click.Choice(KEYS), metavar="NAME",
              help=f"Only this one; may be repeated: {', '.join(KEYS)}.")  # fmt: skip
@click.option("--ours", multiple=True, default=(OURS,), show_default=True, metavar="NAME=OPTIONS",
              help="A row of edge-train with OPTIONS; may be repeated. The first is compared.")  # fmt: skip
@click.option(
    "--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings of each recipe."
)
@click.option("--weights", type=click.Choice(_WEIGHTS), default="same", show_default=True,
              help="Where the rivals' networks start: MobileNetV2 with alpha 1.0, as edge-train does; the "
              "alpha that each takes itself, which Keras downloads; or random, for a trial.")  # fmt: skip
@click.option("--per-class", "samples", multiple=True, metavar="SET=N",
              help="Of this set take N images of each class and side; may be repeated.")  # fmt: skip
@click.option("--unit", "units", multiple=True, metavar="SET=RULE",
              help="Which images were taken together: studies/image_units.py; may be repeated.")  # fmt: skip
@click.option("--runs", type=_FOLDER, help="Finished runs SET-SEED of the first --ours, to take as they are.")
def main(
    data: tuple[Path, ...], output: Path, keys: tuple[str, ...], ours: tuple[str, ...], seeds: int,
    weights: str, samples: tuple[str, ...], units: tuple[str, ...], runs: Path | None,
) -> None:  # fmt: skip
    """Train, convert, ask, measure, and print."""
    rules = parse_rules(units)
    counts = dict(_sample(text) for text in samples)
    recipes = dict(_recipe(text) for text in ours)
    names = [folder.resolve().name for folder in data]
    refuse_unused(rules, names)
    _refuse_twice_or_unknown(names, counts)
    rows: dict[str, list[table.TableRow]] = {}
    for name, folder in zip(names, data, strict=True):
        own = output / name
        own.mkdir(parents=True, exist_ok=True)
        images = read_set(name, folder)
        if name in counts:
            images = draw_sample(images, counts[name], 0, own / f"sample-{counts[name]}")
        entries = _entries(images, own, recipes, keys or KEYS, seeds, weights, runs)
        rows[name] = _rows(entries, own)
    click.echo(table.to_markdown(rows, rules), nl=False)


def _entries(
    images: ImageSet, folder: Path, recipes: dict[str, tuple[str, ...]], keys: Sequence[str], seeds: int,
    weights: str, runs: Path | None,
) -> dict[str, list[Entry]]:  # fmt: skip
    """Return the entries of each recipe, ours first, by the title of its row."""
    entries: dict[str, list[Entry]] = {}
    for number, (recipe, options) in enumerate(recipes.items()):
        entries[recipe] = []
        for seed in range(seeds):
            run = runs / f"{images.name}-{seed}" if runs and number == 0 else None
            entries[recipe].append(
                Entry(
                    images, recipe, seed, "same", folder / f"{recipe}-{seed}", options,
                    run if run and run.is_dir() else None,
                )
            )  # fmt: skip
    for key in keys:
        title = find_rival(key).title
        entries[title] = [
            Entry(images, key, seed, weights, folder / f"{key}-{weights}-{seed}") for seed in range(seeds)
        ]
    return entries


def _rows(entries: dict[str, list[Entry]], folder: Path) -> list[table.TableRow]:
    found: dict[str, list[EntryAnswers]] = {}
    for title, own in entries.items():
        for entry in own:
            say(entry.title)
            found.setdefault(title, []).append(entry.result())
    times = inference_time.measure({title: own[0].folder / FILE for title, own in entries.items()}, folder)
    return [table.TableRow(title, tuple(answers), times[title]) for title, answers in found.items()]


def _sample(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not (name and count.isascii() and count.isdigit() and int(count)):
        raise click.UsageError(f"--per-class takes SET=N, such as cifar10=100. Received: {text}")
    return name, int(count)


def _recipe(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, options = text.partition("=")
    if not (equals and name and "/" not in name) or name in KEYS:
        raise click.UsageError(f"--ours takes NAME=OPTIONS, such as {shlex.quote(OURS)}. Received: {text}")
    return name, tuple(shlex.split(options))


def _refuse_twice_or_unknown(names: Sequence[str], counts: dict[str, int]) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise click.UsageError(f"DATA: two sets have the name {twice[0]}. Rename the folder of one")
    if unknown := [name for name in counts if name not in names]:
        raise click.UsageError(f"--per-class: there is no set {unknown[0]}. The sets are {', '.join(names)}")


if __name__ == "__main__":
    main()
