"""The locks name what setup.cfg asks for, on every Python and system: versions and checksums, no more."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from edge_classify.benchmarks.devices.wheel import locked_packages
from edge_classify.edge.doctor.known_faults import KNOWN_FAULTS
from packaging.requirements import Requirement
from packaging.version import Version

from release.lock import EVERYTHING, LOCKS, Lock

ROOT = Path(__file__).parent.parent
SYSTEMS = (
    ("linux", "Linux", "x86_64"),
    ("linux", "Linux", "aarch64"),
    ("darwin", "Darwin", "arm64"),
    ("win32", "Windows", "AMD64"),
)
Names = dict[str, Version]


def environment(system: tuple[str, str, str], minor: int) -> dict[str, str]:
    return {
        "sys_platform": system[0], "platform_system": system[1], "platform_machine": system[2],
        "os_name": "nt" if system[0] == "win32" else "posix", "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.5", "platform_python_implementation": "CPython",
        "implementation_name": "cpython", "extra": "",
    }  # fmt: skip


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def rows(text: str) -> list[tuple[Requirement, list[str]]]:
    """Return the requirements of a lock with their options."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    parts = [re.split(r"\s+(?=--)", line.strip()) for line in lines]
    return [(Requirement(first), options) for first, *options in parts]


def locked(path: str, here: dict[str, str]) -> Names:
    """Return the versions that a lock gives on a machine: one for each package."""
    found: Names = {}
    for requirement, _ in rows((ROOT / path).read_text()):
        if requirement.marker is None or requirement.marker.evaluate(here):
            (pin,) = requirement.specifier
            assert plain(requirement.name) not in found, f"two versions of {requirement.name} in {path}"
            found[plain(requirement.name)] = Version(pin.version)
    return found


def asked_for(extras: set[str], here: dict[str, str]) -> list[Requirement]:
    """Return what setup.cfg asks for on a machine, with the extras that an extra asks for."""
    config = configparser.RawConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    texts, waiting = [config["options"]["install_requires"]], list(extras)
    while waiting:
        text = config["options.extras_require"][waiting.pop()]
        texts.append(text)
        waiting += re.findall(r"edge-classify\[(\w+)\]", text)
    lines = [line.split("#")[0].strip() for text in texts for line in text.splitlines()]
    wanted = [Requirement(line) for line in lines if line and not line.startswith("edge-classify[")]
    return [each for each in wanted if each.marker is None or each.marker.evaluate(here)]


def misfits(wanted: list[Requirement], found: Names) -> list[str]:
    """Return what a lock lacks, or has in a version that is not allowed."""
    return [
        f"{each} and not {found.get(plain(each.name))}: run make lock"
        for each in wanted
        if plain(each.name) not in found or not each.specifier.contains(found[plain(each.name)])
    ]


@pytest.mark.parametrize("minor", range(10, 15))
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: "-".join(system[1:]))
def test_locks_have_all_that_setup_cfg_asks_for(system: tuple[str, str, str], minor: int) -> None:
    here = environment(system, minor)
    everything, runner = locked(EVERYTHING, here), locked("benchmarks/devices/locked/64-bit.txt", here)
    assert misfits(asked_for({"all", "dev"}, here), everything) == []
    assert misfits(asked_for(set(), here), runner) == []
    assert {name: everything.get(name) for name in runner} == runner


@pytest.mark.parametrize("minor", [10, 11])
def test_lock_of_32_bit_arm_leaves_out_what_debian_has(minor: int) -> None:
    here = environment(("linux", "Linux", "armv7l"), minor)
    found = locked("benchmarks/devices/locked/32-bit-arm.txt", here)
    wanted = [each for each in asked_for(set(), here) if each.name not in ("numpy", "pillow")]
    assert misfits(wanted, found) == []
    assert "tflite-runtime" in found
    assert not {"numpy", "pillow", "psutil"} & found.keys()


@pytest.mark.parametrize("name", ["build", "tools", "docs", "mediapipe", "tflite-runtime"])
def test_lock_fits_the_requirements_that_it_was_made_from(name: str) -> None:
    here = environment(SYSTEMS[0], 11)
    lines = (ROOT / f"requirements/{name}.in").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert wanted and misfits(wanted, locked(f"requirements/{name}.txt", here)) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.path)
def test_lock_holds_nothing_but_versions_and_checksums(lock: Lock) -> None:
    text = (ROOT / lock.path).read_text()
    found = rows(text)
    assert found
    for requirement, options in found:
        assert requirement.url is None and not requirement.extras
        assert [each.operator for each in requirement.specifier] == ["=="]
        assert options and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in options)
    # An address, or a folder of the machine that the lock was made on, would have others install from there.
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) == 2 and not re.search(r"://|/|\\", "".join(comments))


def test_every_lock_in_the_tree_is_one_that_make_lock_writes() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "requirements").glob("*.txt")}
    found |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob("benchmarks/**/locked/*.txt")}
    assert found == {lock.path for lock in LOCKS}


@pytest.mark.parametrize("minor", range(11, 15))
def test_no_locked_library_has_a_fault_that_the_doctor_knows_of(minor: int) -> None:
    found = locked(EVERYTHING, environment(SYSTEMS[0], minor))
    decoders = [fault for fault in KNOWN_FAULTS if fault.distribution in found]
    assert decoders
    assert [fault for fault in decoders if found[fault.distribution] < Version(fault.mended)] == []


def test_device_gets_the_lock_of_its_kind() -> None:
    small, large = locked_packages(old_arm=True).decode(), locked_packages(old_arm=False).decode()
    assert "tflite-runtime==" in small and "ai-edge-litert==" not in small
    assert "ai-edge-litert==" in large and "tflite-runtime==" not in large
