"""What one run of edge-classify was asked to do, as its options say.

Named tuples: a frozen dataclass takes a millisecond to make, and a photo is classified in a hundred.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ..answers.rules import AnswerRules
from ..cli_types import AUTO
from ..console import say
from ..foreign import ForeignFacts
from ..model_options import read_facts
from ..option_rules import no_effect
from ..runtime import Execution

if TYPE_CHECKING:  # Loaded only where they are used: a photo is classified without them.
    from ..answers.region import Region
    from ..collect.rules import CollectRules
    from ..image_labels.source import LabelSource
    from ..sources.camera import CameraOptions


class SourceSettings(NamedTuple):
    """Either `paths` or `camera`; `frames` ends a camera's run, `region` is the part to classify."""

    paths: tuple[str, ...]
    recursive: bool
    camera: str | None
    camera_options: CameraOptions | None
    frames: int | None
    region: Region | None


class ModelSettings(NamedTuple):
    """Which files, and what those without a card do not say; with `auto_threads` the number is measured.

    `labels` is a file, whose labels are not yet among the `facts`. `keys` is a file with the public keys of
    those whose models may run; None for all models.
    """

    files: tuple[Path, ...]
    labels: Path | None
    facts: ForeignFacts
    execution: Execution
    auto_threads: bool
    keys: Path | None = None


class AnswerSettings(NamedTuple):
    """What becomes of a prediction; reported are one each `every` seconds, or changes alone."""

    rules: AnswerRules
    every: float | None
    on_change: bool


class OutputSettings(NamedTuple):
    """Where answers go; `format` is "text", "json" or "csv"."""

    format: str
    output: Path | None
    force: bool
    save_annotated: Path | None
    show: bool
    publish: str | None
    webhooks: tuple[str, ...]
    collect: Path | None
    collect_rules: CollectRules | None


class RunnerSettings(NamedTuple):
    """What a run is asked to do."""

    source: SourceSettings
    model: ModelSettings
    answers: AnswerSettings
    outputs: OutputSettings


class DoctorSettings(NamedTuple):
    """What --doctor checks beside the machine; `source` names the classes of the folder `labelled`."""

    labelled: Path | None
    source: LabelSource
    model: ModelSettings
    camera: str | None
    camera_options: CameraOptions


def read_doctor_settings(paths: tuple[str, ...], options: Mapping[str, Any]) -> DoctorSettings:
    """Return what --doctor is to check; raises UsageError for several paths."""
    if len(paths) > 1:
        raise click.UsageError(f"--doctor takes one folder of labelled images. Received: {len(paths)} paths")
    if options["threads"] == AUTO:
        say(no_effect(("--threads auto",), "with --doctor: models are run with one thread"))
    from ..data_options import read_label_source

    labelled, source = Path(paths[0]) if paths else None, read_label_source(options)
    return DoctorSettings(
        labelled, source, _model_settings(options), options["camera"], _camera_options(options)
    )


def read_settings(paths: tuple[str, ...], options: Mapping[str, Any]) -> RunnerSettings:
    """Sort the values of the command line's options by what they are about."""
    return RunnerSettings(
        SourceSettings(
            paths,
            options["recursive"],
            options["camera"],
            _camera_options(options) if options["camera"] is not None else None,
            options["frames"],
            options["region"],
        ),
        _model_settings(options),
        AnswerSettings(
            AnswerRules(
                options["top"],
                options["threshold"],
                options["smooth"],
                options["hold"],
                options["every"],
                unknown=not options["no_unknown"],
            ),
            options["every"],
            options["on_change"],
        ),
        _output_settings(options),
    )


def _model_settings(options: Mapping[str, Any]) -> ModelSettings:
    """Return what the options say about models and how they are run."""
    delegate_options: tuple[tuple[str, str], ...] = ()
    if options["delegate_options"]:
        from ..delegates import parse_delegate_options

        delegate_options = parse_delegate_options(options["delegate_options"])
    auto = options["threads"] == AUTO
    execution = Execution(
        options["runtime"],
        1 if auto else options["threads"],
        options["delegate"],
        delegate_options,
        options["delegate_fallback"],
        options["untrusted"],
    )
    return ModelSettings(
        options["models"],
        options["labels"],
        read_facts(options),
        execution,
        auto,
        options["require_signature"],
    )


def _camera_options(options: Mapping[str, Any]) -> CameraOptions:
    """Return what the options say about the camera."""
    from ..sources.camera import CameraOptions

    return CameraOptions(
        options["size"],
        options["fps"],
        int(options["rotate"]),
        options["frozen_after"],
        options["tls_fingerprint"],
    )


def _output_settings(options: Mapping[str, Any]) -> OutputSettings:
    form = "json" if options["as_json"] else "csv" if options["as_csv"] else "text"
    rules = None
    if options["collect"] is not None:
        from ..collect.rules import CollectRules

        rules = CollectRules(
            options["collect_below"],
            options["collect_tie"],
            options["collect_random"],
            options["collect_rate"],
            options["collect_max"],
            options["collect_bytes"],
        )
    return OutputSettings(
        form,
        output=None if options["output"] == Path("-") else options["output"],
        force=options["force"],
        save_annotated=options["save_annotated"],
        show=options["show"],
        publish=options["publish"],
        webhooks=options["webhooks"],
        collect=options["collect"],
        collect_rules=rules,
    )
