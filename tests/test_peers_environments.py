"""What cannot be installed or converted is a reason in the notes; what was made once is taken again."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from studies.peers import environments, formats, preparation
from studies.peers.catalogue import Peer
from studies.peers.environments import Environment, own_environment, required
from studies.peers.errors import PeerError
from studies.peers.preparation import KerasModel, Work, prepare_peers


@pytest.fixture
def source(tmp_path: Path) -> formats.Source:
    keras = tmp_path / "model.keras"
    keras.write_bytes(b"weights")
    return formats.Source(keras, (6, 4), (), tmp_path / "pixels.npy", tmp_path / "labels.txt", tmp_path)


def test_package_that_does_not_exist_is_a_peer_error_with_pips_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "gone.txt").write_text("./no_such_folder\n")
    monkeypatch.setattr(environments, "HERE", tmp_path)
    for _ in range(2):  # A folder that was begun is not taken for a whole one.
        with pytest.raises(PeerError, match=r"ERROR: .*no_such_folder"):
            environments.tools("gone", tmp_path / "build")


def test_tools_are_installed_once_and_again_when_their_requirements_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Sequence[str | Path]] = []
    monkeypatch.setattr(environments, "HERE", tmp_path)

    def install(command: Sequence[str | Path]) -> None:
        calls.append(command)
        Path(command[command.index("--target") + 1]).mkdir(parents=True)

    monkeypatch.setattr(environments, "call", install)
    requirements = tmp_path / "requirements" / "some.txt"
    requirements.parent.mkdir()
    for text, expected in (("a==1\n", 1), ("a==1\n", 1), ("a==2\n", 2)):
        requirements.write_text(text)
        environments.tools("some", tmp_path / "build")
        assert len(calls) == expected


def test_size_of_own_packages_counts_what_they_require() -> None:
    names = set(required(["hypothesis"]))
    assert {"hypothesis", "sortedcontainers"} <= names
    assert "pytest" not in names  # An extra of it.
    assert own_environment(["hypothesis"]).disk_mb > own_environment(["sortedcontainers"]).disk_mb > 0.05


def test_own_package_that_is_missing_is_a_peer_error() -> None:
    with pytest.raises(PeerError, match="no-such-package is not installed"):
        own_environment(["no-such-package"])


def test_peers_see_neither_the_users_packages_nor_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/home/somebody")
    variables = environments.child_variables()
    assert "PYTHONPATH" not in variables
    assert variables["CUDA_VISIBLE_DEVICES"] == "-1"


def test_conversion_that_fails_leaves_out_what_needs_it_and_no_half_written_file(
    source: formats.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def good(source: formats.Source, found: formats.Files, targets: Sequence[Path]) -> None:
        made.append(targets[0].name)
        targets[0].write_bytes(b"model")

    def bad(source: formats.Source, found: formats.Files, targets: Sequence[Path]) -> None:
        targets[0].write_bytes(b"half")
        raise PeerError("no such operator")

    def dependent(source: formats.Source, found: formats.Files, targets: Sequence[Path]) -> None:
        formats._need(found, "bad")

    makers = {("good/.a",): good, ("bad/.b", "bad-int8/.b"): bad, ("late/.c",): dependent}
    monkeypatch.setattr(formats, "_MAKERS", makers)
    for _ in range(2):
        found = formats.make_files(source, tmp_path / "kept", {"good", "bad", "late"})
        assert found["good"] == tmp_path / "kept" / "good.a"
        assert str(found["bad-int8"]) == "no such operator"
        assert str(found["late"]) == "there is no bad to convert: no such operator"
    assert made == ["good.a"]
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["good.a"]


def test_file_that_is_made_from_another_has_that_made_too(
    source: formats.Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(source: formats.Source, found: formats.Files, targets: Sequence[Path]) -> None:
        for target in targets:
            target.write_bytes(b"model")

    def derive(source: formats.Source, found: formats.Files, targets: Sequence[Path]) -> None:
        targets[0].write_bytes(formats._need(found, "onnx-float32").read_bytes() + b", quantized")

    onnx, openvino = (
        next(names for names in formats._MAKERS if key in names[0]) for key in ("onnx", "openvino")
    )
    monkeypatch.setattr(formats, "_MAKERS", {onnx: make, openvino: derive})
    path = formats.make_files(source, tmp_path / "kept", {"openvino-int8"})["openvino-int8"]
    assert isinstance(path, Path) and path.read_bytes() == b"model, quantized"


def test_peers_that_cannot_be_installed_or_converted_have_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def environment(name: str, build: Path) -> Environment:
        if name == "gone":
            raise PeerError("No matching distribution found")
        return Environment(Path(sys.executable), 12.5)

    monkeypatch.setattr(preparation, "environment", environment)
    files: formats.Files = {"made": tmp_path / "made.bin", "failed": PeerError("no such operator")}
    work = Work(KerasModel(tmp_path, (6, 4), 3), (), tmp_path, files)
    chosen = [
        Peer(name, name, "int8", "fake", name, file)
        for name, file in (("gone", "made"), ("there", "failed"), ("there", "made"))
    ]
    gone, unconverted, ready = prepare_peers(work, chosen, 1, tmp_path)
    assert gone.failure == "No matching distribution found"
    assert unconverted.failure == "no such operator"
    assert ready.failure is None
    assert ready.command[0] == sys.executable and ready.disk_mb == 12.5
