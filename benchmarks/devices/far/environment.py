"""The virtual environment that the benchmark runs in, made by Python's own venv and pip."""

from __future__ import annotations

import importlib.util
import json
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from .channel import Channel, Interrupted
from .files import remove
from .locks import lock
from .programs import run

# Run by the environment's own Python, whose pip can read requirements: prints those for this machine, each
# of them without its marker, or null.
_APPLICABLE = """
import json, sys
from pip._vendor.packaging.requirements import Requirement
found = map(Requirement, json.loads(sys.argv[1]))
here = {"extra": "", **({"platform_machine": sys.argv[2]} if sys.argv[2] else {})}
plain = lambda r: f"{r.name}{r.specifier}"
print(json.dumps([plain(r) if r.marker is None or r.marker.evaluate(here) else None for r in found]))
"""
# On 32-bit ARM these come from Debian: there are no wheels of them.
_FROM_DEBIAN = ("numpy", "pillow", "psutil")


def facts(cache: Path) -> dict[str, Any]:
    """Return the facts about this machine that decide whether and what is sent."""
    cache.mkdir(parents=True, exist_ok=True)
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    debian = [name for name in ("numpy", "PIL", "psutil") if importlib.util.find_spec(name) is None]
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "libc": list(platform.libc_ver()),
        "folder": str(cache),
        "free": shutil.disk_usage(cache).free,
        "environments": [path.parent.name for path in cache.glob("environment-*/finished")],
        "missing": missing,
        "missing_from_debian": debian,
    }


def prepare(folder: Path, request: dict[str, Any], channel: Channel) -> None:
    """Make the environment `folder`, unless it is finished; the answer's `reused` says whether it was.

    `wheel` is edge-classify's, `lock` the file with the versions and checksums of what it requires; `wheels`
    is a folder of wheels to install in place of these, or None.
    Where that fails, the answer holds `failed`, the step, and `text`, the end of its output.
    """
    while (
        held := lock(folder.with_name(f"{folder.name}.lock"))
    ) is None:  # Another agent makes the same one.
        if channel.interrupted(1):
            raise Interrupted
    with held:
        reused = (folder / "finished").exists()
        failed = None if reused else _make(folder, request, channel)
        if not reused and failed is None:
            (folder / "finished").touch()
        channel.send(done=True, reused=reused, **(failed or {}))


def remove_older(cache: Path, kept: Path) -> None:
    """Remove kept environments of other versions, unless they are in use."""
    for folder in cache.glob("environment-*"):
        if folder == kept or not folder.is_dir():
            continue
        path = folder.with_name(f"{folder.name}.lock")
        if held := lock(path):
            with held:
                remove(folder)
                path.unlink(missing_ok=True)


def _make(folder: Path, request: dict[str, Any], channel: Channel) -> dict[str, str] | None:
    old_arm = request["from_debian"]
    remove(folder)
    shared = ["--system-site-packages"] if old_arm else []
    status, text = run([sys.executable, "-I", "-m", "venv", *shared, str(folder)], channel)
    if status:
        return {"failed": "venv", "text": text or f"exit status {status}"}
    python = str(folder / "bin" / "python")
    try:
        locked = _locked(Path(request["lock"]).read_text(encoding="utf-8"), python, old_arm, channel)
        wanted = [r for r in _applicable(request["requires"], python, old_arm, channel) if r]
    except _UnreadableError as error:
        return {"failed": "pip", "text": str(error)}
    pip = [python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    pip += ["--progress-bar", "off", "--retries", "2", "--timeout", "20", "--no-cache-dir"]
    if request["wheels"]:  # Whoever gives files vouches for them: any version that is allowed.
        pip += ["--no-index", "--find-links", request["wheels"]]
        requires = [r for r in wanted if not old_arm or not r.lower().startswith(_FROM_DEBIAN)]
    else:
        chosen = folder / "locked.txt"
        chosen.write_text("".join(f"{r} {' '.join(hashes)}\n" for r, hashes in locked.items()), "utf-8")
        requires = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(chosen)]
    for step in (requires, ["--no-deps", "--no-index", request["wheel"]]):
        status, text = run([*pip, *step], channel)
        if status:
            failed = text or f"exit status {status}"
            return {"failed": "pip", "text": failed, "requires": json.dumps(list(locked))}
    return None


class _UnreadableError(Exception):
    """The requirements could not be read; the text is the end of what Python printed."""


def _locked(text: str, python: str, old_arm: bool, channel: Channel) -> dict[str, list[str]]:
    """Return the requirements of a lock that hold for this machine, with pip's --hash options for each."""
    lines = text.replace("\\\n", " ").splitlines()
    rows = [line.split(" --hash=") for line in lines if line.strip() and not line.startswith("#")]
    found = _applicable([row[0].strip() for row in rows], python, old_arm, channel)
    return {r: [f"--hash={h.strip()}" for h in row[1:]] for r, row in zip(found, rows, strict=True) if r}


def _applicable(requirements: list[str], python: str, old_arm: bool, channel: Channel) -> list[str | None]:
    """Return each requirement without its marker; None for one that does not hold for this machine."""
    machine = "armv7l" if old_arm else ""
    command = [python, "-I", "-c", _APPLICABLE, json.dumps(requirements), machine]
    status, text = run(command, channel, most=1 << 20)
    if status:
        raise _UnreadableError(text)
    found: list[str | None] = json.loads(text.splitlines()[-1])
    return found
