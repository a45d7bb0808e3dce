"""The folder that edge-convert writes into: what may be written there, and the summary of what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..edge.errors import OutputExistsError
from ..edge.files import refuse_to_overwrite, require_writable, write_atomically

SUMMARY_NAME = "conversion.json"


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and its parents, and in the end remove those that are new and still empty."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for path in new:
            if any(path.iterdir()):
                break
            path.rmdir()


def check_output(output: Path, names: Sequence[str], force: bool) -> dict[str, Any]:
    """Check that `names` can be written into the folder, and return what stays of its summary."""
    for name in names:
        refuse_to_overwrite(output / name, force)
        require_writable(output / name)
    summary = _read_summary(output)
    summary["files"] = [item for item in summary["files"] if item["file"] not in names]
    return summary


def write_summary(output: Path, summary: dict[str, Any]) -> None:
    """Write conversion.json."""
    write_atomically(output / SUMMARY_NAME, json.dumps(summary, indent=1) + "\n")


def _read_summary(output: Path) -> dict[str, Any]:
    """Return what an earlier conversion into the same folder recorded of files that are still there.

    Raises OutputExistsError when the summary's name is taken by something else.
    """
    path = output / SUMMARY_NAME
    if not path.exists():
        return {"source": "", "files": [], "doctor": {}}
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        files = [item for item in summary["files"] if (output / item["file"]).is_file()]
        return {"source": "", "files": files, "doctor": dict(summary.get("doctor", {}))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise OutputExistsError(
            f"{path} is not of edge-convert, and is not replaced. Name another --output"
        ) from None
