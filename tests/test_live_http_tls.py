"""A camera's own certificate is trusted by its fingerprint alone, before anything is sent."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from edge_classify.edge.cli import main
from edge_classify.edge.doctor.cameras import check_camera
from edge_classify.edge.errors import OptionError, SourceError
from edge_classify.edge.sources.camera import CameraOptions
from edge_classify.edge.sources.fingerprints import parse_fingerprint
from edge_classify.edge.sources.opening import open_source

from .support.raw_camera import head, raw_camera
from .support.streams import PASSWORD, USER, CameraServer, number_of, own_certificate, serving, write_video

SHOWN = ":".join(["0A", "FF"] * 16)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    return own_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def camera(certificate: tuple[Path, ssl.SSLContext]) -> Iterator[CameraServer]:
    with serving(CameraServer(tls=certificate[1])) as server:
        yield server


@pytest.fixture
def fingerprint(certificate: tuple[Path, ssl.SSLContext]) -> str:
    """SHA-256 of the certificate's DER bytes, as `openssl x509 -fingerprint -sha256` prints it."""
    der = ssl.PEM_cert_to_DER_cert(certificate[0].read_text())
    return ":".join(re.findall("..", hashlib.sha256(der).hexdigest().upper()))


def test_certificate_that_nobody_signed_is_refused_with_the_fingerprint_to_compare(
    camera: CameraServer, fingerprint: str
) -> None:
    with pytest.raises(SourceError) as error:
        open_source(camera.address("/basic", USER, PASSWORD))
    assert "its certificate is not trusted (self-signed certificate)" in str(error.value)
    assert f"--tls-fingerprint {fingerprint}. Or name the certificate's file" in str(error.value)
    assert camera.requests == 0


@pytest.mark.parametrize("page", ["/stream", "/picture", "/basic", "/digest"])
def test_certificate_with_the_fingerprint_is_accepted(
    camera: CameraServer, fingerprint: str, page: str
) -> None:
    source = open_source(camera.address(page, USER, PASSWORD), CameraOptions(tls_fingerprint=fingerprint))
    assert number_of(next(iter(source))) > 0
    source.close()


def test_other_certificate_is_refused_with_its_fingerprint_before_anything_is_sent(
    camera: CameraServer, fingerprint: str
) -> None:
    with pytest.raises(SourceError) as error:
        open_source(camera.address("/basic", USER, PASSWORD), CameraOptions(tls_fingerprint=SHOWN))
    assert f"its certificate has the fingerprint {fingerprint}, and --tls-fingerprint is {SHOWN}" in str(
        error.value
    )
    assert camera.requests == 0


def test_trusted_certificate_is_refused_too_where_its_fingerprint_is_another(
    camera: CameraServer, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    open_source(camera.address("/stream")).close()
    with pytest.raises(SourceError, match="its certificate has the fingerprint"):
        open_source(camera.address("/stream"), CameraOptions(tls_fingerprint=SHOWN))


def test_encryption_is_not_given_up_by_a_redirect(
    certificate: tuple[Path, ssl.SSLContext], fingerprint: str
) -> None:
    with serving(CameraServer()) as open_camera:
        moved = head(status="302 Found", Location=open_camera.address("/basic"))
        with (
            raw_camera(lambda _: iter([moved]), certificate[1]) as camera,
            pytest.raises(SourceError, match="it redirects from https:// to http://"),
        ):
            open_source(camera.address, CameraOptions(tls_fingerprint=fingerprint))
        assert open_camera.requests == 0


def test_encryption_of_a_film_is_not_given_up_by_a_redirect_that_comes_later(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    film = write_video(tmp_path / "film.avi", 10)
    with serving(CameraServer(film)) as open_camera:
        answers = [
            head("video/x-msvideo", len(film.read_bytes())) + film.read_bytes(),
            head(status="302 Found", Location=open_camera.address("/film")),
        ]
        with (
            raw_camera(
                lambda _: iter([answers.pop(0) if len(answers) > 1 else answers[0]]), certificate[1]
            ) as film_camera,
            pytest.raises(SourceError, match="OpenCV gets no pictures from a film"),
        ):
            open_source(film_camera.address.replace("//", f"//{USER}:{PASSWORD}@"))
        assert len(film_camera.requests) > 1
        assert open_camera.requests == 0


def test_film_is_refused_since_ffmpeg_compares_no_fingerprints(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], fingerprint: str
) -> None:
    film = write_video(tmp_path / "film.avi", 10)
    with (
        serving(CameraServer(film, tls=certificate[1])) as camera,
        pytest.raises(SourceError, match="it sends a film, which FFmpeg reads, and FFmpeg cannot compare"),
    ):
        open_source(camera.address("/film"), CameraOptions(tls_fingerprint=fingerprint))


@pytest.mark.parametrize("name", ["http://camera/stream", "rtsps://camera/stream", "0", "auto", "film.mp4"])
def test_fingerprint_is_refused_where_there_is_no_certificate_to_compare(name: str) -> None:
    with pytest.raises(OptionError, match="--tls-fingerprint goes with an address that begins with https://"):
        open_source(name, CameraOptions(tls_fingerprint=SHOWN))
    result = CliRunner().invoke(main, ["--camera", name, "--tls-fingerprint", SHOWN])
    assert result.exit_code == 2
    assert "--tls-fingerprint goes with --camera https://..., which is not given" in result.stderr


@pytest.mark.parametrize(
    "text",
    [SHOWN, SHOWN.lower(), SHOWN.replace(":", ""), SHOWN.replace(":", " "), f"sha256 Fingerprint={SHOWN}",
     f"SHA256:{SHOWN}", f"SHA-256 Fingerprint: {SHOWN.lower()}"],
)  # fmt: skip
def test_fingerprint_is_read_as_programs_show_it(text: str) -> None:
    assert parse_fingerprint(text) == SHOWN


@pytest.mark.parametrize("text", ["", "0a:ff", SHOWN + ":00", SHOWN.replace("F", "G"), "٣" * 64])
def test_text_that_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="has 64 hexadecimal digits"):
        parse_fingerprint(text)
    result = CliRunner().invoke(main, ["--camera", "https://camera/", "--tls-fingerprint", text])
    assert result.exit_code == 2 and "has 64 hexadecimal digits" in " ".join(result.stderr.split())


def test_sha1_is_said_to_be_none() -> None:
    with pytest.raises(OptionError, match="40 digits are SHA-1"):
        parse_fingerprint("0A" * 20)


def test_doctor_looks_at_the_camera_with_the_fingerprint(camera: CameraServer, fingerprint: str) -> None:
    (found,) = check_camera(camera.address("/stream"), CameraOptions(tls_fingerprint=fingerprint))
    assert found.status == "ok"
    (found,) = check_camera(camera.address("/stream"), CameraOptions())
    assert found.status == "error" and fingerprint in found.detail
