"""edge-convert: trained models become .tflite files, each scored for what it lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..benchmarks.budget import Budget
from ..edge.console import CONTEXT, print_json, say, version_option
from ..edge.help import SectionedCommand
from ..edge.interrupts import loading
from ..edge.option_rules import is_typed
from ..edge.printable import one_line
from .cli_options import OPTIONS, SEALING, SIGNING_ALONE, read_settings, read_source, without_calibrated

if TYPE_CHECKING:
    from .job_tools import ConversionOutcome, ConversionSettings
    from .signatures import ModelSigner
    from .sources.job import ModelSource


@click.command(cls=SectionedCommand, context_settings=CONTEXT, params=list(OPTIONS))
@click.argument("path", metavar="MODEL", type=click.Path(path_type=Path))
@version_option()
def main(
    path: Path,
    inspect: bool,
    without_photos: bool,
    sealed: bool,
    doctor: bool,
    as_json: bool,
    details: bool,
    budget: Budget | None,
    **options: Any,
) -> None:
    """Convert MODEL to .tflite files, and score each for what it lost.

    MODEL is a run of edge-train, or one model's folder in it; or somebody else's Keras model (.keras, .h5),
    SavedModel or float .tflite, about which --labels and --normalization tell the rest; or one of Keras's own
    ImageNet networks, which Keras downloads.

    \b
    Examples:
      edge-convert run -o models
      edge-convert run/cnn -o models --variant int8 --budget size=1MB,p99=5ms
      edge-convert theirs.keras --labels labels.txt --normalization -1..1 \\
        --data photos/test --calibration photos/train -o models
      edge-convert --inspect anything.tflite
      edge-convert --doctor run/mobilenet_v2

    \b
    More examples:
      edge-convert keras:mobilenet_v2 --calibration photos -o models
      edge-convert --without-photos old/cnn_int8.tflite -o shared
      edge-convert --seal theirs_int8.tflite --labels labels.txt -o models
      edge-convert models/cnn_int8.tflite --sign KEY --model-version 7 -o signed

    A quantized .tflite is not converted, but copied with labels, metadata and card, as any is with --seal.

    Every file is run on the labelled images with the interpreter that devices use, and carries its labels,
    preprocessing and measured accuracy inside. Its temperature, and the confidence below which it answers
    "unsure", are fitted to what it itself gives for other images.

    The exit status is 1 when images could not be read, when a model is not better than chance on --data,
    when int8 is shown to lose too much and no repair helps, or when no file keeps the --budget.
    """
    if inspect:
        from .inspection.view import run_inspection

        run_inspection(path, as_json)
        return
    if options["output"] is None and not doctor:
        raise click.UsageError("Name the folder for the files: --output DIR.")
    signer = _read_signer(options)
    if without_photos:
        from .without_photos import write_without_photos

        click.echo(write_without_photos(path, options["output"], options["force"], signer))
        _tell(signer)
        return
    if signer is not None and not sealed and _is_finished(path):
        _sign(path, options, signer, as_json)
        return
    source = read_source(path, options)
    if sealed or _is_sealed_unasked(path):
        _seal(source, options, as_json, signer)
        return
    _prepare(source, options, doctor, signer)
    settings = read_settings(options, signer)
    if doctor:
        _examine(source, settings, as_json, details)
        return
    _convert(source, settings, budget, as_json, details)


def _read_signer(options: Mapping[str, Any]) -> ModelSigner | None:
    """Return who signs: the key is read before long work."""
    if options["signing_key"] is None:
        return None
    with loading():
        from .signatures import ModelSigner

    return ModelSigner.from_options(options)


def _tell(signer: ModelSigner | None) -> None:
    if signer is not None:
        signer.tell()


def _typed() -> set[str]:
    context = click.get_current_context()
    return {str(parameter.name) for parameter in context.command.params if is_typed(context, parameter)}


def _is_finished(path: Path) -> bool:
    """Return whether a .tflite with a card came with nothing that signing alone does not take."""
    with loading():
        from ..edge.modelfile import ModelFile
        from .sources.model_format import ModelFormat, model_format

    if _typed() - set(SIGNING_ALONE) or not path.is_file():
        return False
    return model_format(path) is ModelFormat.TFLITE and ModelFile.read(path).card is not None


def _sign(path: Path, options: Mapping[str, Any], signer: ModelSigner, as_json: bool) -> None:
    from .signatures import write_signed_copy

    copy = write_signed_copy(path, options["output"], options["force"], signer)
    if as_json:
        print_json(copy.to_json())
    else:
        click.echo(one_line(str(copy.path)))
    signer.tell()


def _is_sealed_unasked(path: Path) -> bool:
    """Return whether a quantized .tflite came with nothing that sealing does not take, and say so.

    One with a card is not sealed again.
    """
    with loading():
        from ..edge.modelfile import ModelFile
        from .finished_model import is_quantized
        from .sources.model_format import ModelFormat, model_format

    if _typed() - set(SEALING) or not path.is_file() or model_format(path) is not ModelFormat.TFLITE:
        return False
    if ModelFile.read(path).card is not None or not is_quantized(path):
        return False
    say(
        f"{path} is quantized already, and is not converted: it gets labels, metadata and card as it is "
        "(--seal)"
    )
    return True


def _seal(source: ModelSource, options: Mapping[str, Any], as_json: bool, signer: ModelSigner | None) -> None:
    with loading():
        from .sealed_copy import write_sealed_copy

    copy = write_sealed_copy(
        source.path, source.facts, source.resize, options["output"], options["force"], signer
    )
    if as_json:
        print_json(copy.to_json())
    else:
        click.echo(one_line(str(copy.path)))
    _tell(signer)
    if not as_json:
        from .next_step import suggest_trying

        suggest_trying(copy.path)


def _prepare(source: ModelSource, options: dict[str, Any], doctor: bool, signer: ModelSigner | None) -> None:
    """Refuse what cannot be right before TensorFlow is loaded for it, and choose variants for a network."""
    with loading():
        from .sources.imagenet import check_imagenet, is_imagenet

    named = is_imagenet(source.path)
    if named:
        check_imagenet(source)
    if named or _needs_tensorflow(source.path):
        from .quiet import import_tensorflow

        import_tensorflow("Converting", "convert")
    elif not doctor and source.path.is_file():
        from .signatures import leave_signature_out

        leave_signature_out(source.path, signer)
    chosen = click.get_current_context().get_parameter_source("variants") is not ParameterSource.DEFAULT
    if named and not doctor and options["calibration"] is None and not chosen:
        options["variants"] = without_calibrated(options["variants"])
        say(f"{source.path}: int8 is made too where --calibration FOLDER names some 100 photos")


def _needs_tensorflow(path: Path) -> bool:
    """Return whether a model's format needs it; a path that holds none is refused before it is loaded."""
    from .sources.model_format import ModelFormat, model_format

    return path.exists() and model_format(path) is not ModelFormat.TFLITE


def _convert(
    source: ModelSource, settings: ConversionSettings, budget: Budget | None, as_json: bool, details: bool
) -> None:
    with loading():
        from .next_step import some_photo, suggest_trying
        from .repair.view import print_report, print_short_report
        from .run import convert
        from .sources.jobs import find_jobs
        from .tables import choose, print_tables

    jobs = find_jobs(source, settings.target)
    outcome = convert(jobs, settings, source.path.resolve().name)
    if not outcome.files:
        _say_what_failed(outcome)
        raise click.exceptions.Exit(1)
    advice = choose(outcome.files, budget or Budget(), settings.max_drop)
    if as_json:
        for item in outcome.files:
            print_json({**item.to_json(), "recommended": item.file == advice.name})
    else:
        print_tables(outcome.files, settings.output, advice, details)
        for report in outcome.repairs:
            if details:
                print_report(report, details)
            else:
                print_short_report(report)
    failed = _say_what_failed(outcome)
    if budget is not None and advice.name is None:
        say(f"--budget: {advice.reason}")
        failed = True
    if failed:
        raise click.exceptions.Exit(1)
    if advice.name is not None and not as_json:
        suggest_trying(settings.output / advice.name, some_photo(jobs))


def _say_what_failed(outcome: ConversionOutcome) -> bool:
    if outcome.skipped:
        say(f"Skipped, since they could not be read: {len(outcome.skipped)}; the rest was used")
    for sentence in (*outcome.unrepaired, *outcome.at_chance):
        say(sentence)
    for sentence in outcome.unwritten:
        say(f"Error: {sentence}", "error")
    return bool(outcome.skipped or outcome.unrepaired or outcome.at_chance or outcome.unwritten)


def _examine(source: ModelSource, settings: ConversionSettings, as_json: bool, details: bool) -> None:
    with loading():
        from .int8_loss import examine_int8
        from .output import plot_file_name
        from .repair.view import print_report
        from .sources.jobs import find_jobs

    jobs = find_jobs(source, settings.target)
    unwritten: list[str] = []
    reports = examine_int8(jobs, settings, unwritten)
    for job, report in zip(jobs, reports, strict=True):
        if as_json:
            print_json(report.to_json())
        else:
            print_report(report, details)
            if not unwritten:
                say(f"Plot: {settings.output / plot_file_name(job.name)}")
    for sentence in unwritten:
        say(f"Error: {sentence}", "error")
    if unwritten or not all(report.chosen for report in reports):
        raise click.exceptions.Exit(1)
