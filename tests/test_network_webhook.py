"""Webhooks get what --json prints, from a runner that trusts nobody it need not trust."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from time import sleep, time

import pytest
import trustme
from edge_classify.edge.answers.result import FrameResult
from edge_classify.edge.errors import OptionError
from edge_classify.edge.outputs.delivery import Pauses
from edge_classify.edge.outputs.json_lines import to_records
from edge_classify.edge.outputs.webhook import Webhook
from edge_classify.edge.sources.frames import Frame

from .support.network_servers import Remarks, Reply, WebServer, make_result, web_server
from .support.raw_server import raw_server, read_post
from .support.waiting import wait_until

QUICK = Pauses(first=0.02, longest=0.1)


@pytest.fixture
def remarks() -> Iterator[Remarks]:
    """What was said; in none of it may stand what the tests use as password and token."""
    said = Remarks()
    yield said
    assert not [text for text in said.texts if "geheim" in text]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def _bodies(server: WebServer) -> list[object]:
    return [json.loads(request.body) for request in server.requests]


def _send(url: str, remarks: Remarks, *results: FrameResult) -> None:
    """Send results, wait until the webhook has nothing left to do, and close it."""
    webhook = Webhook(url, remarks, QUICK, wait=True)
    for result in results:
        webhook.show(result)
    wait_until(lambda: webhook.is_idle, "all is sent")
    webhook.close()


def test_each_line_of_the_contract_is_the_body_of_one_post(remarks: Remarks) -> None:
    both = make_result(1, "grüne Fläche", models=("a", "b"))
    broken = FrameResult(Frame("camera 0", None, "it was unplugged", 2))
    with web_server() as server:
        _send(f"http://127.0.0.1:{server.port}/hook?x=1", remarks, both, broken)
    assert _bodies(server) == [*to_records(both), {"source": "camera 0", "error": "it was unplugged"}]
    first = server.requests[0]
    assert first.path == "/hook?x=1"
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["User-Agent"].startswith("edge-classify/")
    assert "Authorization" not in first.headers
    assert remarks.texts == []


def test_password_in_the_url_becomes_basic_authentication_and_is_never_said(remarks: Remarks) -> None:
    with web_server(Reply(500), Reply(401)) as server:
        _send(f"http://us%40er:geheim%2F1@127.0.0.1:{server.port}/geheim-token", remarks, make_result())
    login = base64.b64encode(b"us@er:geheim/1").decode()
    assert server.requests[0].headers["Authorization"] == f"Basic {login}"
    assert "@" not in server.requests[0].headers["Host"]
    place = f"http://127.0.0.1:{server.port}"
    assert remarks.holding(f"{place} answers 500. ")
    assert remarks.holding(f"{place} answers 401: it needs another user name, password or token")


def test_server_that_comes_late_gets_what_was_kept(remarks: Remarks) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    webhook = Webhook(f"http://127.0.0.1:{port}/", remarks, QUICK)
    for number in range(3):
        webhook.show(make_result(number))
    wait_until(lambda: remarks.texts, "the trouble is said")
    with web_server(port=port) as server:
        wait_until(lambda: len(server.requests) == 3, "all have arrived")
        webhook.close()
    assert remarks.holding("cannot be reached (Connection refused)") == remarks.texts[:1]
    assert remarks.texts[1:] == [f"http://127.0.0.1:{port} takes results again"]


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503])
def test_answer_that_may_change_is_tried_again(code: int, remarks: Remarks) -> None:
    with web_server(Reply(code)) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, make_result(1))
    assert len(server.requests) == 2
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize("code", [400, 404, 410, 422])
def test_answer_that_will_not_change_is_not_tried_again(code: int, remarks: Remarks) -> None:
    with web_server(Reply(code)) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, make_result(1), make_result(2))
    assert [record["frame"] for record in map(json.loads, (r.body for r in server.requests))] == [1, 2]
    place = f"http://127.0.0.1:{server.port}"
    assert remarks.texts == [
        f"{place} answers {code}. Refused results are not sent again",
        f"{place} has caught up; results that it never received: 1",
        f"{place}: results that never arrived: 1",
    ]


@pytest.mark.parametrize("kind", ["seconds", "date"])
def test_retry_after_is_respected(kind: str, remarks: Remarks) -> None:
    value = "1" if kind == "seconds" else formatdate(time() + 3, usegmt=True)
    with web_server(Reply(429, {"Retry-After": value})) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, make_result())
    assert server.requests[1].time - server.requests[0].time >= 1


@pytest.mark.parametrize("value", ["soon", "-5", "", "Tue, 99 Foo 2020"])
def test_retry_after_that_cannot_be_read_is_no_reason_to_wait(value: str, remarks: Remarks) -> None:
    with web_server(Reply(503, {"Retry-After": value})) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, make_result())
    assert len(server.requests) == 2


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_is_an_error_and_the_other_server_hears_nothing(code: int, remarks: Remarks) -> None:
    with web_server() as other:
        headers = {"Location": f"http://127.0.0.1:{other.port}/"}
        with web_server(Reply(code, headers)) as server:
            _send(f"http://user:geheim@127.0.0.1:{server.port}/", remarks, make_result())
    assert other.requests == []
    assert remarks.holding(f"answers {code}, a redirect, which is not followed")


def test_server_that_is_no_web_server_is_said(remarks: Remarks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        webhook = Webhook(f"http://127.0.0.1:{listener.getsockname()[1]}/", remarks, QUICK)
        webhook.show(make_result())
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 mail.example.org ESMTP\r\n")
        wait_until(lambda: remarks.texts, "it is said")
        webhook._delivery.close(0)
    assert remarks.holding("does not answer as a web server (BadStatusLine)")


def _server_tls(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    return context


def test_certificate_of_an_unknown_authority_is_refused_until_ssl_cert_file_names_it(
    remarks: Remarks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    with web_server(tls=_server_tls(authority, "127.0.0.1")) as server:
        url = f"https://127.0.0.1:{server.port}/geheim"
        webhook = Webhook(url, remarks, QUICK)
        webhook.show(make_result())
        wait_until(lambda: remarks.texts, "the trouble is said")
        webhook._delivery.close(0)
        assert server.requests == []
        assert "shows a TLS certificate that is not trusted (" in remarks.texts[0]
        assert "SSL_CERT_FILE" in remarks.texts[0]

        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        _send(url, remarks, make_result())
    assert len(server.requests) == 1


def test_certificate_of_another_host_is_refused(
    remarks: Remarks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with web_server(tls=_server_tls(authority, "example.org")) as server:
        webhook = Webhook(f"https://127.0.0.1:{server.port}/", remarks, QUICK)
        webhook.show(make_result())
        wait_until(lambda: remarks.texts, "the trouble is said")
        webhook._delivery.close(0)
    assert server.requests == []
    assert "IP address mismatch" in remarks.texts[0]


def test_https_to_a_server_without_tls_is_said(remarks: Remarks) -> None:
    with web_server() as server:
        webhook = Webhook(f"https://127.0.0.1:{server.port}/", remarks, QUICK)
        webhook.show(make_result())
        wait_until(lambda: remarks.texts, "the trouble is said")
        webhook._delivery.close(0)
    assert "does not speak TLS as it should" in remarks.texts[0]


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "file:///etc/passwd", "host/hook", "http://", "http:///hook"]
)
def test_url_that_no_webhook_has_is_refused(url: str, remarks: Remarks) -> None:
    with pytest.raises(OptionError, match="--webhook"):
        Webhook(url, remarks)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for one exchange is half a second instead of ten."""
    monkeypatch.setattr("edge_classify.edge.outputs.webhook.TIME_LIMIT", 0.5)
    monkeypatch.setattr("edge_classify.edge.outputs.webhook.closing_seconds", lambda _: 0.5)


def _byte_by_byte(connection: socket.socket, data: bytes) -> None:
    for number in range(len(data)):
        connection.sendall(data[number : number + 1])
        sleep(0.1)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
# What is sent once, what then without end, and the pause after each in seconds.
NEVER_ENDING = {
    "a byte now and then": (b"HTTP/1.1 200", b" ", 0.1),
    "a header now and then": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.1),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0.0),
    "one line": (b"", b"x" * 60_000, 0.0),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 9000, 0.0),
    "nothing": (b"", b"", 0.1),
}


@pytest.mark.parametrize("kind", NEVER_ENDING)
def test_answer_that_never_ends_is_said_at_once_and_counted(kind: str, remarks: Remarks, hasty: None) -> None:
    def serve(connection: socket.socket) -> None:
        first, rest, pause = NEVER_ENDING[kind]
        read_post(connection)
        connection.sendall(first)
        while True:
            connection.sendall(rest)
            sleep(pause)

    with raw_server(serve) as server:
        webhook = Webhook(f"http://127.0.0.1:{server.port}/", remarks, QUICK)
        for number in range(5):
            webhook.show(make_result(number))
        wait_until(lambda: remarks.texts, "it is said")
        wait_until(lambda: server.connections >= 2, "it is tried again")
        webhook.close()
        assert webhook.failed == 5
        if NEVER_ENDING[kind][1]:  # Else the server does not notice it.
            wait_until(lambda: not server.present, "its connections are closed")
    assert "Results of the last 5 minutes are kept" in remarks.texts[0]
    assert remarks.texts[-1] == f"http://127.0.0.1:{server.port}: results that never arrived: 5"


def test_tls_that_is_agreed_on_byte_by_byte_is_given_up(remarks: Remarks, hasty: None) -> None:
    with raw_server(
        lambda connection: _byte_by_byte(connection, b"\x16\x03\x03\x40\x00" + bytes(99))
    ) as server:
        webhook = Webhook(f"https://127.0.0.1:{server.port}/", remarks, QUICK)
        webhook.show(make_result())
        wait_until(lambda: server.connections >= 2, "it is tried again")
        webhook.close()
    assert "cannot be reached (no answer in time)" in remarks.texts[0]


def test_connection_is_kept_for_many_messages(remarks: Remarks) -> None:
    def serve(connection: socket.socket) -> None:
        while read_post(connection):
            connection.sendall(OK)

    with raw_server(serve) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, *map(make_result, range(50)))
        assert server.connections == 1
    assert remarks.texts == []


def test_server_that_closes_after_each_answer_loses_nothing_and_draws_no_remark(remarks: Remarks) -> None:
    got: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        got.append(read_post(connection))
        connection.sendall(OK)  # It promises to keep the connection.

    with raw_server(serve) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, *map(make_result, range(30)))
    assert len(got) == 30
    assert remarks.texts == []


def test_answer_that_came_before_its_request_is_no_answer(remarks: Remarks) -> None:
    got: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        got.append(read_post(connection))
        connection.sendall(OK * 3)
        connection.recv(65_536)

    with raw_server(serve) as server:
        for number in range(3):
            _send(f"http://127.0.0.1:{server.port}/", remarks, make_result(number), make_result(number + 10))
    assert len(got) == 6


def test_body_that_is_long_or_slow_costs_the_connection_and_not_the_message(remarks: Remarks) -> None:
    bodies = [b"", b"x" * 10, b"x" * 999_999]

    def serve(connection: socket.socket) -> None:
        while True:
            got.append(read_post(connection))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bodies[len(got) % 3])

    got: list[bytes] = []
    with raw_server(serve) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, *map(make_result, range(3)))
    assert [json.loads(each.partition(b"\r\n\r\n")[2])["frame"] for each in got] == [0, 1, 2]
    assert remarks.texts == []


def test_message_that_is_sent_again_has_the_same_key_and_no_other_has_it(remarks: Remarks) -> None:
    with web_server(Reply(), Reply(500), Reply(503, {"Retry-After": "1"})) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, *map(make_result, range(3)))
        _send(f"http://127.0.0.1:{server.port}/", remarks, make_result(3))
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert keys[1] == keys[2] == keys[3]
    assert len(set(keys)) == 4
    assert all(key.startswith('"') and key.endswith('"') for key in keys)


@pytest.mark.parametrize("code", [100, 102, 103, 199, 600, 999])
def test_status_that_no_final_answer_has_is_tried_again(code: int, remarks: Remarks, hasty: None) -> None:
    answers = [b"HTTP/1.1 %d Odd\r\n\r\n" % code, OK]

    def serve(connection: socket.socket) -> None:
        read_post(connection)
        connection.sendall(answers.pop(0))

    with raw_server(serve) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, make_result())
    assert not answers
    assert remarks.holding("takes results again")


@pytest.mark.parametrize("value", ["9" * 5000, "1e9", "Fri, 31 Dec 9999 23:59:59 GMT", "\xb2", "(" * 5000])
def test_pause_that_a_server_asks_for_has_a_limit(
    value: str, remarks: Remarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_classify.edge.outputs.webhook._LONGEST_RETRY_AFTER", 0.1)
    with web_server(Reply(503, {"Retry-After": value})) as server:
        _send(f"http://127.0.0.1:{server.port}/", remarks, make_result())
    assert len(server.requests) == 2


@pytest.mark.parametrize("login", ["", "user:geheim@"])
def test_proxy_of_the_environment_gets_the_address_and_its_own_login(
    login: str, remarks: Remarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server() as proxy:
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.setenv("http_proxy", f"http://{login}127.0.0.1:{proxy.port}")
        _send("http://receiver.example:81/hook?x=1", remarks, make_result(), make_result())
    request = proxy.requests[1]
    assert request.path == "http://receiver.example:81/hook?x=1"
    assert request.headers["Host"] == "receiver.example:81"
    expected = "Basic " + base64.b64encode(b"user:geheim").decode() if login else None
    assert request.headers.get("Proxy-Authorization") == expected
    assert "Authorization" not in request.headers


def test_https_goes_through_the_proxy_in_a_tunnel_that_hears_nothing(
    remarks: Remarks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    tls = _server_tls(authority, "receiver.example")
    asked: list[bytes] = []
    got: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(65_536))
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with tls.wrap_socket(connection, server_side=True) as secure:
            while True:
                got.append(read_post(secure))
                secure.sendall(OK)

    with raw_server(serve) as proxy:
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.setenv("https_proxy", f"http://a:geheim@127.0.0.1:{proxy.port}")
        _send("https://user:geheim2@receiver.example/hook", remarks, make_result(), make_result())
    assert asked[0].startswith(b"CONNECT receiver.example:443 HTTP/1.")
    assert b"Basic " + base64.b64encode(b"a:geheim") in asked[0]
    assert b"Basic " + base64.b64encode(b"user:geheim2") in got[1]
    assert len(asked) == 1 and len(got) == 2
    assert remarks.texts == []


@pytest.mark.parametrize("begin", ["user:geheim@", "user:@", "geheim@"])
def test_password_without_tls_draws_one_remark(begin: str, remarks: Remarks) -> None:
    with web_server(*[Reply(500)] * 2) as server:
        _send(f"http://{begin}127.0.0.1:{server.port}/", remarks, *map(make_result, range(3)))
    said = remarks.holding("is not encrypted: whoever listens on the way can read its password")
    assert len(said) == 1 and said[0].endswith("use https://")


def test_token_without_tls_draws_one_remark_and_tls_draws_none(remarks: Remarks) -> None:
    Webhook("http://127.0.0.1:9/hook?token=geheim", remarks).close()
    assert len(remarks.holding('can read the "token" in its address')) == 1
    remarks.texts.clear()
    Webhook("https://user:geheim@127.0.0.1:9/hook?token=geheim", remarks).close()
    Webhook("http://127.0.0.1:9/hook?room=3", remarks).close()
    assert remarks.texts == []
