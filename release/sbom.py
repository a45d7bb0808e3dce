"""Writes the bill of materials (CycloneDX 1.6) of an environment that was installed from the locks.

    python -m release.sbom PYTHON OUTPUT.cdx.json      make sbom; needs cyclonedx-bom

`PYTHON` is the environment's interpreter. The same environment gives the same bytes: no time, no random
number, no path of this machine. The scope of a component says who gets it: "required" all who install
edge-classify, "optional" who asks for an extra, "excluded" only those who test it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

OURS = "edge-classify"
_ONLY_TESTS = ("dev", "fuzz")
_REQUIRES = (
    "import importlib.metadata as m, json; "
    "print(json.dumps({d.metadata['Name']: d.requires or [] for d in m.distributions()}))"
)
_VERSION = "1.6"


def bill(python: Path) -> dict[str, Any]:
    """Return the bill of materials of an environment. Raises CalledProcessError, after the tool's message."""
    tool = str(Path(sys.executable).with_name("cyclonedx-py"))
    command = [tool, "environment", "--output-reproducible", "--sv", _VERSION, "--of", "JSON", str(python)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    asked = subprocess.run([python, "-I", "-c", _REQUIRES], check=True, stdout=subprocess.PIPE)
    return describe(found, json.loads(asked.stdout))


def describe(found: dict[str, Any], requires: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Make edge-classify the subject of a bill, and give each of the other components its scope.

    `requires` are the requirements of every installed distribution, by PEP 508. Raises ValueError where
    edge-classify is not among them.
    """
    known = {plain(name): [Requirement(line) for line in lines] for name, lines in requires.items()}
    subject = next((each for each in found["components"] if plain(each["name"]) == OURS), None)
    if subject is None or OURS not in known:
        raise ValueError(f"{OURS} is not installed in that environment")
    subject.pop("externalReferences", None)  # Where this copy was installed from: a path of this machine.
    subject |= {"type": "application", "purl": f"pkg:pypi/{OURS}@{subject['version']}"}
    found["metadata"]["component"] = subject
    found["components"].remove(subject)
    extras = {name for each in known[OURS] for name in _extras_of(each)} - set(_ONLY_TESTS)
    required, wanted = reached(known, [(OURS, "")]), reached(known, [(OURS, name) for name in extras])
    for component in found["components"]:
        name = plain(component["name"])
        component["scope"] = "required" if name in required else "optional" if name in wanted else "excluded"
    return found


def reached(known: Mapping[str, Sequence[Requirement]], start: Sequence[tuple[str, str]]) -> set[str]:
    """Return the names of what is installed for pairs of a distribution and one of its extras, or "".

    The tool's own graph does not serve: it counts what is wanted for an extra that nobody asked for.
    """
    waiting, seen = list(start), set[tuple[str, str]]()
    while waiting:
        if (pair := waiting.pop()) in seen:
            continue
        seen.add(pair)
        for each in known.get(pair[0], ()):
            if each.marker is None or each.marker.evaluate({"extra": pair[1]}):
                waiting += [(plain(each.name), extra) for extra in ("", *each.extras)]
    return {name for name, _ in seen}


def _extras_of(requirement: Requirement) -> list[str]:
    return re.findall(r"extra == ['\"]([^'\"]+)", str(requirement.marker or ""))


def plain(name: str) -> str:
    """Return a distribution's name as PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(python: Path, output: Path) -> None:
    """Write the bill, once it is valid."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = bill(python)
    text = json.dumps(found, indent=2, sort_keys=True) + "\n"
    if (error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        sys.exit(f"The bill of materials is not valid: {error}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    scopes = [each["scope"] for each in found["components"]]
    counted = ", ".join(f"{scopes.count(name)} {name}" for name in ("required", "optional", "excluded"))
    sys.stdout.write(f"{output}: {counted} components\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
