"""What edge-classify does beside classifying: it checks a file, lists cameras, examines the machine."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .console import print_json, say
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
        click.echo(one_line(f"{path}, run by {result.runtime}"))
        for check in result.checks:
            click.echo(one_line(f"  {check.status:<12}{check.name}: {check.detail}"))
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

    from .console import print_table
    from .sources.devices import list_cameras

    cameras = list_cameras()
    if as_json:
        for camera in cameras:
            print_json(asdict(camera))
    elif cameras:
        rows = [[camera.address, camera.name, camera.driver, "; ".join(camera.formats)] for camera in cameras]
        print_table("Cameras", ("--camera", "name", "driver", "formats"), rows)
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
    status = click.style(f"{finding.status:<8}", fg=_COLOURS[finding.status], bold=True)
    text = one_line(f"{finding.name}: {finding.detail}")
    click.echo(f"{status} {text}", color=False if os.environ.get("NO_COLOR") else None)
    if finding.remedy is not None:
        click.echo(f"         -> {one_line(finding.remedy)}")
