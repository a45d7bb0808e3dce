"""The environment on the other machine: whether there can be one, and why there is none."""

from __future__ import annotations

import json
import re
from typing import Any

from ...edge.errors import BenchmarkError

_NO_NETWORK = ("NewConnectionError", "Temporary failure in name resolution", "ConnectTimeoutError")
# Oldest glibc (2.x) that wheels of our requirements were built for; pip download wants each named.
_GLIBC_MINORS = (17, 24, 26, 27, 28, 31, 34, 35, 39)


def check_python(name: str, facts: dict[str, Any]) -> None:
    """Raise BenchmarkError where the device's Python cannot make an environment for the runner."""
    if facts["missing"]:
        raise BenchmarkError(
            f"{name}: Python {facts['python']} there lacks {' and '.join(facts['missing'])}, so that no "
            "virtual environment can be made. On Debian and Raspberry Pi OS: sudo apt install python3-venv"
        )
    if is_old_arm(facts) and facts["missing_from_debian"]:
        raise BenchmarkError(
            f"{name}: a 32-bit system takes numpy, Pillow and psutil from Debian, and Python there lacks "
            f"{', '.join(facts['missing_from_debian'])}. Run there: "
            "sudo apt install python3-numpy python3-pil python3-psutil"
        )


def check_space(name: str, facts: dict[str, Any], needed: int) -> None:
    """Raise BenchmarkError where fewer than `needed` bytes are free."""
    if facts["free"] < needed:
        raise BenchmarkError(
            f"{name}: {needed / 1e6:.0f} MB are needed in {facts['folder']}, and {facts['free'] / 1e6:.0f} "
            "MB are free. Make room there, or set XDG_CACHE_HOME there to a folder on a larger disk"
        )


def is_old_arm(facts: dict[str, Any]) -> bool:
    """Return whether it is a 32-bit system on ARM; its kernel may have 64 bits."""
    machine: str = facts["machine"]
    return facts["bits"] == 32 and machine.startswith(("arm", "aarch64"))


def explain_failure(name: str, facts: dict[str, Any], reply: dict[str, Any], offline: bool) -> BenchmarkError:
    """Return the error that the end of what venv or pip said stands for."""
    text, lines = reply["text"], reply["text"].splitlines()
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    shown = said[-1] if said else (lines or ["it said nothing"])[-1].strip()
    if reply["failed"] == "venv":
        return BenchmarkError(f"{name}: no virtual environment can be made there ({shown})")
    if "No space left on device" in text:
        return BenchmarkError(f"{name}: the disk there is full: {facts['folder']} needs more room")
    fetch = _download_command(facts, json.loads(reply.get("requires", "[]")))
    kind = f"Python {facts['python']}, {facts['machine']}, {facts['bits']} bits"
    if offline:
        missing = re.findall(r"No matching distribution found for (\S+)", text)
        what = f"no --wheel for it brings {', '.join(missing)}" if missing else f"pip failed ({shown})"
        return BenchmarkError(f"{name} ({kind}): {what}. These fetch all that it needs: {fetch}")
    if any(sign in text for sign in _NO_NETWORK):
        return BenchmarkError(
            f"{name}: pip there reaches no package index. Fetch the wheels here, and give them as "
            f"--wheel: {fetch}"
        )
    return BenchmarkError(f"{name} ({kind}): pip cannot install the runner there ({shown})")


def _download_command(facts: dict[str, Any], requires: list[str]) -> str:
    """Return the command that fetches wheels for the device on this machine."""
    machine = "armv7l" if is_old_arm(facts) else facts["machine"]
    library, version = facts["libc"]
    minor = int(match[1]) if library == "glibc" and (match := re.match(r"2\.(\d+)", version)) else 0
    platforms = [f"manylinux_2_{m}_{machine}" for m in _GLIBC_MINORS if m <= minor]
    platforms = [f"manylinux2014_{machine}", *platforms, f"linux_{machine}"]
    python = ".".join(facts["python"].split(".")[:2])
    named = " ".join(f"--platform {platform}" for platform in platforms)
    start = f"pip download --only-binary=:all: --python-version {python} {named} --dest wheels"
    # What tflite-runtime requires, numpy, has no wheels for 32-bit ARM and comes from Debian.
    alone = [requirement for requirement in requires if requirement.startswith("tflite-runtime")]
    others = [requirement for requirement in requires if requirement not in alone]
    command = f"{start} {_quoted(others)}"
    return f"{command} && {start} --no-deps {_quoted(alone)}" if alone else command


def _quoted(requires: list[str]) -> str:
    return " ".join(f'"{requirement}"' for requirement in requires)
