"""The photos of a set that train, and those that answer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import click
from edge_classify.edge.labelled import scan_class_folders

from studies.image_units import UnitRule

HELD_OUT = 0.25  # Of the units of each class.
_SEED = 18


@dataclass(frozen=True)
class StudyPhotos:
    """A folder of train/ and test/ with links to photos of the set `name`."""

    name: str
    folder: Path


def hold_out(
    source: Path, target: Path, rule: UnitRule | None, report: bool, per_class: int | None
) -> StudyPhotos:
    """Make the folder of a set, the same one each time; where it is there already, it is taken as it is.

    With `report` it has the set's own training and test photos. Otherwise a quarter of the units of each
    class of its training photos answer, and its test photos are not looked at. `per_class` bounds the photos
    of a class in each part. Raises ClickException for a set without train/ and test/, and for a class of one
    unit.
    """
    found = scan_class_folders(source)
    if not {"train", "test"} <= set(found.subsets):
        raise click.ClickException(f"{source} must have train/ and test/, each with class folders")
    part = "report" if report else "choose"
    folder = target / f"{source.name}-{part}{'' if per_class is None else f'-{per_class}'}"
    if folder.is_dir():
        return StudyPhotos(source.name, folder)
    making = folder.with_name(f"{folder.name}.partial")
    for label in found.labels:
        train, test = (sorted(found.subsets[subset].get(label, [])) for subset in ("train", "test"))
        if not report:
            train, test = _divide(source, label, train, rule)
        for subset, paths in (("train", train), ("test", test)):
            _link(paths, making / subset / label, per_class)
    making.rename(folder)
    return StudyPhotos(source.name, folder)


def _divide(
    source: Path, label: str, paths: list[Path], rule: UnitRule | None
) -> tuple[list[Path], list[Path]]:
    names = [path.relative_to(source).as_posix() for path in paths]
    unit_of = dict(zip(paths, rule.units(names) if rule else names, strict=True))
    units = sorted(set(unit_of.values()))
    if len(units) < 2:
        raise click.ClickException(f"{source}: class {label} has {len(units)} unit, and two are needed")
    held = set(random.Random(f"{_SEED} {label}").sample(units, max(1, round(HELD_OUT * len(units)))))
    return [p for p in paths if unit_of[p] not in held], [p for p in paths if unit_of[p] in held]


def _link(paths: list[Path], folder: Path, most: int | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if most is not None and len(paths) > most:
        paths = sorted(random.Random(f"{_SEED} {folder.name}").sample(paths, most))
    for path in paths:
        link = folder / path.name
        if not link.is_symlink():
            link.symlink_to(path.resolve())
