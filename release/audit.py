"""Asks pip-audit which locked packages have known vulnerabilities.

    python -m release.audit      make audit; needs pip-audit, and pypi.org or api.osv.dev

What is audited is what the locks install for this Python and system. Exit status 0 where nothing is known
against it, 1 where something is, 3 where that cannot be said: pip-audit skips a package whose data it cannot
fetch, and then reports that nothing is known. So it is first asked about a version that is known to be bad.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
AUDITED = ("build", "everything", "tools", "mediapipe")
SERVICES = {"pypi": "pypi.org", "osv": "api.osv.dev"}
# CVE-2023-4863 and others: https://pillow.readthedocs.io/en/stable/releasenotes/10.0.1.html
KNOWN_BAD = "pillow==9.4.0"
CLEAN, FOUND, UNKNOWN = 0, 1, 3

Run = Callable[[list[str]], str]


@dataclass(frozen=True)
class Report:
    """What a service says of a file: lines about packages with vulnerabilities, names it knows nothing of."""

    vulnerable: tuple[str, ...]
    skipped: tuple[str, ...]


def pip_audit(arguments: list[str]) -> str:
    """Run pip-audit and return what it prints: nothing where it failed."""
    tool = str(Path(sys.executable).with_name("pip-audit"))
    command = [tool, "--disable-pip", "--no-deps", "--progress-spinner=off", "--format=json"]
    done = subprocess.run(
        [*command, *arguments], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    return done.stdout


def ask(service: str, path: Path, run: Run = pip_audit) -> Report | None:
    """Return what a service says of a requirements file; None where it gives no answer."""
    try:
        packages = json.loads(run([f"--vulnerability-service={service}", f"--requirement={path}"]))
    except ValueError:
        return None
    vulnerable, skipped = [], []
    for package in packages["dependencies"]:
        if "skip_reason" in package:
            skipped.append(package["name"])
        for fault in package.get("vulns", ()):
            names = ", ".join([fault["id"], *fault.get("aliases", ())])
            mended = ", ".join(fault["fix_versions"]) or "no version yet"
            vulnerable.append(f"{package['name']} {package['version']}: {names}; mended in {mended}")
    return Report(tuple(vulnerable), tuple(skipped))


def find_service(run: Run = pip_audit) -> str | None:
    """Return a service that says of a bad version that it is bad; None where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "known-bad.txt"
        path.write_text(f"{KNOWN_BAD}\n")
        return next((name for name in SERVICES if (told := ask(name, path, run)) and told.vulnerable), None)


def audit(run: Run = pip_audit) -> int:
    """Audit all locks, say what was found, and return the exit status."""
    service = find_service(run)
    if service is None:
        asked = " nor ".join(SERVICES.values())
        say(f"Not audited: neither {asked} gives data here about a version that is known to be bad "
            f"({KNOWN_BAD}). Run `make audit` on a machine that reaches one of them.")  # fmt: skip
        return UNKNOWN
    reports = {name: ask(service, ROOT / f"requirements/{name}.txt", run) for name in AUDITED}
    vulnerable = [f"{name}.txt: {line}" for name, told in reports.items() if told for line in told.vulnerable]
    unknown = [
        f"requirements/{name}.txt: {', '.join(told.skipped) if told else 'no answer'}"
        for name, told in reports.items()
        if told is None or told.skipped
    ]
    for line in vulnerable:
        say(f"Known to be vulnerable: requirements/{line}")
    for line in unknown:
        say(f"Not audited, since {SERVICES[service]} gives no data: {line}")
    if vulnerable:
        say("Raise them with `make lock UPGRADE=1`, and the floors in setup.cfg where users are affected")
        return FOUND
    if not unknown:
        say(f"No vulnerability is known in what {', '.join(AUDITED)} install here, says {SERVICES[service]}")
    return UNKNOWN if unknown else CLEAN


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(audit())
