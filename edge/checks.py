"""What edge-classify does beside classifying: it checks a file, lists cameras, examines the machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .console import folded, print_json, print_sentence, say, terminal_width
from .default_model import DEFAULT_MODEL
from .labels import read_label_file
from .printable import one_line

if TYPE_CHECKING:
    from .doctor.finding import Finding
    from .running.settings import DoctorSettings
    from .trusted_keys import TrustedKeys

_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def run_self_check(path: Path, keys: Path | None, as_json: bool) -> None:
    """Print the outcome of each check of a model file; exit status 1 unless all could be made and hold.

    With `keys`, a file of public keys, it must be signed by one of them.
    """
    from .proof import self_check

    result = self_check(path, _read_keys(keys))
    if as_json:
        print_json(result.to_record())
    else:
        print_sentence(f"{path}, run by {result.runtime}")
        for check in result.checks:
            print_sentence(f"  {check.status:<12}{check.name}: {check.detail}", hanging=" " * 14)
    if not result.passed:
        raise click.exceptions.Exit(1)


def _read_keys(path: Path | None) -> TrustedKeys | None:
    if path is None:
        return None
    from .trusted_keys import TrustedKeys

    return TrustedKeys.read(path)


def show_cameras(as_json: bool) -> None:
    """Print the cameras of this machine: what --camera takes, name and formats."""
    from dataclasses import asdict

    from .sources.devices import list_cameras
    from .tables import TableColumn, print_table

    cameras = list_cameras()
    if as_json:
        for camera in cameras:
            print_json(asdict(camera))
    elif cameras:
        rows = [[camera.address, camera.name, camera.driver, "; ".join(camera.formats)] for camera in cameras]
        columns = [TableColumn(name, words=True) for name in ("--camera", "name", "driver", "formats")]
        print_table("Cameras", columns, rows)
    else:
        say("No camera was found. Is one plugged in? edge-classify --doctor looks for what may be wrong")


def show_doctor(asked: DoctorSettings, as_json: bool) -> None:
    """Print each finding as it is made; exit status 1 if one is an error."""
    from .doctor.finding import ERROR
    from .doctor.run import run_doctor

    model = asked.model
    findings = run_doctor(
        model.files or (DEFAULT_MODEL,),
        asked.camera,
        asked.camera_options,
        asked.labelled,
        model.execution,
        replace(model.facts, labels=read_label_file(model.labels) if model.labels else None),
        source=asked.source,
        keys=_read_keys(model.keys),
    )
    failed = False
    for finding in findings:
        failed |= finding.status == ERROR
        if as_json:
            print_json(finding.to_record())
        else:
            _print_finding(finding)
    if failed:
        raise click.exceptions.Exit(1)


def _print_finding(finding: Finding) -> None:
    indent = " " * 9
    text = one_line(f"{finding.name}: {finding.detail}")
    status = click.style(f"{finding.status:<8}", fg=_COLOURS[finding.status], bold=True)
    first, *others = folded(text, terminal_width(), indent, indent)
    colour = False if os.environ.get("NO_COLOR") else None
    click.echo(f"{status} {first.removeprefix(indent)}", color=colour)
    for line in others:
        click.echo(line)
    if finding.remedy is not None:
        print_sentence(f"-> {finding.remedy}", indent, indent + "   ")
