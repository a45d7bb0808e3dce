"""Usage: python -m studies.recipes SET... --output FOLDER --recipe default= --recipe "plain=--no-refit"

Claim: the defaults of edge-train are those of the recipes tried that are best on photos held out of training.

A recipe is a name and options of edge-train. Every recipe is trained on every set with every seed, converted
to float32 and int8, and run by the interpreter of devices; then a Markdown table tells what each reaches, and
by how much it differs from the first recipe, over all sets with the same weight, with 95 % intervals. Photos
that belong together (--unit) are held out, and drawn anew, together.

Without --report the photos that answer are a quarter of the units of SET/train, and SET/test is not read: so
recipes are chosen. With --report the model answers SET/test: so the chosen recipe is reported, once.

What is in FOLDER already is not run again, so that an interrupted study goes on, and a recipe can be added.
Decoded photos and activations are cached in FOLDER too: recipes that share them are quicker, which their
seconds then say. Seconds to compare are those of --fresh, without a cache.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from studies.image_units import parse_rules, refuse_unused
from studies.recipes.held_out import hold_out
from studies.recipes.tables import print_tables
from studies.recipes.trial import Recipe, Trial, run_trial


def _recipes(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[Recipe, ...]:
    recipes = []
    for text in texts:
        name, equals, options = text.partition("=")
        if not (name.isidentifier() and equals):
            raise click.BadParameter(f"{text!r} is not NAME=OPTIONS, with a name of letters and digits")
        recipes.append(Recipe(name, tuple(shlex.split(options))))
    if len({recipe.name for recipe in recipes}) < len(recipes):
        raise click.BadParameter("two recipes have the same name")
    return tuple(recipes)


def _bounds(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, int]:
    bounds = {}
    for text in texts:
        name, _equals, number = text.partition("=")
        if not (name and number.isascii() and number.isdigit() and int(number) > 1):
            raise click.BadParameter(f"{text!r} is not SET=N, with N of 2 or more")
        bounds[name] = int(number)
    return bounds


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument(
    "sets", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="The folder of all runs and results.")  # fmt: skip
@click.option("--recipe", "recipes", multiple=True, required=True, callback=_recipes, metavar="NAME=OPTIONS",
              help="Options of edge-train; may be repeated. Others are compared with the first.")  # fmt: skip
@click.option("--model", default="mobilenet_v2", show_default=True, help="What edge-train --model is given.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings of each.")
@click.option("--unit", "rules", multiple=True, metavar="SET=RULE",
              help="Which photos of a set belong together; see studies/image_units.py.")  # fmt: skip
@click.option("--per-class", "bounds", multiple=True, callback=_bounds, metavar="SET=N",
              help="Most photos of a class of a set in each part, drawn by a seed; repeatable.")  # fmt: skip
@click.option("--report", is_flag=True, help="Answer the test photos, which choose nothing.")
@click.option("--fresh", is_flag=True, help="Keep no cache, so that seconds can be compared.")
def main(sets: tuple[Path, ...], output: Path, recipes: tuple[Recipe, ...], model: str, seeds: int,
         rules: tuple[str, ...], bounds: dict[str, int], report: bool, fresh: bool) -> None:  # fmt: skip
    """Train recipes on SETs, each a folder of train/ and test/ with class folders, and print tables."""
    units = parse_rules(rules)
    names = [path.name for path in sets]
    refuse_unused(units, names)
    if unknown := sorted(set(bounds) - set(names)):
        raise click.UsageError(f"--per-class: there is no set {unknown[0]}. The sets are {', '.join(names)}")
    trials: list[Trial] = []
    for path in sets:
        photos = hold_out(path, output / "photos", units.get(path.name), report, bounds.get(path.name))
        for seed in range(seeds):
            for recipe in recipes:
                trials.append(run_trial(photos, recipe, model, seed, output, fresh))
                click.echo(trials[-1].line(), err=True)
    print_tables(trials, recipes, units)


if __name__ == "__main__":
    main()
