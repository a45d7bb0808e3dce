"""A broker gets every answer, may come and go, and Home Assistant finds what is there."""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2
import paho.mqtt.client as paho
import pytest
import trustme
from edge_classify.edge.answers.result import FrameResult
from edge_classify.edge.classifier import Classifier
from edge_classify.edge.errors import MissingPackageError, OptionError
from edge_classify.edge.outputs.delivery import Pauses
from edge_classify.edge.outputs.home_assistant import announcement, to_level, unique_id
from edge_classify.edge.outputs.json_lines import to_records
from edge_classify.edge.outputs.mqtt import Mqtt
from edge_classify.edge.sources.frames import Frame
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from .support import system
from .support.network_servers import Remarks, make_result
from .support.tiny_model import LABELS, write_sealed
from .support.waiting import PATIENCE, wait_until


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier.from_file(write_sealed(tmp_path_factory.mktemp("model") / "tiny.tflite"))


@pytest.fixture
def remarks() -> Iterator[Remarks]:
    """What was said; the tests' password may stand in none of it."""
    said = Remarks()
    yield said
    assert not [text for text in said.texts if "geheim" in text]


class Broker:
    """Mosquitto on a port of its own, which can be stopped and started again."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self._program = system.require("mosquitto")
        with socket.socket() as reserved:
            reserved.bind(("127.0.0.1", 0))
            self.port: int = reserved.getsockname()[1]
        self._file = folder / "mosquitto.conf"
        user = "user root\n" if os.getuid() == 0 else ""  # Otherwise it could not read the test's folder.
        self._file.write_text(
            f"listener {self.port} 127.0.0.1\n{user}" + "\n".join(settings or ["allow_anonymous true"]) + "\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            [self._program, "-c", str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._listens, "the broker listens")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)
            self.process = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def running(folder: Path, *settings: str) -> Iterator[Broker]:
    broker = Broker(folder, *settings)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


class Listener:
    """A subscriber to everything, which keeps the newest message of each topic."""

    def __init__(self, port: int, prepare: Callable[[paho.Client], object] = lambda _: None) -> None:
        self.messages: queue.SimpleQueue[tuple[str, str, bool]] = queue.SimpleQueue()
        self.newest: dict[str, str] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        prepare(self._client)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_message = self._keep
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _keep(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.newest[message.topic] = message.payload.decode()
        self.messages.put((message.topic, message.payload.decode(), message.retain))

    def wait_for(self, topic: str, text: str = "") -> str:
        """Return the newest message of a topic once it holds `text`."""
        wait_until(lambda: topic in self.newest and text in self.newest[topic], f"{topic} is {text}")
        return self.newest[topic]

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def listening(port: int, prepare: Callable[[paho.Client], object] = lambda _: None) -> Iterator[Listener]:
    listener = Listener(port, prepare)
    try:
        yield listener
    finally:
        listener.stop()


def test_answers_errors_and_status_are_published_and_the_last_answer_is_retained(
    model: Classifier, remarks: Remarks, tmp_path: Path
) -> None:
    with running(tmp_path) as broker:
        mqtt = Mqtt(f"mqtt://127.0.0.1:{broker.port}/home/door", [model], remarks)
        result = make_result(7, "grüne Fläche")
        with listening(broker.port) as before:
            before.wait_for("home/door/status", "online")
            mqtt.show(FrameResult(Frame("camera 0", None, "it was unplugged", 6)))
            mqtt.show(result)
            assert [json.loads(before.wait_for("home/door/tiny"))] == to_records(result)
            assert json.loads(before.newest["home/door/error"])["error"] == "it was unplugged"
            mqtt.close()
            before.wait_for("home/door/status", "offline")
        with listening(broker.port) as after:
            assert json.loads(after.wait_for("home/door/tiny"))["frame"] == 7
            after.wait_for("home/door/status", "offline")
            assert "home/door/error" not in after.newest
    assert remarks.texts == []


def test_home_assistant_is_told_what_stands_where(
    model: Classifier, remarks: Remarks, tmp_path: Path
) -> None:
    with running(tmp_path) as broker:
        mqtt = Mqtt(f"mqtt://127.0.0.1:{broker.port}", [model], remarks)
        with listening(broker.port) as listener:
            topic = f"homeassistant/sensor/{unique_id('edge-classify', 'tiny')}/config"
            sensor = json.loads(listener.wait_for(topic))
            mqtt.show(make_result(label="blue"))
            line = listener.wait_for(sensor["state_topic"])
            assert listener.wait_for(sensor["availability_topic"]) == sensor["payload_available"]
        mqtt.close()
    assert sensor["json_attributes_topic"] == sensor["state_topic"] == "edge-classify/tiny"
    assert sensor["unique_id"] in topic
    assert sensor["device"]["identifiers"]
    assert sensor["device"]["name"] == "edge-classify"
    assert sensor["origin"]["name"] == "edge-classify"
    assert sensor["options"] == [*LABELS, "unsure"]
    assert _rendered(sensor, json.loads(line)) == "blue"


def _rendered(sensor: dict[str, Any], line: dict[str, Any]) -> str:
    """Return the state as Home Assistant makes it of a message: by Jinja2, without spaces around it."""
    return str(jinja2.Template(sensor["value_template"]).render(value_json=line)).strip()


def test_state_is_the_answer_and_never_longer_than_home_assistant_takes() -> None:
    sensor = announcement("a", "m", ["x"])
    label = "{{ 7 * 7 }}" + "x" * 300
    assert _rendered(sensor, {"answer": label}) == label[:255]
    assert _rendered(sensor, {"answer": "unsure"}) == "unsure"


def test_options_are_each_state_once_and_none_where_there_are_too_many_to_choose_from() -> None:
    assert announcement("a", "m", [" red ", "red", "x" * 300])["options"] == ["red", "x" * 255, "unsure"]
    assert announcement("a", "m", ["unknown"], "none of these")["options"] == [
        "unknown",
        "unsure",
        "none of these",
    ]
    assert "options" not in announcement("a", "m", [str(number) for number in range(1001)])


def test_broker_that_comes_late_goes_away_and_comes_back_is_used_again(
    model: Classifier, remarks: Remarks, tmp_path: Path
) -> None:
    broker = Broker(tmp_path)
    place = f"mqtt://127.0.0.1:{broker.port}"
    mqtt = Mqtt(f"{place}/t", [model], remarks, pauses=Pauses(0.1, 0.5))
    try:
        mqtt.show(make_result(1))
        wait_until(lambda: remarks.texts, "its absence is said")
        broker.start()
        with listening(broker.port) as listener:
            assert json.loads(listener.wait_for("t/tiny"))["frame"] == 1
        broker.stop()
        wait_until(lambda: remarks.holding("has closed the connection"), "its end is said")
        mqtt.show(make_result(2))
        broker.start()
        with listening(broker.port) as listener:
            listener.wait_for("t/tiny", '"frame": 2')
            listener.wait_for("t/status", "online")
            assert [topic for topic in listener.newest if topic.startswith("homeassistant/")]
        mqtt.close()
    finally:
        broker.stop()
    assert f"{place} cannot be reached (Connection refused)." in remarks.texts[0]
    assert remarks.texts.count(f"{place} takes results again") == 2
    assert len(remarks.holding("cannot be reached")) <= 2


def test_status_says_offline_when_the_runner_is_killed(model: Classifier, tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from edge_classify.edge.outputs.mqtt import Mqtt\n"
        "mqtt = Mqtt(sys.argv[1], [], print)\n"
        "time.sleep(600)"
    )
    with running(tmp_path) as broker:
        url = f"mqtt://127.0.0.1:{broker.port}/t"
        process = subprocess.Popen([sys.executable, "-c", code, url])
        try:
            with listening(broker.port) as listener:
                listener.wait_for("t/status", "online")
                process.kill()
                listener.wait_for("t/status", "offline")
        finally:
            process.kill()
            process.wait(PATIENCE)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A broker that wants the password of a user."""
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    program = system.require("mosquitto_passwd", "mosquitto")
    subprocess.run([program, "-b", str(passwords), "us/er", "geheim@1"], check=True)
    with running(tmp_path, "allow_anonymous false", f"password_file {passwords}") as broker:
        yield broker


def test_right_password_is_accepted(model: Classifier, remarks: Remarks, guarded: Broker) -> None:
    mqtt = Mqtt(f"mqtt://us%2Fer:geheim%401@127.0.0.1:{guarded.port}/t", [model], remarks)
    with listening(guarded.port, lambda client: client.username_pw_set("us/er", "geheim@1")) as listener:
        mqtt.show(make_result())
        listener.wait_for("t/tiny")
        mqtt.close()
    said = f"--publish mqtt://127.0.0.1:{guarded.port} is not encrypted: whoever listens on the way can read"
    assert remarks.texts == [f"{said} its password. Where the other side has it, use mqtts://"]


def test_wrong_password_is_said_once_and_tried_again_slowly(
    model: Classifier, remarks: Remarks, guarded: Broker
) -> None:
    place = f"127.0.0.1:{guarded.port}"
    mqtt = Mqtt(f"mqtt://us%2Fer:geheim2@{place}/t", [model], remarks)
    mqtt.show(make_result())
    wait_until(lambda: remarks.holding("refuses"), "it is said")
    mqtt.close()
    assert remarks.texts[1].startswith(f"mqtt://{place} refuses the connection (Not authorized): give ")
    assert remarks.texts[2:] == [f"mqtt://{place}: results that never arrived: 1"]


def test_tls_is_verified(
    model: Classifier, remarks: Remarks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority_file, certificate = tmp_path / "authority.pem", tmp_path / "server.pem"
    authority.cert_pem.write_to_path(authority_file)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    settings = ("allow_anonymous true", f"certfile {certificate}", f"keyfile {certificate}")
    with running(tmp_path, *settings) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}/t"
        refused = Mqtt(url, [model], remarks)
        wait_until(lambda: remarks.texts, "it is said")
        refused.close()
        assert "shows a TLS certificate that is not trusted (" in remarks.texts[0]

        without = Mqtt(url.replace("mqtts", "mqtt"), [model], remarks)
        wait_until(lambda: len(remarks.texts) > 1, "it is said")
        without.close()
        assert "does it need mqtts://?" in remarks.texts[1]

        monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
        trusted = Mqtt(url, [model], remarks)
        with listening(broker.port, lambda client: client.tls_set(str(authority_file))) as listener:
            trusted.show(make_result())
            listener.wait_for("t/tiny")
        trusted.close()
    assert len(remarks.texts) == 2


def test_broker_that_stops_answering_holds_up_neither_the_camera_nor_the_end(
    model: Classifier, remarks: Remarks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_classify.edge.outputs.mqtt.closing_seconds", lambda _: 0.5)
    broker = Broker(tmp_path)
    broker.start()
    mqtt = Mqtt(f"mqtt://127.0.0.1:{broker.port}/t", [model], remarks)
    with listening(broker.port) as listener:
        listener.wait_for("t/status", "online")
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)
    try:
        big = make_result(label="x" * 100_000)
        for _ in range(1000):
            mqtt.show(big)
        mqtt.close()
    finally:
        broker.process.send_signal(signal.SIGCONT)
        broker.stop(signal.SIGKILL)
    assert remarks.holding("does not keep up: the oldest results are dropped")
    assert mqtt.failed > 0
    assert remarks.holding(f"results that never arrived: {mqtt.failed}")


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("mqtt://host/a/+/b", "Received: a/+/b"),
        ("mqtt://host/a/%23", "Received: a/#"),
        ("mqtt://host/a/#", "no + # ?"),
        ("mqtt://host/a?x", "no + # ?"),
        ("mqtt://host/a%00", "control characters"),
        ("mqtt://host/$SYS", "must not begin"),
        ("mqtt://host/%ff", "not UTF-8"),
        ("mqtt://host/" + "a" * 2000, "1024 bytes"),
        ("http://host/", "mqtt:// or mqtts://"),
        ("mqtt://a..b/", "impossible host"),
        ("mqtt://host:99999/", "impossible host or port"),
        ("mqtt://user:ge/heim@host/t", "In a password"),
        ("broker.local", "mqtt:// or mqtts://"),
    ],
)
def test_url_that_cannot_be_a_brokers_is_refused(
    url: str, part: str, model: Classifier, remarks: Remarks
) -> None:
    with pytest.raises(OptionError) as error:
        Mqtt(url, [model], remarks)
    assert part in str(error.value)
    assert "--publish" in str(error.value)
    assert "heim" not in str(error.value)


def test_missing_paho_is_named_with_what_to_install(
    model: Classifier, remarks: Remarks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    monkeypatch.delitem(sys.modules, "edge_classify.edge.outputs.mqtt_connection", raising=False)
    with pytest.raises(MissingPackageError, match=r'pip install "paho-mqtt>=2"'):
        Mqtt("mqtt://host", [model], remarks)


@given(
    st.sets(st.text(min_size=1) | st.sampled_from(["status", "error", "/a/b.tflite", "cat_int8"]), max_size=5)
)
def test_models_names_become_topic_levels_that_differ_and_are_nothing_else(names: set[str]) -> None:
    levels = {to_level(name) for name in names}
    assert len(levels) == len(names)
    assert not levels & {"", "status", "error"}
    for level in levels:
        assert not set(level) & set("+#/\0")
        assert len(level) <= 100


def test_plain_name_of_a_model_is_its_topic_level() -> None:
    assert to_level("cats_int8.v2") == "cats_int8.v2"
