"""Archives that depend on their files alone, a bill of materials without this machine, an honest audit."""

from __future__ import annotations

import io
import json
import tarfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from release import audit, sbom
from release.build_backend import normalize_tar, normalize_zip, source_date
from release.dist import differences

FILES = {"part/b.py": b"b = 2\n", "part/a.py": b"a = 1\n", "thing-1.dist-info/RECORD": b"part/a.py,,\n"}


def zipped(names: Sequence[str], date: tuple[int, ...], mode: int) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name, date)  # type: ignore[arg-type]
            entry.external_attr = mode << 16
            archive.writestr(entry, FILES[name])
    return raw.getvalue()


def test_wheels_of_the_same_files_are_the_same_bytes_whenever_and_however_they_were_packed() -> None:
    first = zipped(sorted(FILES), (2026, 1, 2, 3, 4, 6), 0o644)
    second = zipped(sorted(FILES, reverse=True), (1999, 9, 9, 9, 9, 8), 0o600)
    assert first != second
    assert normalize_zip(first, 1_700_000_000) == normalize_zip(second, 1_700_000_000)
    with zipfile.ZipFile(io.BytesIO(normalize_zip(second, 1_700_000_000))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        assert archive.namelist()[-1].endswith("RECORD")
        assert archive.infolist()[0].date_time == time.gmtime(1_700_000_000)[:6]


def tarred(mtime: int, owner: str, mode: int, *, backwards: bool) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(FILES, reverse=backwards):
            entry = tarfile.TarInfo(f"thing-1/{name}")
            entry.mtime, entry.uname, entry.uid, entry.size = mtime, owner, mtime % 1000, len(FILES[name])
            entry.mode = mode | (0o100 if name.endswith("a.py") else 0)
            archive.addfile(entry, io.BytesIO(FILES[name]))
    return raw.getvalue()


def test_sdists_of_the_same_files_are_the_same_bytes_and_programs_stay_executable() -> None:
    first = normalize_tar(tarred(1_600_000_001, "ann", 0o644, backwards=False), 0)
    second = normalize_tar(tarred(1_200_000_007, "bob", 0o600, backwards=True), 0)
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        modes = {member.name: member.mode for member in archive.getmembers()}
        assert {member.uname for member in archive.getmembers()} == {""}
    assert modes == {
        "thing-1/part/a.py": 0o755, "thing-1/part/b.py": 0o644, "thing-1/thing-1.dist-info/RECORD": 0o644,
    }  # fmt: skip


def test_file_that_is_a_link_to_another_in_the_sdist_keeps_its_contents() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        entry = tarfile.TarInfo("a")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"same"))
        link = tarfile.TarInfo("b")
        link.type, link.linkname = tarfile.LNKTYPE, "a"
        archive.addfile(link)
    with tarfile.open(fileobj=io.BytesIO(normalize_tar(raw.getvalue(), 0))) as archive:
        found = archive.extractfile("b")
        assert found is not None and found.read() == b"same" and archive.getmember("b").isreg()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 315532800), ("1700000000", 1_700_000_000), ("0", 315532800), ("99999999999", 4354819199)],
)
def test_time_in_the_archives_is_source_date_epoch_or_the_same_for_all(
    value: str | None, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    if value is not None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    assert source_date() == seconds


@pytest.mark.parametrize("value", ["", "-1", "today", "1e9", "\u0661"])
def test_source_date_epoch_that_is_no_time_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    with pytest.raises(ValueError, match="SOURCE_DATE_EPOCH takes seconds"):
        source_date()


def test_two_builds_that_differ_are_told_apart_by_the_files_in_them(tmp_path: Path) -> None:
    paths = [tmp_path / name / "thing-1-py3-none-any.whl" for name in ("one", "other")]
    for path, content in zip(paths, ("1", "2"), strict=True):
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("same.py", "")
            archive.writestr("other.py", content)
            if content == "2":
                archive.writestr("more.py", "")
    assert differences(*paths) == ["more.py", "other.py"]
    assert differences(paths[0], paths[0]) == []


def test_builds_with_the_same_files_that_are_packed_otherwise_differ(tmp_path: Path) -> None:
    paths = [tmp_path / name / "thing-1-py3-none-any.whl" for name in ("one", "other")]
    for path, mode in zip(paths, (0o644, 0o600), strict=True):
        path.parent.mkdir()
        path.write_bytes(zipped(sorted(FILES), (2026, 1, 2, 3, 4, 6), mode))
    assert differences(*paths) == [f"{paths[0].name}: the files are the same, and packed otherwise"]


def component(name: str, **more: Any) -> dict[str, Any]:
    return {"bom-ref": f"{name}==1", "name": name, "version": "1", **more}


def test_bill_says_who_gets_a_component_and_not_where_it_lay() -> None:
    place = [{"type": "distribution", "url": "file:///home/ann/edge-classify"}]
    names = ("numpy", "Helper_Lib", "opencv-python", "pytest", "plugin")
    found = {"metadata": {}, "components": [component(name) for name in names]}
    found["components"].append(component("edge-classify", externalReferences=place))  # type: ignore[attr-defined]
    requires = {
        "edge-classify": [
            "numpy>=1", 'opencv-python; extra == "camera"', 'pytest; extra == "dev"',
            'edge-classify[camera]; extra == "dev"', 'plugin; python_version < "3" and extra == "camera"',
        ],
        "numpy": ["helper.lib", 'plugin; extra == "never-asked-for"'],
        "opencv-python": ["numpy"], "Helper_Lib": [], "pytest": [], "plugin": [],
    }  # fmt: skip
    told = sbom.describe(found, requires)
    assert {each["name"]: each["scope"] for each in told["components"]} == {
        "numpy": "required", "Helper_Lib": "required", "opencv-python": "optional", "pytest": "excluded",
        "plugin": "excluded",
    }  # fmt: skip
    assert told["metadata"]["component"]["purl"] == "pkg:pypi/edge-classify@1"
    assert "file:" not in json.dumps(told)


def test_bill_of_an_environment_without_this_package_is_refused() -> None:
    with pytest.raises(ValueError, match="edge-classify is not installed"):
        sbom.describe({"metadata": {}, "components": [component("numpy")]}, {"numpy": []})


class Vulnerabilities:
    """Stands in for pip-audit: `known` are the vulnerable names by service, `silent` the names it skips."""

    def __init__(self, known: dict[str, set[str]], silent: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        self.known, self.silent = known, silent

    def __call__(self, arguments: list[str]) -> str:
        options = dict(argument[2:].split("=", 1) for argument in arguments)
        service, path = options["vulnerability-service"], Path(options["requirement"])
        if service not in self.known:
            return ""
        lines = path.read_text().splitlines()
        names = [line.split("==")[0] for line in lines if line[:1].isalpha()]
        return json.dumps({"dependencies": [self._one(service, name) for name in names], "fixes": []})

    def _one(self, service: str, name: str) -> dict[str, Any]:
        if name in self.silent:
            return {"name": name, "skip_reason": "not found"}
        vulns = [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["9"]}]
        return {"name": name, "version": "1", "vulns": vulns if name in self.known[service] else []}


@pytest.mark.parametrize(
    ("answers", "status", "said"),
    [
        (Vulnerabilities({}), audit.UNKNOWN, "neither pypi.org nor api.osv.dev gives data"),
        # An index that answers, and knows nothing of anything: pip-audit alone would report no vulnerability.
        (Vulnerabilities({"pypi": set()}), audit.UNKNOWN, "Not audited: neither"),
        (Vulnerabilities({"pypi": set()}, {"pillow"}), audit.UNKNOWN, "Not audited: neither"),
    ],
)
def test_audit_without_data_does_not_say_that_nothing_is_known(
    answers: Vulnerabilities, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.audit(answers) == status
    assert said in (told := capsys.readouterr().out)
    assert "No vulnerability" not in told


class NewPillowIsClean(Vulnerabilities):
    """Knows of faults in the version that is asked about first, and of none in the locked one."""

    def __call__(self, arguments: list[str]) -> str:
        bad = audit.KNOWN_BAD in Path(arguments[1].split("=", 1)[1]).read_text()
        return super().__call__(arguments) if bad else Vulnerabilities({"osv": set()}, self.silent)(arguments)


def test_audit_takes_the_service_that_has_data_and_says_what_was_audited(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert audit.audit(NewPillowIsClean({"osv": {"pillow"}})) == audit.CLEAN
    assert "everything" in (told := capsys.readouterr().out) and "api.osv.dev" in told


def test_audit_names_what_was_found_with_the_version_that_mends_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert audit.audit(Vulnerabilities({"pypi": {"pillow", "jinja2"}})) == audit.FOUND
    told = capsys.readouterr().out
    assert "requirements/everything.txt: jinja2 1: PYSEC-1, CVE-1; mended in 9" in told
    assert "make lock UPGRADE=1" in told


def test_audit_that_skips_a_package_names_it_and_is_not_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.audit(NewPillowIsClean({"osv": {"pillow"}}, {"click"})) == audit.UNKNOWN
    assert "gives no data: requirements/everything.txt: click" in capsys.readouterr().out
