"""edge-classify: what is in these pictures, or in front of this camera?"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from .cli_options import classify_options
from .cli_types import SectionedCommand
from .console import CONTEXT, version_option


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(allow_dash=True))
@classify_options
@version_option()
@click.pass_context
def main(ctx: click.Context, /, paths: tuple[str, ...], **options: Any) -> None:
    """Classify images, folders of images, videos, or what a camera sees.

    \b
    Examples:
      edge-classify photo.jpg
      edge-classify -m cats_int8.tflite photo.jpg holiday/ film.mp4
      edge-classify -m cats_int8.tflite --camera 0 --smooth 5 --show
      find . -name '*.jpg' | edge-classify -m cats_int8.tflite --csv -
      edge-classify --doctor -m cats_int8.tflite --camera auto

    Paths are image files, folders, videos (every frame in order), or - for a list of them on stdin.
    The exit status is 1 if anything could not be read, or a check failed.
    """
    other = _chosen(options)
    if other is not None:
        _refuse_others(ctx, other)
    if options["checked"] is not None:
        from .checks import run_self_check

        run_self_check(options["checked"], options["as_json"])
    elif options["list_cameras"]:
        from .checks import show_cameras

        show_cameras(options["as_json"])
    elif options["doctor"]:
        from .checks import show_doctor

        show_doctor(paths, options)
    elif options["service"] is not None:
        from .service.install import install_service

        install_service(ctx)
    else:
        from .running.start import start

        start(ctx, paths, options)


_DOCTOR_TAKES = (
    "paths", "models", "labels", "normalization", "runtime", "threads", "delegate", "delegate_options",
    "delegate_fallback", "camera", "size", "fps", "rotate", "frozen_after", "as_json",
)  # fmt: skip
# What may be given together with the options that do something else than classifying; None: everything.
_MODES: dict[str, tuple[str, ...] | None] = {
    "checked": ("as_json",),
    "list_cameras": ("as_json",),
    "doctor": _DOCTOR_TAKES,
    "service": None,
}


def _chosen(options: dict[str, Any]) -> str | None:
    """Return the parameter that makes this run no classification; raises UsageError for two of them."""
    chosen = [name for name in _MODES if options[name]]
    if len(chosen) > 1:
        raise click.UsageError(
            "--self-check, --list-cameras, --doctor and --install-service exclude each other."
        )
    return chosen[0] if chosen else None


def _refuse_others(ctx: click.Context, mode: str) -> None:
    """Raise UsageError for an option that would have no effect."""
    allowed = _MODES[mode]
    if allowed is None:
        return
    parameters = {parameter.name or "": parameter for parameter in ctx.command.params}
    for name, parameter in parameters.items():
        typed = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE and ctx.params[name]
        if typed and name not in (mode, *allowed):
            takes = ", ".join(_shown(parameters[other]) for other in allowed)
            raise click.UsageError(
                f"{_shown(parameters[mode])} goes with {takes} and nothing else. "
                f"Received: {_shown(parameter)}"
            )


def _shown(parameter: click.Parameter) -> str:
    return parameter.opts[0] if isinstance(parameter, click.Option) else "a PATH"
