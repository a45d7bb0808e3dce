"""Libraries with faults that a picture can exploit: the doctor says so, and pip does not install them."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest
from edge_classify.edge.doctor.finding import OK, WARNING, Finding
from edge_classify.edge.doctor.known_faults import KNOWN_FAULTS, KnownFault, check_known_faults
from edge_classify.edge.runtime_packages import PythonBuild
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
REQUIRED = ("pillow", "pillow-heif", "opencv-python")
PI_64 = PythonBuild(64, "aarch64", (3, 11))
PI_32 = PythonBuild(32, "armv7l", (3, 11))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched for packages before all others."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, name: str, version: str) -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def found_about(name: str, python: PythonBuild = PI_64, system: Path = Path("/nowhere")) -> Finding | None:
    findings = {finding.name: finding for finding in check_known_faults(system, python)}
    return findings.get(f"{name} faults")


@pytest.mark.parametrize(
    ("name", "version", "faults", "remedy"),
    [
        ("pillow", "9.4.0", ("CVE-2023-4863", "CVE-2026-96639"), '"pillow>=13.0.0"'),
        ("pillow", "10.0.0", ("CVE-2023-4863",), '"pillow>=13.0.0"'),
        ("pillow", "12.3.0", ("CVE-2026-96639",), '"pillow>=13.0.0"'),
        ("opencv-python", "4.6.0.66", ("CVE-2023-4863",), '"opencv-python>=4.12.0.88"'),
        ("opencv-python", "4.8.1.77", ("CVE-2023-4863",), '"opencv-python>=4.12.0.88"'),
        ("opencv-contrib-python-headless", "4.11.0.86", ("CVE-2025-53644",), ">=4.12.0.88"),
        ("pillow-heif", "1.3.0", ("CVE-2026-32741",), '"pillow-heif>=1.4.0"'),
    ],
)
def test_library_with_a_known_fault_is_a_warning_with_its_number_and_the_remedy(
    name: str, version: str, faults: tuple[str, ...], remedy: str, site: Path
) -> None:
    install(site, name, version)
    found = found_about(name)
    assert found is not None and found.status == WARNING
    assert found.detail.startswith(f"{version} has ")
    assert all(fault in found.detail for fault in faults)
    assert remedy in str(found.remedy)


@pytest.mark.parametrize(
    ("name", "version", "fault"),
    [
        ("pillow", "10.0.1", "CVE-2023-4863"),
        ("opencv-python", "4.8.1.78", "CVE-2023-4863"),
        ("pillow", "10.1.0rc1", "CVE-2023-4863"),
    ],
)
def test_fault_that_was_mended_in_a_version_is_not_said_of_it(
    name: str, version: str, fault: str, site: Path
) -> None:
    install(site, name, version)
    found = found_about(name)
    assert found is not None and fault not in found.detail


@pytest.mark.parametrize(("name", "version"), [("pillow", "13.0.0"), ("opencv-python", "5.0.0.93")])
def test_library_without_a_known_fault_is_named_in_one_line(name: str, version: str, site: Path) -> None:
    install(site, name, version)
    (line,) = [finding for finding in check_known_faults() if finding.name == "known faults"]
    assert line.status == OK and f"{name} {version}" in line.detail


def test_package_of_the_system_is_told_from_one_that_pip_installed(site: Path) -> None:
    install(site, "pillow", "9.4.0")
    found = found_about("pillow", system=site)
    assert found is not None and found.status == OK
    assert "the system's own" in found.detail
    beside = found_about("pillow", system=site / "elsewhere")
    assert beside is not None and beside.status == WARNING


def test_remedy_on_32_bits_is_debians_package_and_on_an_old_python_a_newer_one(site: Path) -> None:
    install(site, "pillow", "9.5.0")
    small = found_about("pillow", PI_32)
    assert small is not None and "sudo apt install python3-pil" in str(small.remedy)
    old = found_about("pillow", PythonBuild(64, "x86_64", (3, 10)))
    assert old is not None and str(old.remedy).startswith("Use Python 3.11 or newer")


@pytest.mark.parametrize(
    ("fault", "minor"),
    [
        pytest.param(fault, minor, id=f"{fault.distribution}-{fault.name}-3.{minor}")
        for fault in KNOWN_FAULTS
        for minor in range(fault.python[1], 15)
        if fault.distribution in REQUIRED
    ],
)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "arm64", "AMD64"])
def test_no_wheel_with_a_known_fault_meets_the_requirements(
    machine: str, minor: int, fault: KnownFault
) -> None:
    allowed = _allowed(fault.distribution, machine, f"3.{minor}")
    assert not allowed.contains(f"{fault.mended}.dev1", prereleases=True)
    assert allowed.contains("99")


def test_debians_own_pillow_and_opencv_meet_the_requirements_on_32_bits() -> None:
    for name, version in (("pillow", "9.4.0"), ("opencv-python", "4.6.0")):
        allowed = _allowed(name, "armv7l", "3.11")
        assert allowed.contains(version)


def _allowed(name: str, machine: str, python: str) -> SpecifierSet:
    config = configparser.RawConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    texts = [config["options"]["install_requires"], *dict(config["options.extras_require"]).values()]
    lines = [line.split("#")[0].strip() for text in texts for line in text.splitlines()]
    here = {"platform_machine": machine, "python_version": python, "extra": ""}
    found = [
        each.specifier
        for each in map(Requirement, filter(None, lines))
        if each.name == name and (each.marker is None or each.marker.evaluate(here))
    ]
    assert found
    return SpecifierSet(",".join(map(str, found)))
