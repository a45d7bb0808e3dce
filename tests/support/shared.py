"""Folders that many tests read and none may change: made once, even where several processes run tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

Stamps = dict[str, list[int]]


class SharedFolders:
    """Folders below `root`, which is the same for all processes of one test run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._used: list[str] = []
        root.mkdir(exist_ok=True)

    def folder(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return the folder of this name; the first process that asks for it calls `make` with its path.

        `make` creates the folder, which has nothing beside it. Other processes wait meanwhile.
        """
        place = self.root / name
        place.mkdir(exist_ok=True)
        with FileLock(self.root / f"{name}.lock"):
            if not self._stamps_file(name).exists():
                make(place / name)
                self._stamps_file(name).write_text(json.dumps(_stamps(place)))
        self._used.append(name)
        return place / name

    def changes(self) -> list[str]:
        """Return the paths that were added, removed or written since their folder was made."""
        found = []
        for name in self._used:
            before: Stamps = json.loads(self._stamps_file(name).read_text())
            now = _stamps(self.root / name)
            paths = sorted(before.keys() | now.keys())
            found += [f"{name}/{path}" for path in paths if before.get(path) != now.get(path)]
        return found

    def _stamps_file(self, name: str) -> Path:
        return self.root / f"{name}.json"


def _stamps(folder: Path) -> Stamps:
    """Return the size and the time of the last change of every file."""
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, path.stat().st_mtime_ns]
        for path in folder.rglob("*")
        if path.is_file()
    }


def common_folder(own: Path) -> Path:
    """Return the temporary folder of the whole test run, given pytest's temporary folder of one process."""
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
