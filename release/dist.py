"""Builds the wheel and the source distribution of the last commit, and proves that others get the same bytes.

    python -m release.dist [--output dist]      make dist

Outside a git checkout (an unpacked source distribution, an archive of a commit) the files are taken as they
lie. Everything is built twice, the second time in another folder, order, umask, time zone, language and day;
and the wheel a third time, from the source distribution. Exit status 1, with the names of the files that
differ, where the bytes are not the same.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Left by builds and tests, where no git says what belongs to the source.
_NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "demo", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)
_BUILD = "import sys, build_backend as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"
_OTHER_WAYS = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "7"}
_OTHER_DAY = 1_000_000_000


def main() -> None:
    """Build, compare, and put both archives into the output folder."""
    parser = argparse.ArgumentParser(description="Build wheel and sdist, twice, and compare them.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    output: Path = parser.parse_args().output
    with tempfile.TemporaryDirectory() as scratch:
        first, second = Path(scratch) / "first", Path(scratch) / "z" / "second place"
        taken = _export(first)
        shutil.copytree(first, second, symlinks=True)
        _disturb(second)
        built = {kind: _build(first, kind) for kind in ("wheel", "sdist")}
        again = {kind: _build(second, kind, **_OTHER_WAYS) for kind in ("wheel", "sdist")}
        unpacked = _unpack(built["sdist"], Path(scratch) / "from sdist")
        problems = [f"{kind}: {line}" for kind in built for line in differences(built[kind], again[kind])]
        rebuilt = _build(unpacked, "wheel")
        problems += [f"wheel of the sdist: {line}" for line in differences(built["wheel"], rebuilt)]
        if problems:
            sys.exit("\n".join(["Two builds differ:", *problems]))
        output.mkdir(parents=True, exist_ok=True)
        say(f"Built from {taken}: the same bytes three times")
        for path in built.values():
            shutil.copyfile(path, output / path.name)
            say(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {output / path.name}")


def differences(first: Path, second: Path) -> list[str]:
    """Return what differs between two archives: names of files in them, or that only the packing does."""
    if first.name != second.name:
        return [f"{first.name} is called {second.name}"]
    if first.read_bytes() == second.read_bytes():
        return []
    one, other = _contents(first), _contents(second)
    names = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    return names or [f"{first.name}: the files are the same, and packed otherwise"]


def _contents(path: Path) -> dict[str, bytes]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(path) as packed:
        files = {member.name: packed.extractfile(member) for member in packed.getmembers()}
        return {name: file.read() if file else b"" for name, file in files.items()}


def _export(folder: Path) -> str:
    """Copy the source into a folder, and return where it was taken from, in words."""
    if not (ROOT / ".git").exists():
        shutil.copytree(ROOT, folder, symlinks=True, ignore=_NOT_SOURCE)
        return "the files as they lie here, without git"
    git = ["git", "-c", "core.fsmonitor=false", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    packed = subprocess.run([*git, "archive", "--format=tar", "HEAD"], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        _extract(archive, folder)
    return f"commit {commit[:12]}"


def _disturb(folder: Path) -> None:
    """Change all that a build must not depend on: modes, times, and what an earlier build left."""
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o700)
            os.utime(path, (_OTHER_DAY, _OTHER_DAY))
    for left in ("build/lib/edge_classify/edge/removed_long_ago.py", "edge_classify.egg-info/SOURCES.txt"):
        (folder / left).parent.mkdir(parents=True)
        (folder / left).write_text("README.md\n")


def _build(source: Path, kind: str, **environment: str) -> Path:
    """Build an archive with the setuptools that is installed here, and return its path."""
    target = Path(tempfile.mkdtemp(dir=source.parent, prefix=f"{kind}-"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_"))}
    kept |= {"PYTHONPATH": str(source / "release"), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, f"build_{kind}", target], cwd=source, env=kept,
        umask=0o077 if environment else 0o022, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"The {kind} cannot be built:\n{done.stderr.strip()[-2000:]}")
    return next(target.iterdir())


def _unpack(sdist: Path, folder: Path) -> Path:
    with tarfile.open(sdist) as archive:
        _extract(archive, folder)
    return next(folder.iterdir())


def _extract(archive: tarfile.TarFile, folder: Path) -> None:
    if hasattr(tarfile, "tar_filter"):
        archive.extractall(folder, filter="tar")
    else:  # Python before 3.10.12 and 3.11.4. Both archives were just made here.
        archive.extractall(folder)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
