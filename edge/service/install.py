"""`edge-classify --install-service`: shows a systemd user unit for a command line, and writes it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from ..durable import make_folders, sync_file, sync_folder
from ..errors import OptionError, OutputExistsError
from ..files import write_atomically
from ..outputs.output_names import with_start
from ..parts import open_part, place
from ..printable import printable
from .arguments import Rules, for_service
from .confinement import needs_of
from .environment import taken_over
from .unit import Unit, build_unit

RULES = Rules(
    dropped=("service", "yes", "force"),  # What --force replaces here is the unit.
    secret=("camera", "publish"),
    always_secret=("webhooks",),  # Tokens of webhooks often stand in their paths.
    files=("camera", "delegate"),
)
_AFTERWARDS = """\
Start it now and whenever you log in:
  systemctl --user daemon-reload
  systemctl --user enable --now {name}
Start it with the machine, before anybody logs in:
  sudo loginctl enable-linger {user}
{output}See its state and its remarks:
  systemctl --user status {name}
  journalctl --user --unit {name} --follow"""


def install_service(context: click.Context, program: str | None = None) -> None:
    """Show the unit for the command line of `context`, ask, write it, and say how to start it.

    The context's parameters are `service` (the name), `yes` and `force` among others; `program` is how the
    command was called (sys.argv[0]). Nothing is started. Without a terminal nobody can be asked: then it is
    only shown, and the exit status is 1, unless `yes`. Raises OutputExistsError when the unit is there,
    unless `force`, and OptionError for a value that cannot stand in a unit.
    """
    options = context.params
    name, force = options["service"], options["force"]
    if options["output"] is not None:
        options["output"] = with_start(options["output"])  # Each start would find the file of the last one.
    line = for_service(context, RULES)
    # A folder of annotated pictures is added to at each start: nothing in it is ever replaced.
    arguments = (*line.arguments, *(["--force"] if options["save_annotated"] is not None else []))
    needs = needs_of(options, arguments)
    public, private = taken_over(os.environ, needs.network)
    secrets = {**line.secrets, **private}
    command = (find_program(sys.argv[0] if program is None else program), *arguments)
    unit = build_unit(name, command, secrets, public, needs)
    folder = _configuration_folder(os.environ)
    unit_path = folder / "systemd" / "user" / f"{name}.service"
    secrets_path = folder / "edge-classify" / f"{name}.env" if secrets else None
    for path in (unit_path, secrets_path):
        if path is not None and path.exists() and not force:
            raise OutputExistsError(f"{path} exists. Name another service, or replace it with --force")
    _show(unit, unit_path, secrets_path, secrets)
    if not options["yes"]:
        if sys.stdin is None or not sys.stdin.isatty():
            click.echo("Nothing was written. To write it without being asked, add --yes", err=True)
            raise click.exceptions.Exit(1)
        if not click.confirm("Write this?"):
            raise click.exceptions.Exit(1)
    _write(unit, unit_path, secrets_path)
    output = options["output"] and os.path.abspath(options["output"])  # noqa: PTH100 - As for the command line.
    told = f"Each start writes a file of its own: {output}\n" if output else ""
    user = os.environ.get("USER", "$USER")
    click.echo(printable(_AFTERWARDS.format(name=name, user=user, output=told)))


def find_program(typed: str) -> str:
    """Return the absolute path of a program that was called as `typed`; raises OptionError without one."""
    found = shutil.which(typed)
    if found is None:
        raise OptionError(f"the program that the service would run is not found. Received: {typed}")
    return os.path.abspath(found)  # noqa: PTH100 - Path.absolute keeps "..".


def _configuration_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder that systemd calls %E, by the XDG base directory specification."""
    named = environment.get("XDG_CONFIG_HOME", "")
    return Path(named) if Path(named).is_absolute() else Path.home() / ".config"


def _show(unit: Unit, unit_path: Path, secrets_path: Path | None, secrets: Mapping[str, str]) -> None:
    """Print what would be written and where, the secrets masked."""
    click.echo(printable(f"{unit_path}:\n\n{unit.text}"))
    if secrets_path is not None:
        masked = "".join(f"{variable}=***\n" for variable in secrets)
        click.echo(printable(f"{secrets_path}, for your eyes only (mode 0600):\n\n{masked}"))


def _write(unit: Unit, unit_path: Path, secrets_path: Path | None) -> None:
    if secrets_path is not None and unit.environment is not None:
        secrets_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(secrets_path, unit.environment)
    make_folders(unit_path.parent)
    write_atomically(unit_path, unit.text)


def _write_private(path: Path, text: str) -> None:
    """Write a file that others can at no moment read: a part is created with mode 0600."""
    handle, part = open_part(path)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            sync_file(file.fileno())
            place(part, path, replace=True)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
