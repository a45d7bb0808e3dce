"""A broker that wants memory, time or attention gets none, and what it did is said."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from time import sleep

import pytest
from edge_classify.edge.outputs.delivery import Pauses
from edge_classify.edge.outputs.mqtt import Mqtt

from .support.network_servers import Remarks, make_result
from .support.raw_server import RawServer, mqtt_message, raw_server, read_mqtt
from .support.waiting import PATIENCE, wait_until

pytest.importorskip("paho.mqtt.enums")

QUICK = Pauses(0.01, 0.05)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last results are sent for half a second instead of five."""
    monkeypatch.setattr("edge_classify.edge.outputs.mqtt.closing_seconds", lambda _: 0.5)


CONNACK = b"\x20\x02\0\0"
Serve = Callable[[socket.socket], None]


def after_connack(*pieces: bytes, endless: bool = False) -> Serve:
    """Return a broker that sends these bytes behind its answer, once or without end."""

    def serve(connection: socket.socket) -> None:
        read_mqtt(connection)
        connection.sendall(CONNACK)
        for piece in pieces:
            connection.sendall(piece)
        while endless:
            for piece in pieces:
                connection.sendall(piece)
        sleep(PATIENCE)

    return serve


# What it sends after its answer, and what is said of it.
UNASKED = {
    "messages of QoS 2": (mqtt_message(2, b"x" * 10_000), "PUBLISH"),
    "messages of QoS 1": (mqtt_message(1, b"x" * 10_000), "PUBLISH"),
    "messages of QoS 0": (b"\x30\x03\0\1a", "PUBLISH"),
    "one packet of 256 MB": (b"\x30\xff\xff\xff\x7f" + bytes(65_536), "PUBLISH"),
    "a confirmation of 256 MB": (b"\x40\xff\xff\xff\x7f" + bytes(65_536), "PUBACK"),
    "a length without end": (b"\x40" + b"\xff" * 1000, "PUBACK"),
    "a confirmation without number": (b"\x40\x00", "PUBACK"),
    "confirmations of nothing": (b"\x40\x02\x7f\xff" * 1000, "PUBACK"),
    "releases": (b"\x62\x02\0\1", "PUBREL"),
    "answers to no question": (b"\xd0\0" * 1000, "PINGRESP"),
    "its answer again": (CONNACK * 2, "CONNACK"),
    "a subscription": (b"\x90\x03\0\1\0", "SUBACK"),
    "a goodbye of MQTT 5": (b"\xe0\x02\x8d\0", "DISCONNECT"),
    "what no MQTT has": (b"\x00\x00", "a packet that MQTT has not"),
    "a packet of clients": (b"\x10\x00", "CONNECT"),
}


@pytest.mark.parametrize("kind", UNASKED)
def test_connection_is_closed_at_anything_that_was_not_asked_for(kind: str) -> None:
    sent, said = UNASKED[kind]
    remarks = Remarks()
    with raw_server(after_connack(sent, endless=True)) as server:
        mqtt = Mqtt(f"mqtt://127.0.0.1:{server.port}", [], remarks, pauses=QUICK)
        wait_until(lambda: server.connections >= 3, "it is tried again")
        mqtt.show(make_result())
        mqtt.close()
        assert mqtt.failed == 1
    place = f"mqtt://127.0.0.1:{server.port}"
    assert remarks.texts[0].startswith(f"{place} sent what nobody had asked for ({said}")
    assert remarks.texts[-1] == f"{place}: results that never arrived: 1"
    assert len(remarks.texts) <= 4


_CHILD = """
import resource, sys, time
from edge_classify.edge.outputs.delivery import Pauses
from edge_classify.edge.outputs.mqtt import Mqtt
from paho.mqtt.client import Client
def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = most()
mqtt = Mqtt(sys.argv[1], [], lambda text: None, pauses=Pauses(0.01, 0.05))
time.sleep(3)
print(most() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss counts kilobytes on Linux")
@pytest.mark.parametrize("kind", ["messages of QoS 2", "one packet of 256 MB", "its answer again"])
def test_broker_that_sends_without_end_takes_no_memory(kind: str) -> None:
    with raw_server(after_connack(UNASKED[kind][0], endless=True)) as server:
        result = subprocess.run(
            [sys.executable, "-c", _CHILD, f"mqtt://127.0.0.1:{server.port}"],
            capture_output=True, text=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
    assert server.connections > 3
    assert float(result.stdout) < 10  # MB; without a limit it is hundreds.


def mute(connection: socket.socket) -> None:
    read_mqtt(connection)
    sleep(PATIENCE)


def trickling(connection: socket.socket) -> None:
    read_mqtt(connection)
    for _ in repeat(None):
        connection.sendall(b"\x20")
        sleep(0.1)


def silent(connection: socket.socket) -> None:
    """Answer, and confirm nothing."""
    read_mqtt(connection)
    connection.sendall(CONNACK)
    while read_mqtt(connection):
        pass


SILENT = {
    "mute": (mute, "did not answer as an MQTT broker within 0.5 s"),
    "trickling": (trickling, "sent what nobody had asked for (CONNACK of 32 bytes)"),
    "silent": (silent, "did not confirm what it got within 0.5 s"),
}


@pytest.mark.parametrize("kind", SILENT)
def test_broker_that_does_not_answer_or_confirm_is_left_and_tried_again(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_classify.edge.outputs.mqtt.TIME_LIMIT", 0.5)
    serve, said = SILENT[kind]
    remarks = Remarks()
    with raw_server(serve) as server:
        mqtt = Mqtt(f"mqtt://127.0.0.1:{server.port}", [], remarks, pauses=QUICK)
        mqtt.show(make_result())
        wait_until(lambda: server.connections >= 3, "it is tried again")
        mqtt.close()
    assert mqtt.failed == 1
    assert f"mqtt://127.0.0.1:{server.port} {said}" in remarks.texts[0]


def test_results_that_a_broker_did_not_confirm_are_sent_again_on_the_next_connection() -> None:
    got: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        """Confirm all but the results of the first connection."""
        first = server.connections == 1
        while True:
            kind, body = read_mqtt(connection)
            if kind == 0x10:
                connection.sendall(CONNACK)
            elif kind & 0xF0 == 0x30:
                length = int.from_bytes(body[:2], "big")
                is_result = body[2 : 2 + length].endswith(b"/tiny")
                if is_result and first:
                    unconfirmed.append(body[4 + length :])
                    if len(unconfirmed) == 5:
                        return
                    continue
                got.extend([body[4 + length :]] * is_result)
                connection.sendall(b"\x40\x02" + body[2 + length : 4 + length])

    unconfirmed: list[bytes] = []
    server: RawServer
    remarks = Remarks()
    with raw_server(serve) as server:
        mqtt = Mqtt(f"mqtt://127.0.0.1:{server.port}", [], remarks, pauses=QUICK)
        for number in range(5):
            mqtt.show(make_result(number))
        wait_until(lambda: remarks.holding("has closed the connection"), "its end is said")
        wait_until(lambda: server.connections == 2, "there is another connection")
        mqtt.show(make_result(5))
        wait_until(lambda: len(got) == 6, "all have arrived")
        mqtt.close()
    assert mqtt.failed == 0
    assert got[:5] == unconfirmed and len(set(got)) == 6


def test_broker_that_ends_each_connection_leaves_neither_threads_nor_sockets() -> None:
    def serve(connection: socket.socket) -> None:
        read_mqtt(connection)
        connection.sendall(CONNACK)
        read_mqtt(connection)

    remarks = Remarks()
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("counts open files in /proc")
    with raw_server(serve) as server:
        mqtt = Mqtt(f"mqtt://127.0.0.1:{server.port}", [], remarks, pauses=QUICK)
        wait_until(lambda: server.connections >= 5, "it is tried again and again")
        gc.disable()  # Nothing may wait for the garbage collector.
        try:
            before = len(list(folder.iterdir()))
            wait_until(lambda: server.connections >= 40, "it is tried again and again")
            assert len(list(folder.iterdir())) < before + 10
            assert threading.active_count() < 15
        finally:
            gc.enable()
        mqtt.close()
    assert len(remarks.texts) <= 2


def test_broker_that_ends_each_connection_is_tried_ever_more_slowly() -> None:
    with raw_server(after_connack(CONNACK)) as server:
        pauses: list[int] = []

        class Counted(Pauses):
            def after(self, failures: int) -> float:
                pauses.append(failures)
                return 0.01

        mqtt = Mqtt(f"mqtt://127.0.0.1:{server.port}", [], Remarks(), pauses=Counted())
        wait_until(lambda: len(pauses) >= 10, "it is tried again and again")
        mqtt.close()
    assert pauses[:10] == list(range(1, 11))
