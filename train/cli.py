"""edge-train: a folder of images becomes trained models and a report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..convert.quiet import import_tensorflow
from ..edge.console import CONTEXT, INTERRUPTED, Command, print_json, printable, say, version_option
from ..edge.errors import MissingPackageError
from ..edge.option_rules import is_typed, no_effect, shown
from .backbones import BACKBONES, check_alpha, check_weights
from .cli_options import OPTIONS
from .options import DEFAULT_AUGMENTATIONS, MODELS, TrainOptions

if TYPE_CHECKING:
    from .run import RunResult

_OWN_SUBSETS = {"cifar10": ("test",)}
_SUBSET_OF_SHARE = {"test_split": "test", "validation_split": "validation"}


@click.command(cls=Command, context_settings=CONTEXT, params=list(OPTIONS))
@click.argument("data", required=False)
@version_option()
@click.pass_context
def main(ctx: click.Context, /, data: str | None, output: Path | None, resume: Path | None, audit_only: bool,
         force: bool, as_json: bool, **values: Any) -> None:  # fmt: skip
    """Train classifiers on the images in DATA, and compare them.

    \b
    DATA is one of:
      a folder with one sub-folder of images a class
      a folder that holds train/ and test/ (and perhaps val/) with such sub-folders
      digits   1,797 handwritten digits; needs no network
      cifar10  60,000 small photos; downloaded once

    Images that cannot be read are skipped and named; then the exit status is 1.
    """
    if resume is not None:
        import_tensorflow("Training", "train")
        from .run import resume as go_on

        _finish(go_on(resume), resume, as_json)
        return
    if not data:
        raise click.UsageError("DATA is missing or empty: a folder of images, digits, or cifar10.")
    options = _read_options(data, values)
    command = shlex.join(["edge-train", *sys.argv[1:]])
    if audit_only:
        _audit(data, output, options, force, command, as_json)
        return
    if output is None:
        raise click.UsageError("Missing option '--output': the folder to write.")
    _say_where_folders_decide(ctx, data)
    import_tensorflow("Training", "train")
    from .run import train

    _finish(train(data, output, options, force, command), output, as_json)


def _audit(
    data: str, output: Path | None, options: TrainOptions, force: bool, command: str, as_json: bool
) -> None:
    try:
        from .audit_report import audit_only
    except ModuleNotFoundError as error:
        raise MissingPackageError(str(error.name), "The audit", "edge-classify[train]") from None

    audit = audit_only(data, output, options, force, command)
    if as_json:
        click.echo(audit.to_json())
    else:
        for line in audit.summary():
            click.echo(line)
    if output is not None:
        say(f"Report: {printable(str(output / 'report.html'))}")
    if audit.unreadable:
        raise click.exceptions.Exit(1)


def _finish(result: RunResult, output: Path, as_json: bool) -> None:
    from .run import Ending

    _print_models(result, output, as_json)
    say(f"Report: {printable(str(output / 'report.html'))}")
    if result.ending is Ending.INTERRUPTED:
        raise click.exceptions.Exit(INTERRUPTED)
    if result.ending is Ending.FAILED:
        raise click.exceptions.Exit(1)
    if result.unreadable:
        say(f"Skipped, since they could not be read: {result.unreadable}; the rest was used")
        raise click.exceptions.Exit(1)


def _print_models(result: RunResult, output: Path, as_json: bool) -> None:
    subset = result.split.evaluation_subset
    for model in result.models:
        metrics = model.evaluation.metrics
        if as_json:
            print_json(
                {
                    "model": model.name,
                    "folder": str(output / model.name),
                    "subset": subset,
                    "accuracy": metrics.accuracy,
                    "accuracy_ci95": metrics.accuracy_ci95,
                    "macro_f1": metrics.macro_f1,
                    "macro_f1_ci95": metrics.macro_f1_ci95,
                    "balanced_accuracy": metrics.balanced_accuracy,
                    "balanced_accuracy_ci95": metrics.balanced_accuracy_ci95,
                    "ece": metrics.ece,
                    "train_accuracy": model.evaluation.train_accuracy,
                    "parameters": model.parameters,
                    "seconds": round(model.seconds, 1),
                }
            )
        else:
            click.echo(
                f"{model.name}: macro F1 {_with_interval(metrics.macro_f1, metrics.macro_f1_ci95)}, balanced "
                f"accuracy {_with_interval(metrics.balanced_accuracy, metrics.balanced_accuracy_ci95)}, "
                f"accuracy {_with_interval(metrics.accuracy, metrics.accuracy_ci95)} on {metrics.images:,} "
                f"{subset} images; trained in {model.seconds:.0f} s"
            )


def _with_interval(rate: float, interval: tuple[float, float]) -> str:
    return f"{rate:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"


def _say_where_folders_decide(ctx: click.Context, data: str) -> None:
    """Say that a typed share has no effect where DATA has a folder of that subset."""
    typed = [p for p in ctx.command.params if p.name in _SUBSET_OF_SHARE and is_typed(ctx, p)]
    if not typed:
        return
    from ..edge.labelled import scan_class_folders
    from .built_in import BUILT_IN

    given: Collection[str] = _OWN_SUBSETS.get(data, ())
    if data not in BUILT_IN:
        given = scan_class_folders(Path(data)).subsets
    for share in typed:
        subset = _SUBSET_OF_SHARE[str(share.name)]
        if subset in given:
            say(no_effect((shown(share),), f"where DATA has its own {subset} images"))


def _read_options(data: str, values: Mapping[str, Any]) -> TrainOptions:
    """Return the options of a training; raises UsageError and OptionError."""
    models = tuple(dict.fromkeys(values["models"]))
    sizes = values["image_size"]
    for_all = set(sizes) == set(MODELS) and len(set(sizes.values())) == 1
    if not for_all and (unused := [name for name in sizes if name not in models]):
        raise click.UsageError(f"--image-size names {unused[0]}, which is not trained.")
    check_weights(models, values["weights"])
    for name in filter(BACKBONES.get, models):
        check_alpha(name, values["weights"], values["alpha"])
    augment = values["augment"]
    if augment is None:
        # Mirrored digits are other signs.
        augment = tuple(name for name in DEFAULT_AUGMENTATIONS if data != "digits" or name != "flip")
    options = {name: value for name, value in values.items() if name != "class_weights"}
    imbalance = values["class_weights"] or values["imbalance"]
    return TrainOptions(**{**options, "models": models, "augment": augment, "imbalance": imbalance})
