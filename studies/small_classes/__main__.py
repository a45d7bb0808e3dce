"""Usage: python -m studies.small_classes SET... --output FOLDER

Claim: where a class has 3 to 15 training images, its F1 is 29 points higher with adjusted logits than with
nothing, and no other method tried, of mixed, interpolated and synthetic features, is better than they are.

Each class of each set in turn keeps a few training images, the others keep theirs. Heads on the features of
a frozen network are trained by every method; photos that none of them has seen, a quarter of the units of
SET/train, answer. With --report those of SET/test do. Two tables tell what each method reaches, and by how
much it differs from the default; two more tell it by set and by number of images. All sets have the same
weight, and the unit of the 95 % intervals is a class of a set.

Features and figures are kept in FOLDER, so that an interrupted study goes on.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
from edge_classify.convert.quiet import import_tensorflow
from threadpoolctl import threadpool_limits

from studies.image_units import parse_rules, refuse_unused

IMAGES = (3, 5, 10, 15)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument(
    "sets", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path),
              help="The folder of features and figures.")  # fmt: skip
@click.option(
    "--model", default="mobilenet_v2", show_default=True, help="The network whose features are used."
)
@click.option("--images", multiple=True, type=click.IntRange(2), default=IMAGES, show_default=True,
              help="Training images of the small class; repeatable.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings of each.")
@click.option("--per-class", type=click.IntRange(16), default=60, show_default=True,
              help="Most photos of a class in each part.")  # fmt: skip
@click.option("--unit", "rules", multiple=True, metavar="SET=RULE",
              help="Which photos of a set belong together; see studies/image_units.py.")  # fmt: skip
@click.option("--report", is_flag=True, help="Answer the test photos, which choose nothing.")
def main(sets: tuple[Path, ...], output: Path, model: str, images: tuple[int, ...], seeds: int,
         per_class: int, rules: tuple[str, ...], report: bool) -> None:  # fmt: skip
    """Compare methods for small classes on SETs, each a folder of train/ and test/ with class folders."""
    import_tensorflow("The study", "train")
    from studies.recipes.held_out import hold_out
    from studies.small_classes.features import compute_features, open_folder
    from studies.small_classes.methods import METHODS
    from studies.small_classes.tables import print_tables
    from studies.small_classes.trials import Results, run_cases

    units = parse_rules(rules)
    refuse_unused(units, [path.name for path in sets])
    cache = open_folder(output / "cache")
    results: Results = {}
    for path in sets:
        photos = hold_out(path, output / "photos", units.get(path.name), report, per_class)
        features = compute_features(photos, model, cache)
        began = time.monotonic()
        place = output / f"{photos.folder.name}-{model}"
        with threadpool_limits(1, "blas"):  # Small matrices: waiting for other threads takes longer.
            for known in run_cases(features, images, seeds, METHODS, place):
                results |= known
                click.echo(f"{path.name}: {len(known)} trainings, {time.monotonic() - began:.0f} s", err=True)
    print_tables(results, METHODS, seeds)


if __name__ == "__main__":
    main()
