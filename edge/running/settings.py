"""What one run of edge-classify was asked to do, as its options say.

Named tuples: a frozen dataclass takes a millisecond to make, and a photo is classified in a hundred.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..answers.rules import AnswerRules
from ..modelfile import Normalization
from ..runtime import Execution

if TYPE_CHECKING:  # Loaded only where they are used: a photo is classified without them.
    from ..answers.region import Region
    from ..collect.rules import CollectRules


class SourceSettings(NamedTuple):
    """Either `paths` or `camera`; `frames` ends a camera's run, `region` is what is looked at."""

    paths: tuple[str, ...]
    recursive: bool
    camera: str | None
    camera_options: CameraOptions | None
    frames: int | None
    region: Region | None


class ModelSettings(NamedTuple):
    """Which files, and what those without a card don't say; `auto_threads` has their number measured."""

    files: tuple[Path, ...]
    labels: Path | None
    normalization: Normalization | None
    execution: Execution
    auto_threads: bool


class AnswerSettings(NamedTuple):
    """What becomes of a prediction, and when it is told: each `every` seconds, or when it changes."""

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


class Settings(NamedTuple):
    """All of it."""

    source: SourceSettings
    model: ModelSettings
    answers: AnswerSettings
    outputs: OutputSettings


def read_settings(paths: tuple[str, ...], options: dict[str, Any]) -> Settings:
    """Sort the values of the command line's options by what they are about."""
    return Settings(
        SourceSettings(
            paths,
            options["recursive"],
            options["camera"],
            camera_options(options) if options["camera"] is not None else None,
            options["frames"],
            options["region"],
        ),
        model_settings(options),
        AnswerSettings(
            AnswerRules(
                options["top"], options["threshold"], options["smooth"], options["hold"], options["every"]
            ),
            options["every"],
            options["on_change"],
        ),
        _output_settings(options),
    )


def model_settings(options: dict[str, Any]) -> ModelSettings:
    """Return what the options say about models and how they are run."""
    delegate_options: tuple[tuple[str, str], ...] = ()
    if options["delegate_options"]:
        from ..delegates import parse_delegate_options

        delegate_options = parse_delegate_options(options["delegate_options"])
    execution = Execution(
        options["runtime"],
        options["threads"] or 1,
        options["delegate"],
        delegate_options,
        options["delegate_fallback"],
        options["untrusted"],
    )
    auto = options["threads"] is None
    return ModelSettings(options["models"], options["labels"], options["normalization"], execution, auto)


def camera_options(options: dict[str, Any]) -> CameraOptions:
    """Return what the options say about the camera."""

    return CameraOptions(options["size"], options["fps"], int(options["rotate"]), options["frozen_after"])


def _output_settings(options: dict[str, Any]) -> OutputSettings:
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
        output=options["output"],
        force=options["force"],
        save_annotated=options["save_annotated"],
        show=options["show"],
        publish=options["publish"],
        webhooks=options["webhooks"],
        collect=options["collect"],
        collect_rules=rules,
    )
