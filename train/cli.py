"""edge-train: a folder of images becomes trained models and a report."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..convert.quiet import import_tensorflow
from ..edge.console import CONTEXT, INTERRUPTED, print_json, print_sentence, say, version_option
from ..edge.errors import MissingPackageError
from ..edge.extras import pip_install
from ..edge.help import NothingNamed, SectionedCommand
from ..edge.interrupts import loading
from ..edge.next_step import quoted, suggest
from ..edge.option_rules import is_typed, no_effect, shown
from .backbones import BACKBONES, check_alpha, check_weights
from .cli_options import OPTIONS
from .options import AUTO, MODELS, TrainOptions

if TYPE_CHECKING:
    from ..benchmarks.scoring.statistics import Metrics
    from .run import RunResult

_OWN_SUBSETS = {"cifar10": ("test",)}
_SUBSET_OF_SHARE = {"test_split": "test", "validation_split": "validation"}


@click.command(cls=SectionedCommand, context_settings=CONTEXT, params=list(OPTIONS))
@click.argument("data", required=False)
@version_option()
@click.pass_context
def main(ctx: click.Context, /, data: str | None, output: Path | None, resume: Path | None, audit_only: bool,
         force: bool, as_json: bool, details: bool, **values: Any) -> None:  # fmt: skip
    """Train classifiers on the images in DATA, and compare them.

    \b
    DATA is one of:
      a folder with one sub-folder of images a class
      a folder that holds train/ and test/ (and val/) with such sub-folders
      a folder of images, classes by --image-labels or --labels-from-names
      digits   1,797 handwritten digits; needs no network
      cifar10  60,000 small photos; downloaded once
      built-in:digits, built-in:cifar10: where a folder has that name

    \b
    Examples:
      edge-train photos -o run
      edge-train photos -o run --model mobilenet_v2 --preset best
      edge-train photos -o run --image-labels labels.csv
      edge-train photos --audit-only
      edge-train --resume run

    Images that cannot be read are skipped and named; then the exit status is 1.
    """
    if resume is not None:
        with loading():
            import_tensorflow("Training", "train")
            from .run import resume as go_on

        _finish(go_on(resume), resume, as_json, details)
        return
    if not data:
        raise NothingNamed("DATA is missing or empty: a folder of images, digits, or cifar10.", ctx)
    data = _resolve_data(data)
    options = _read_options(values)
    _refuse_labels_of_built_in(data, options)
    command = shlex.join(["edge-train", *sys.argv[1:]])
    if audit_only:
        _audit(data, output, options, force, command, as_json)
        return
    if output is None:
        raise click.UsageError("Missing option '--output': the folder to write.")
    _say_where_data_decides(ctx, data, options)
    with loading():
        import_tensorflow("Training", "train")
        from .run import train

    _finish(train(data, output, options, force, command), output, as_json, details)


def _resolve_data(data: str) -> str:
    """Return DATA as a path that no built-in set is called, or as the name of a built-in set.

    Raises UsageError for a built-in set that does not exist.
    """
    from .built_in import BUILT_IN, BUILT_IN_PREFIX

    if data.startswith(BUILT_IN_PREFIX) and not Path(data).exists():
        name = data.removeprefix(BUILT_IN_PREFIX)
        if name not in BUILT_IN:
            raise click.UsageError(f"There is no built-in set {name!r}, but {' and '.join(BUILT_IN)}.")
        return name
    if data in BUILT_IN and Path(data).is_dir():
        say(
            f"{data} is the folder of this name here, not the built-in set; for that one, give "
            f"{BUILT_IN_PREFIX}{data}"
        )
        return f"./{data}"
    return data


def _refuse_labels_of_built_in(data: str, options: TrainOptions) -> None:
    from .built_in import BUILT_IN

    if data in BUILT_IN and not options.label_source.is_folders:
        option = "--image-labels" if options.image_labels else "--labels-from-names"
        raise click.UsageError(f"{option} does not go with the built-in set {data}, whose classes are known.")


def _audit(
    data: str, output: Path | None, options: TrainOptions, force: bool, command: str, as_json: bool
) -> None:
    try:
        with loading():
            from .audit_report import audit_only
    except ModuleNotFoundError as error:
        raise MissingPackageError(str(error.name), "The audit", pip_install("train")) from None

    unwritten: list[str] = []
    audit = audit_only(data, output, options, force, command, unwritten)
    if as_json:
        click.echo(json.dumps(audit.to_record(), indent=1))
    else:
        for line in audit.summary():
            print_sentence(line)
    for sentence in unwritten:
        say(f"Error: {sentence}", "error")
    if output is not None and not unwritten:
        say(f"Report: {output / 'report.html'}")
    if audit.unreadable or unwritten:
        raise click.exceptions.Exit(1)
    if output is None and not as_json:
        others = [word for word in sys.argv[1:] if word != "--audit-only"]
        suggest(shlex.join(["edge-train", "--output", str(_new_folder(Path("run"))), *others]))


def _finish(result: RunResult, output: Path, as_json: bool, details: bool) -> None:
    from .run import Ending
    from .tables import print_models

    if as_json:
        _print_records(result, output)
    else:
        print_models(result.models, result.split, details)
    say(f"Report: {output / 'report.html'}")
    if result.ending is Ending.INTERRUPTED:
        raise click.exceptions.Exit(INTERRUPTED)
    if result.ending is Ending.FAILED:
        raise click.exceptions.Exit(1)
    if result.unreadable:
        say(f"Skipped, since they could not be read: {result.unreadable}; the rest was used")
    if not as_json:
        models = _new_folder(output.parent / "models")
        suggest(f"edge-convert {quoted(output)} --output {quoted(models)}")
    if result.unreadable:
        raise click.exceptions.Exit(1)


def _new_folder(path: Path) -> Path:
    """Return the path, or path-2, path-3 ... where there is something already."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def _print_records(result: RunResult, output: Path) -> None:
    for model in result.models:
        metrics, pooled = model.evaluation.metrics, model.pooled
        crossed = {"of": pooled.origin, **_figures(pooled.metrics)} if pooled else None
        print_json(
            {
                "model": model.name,
                "folder": str(output / model.name),
                "subset": result.split.evaluation_subset,
                **_figures(metrics),
                "train_accuracy": model.evaluation.train_accuracy,
                "parameters": model.parameters,
                "seconds": round(model.seconds, 1),
                "cross_validation": crossed,
            }
        )


def _figures(metrics: Metrics) -> dict[str, Any]:
    names = ("accuracy", "macro_f1", "balanced_accuracy")
    rates = {key: getattr(metrics, key) for name in names for key in (name, f"{name}_ci95")}
    return {**rates, "ece": metrics.ece}


def _say_where_data_decides(ctx: click.Context, data: str, options: TrainOptions) -> None:
    """Say that a typed share has no effect where DATA has its own images of that subset."""
    typed = [p for p in ctx.command.params if p.name in _SUBSET_OF_SHARE and is_typed(ctx, p)]
    if not typed:
        return
    from ..edge.image_labels.source import scan_labelled
    from .built_in import BUILT_IN

    given: Collection[str] = _OWN_SUBSETS.get(data, ())
    if data not in BUILT_IN:
        given = scan_labelled(Path(data), options.label_source).subsets
    for share in typed:
        subset = _SUBSET_OF_SHARE[str(share.name)]
        if subset in given:
            say(no_effect((shown(share),), f"where DATA has its own {subset} images"))


def _check_auto(models: Sequence[str], budget: str | None) -> None:
    if AUTO not in models:
        return
    if len(models) > 1:
        others = " and ".join(name for name in models if name != AUTO)
        raise click.UsageError(f"--model auto chooses one network, and does not go with --model {others}.")
    if budget is None:
        raise click.UsageError("--model auto goes with --budget, such as --budget median=5ms,size=4MB.")


def _with_teacher(models: tuple[str, ...], teacher: str | None) -> tuple[str, ...]:
    """Return the models to train: first the teacher, where that is the name of a network.

    Raises UsageError where nobody is left to be taught.
    """
    if teacher not in MODELS:
        return models
    others = tuple(name for name in models if name != teacher)
    if not others:
        raise click.UsageError(
            f"--teacher {teacher} has nobody to teach: it is the only --model. Give another --model, or the "
            "model.keras of an earlier run as --teacher."
        )
    return (teacher, *others)


def _read_options(values: Mapping[str, Any]) -> TrainOptions:
    """Return the options of a training; raises UsageError and OptionError."""
    models = tuple(dict.fromkeys(values["models"]))
    _check_auto(models, values["budget"])
    models = _with_teacher(models, values["teacher"])
    sizes = values["image_size"]
    for_all = set(sizes) == set(MODELS) and len(set(sizes.values())) == 1
    if not for_all and (unused := [name for name in sizes if name not in models]):
        raise click.UsageError(f"--image-size names {unused[0]}, which is not trained.")
    check_weights(models, values["weights"])
    for name in filter(BACKBONES.get, models):
        check_alpha(name, values["weights"], values["alpha"])
    options = {name: value for name, value in values.items() if name != "class_weights"}
    imbalance = values["class_weights"] or values["imbalance"]
    columns = values["label_columns"]
    return TrainOptions(
        **{
            **options,
            "models": models,
            "imbalance": imbalance,
            "image_labels": tuple(map(str, values["image_labels"])),
            "label_columns": columns.to_text() if columns else None,
        }
    )
