"""edge-classify: what is in these pictures, or in front of this camera?"""

from __future__ import annotations

from typing import Any

import click

from .cli_options import MOVING, OPTIONS
from .console import CONTEXT, version_option
from .help import NothingNamed, SectionedCommand
from .option_rules import late_remark


@click.command(cls=SectionedCommand, context_settings=CONTEXT, params=list(OPTIONS))
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(allow_dash=True))
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

    Paths are image files, folders, videos (every frame in order), or - for a list of them,
    or one image, on stdin.
    The exit status is 1 if anything could not be read, or a check failed.
    """
    if options["checked"] is not None:
        from .checks import run_self_check

        run_self_check(options["checked"], options["require_signature"], options["as_json"])
    elif options["list_cameras"]:
        from .checks import show_cameras

        show_cameras(options["as_json"])
    elif options["doctor"]:
        from .checks import show_doctor
        from .running.settings import read_doctor_settings

        show_doctor(read_doctor_settings(paths, options), options["as_json"])
    else:
        _require_source(ctx, paths, options["camera"])
        if options["service"] is not None:
            from .service.install import install_service

            install_service(ctx)
            return
        from .running.settings import read_settings
        from .running.start import start

        start(read_settings(paths, options), late_remark(ctx, MOVING))


def _require_source(ctx: click.Context, paths: tuple[str, ...], camera: str | None) -> None:
    """Raise UsageError where nothing is named that could be classified."""
    if not paths and camera is None:
        raise NothingNamed("Name an image, a folder, or --camera 0.", ctx)
    for path in paths:
        if "://" in path:
            from .sources.addresses import redact

            remedy = "give the file's path" if path.startswith("file:") else "give it as --camera"
            raise click.UsageError(f"{redact(path)} is an address: {remedy}.")
