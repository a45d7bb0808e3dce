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

# Run by the environment's own Python, whose pip can read requirements: prints those for this machine.
_APPLICABLE = """
import json, sys
from pip._vendor.packaging.requirements import Requirement
found = map(Requirement, json.loads(sys.argv[1]))
here = {"extra": "", **({"platform_machine": sys.argv[2]} if sys.argv[2] else {})}
plain = lambda r: f"{r.name}{r.specifier}"
print(json.dumps([plain(r) for r in found if r.marker is None or r.marker.evaluate(here)]))
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

    `wheel` is edge-classify's, `wheels` a folder of others to install in place of the package index, or None.
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
    command = [python, "-I", "-c", _APPLICABLE, json.dumps(request["requires"]), "armv7l" if old_arm else ""]
    status, text = run(command, channel)
    if status:
        return {"failed": "pip", "text": text}
    requires = [
        r for r in json.loads(text.splitlines()[-1]) if not old_arm or not r.lower().startswith(_FROM_DEBIAN)
    ]
    pip = [python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    pip += ["--progress-bar", "off", "--retries", "2", "--timeout", "20", "--no-cache-dir"]
    if request["wheels"]:
        pip += ["--no-index", "--find-links", request["wheels"]]
    for step in (requires, ["--no-deps", "--no-index", request["wheel"]]):
        status, text = run([*pip, *step], channel)
        if status:
            failed = text or f"exit status {status}"
            return {"failed": "pip", "text": failed, "requires": json.dumps(requires)}
    return None
