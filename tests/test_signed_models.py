"""edge-classify --require-signature: only what a trusted key has signed is run, and exactly those bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from edge_classify.edge import trusted_keys
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.cli import main
from edge_classify.edge.delegates import parse_delegate_options
from edge_classify.edge.doctor import probe
from edge_classify.edge.modelfile import ModelFile
from edge_classify.edge.runtime import Execution
from edge_classify.edge.runtime_packages import PythonBuild
from edge_classify.edge.service.arguments import for_service
from edge_classify.edge.service.install import RULES
from edge_classify.edge.signature import ModelSignature, find_signature
from edge_classify.edge.trusted_keys import TrustedKeys
from PIL import Image

from .support.delegates import TINY_DELEGATE, compile_library
from .support.signing import KeyPair, make_key, write_signed
from .support.tiny_model import COLOURS, SIDE, classifier, write_sealed


@pytest.fixture
def anna(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


@pytest.fixture
def model(tmp_path: Path, anna: KeyPair) -> Path:
    return write_signed(tmp_path / "m.tflite", anna)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (SIDE, SIDE), colour).save(folder / f"{name}.png")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def answers(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return {Path(line["source"]).stem: line["predictions"][0]["label"] for line in found}


RIGHT = {name: name for name in COLOURS}


def test_signed_file_answers_as_without_the_option(model: Path, photos: Path, anna: KeyPair) -> None:
    required = run("-m", model, "--require-signature", anna.public, photos, "--json")
    assert answers(required) == RIGHT == answers(run("-m", model, photos, "--json"))


def damage(model: Path, _: KeyPair) -> None:
    data = bytearray(model.read_bytes())
    data[1000] ^= 1
    model.write_bytes(data)


def take_the_signature_off(model: Path, _: KeyPair) -> None:
    write_sealed(model)


def make_older(model: Path, anna: KeyPair) -> None:
    write_signed(model, anna, 4)


def sign_by_another(model: Path, _: KeyPair) -> None:
    write_signed(model, make_key(model.parent, "mallory"))


def append(model: Path, _: KeyPair) -> None:
    model.write_bytes(model.read_bytes() + b"more")


def make_no_model(model: Path, _: KeyPair) -> None:
    model.write_bytes(b"hello")


BAD: list[tuple[Callable[[Path, KeyPair], None], str]] = [
    (damage, "was changed or damaged after 'anna' (SHA256:"),
    (take_the_signature_off, "is not signed, and --require-signature asks for it"),
    (make_older, "is version 4 of 'anna' (SHA256:"),
    (sign_by_another, "which is none of the keys in"),
    (append, "the file was cut, changed or added to after it was signed"),
    (make_no_model, "is not signed"),
]
NAMES = [change.__name__ for change, _ in BAD]


@pytest.fixture
def keys(tmp_path: Path, anna: KeyPair) -> Path:
    """Anna is trusted from version 5 on."""
    path = tmp_path / "keys"
    path.write_text(f"min-version=5 {anna.line} anna\n")
    return path


@pytest.mark.parametrize(("change", "said"), BAD, ids=NAMES)
def test_other_file_is_refused_before_anything_in_it_is_read_or_run(
    change: Callable[[Path, KeyPair], None], said: str, model: Path, photos: Path, anna: KeyPair, keys: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert answers(run("-m", model, "--require-signature", keys, photos, "--json")) == RIGHT
    change(model, anna)
    monkeypatch.setattr(ModelFile, "read", None)
    for more in ((), ("--untrusted",)):
        result = run("-m", model, "--require-signature", keys, photos, *more)
        assert (result.exit_code, result.stdout) == (1, "")
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("change", "said"), BAD, ids=NAMES)
def test_self_check_and_doctor_refuse_it_and_run_nothing(
    change: Callable[[Path, KeyPair], None], said: str, model: Path, anna: KeyPair, keys: Path
) -> None:
    good = run("--self-check", model, "--require-signature", keys)
    assert good.exit_code == 0
    assert "signature: made by 'anna' (SHA256:" in good.stdout
    assert run("--doctor", "-m", model, "--require-signature", keys, "--json").exit_code == 0
    change(model, anna)
    checked = run("--self-check", model, "--require-signature", keys)
    assert checked.exit_code == 1
    assert [line.split()[0] for line in checked.stdout.splitlines()[1:]] == ["failed", "not"]
    assert said in checked.stdout
    doctor = run("--doctor", "-m", model, "--require-signature", keys, "--json")
    about = [
        line for line in map(json.loads, doctor.stdout.splitlines()) if line["name"].startswith("model ")
    ]
    assert [(line["name"], line["status"]) for line in about] == [("model m.tflite: signature", "error")]
    assert said in about[0]["detail"]


def test_of_several_models_each_must_be_signed(
    tmp_path: Path, model: Path, photos: Path, anna: KeyPair
) -> None:
    unsigned = write_sealed(tmp_path / "unsigned.tflite")
    result = run("-m", model, "-m", unsigned, "--require-signature", anna.public, photos)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{unsigned} is not signed" in result.stderr


@pytest.mark.parametrize(
    "more", [(), ("--untrusted",), ("--threads", "2")], ids=["here", "untrusted", "threads"]
)
def test_file_that_is_replaced_after_the_check_is_not_the_one_that_runs(
    more: tuple[str, ...], model: Path, photos: Path, anna: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several photos: workers open the model again, each for itself."""

    def replace_then_find(data: bytes, name: str) -> ModelSignature | None:
        model.write_bytes(b"hostile")
        return find_signature(data, name)

    monkeypatch.setattr(trusted_keys, "find_signature", replace_then_find)
    result = run("-m", model, "--require-signature", anna.public, photos, "--json", *more)
    assert model.read_bytes() == b"hostile"
    assert answers(result) == RIGHT


def test_self_check_examines_the_bytes_whose_signature_it_checked(
    model: Path, anna: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace_then_find(data: bytes, name: str) -> ModelSignature | None:
        model.write_bytes(b"hostile")
        return find_signature(data, name)

    monkeypatch.setattr(trusted_keys, "find_signature", replace_then_find)
    assert run("--self-check", model, "--require-signature", anna.public).exit_code == 0


def test_doctor_runs_no_file_that_was_replaced_after_the_check(model: Path) -> None:
    checked = model.read_bytes()
    write_sealed(model, classifier("CUMSUM"))
    found = probe.probe(model, Execution(), checked)
    assert isinstance(found, probe.NotRun)
    assert found.reason == "it was replaced after its signature had been checked"


def test_delegate_takes_the_bytes_that_were_checked(tmp_path: Path, model: Path, anna: KeyPair) -> None:
    library = compile_library(TINY_DELEGATE, tmp_path / "libtiny.so")
    file = TrustedKeys.read(anna.public).read_model(model)
    model.unlink()
    options = parse_delegate_options([f"log={tmp_path / 'log'}"])
    loaded = Classifier(file, execution=Execution(delegate=str(library), delegate_options=options))
    loaded.invoke(loaded.prepare(np.zeros((SIDE, SIDE, 3), np.uint8)))
    assert "invoked" in (tmp_path / "log").read_text()


def test_self_check_without_keys_tells_what_a_signature_and_a_checksum_show(
    tmp_path: Path, model: Path
) -> None:
    shown = run("--self-check", model)
    assert shown.exit_code == 0
    assert "whether you trust that key, --require-signature KEYS tells" in shown.stdout
    assert "as the card says: not damaged, whoever made it" in shown.stdout
    assert "signature" not in run("--self-check", write_sealed(tmp_path / "plain.tflite")).stdout
    data = model.read_bytes()
    model.write_bytes(data.replace(b"version 000000000000000007", b"version 000000000000000008"))
    changed = run("--self-check", model)
    assert changed.exit_code == 1
    assert "failed      signature: changed or damaged after SHA256:" in changed.stdout


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (
            64,
            'needs the package cryptography, which is not installed. Run: pip install "cryptography>=',
        ),
        (32, "Run: sudo apt install python3-cryptography"),
    ],
)
def test_without_cryptography_nothing_runs_and_the_package_is_named(
    bits: int, said: str, model: Path, photos: Path, anna: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    monkeypatch.setattr(PythonBuild, "here", lambda: PythonBuild(bits, "armv7l", (3, 11)))
    result = run("-m", model, "--require-signature", anna.public, photos)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: --require-signature needs the package cryptography")
    assert said in result.stderr
    checked = run("--self-check", model)
    assert checked.exit_code == 1
    assert "not checked signature: Checking a signature needs the package cryptography" in checked.stdout
    assert answers(run("-m", model, photos, "--json")) == RIGHT


def test_run_that_asks_for_no_signature_loads_nothing_for_it(model: Path, photos: Path) -> None:
    code = (
        "import sys\nfrom edge_classify.edge.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print(*[m for m in sys.modules if 'cryptography' in m or 'signature' in m or 'trusted' in m])"
    )
    command = [sys.executable, "-c", code, "-m", str(model), str(photos / "red.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].split()[1] == "red"
    assert done.stdout.splitlines()[1:] == [""]


def test_default_model_does_not_pass_for_a_signed_one(photos: Path, anna: KeyPair) -> None:
    result = run("--require-signature", anna.public, photos)
    assert result.exit_code == 2
    assert "--require-signature goes with --model or --self-check, which is not given" in result.stderr


def test_service_keeps_the_option_with_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with click.Context(main) as context:
        main.parse_args(context, ["-m", "m.tflite", "--camera", "0", "--require-signature", "anna.pub"])
        line = for_service(context, RULES)
    assert f"--require-signature={tmp_path / 'anna.pub'}" in line.arguments
