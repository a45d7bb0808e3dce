"""Folders of empty files with the names of pictures, and what is found in them with a table beside."""

from __future__ import annotations

from pathlib import Path

from edge_classify.edge.file_name_labels import Place
from edge_classify.edge.image_labels.columns import Columns
from edge_classify.edge.image_labels.source import LabelSource, scan_labelled
from edge_classify.edge.labelled import LabelledFolder

Found = dict[str, dict[str, list[str]]]


def touch(root: Path, *names: str) -> Path:
    """Make empty files, and return their folder."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write(root: Path, name: str, content: str | bytes) -> Path:
    """Write a file with its folders, and return its path."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def scan(root: Path, *tables: str | Path, columns: str = "", names: Place | None = None) -> LabelledFolder:
    """Return the labelled images of a folder, as the options of the commands name their classes."""
    given = Columns.parse(columns) if columns else Columns()
    return scan_labelled(root, LabelSource(tuple(map(Path, tables)), given, names))


def found(root: Path, *tables: str | Path, columns: str = "", names: Place | None = None) -> Found:
    """Return the images of `scan` by subset and class, with their paths below the folder."""
    return {
        subset: {label: [path.relative_to(root).as_posix() for path in paths] for label, paths in own.items()}
        for subset, own in scan(root, *tables, columns=columns, names=names).subsets.items()
    }
