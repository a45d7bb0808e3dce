"""Remedies name packages, and never this one: on a package index its name may be anybody's."""

from __future__ import annotations

import platform
import re
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest
from edge_classify.edge.errors import MissingPackageError
from edge_classify.edge.extras import pip_install, requirements
from edge_classify.edge.runtime import find_runtime
from packaging.markers import Marker

from .support.source_tree import ROOT

OWN_NAME = re.compile(r"""install(?:\s+-\S+)*\s+["'`]?edge-classify|["'`]edge-classify\[""")


def _extras() -> dict[str, str]:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    return dict(config["options.extras_require"])


def _metadata() -> list[str]:
    """Return setup.cfg's extras as the metadata of a wheel spells them."""
    lines = []
    for extra, text in _extras().items():
        for line in filter(None, text.splitlines()):
            requirement, _, marker = line.partition(";")
            if not line.startswith("#"):
                lines.append(f'{requirement}; {marker.strip() + " and " if marker else ""}extra == "{extra}"')
    return lines


@pytest.mark.parametrize("extra", sorted(_extras()))
def test_an_extra_is_the_packages_that_setup_cfg_names(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _name: _metadata())
    names = {re.split(r"[<>=!~\[]", each)[0] for each in requirements(extra)}
    wanted: set[str] = set()
    pending = [extra]
    while pending:
        for line in filter(None, _extras()[pending.pop()].splitlines()):
            requirement, _, marker = line.partition(";")
            if own := re.fullmatch(r"edge-classify\[(\w+)\]", requirement):
                pending.append(own[1])
            elif not line.startswith("#") and Marker(marker or "python_version > '3'").evaluate():
                wanted.add(re.split(r"[<>=!~\[]", requirement)[0].strip())
    assert names == wanted


def test_remedies_are_commands_that_a_shell_reads_as_they_are_meant() -> None:
    assert pip_install("mqtt") == 'pip install "paho-mqtt>=2"'
    assert re.fullmatch('pip install "opencv-python>=[0-9.]+"', pip_install("camera"))  # On Linux.
    assert "edge-classify" not in pip_install("all")


def test_copy_that_is_not_installed_names_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", unknown)
    assert pip_install("mqtt") == 'pip install ".[mqtt]" in the folder of edge-classify'


def test_metadata_in_older_spellings_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "click>=8.1",
        'old>=1; platform_machine == "armv7l" and extra == "mqtt"',
        'new>=1; (platform_machine != "armv7l" and platform_machine != "armv6l") and extra == "mqtt"',
        "paho-mqtt (>=2) ; extra == 'mqtt'",
        "edge_classify[mqtt] ; extra == 'all'",
        'one[two]<3,>=2; (python_version < "3.0") and extra == "mqtt"',
        'other>=1; sys_platform == "win32" and extra == "mqtt"',
        'three[four]<3,>=2; (python_version >= "3.0") and extra == "mqtt"',
        'edge-classify[all,mqtt]; extra == "all"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda _name: lines)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert requirements("mqtt") == requirements("all") == ("new>=1", "paho-mqtt>=2", "three[four]<3,>=2")


def test_missing_runtime_is_named_with_its_command() -> None:
    with pytest.raises(MissingPackageError, match=r'Run: pip install "tflite-runtime'):
        find_runtime("tflite-runtime")


def test_no_message_and_no_document_has_pip_ask_an_index_for_this_project() -> None:
    folders = ("edge", "benchmarks", "convert", "train")
    files = [
        *(p for f in folders for p in (ROOT / f).rglob("*.py")),
        ROOT / "README.md",
        *ROOT.glob("docs/**/*.md"),
    ]
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in files
        for line in Path(path).read_text(encoding="utf-8").splitlines()
        if OWN_NAME.search(line) and path.name != "extras.py"
    ]
    assert not found, "\n".join(found)
