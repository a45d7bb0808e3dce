"""What a device installs has the locked version and checksum, whatever the package indexes there offer."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
from edge_classify.benchmarks.devices.far.environment import prepare
from edge_classify.benchmarks.devices.remote_run import explain_failure

FACTS = {
    "python": "3.11.2", "machine": "aarch64", "bits": 64, "libc": ["glibc", "2.36"], "folder": "/home/pi",
}  # fmt: skip


class Answers:
    """Stands in for the connection: keeps what is sent, and is never interrupted."""

    def __init__(self) -> None:
        self.sent: dict[str, Any] = {}

    def interrupted(self, seconds: float) -> bool:
        return False

    def send(self, **answer: Any) -> None:
        self.sent = answer


def write_wheel(folder: Path, name: str, version: str, body: str, requires: str = "") -> Path:
    """Write a wheel of one module, whose variable TOLD is `body`."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"TOLD = {body!r}\n")
        needed = f"Requires-Dist: {requires}\n" if requires else ""
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def pin(wheel: Path, marker: str = "") -> str:
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}=={version}{marker} \\\n    --hash=sha256:{digest}\n"


def _link(wheel: Path) -> str:
    """Return a line of a package index, with the checksum as PyPI gives it (PEP 503)."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>'


class Device:
    """A cache folder, and two package indexes: `good`, and `other`, which anybody may have filled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.good, self.other = folder, folder / "good", folder / "other"
        self.own = write_wheel(folder / "own", "standin", "1.0", "ours")
        for index in (self.good, self.other):
            index.mkdir()

    def publish(self, index: Path, name: str, version: str, body: str, requires: str = "") -> Path:
        wheel = write_wheel(index / name, name, version, body, requires)
        (index / name / "index.html").write_text("\n".join(map(_link, (index / name).glob("*.whl"))))
        return wheel

    def install(self, lock: str, **request: Any) -> dict[str, Any]:
        (self.folder / "locked.txt").write_text(f"# By a test.\n{lock}")
        answers = Answers()
        asked = {
            "requires": [], "from_debian": False, "wheels": None, "wheel": str(self.own),
            "lock": str(self.folder / "locked.txt"), **request,
        }  # fmt: skip
        prepare(self.folder / "environment", asked, answers)  # type: ignore[arg-type]
        return answers.sent

    def told(self, module: str) -> str:
        python = self.folder / "environment" / "bin" / "python"
        command = [str(python), "-I", "-c", f"import {module}; print({module}.TOLD)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device(tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", made.good.as_uri())
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", made.other.as_uri())
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return made


def test_device_takes_the_locked_file_though_another_index_has_a_newer_and_a_changed_one(
    device: Device,
) -> None:
    right = device.publish(device.good, "tinypart", "1.0", "tested")
    device.publish(device.other, "tinypart", "1.0", "changed")
    device.publish(device.other, "tinypart", "99.0", "confused")
    older = write_wheel(device.folder / "tested", "tinypart", "0.9", "for another Python")
    lock = pin(older, " ; python_full_version < '3.4'") + pin(right, " ; python_full_version >= '3.4'")
    answer = device.install(lock)
    assert "failed" not in answer, answer["text"]
    assert device.told("tinypart") == "tested"
    assert device.told("standin") == "ours"


def test_changed_file_under_the_locked_version_is_not_installed_and_said_to_be_changed(
    device: Device,
) -> None:
    lock = pin(write_wheel(device.folder / "tested", "tinypart", "1.0", "tested"))
    device.publish(device.good, "tinypart", "1.0", "changed")
    answer = device.install(lock)
    assert answer["failed"] == "pip"
    assert not list((device.folder / "environment").glob("lib/python*/site-packages/tinypart.py"))
    fetched = {**answer, "requires": json.loads(answer["requires"])}
    told = str(explain_failure("pi", FACTS, fetched, offline=False))
    assert "gives tinypart==1.0" in told and "a checksum other than PyPI's" in told
    assert told.endswith("--dest wheels tinypart==1.0")


@pytest.mark.slow
def test_package_that_the_lock_does_not_name_is_not_fetched(device: Device) -> None:
    right = device.publish(device.good, "tinypart", "1.0", "tested", requires="unlockedpart")
    device.publish(device.good, "unlockedpart", "1.0", "unlocked")
    answer = device.install(pin(right))
    assert answer["failed"] == "pip" and "unlockedpart" in answer["text"]


@pytest.mark.slow
def test_given_wheels_are_taken_in_any_version_that_is_allowed(device: Device) -> None:
    lock = pin(write_wheel(device.folder / "tested", "tinypart", "1.0", "tested"))
    given = write_wheel(device.folder / "given", "tinypart", "1.5", "given")
    answer = device.install(lock, wheels=str(given.parent), requires=["tinypart>=1"])
    assert "failed" not in answer
    assert device.told("tinypart") == "given"
