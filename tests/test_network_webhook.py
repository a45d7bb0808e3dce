"""Webhooks get what --json prints, from a runner that trusts nobody it need not trust."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
import trustme
from edge_classify.edge.answers.result import FrameResult
from edge_classify.edge.errors import OptionError
from edge_classify.edge.outputs.delivery import Pauses
from edge_classify.edge.outputs.json_lines import to_records
from edge_classify.edge.outputs.webhook import Webhook
from edge_classify.edge.sources.frames import Frame

from .support.network_servers import Remarks, Reply, WebServer, make_result, web_server
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
    delivery = webhook._delivery
    wait_until(lambda: not delivery._waiting and not delivery._in_hand, "all is sent")
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
