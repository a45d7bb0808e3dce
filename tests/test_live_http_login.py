"""A password reaches a camera by the strongest method that both know, once, and nobody else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from edge_classify.edge.errors import SourceError
from edge_classify.edge.sources.http_login import Login, read_challenges, strongest
from edge_classify.edge.sources.opening import open_source

from .support.encoded import encoded
from .support.raw_camera import RawCamera, RawRequest, head, raw_camera
from .support.streams import own_certificate

USER, PASSWORD = "admin", "geh: eim"
ESCAPED = "geh%3A%20eim"
REALM, NONCE = "IP Camera (1, 2)", "5f0==/a"
HASHES = {
    "MD5": hashlib.md5,
    "SHA-256": hashlib.sha256,
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
}
needs_sha512_256 = pytest.mark.skipif(
    "sha512_256" not in hashlib.algorithms_available, reason="this OpenSSL has no SHA-512/256"
)


def fields_of(header: str) -> dict[str, str]:
    """Return the fields of a Digest answer, read by another rule than the product's."""
    assert header.startswith("Digest ")
    return {
        name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', header)
    }


def is_right(header: str, algorithm: str, qop: str | None, nonce: str = NONCE) -> bool:
    """Check an answer as a server does: RFC 7616, 3.4; without qop RFC 2069, 2.1.2."""
    given = fields_of(header)

    def digest(text: str) -> str:
        return str(HASHES[algorithm.removesuffix("-sess")](text.encode()).hexdigest())

    first = digest(f"{USER}:{REALM}:{PASSWORD}")
    if algorithm.endswith("-sess"):
        first = digest(f"{first}:{given['nonce']}:{given['cnonce']}")
    second = digest("GET:/camera" + (f":{digest('')}" if qop == "auth-int" else ""))
    middle = "" if qop is None else f"{given['nc']}:{given['cnonce']}:{given['qop']}:"
    expected = {
        "username": USER,
        "realm": REALM,
        "nonce": nonce,
        "uri": "/camera",
        "qop": qop,
        "opaque": "xyz",
    }
    response = digest(f"{first}:{given['nonce']}:{middle}{second}")
    return given["response"] == response and {name: given.get(name) for name in expected} == expected


def digest_challenge(algorithm: str | None, qop: str | None, nonce: str = NONCE, more: str = "") -> str:
    words = [f'Digest realm="{REALM}"', f'nonce="{nonce}"', 'opaque="xyz"']
    words += [f"algorithm={algorithm}"] if algorithm else []
    words += [f'qop="{qop}"'] if qop else []
    return ", ".join(words) + more


def asks(*challenges: str) -> bytes:
    lines = "".join(f"WWW-Authenticate: {challenge}\r\n" for challenge in challenges)
    return f"HTTP/1.1 401 Unauthorized\r\n{lines}Content-Length: 0\r\n\r\n".encode()


def guarded(check: Callable[[str], bool], *challenges: str) -> Callable[[RawRequest], Iterator[bytes]]:
    numbers = count()

    def answer(request: RawRequest) -> Iterator[bytes]:
        given = request.headers.get("authorization")
        yield head("image/jpeg") + encoded(next(numbers)) if given and check(given) else asks(*challenges)

    return answer


def opens(camera: RawCamera, user: str = USER, password: str = ESCAPED) -> bool:
    source = open_source(camera.address.replace("://", f"://{user}:{password}@"))
    frame = next(iter(source))
    source.close()
    assert frame.source.endswith(f"***@127.0.0.1:{camera.port}/camera")
    return frame.picture is not None


@pytest.mark.parametrize("qop", ["auth", "auth-int", None])
@pytest.mark.parametrize(
    "algorithm",
    ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", pytest.param("SHA-512-256", marks=needs_sha512_256)],
)
def test_digest_answers_are_right_by_the_standard(algorithm: str, qop: str | None) -> None:
    challenge = digest_challenge(algorithm, qop)
    with raw_camera(guarded(lambda given: is_right(given, algorithm, qop), challenge)) as camera:
        assert opens(camera)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_example_of_rfc_7616_is_answered_as_it_stands_there(algorithm: str, response: str) -> None:
    (challenge,) = read_challenges([
        'Digest realm="http-auth@example.org", qop="auth, auth-int", '
        f'algorithm={algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    ])  # fmt: skip
    login, url = Login("Mufasa", "Circle of Life"), "http://www.example.org/dir/index.html"
    answer = challenge.answer(login, url, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    assert fields_of(answer)["response"] == response  # Section 3.9.1.


@pytest.mark.parametrize("fold", ["\r\n ", "\n\t", "\r"])
def test_challenge_that_goes_on_in_the_next_line_makes_no_line_in_the_answer(fold: str) -> None:
    (challenge,) = read_challenges([f'Digest realm="a{fold}b", nonce="1{fold}X-Other: y", qop="auth"'])
    answer = challenge.answer(Login("user", "secret"), "http://camera/", "0a4f113b")
    assert "\r" not in answer and "\n" not in answer
    assert fields_of(answer)["realm"] == "a b"


def test_strongest_method_is_chosen_from_one_header_or_several() -> None:
    offered = [
        "NTLM",
        f'Basic realm="{REALM}", {digest_challenge("MD5", "auth")}',
        digest_challenge("SHA-256", "auth"),
    ]
    for challenges in (offered, [", ".join(offered)], offered[::-1]):
        with raw_camera(guarded(lambda given: is_right(given, "SHA-256", "auth"), *challenges)) as camera:
            assert opens(camera)


def test_unknown_algorithm_is_passed_over_for_one_that_is_known() -> None:
    challenges = digest_challenge("SHA3-999", "auth"), digest_challenge(None, "auth")
    with raw_camera(guarded(lambda given: is_right(given, "MD5", "auth"), *challenges)) as camera:
        assert opens(camera)


@pytest.mark.parametrize(
    ("challenges", "said"),
    [
        (
            ["NTLM", "Negotiate"],
            "it asks for a login by NTLM or Negotiate, which is not supported: Basic, and",
        ),
        ([digest_challenge("SHA3-999", "auth")], "by Digest with SHA3-999, which is not supported"),
        ([], "by no method at all"),
    ],
)
def test_method_that_is_not_supported_is_named(challenges: list[str], said: str) -> None:
    with raw_camera(guarded(lambda _: False, *challenges)) as camera, pytest.raises(SourceError, match=said):
        opens(camera)
    assert len(camera.requests) == 1


@pytest.mark.parametrize("method", ["MD5", "SHA-256", "Basic"])
def test_wrong_password_is_sent_once(method: str) -> None:
    challenge = 'Basic realm="x"' if method == "Basic" else digest_challenge(method, "auth")
    with raw_camera(guarded(lambda _: False, challenge)) as camera:
        with pytest.raises(SourceError, match="it refuses this user name or password"):
            opens(camera, password="falsch")
        assert len(camera.requests) == 2
        assert "authorization" not in camera.requests[0].headers


def test_nonce_that_is_too_old_is_answered_anew_and_not_for_ever() -> None:
    nonces = count()

    def stale(request: RawRequest) -> Iterator[bytes]:
        given = request.headers.get("authorization", "")
        if 'nonce="n2"' in given and is_right(given, "SHA-256", "auth", "n2"):
            yield head("image/jpeg") + encoded(0)
        yield asks(digest_challenge("SHA-256", "auth", f"n{next(nonces)}", ", stale=TRUE" if given else ""))

    with raw_camera(stale) as camera:
        assert opens(camera)
    always = guarded(lambda _: False, digest_challenge("MD5", "auth", more=", stale=true"))
    with raw_camera(always) as camera, pytest.raises(SourceError, match="it refuses this user name"):
        opens(camera)
    assert len(camera.requests) <= 4


def test_names_beyond_ascii_and_quotes_arrive() -> None:
    asked = f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth", algorithm=SHA-256'
    chosen = strongest(read_challenges([asked]))
    assert chosen is not None
    answer = chosen.answer(Login('J"ürgen', "ß"), "http://c/x?y=1", "c")
    assert r'username="J\"ürgen"' in answer.encode("latin-1").decode() and 'uri="/x?y=1"' in answer
    first = hashlib.sha256(f'J"ürgen:{REALM}:ß'.encode()).hexdigest()
    second = hashlib.sha256(b"GET:/x?y=1").hexdigest()
    response = hashlib.sha256(f"{first}:{NONCE}:00000001:c:auth:{second}".encode()).hexdigest()
    assert f'response="{response}"' in answer


def test_page_that_a_camera_redirects_to_may_ask_for_the_password_too() -> None:
    numbers = count()

    def answer(request: RawRequest) -> Iterator[bytes]:
        if "authorization" not in request.headers:
            yield asks(digest_challenge("SHA-256", "auth", f"n{next(numbers)}"))
        elif request.line.startswith("GET /camera "):
            yield head(status="302 Found", Location="/other", length=0)
        else:
            yield head("image/jpeg") + encoded(0)

    with raw_camera(answer) as camera:
        assert opens(camera)
    assert [request.line.split()[1] for request in camera.requests][:4] == ["/camera"] * 2 + ["/other"] * 2


def test_password_is_not_sent_to_another_server_that_a_camera_redirects_to() -> None:
    with raw_camera(guarded(lambda _: False, 'Basic realm="x"')) as thief:
        moved = head(status="302 Found", Location=thief.address)
        with raw_camera(lambda _: iter([moved])) as camera, pytest.raises(SourceError, match="401"):
            opens(camera)
        assert [request.headers.get("authorization") for request in thief.requests] == [None]


def test_password_is_not_sent_to_the_same_host_by_another_scheme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, context = own_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with raw_camera(guarded(lambda _: False, 'Basic realm="x"'), context) as encrypted:
        moved = head(status="302 Found", Location=encrypted.address)
        said = f"it redirects to {encrypted.address}, which asks for a login"
        with raw_camera(lambda _: iter([moved])) as camera, pytest.raises(SourceError, match=said):
            opens(camera)
        assert [request.headers.get("authorization") for request in encrypted.requests] == [None]


def test_challenges_without_end_are_not_read() -> None:
    many = [", ".join(["a b"] * 1000)] * 3
    with (
        raw_camera(guarded(lambda _: False, *many)) as camera,
        pytest.raises(SourceError, match="it asks for a login in more than 8192 bytes"),
    ):
        opens(camera)
