"""Installed libraries that decode pictures, and faults of theirs that a picture can exploit.

Only what makes memory be written through a picture of a format that this program opens: not every fault
that has a number. setup.cfg asks for the same versions, except where a system brings patched ones.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..runtime_packages import PythonBuild
from .finding import OK, WARNING, Finding

# Where Debian, Ubuntu and Raspberry Pi OS put the Python packages that apt installs, and pip nothing.
_SYSTEM_PACKAGES = Path("/usr/lib/python3/dist-packages")
_OPENCV = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
_FROM_APT = {"pillow": "python3-pil", **dict.fromkeys(_OPENCV, "python3-opencv")}


@dataclass(frozen=True)
class KnownFault:
    """A fault in the wheels of a distribution: `mended` is the first version without it, `source` says so.

    `python` is the oldest Python that a mended version exists for.
    """

    distribution: str
    mended: str
    name: str
    effect: str
    source: str
    python: tuple[int, int] = (3, 10)


# The newest last: its version is the one to install.
KNOWN_FAULTS = (
    KnownFault(
        "pillow", "10.0.1", "CVE-2023-4863", "a WebP picture writes beyond its memory, exploited in the wild",
        "https://pillow.readthedocs.io/en/stable/releasenotes/10.0.1.html",
    ),
    KnownFault(
        "pillow", "13.0.0", "GHSA-5x8w-8jj5-q52h", "a JPEG writes beyond its memory",
        "https://pillow.readthedocs.io/en/stable/releasenotes/13.0.0.html", (3, 11),
    ),
    KnownFault(
        "pillow", "13.0.0", "CVE-2026-96639", "a picture of several frames writes into memory of another",
        "https://pillow.readthedocs.io/en/stable/releasenotes/13.0.0.html", (3, 11),
    ),
    KnownFault(
        "pillow-heif", "1.4.0", "CVE-2026-32741", "a HEIC picture writes beyond its memory",
        "https://osv.dev/vulnerability/CVE-2026-32741",
    ),
    *(
        fault
        for name in _OPENCV
        for fault in (
            KnownFault(
                name, "4.8.1.78", "CVE-2023-4863",
                "a WebP picture writes beyond its memory, exploited in the wild",
                "https://github.com/advisories/GHSA-qr4w-53vh-m672",
            ),
            KnownFault(
                name, "4.12.0.88", "CVE-2025-53644", "a JPEG writes into memory of others",
                "https://www.cve.org/CVERecord?id=CVE-2025-53644",
            ),
        )
    ),
)  # fmt: skip


def check_known_faults(
    system_packages: Path = _SYSTEM_PACKAGES, python: PythonBuild | None = None
) -> Iterator[Finding]:
    """Report each installed library with a known fault, or in one line that none has.

    A package of the system's own is named without a verdict: its number does not show what was patched.
    """
    clean = []
    for distribution in dict.fromkeys(fault.distribution for fault in KNOWN_FAULTS):
        try:
            found = importlib.metadata.distribution(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
        if Path(str(found.locate_file(""))).resolve() == system_packages.resolve():
            yield Finding(
                f"{distribution} faults", OK,
                f"{found.version} is the system's own: mended by the system's updates, under this number",
            )  # fmt: skip
            continue
        faults = [
            fault
            for fault in KNOWN_FAULTS
            if fault.distribution == distribution and _release(found.version) < _release(fault.mended)
        ]
        if faults:
            yield _describe(found.version, faults, python or PythonBuild.here())
        else:
            clean.append(f"{distribution} {found.version}")
    if clean:
        detail = f"none of those that edge-classify knows of is in {', '.join(clean)}"
        yield Finding("known faults", OK, detail)


def _describe(version: str, faults: list[KnownFault], python: PythonBuild) -> Finding:
    distribution, newest = faults[-1].distribution, faults[-1]
    named = "; ".join(f"{fault.name}: {fault.effect}, mended in {fault.mended}" for fault in faults)
    if python.bits == 32 and distribution in _FROM_APT:
        remedy = f"Run: pip uninstall {distribution}; then: sudo apt install {_FROM_APT[distribution]}"
    elif python.version < newest.python:
        oldest = ".".join(map(str, newest.python))
        remedy = f'Use Python {oldest} or newer, and there: pip install "{distribution}>={newest.mended}"'
    else:
        remedy = f'Run: {_pip()} install "{distribution}>={newest.mended}"'
    return Finding(f"{distribution} faults", WARNING, f"{version} has {named}", remedy)


def _pip() -> str:
    """Return pip's name where it installs for this Python."""
    return "pip" if sys.prefix != sys.base_prefix else "python3 -m pip"


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without what marks a release candidate or a local build."""
    start = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, start[0].split("."))) if start else ()
