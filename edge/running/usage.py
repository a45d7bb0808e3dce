"""Which options of edge-classify go together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..sources.addresses import redact
from ..sources.files import LISTING, is_video

_CAMERA_ONLY = ("size", "fps", "rotate", "frozen_after", "frames")
_COLLECT_ONLY = (
    "collect_below", "collect_tie", "collect_random", "collect_rate", "collect_max", "collect_bytes",
)  # fmt: skip


def check_usage(context: click.Context, paths: Sequence[str], options: dict[str, Any]) -> None:
    """Raise UsageError for what contradicts itself, or would have no effect."""
    camera = options["camera"]
    if not paths and camera is None:
        raise click.UsageError("Name an image, a folder, or --camera 0.")
    if paths and camera is not None:
        if context.get_parameter_source("camera") is ParameterSource.ENVIRONMENT:
            options["camera"] = camera = None  # Whoever names files means them.
        else:
            raise click.UsageError("Give either paths or --camera, not both.")
    for path in paths:
        if "://" in path:
            raise click.UsageError(f"{redact(path)} is an address: give it as --camera.")
    if options["as_json"] and options["as_csv"]:
        raise click.UsageError("Give either --json or --csv, not both.")
    if camera is None:
        _require(context, _CAMERA_ONLY, "--camera")
    if options["collect"] is None:
        _require(context, _COLLECT_ONLY, "--collect")
    if options["delegate"] is None:
        _require(context, ("delegate_options", "delegate_fallback"), "--delegate")
    if options["output"] is None and options["save_annotated"] is None:
        _require(context, ("force",), "--output, --save-annotated or --install-service")
    _require(context, ("yes",), "--install-service")


def is_one_photo(paths: Sequence[str]) -> bool:
    """Return whether there is a single picture to classify, for which workers are not worth starting."""
    if len(paths) != 1 or paths[0] == LISTING:
        return False
    return not os.path.isdir(paths[0]) and not is_video(Path(paths[0]))  # noqa: PTH112 - Path's raises on long names.


def _require(context: click.Context, names: Sequence[str], wanted: str) -> None:
    """Raise UsageError where an option was typed that only `wanted` gives a meaning."""
    for parameter in context.command.params:
        typed = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in names and typed:
            raise click.UsageError(f"{parameter.opts[0]} goes with {wanted}.")
