"""Answers for an MQTT broker, announced to Home Assistant."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..answers.result import FrameResult
from ..classifier import Classifier
from ..errors import MissingPackageError
from ..sources.addresses import Address, parse_address
from .delivery import Delivery, Retry
from .home_assistant import ERROR, STATUS, announcement, to_level, to_topic, unique_id
from .json_lines import to_records
from .network import closing_seconds, to_reason

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE_SECONDS = 30
_LONGEST_PAUSE = 60
# paho's names for the return codes 4 and 5 of MQTT 3.1.1: the user must change the login.
_WRONG_LOGIN = ("Bad user name or password", "Not authorized")


class _Message(NamedTuple):
    topic: str
    payload: str
    retain: bool


class Mqtt:
    """Publishes every result; the broker may be absent at any time.

    `TOPIC/<model>` gets the contract's JSON line, retained for later subscribers; QoS 0, since the next line
    replaces it. `TOPIC/error` gets frames that could not be read, not retained. `TOPIC/status` is online or
    offline, retained, QoS 1; the broker sets it offline when this program dies (last will). For Home
    Assistant each model has a retained `homeassistant/sensor/<id>/config`. Each runner on a broker needs its
    own topic.
    """

    failed = 0

    def __init__(
        self,
        url: str,
        classifiers: Sequence[Classifier],
        report: Callable[[str], None],
        wait: bool = False,
        longest_pause: int = _LONGEST_PAUSE,
    ) -> None:
        """Begin to connect to mqtt:// or mqtts://[USER:PASSWORD@]HOST[:PORT][/TOPIC]; returns at once.

        `classifiers` are the models of the run. With `wait`, show() waits for a slow broker instead of
        dropping results. The pause between attempts to connect doubles from 1 s to `longest_pause` seconds.
        Raises OptionError for an impossible URL, and MissingPackageError without paho-mqtt.
        """
        address = parse_address(url, "--publish", tuple(_PORTS), "mqtt://user:password@host:1883/topic")
        self._topic = to_topic(address, url)
        self._announcements = {
            f"homeassistant/sensor/{unique_id(self._topic, model.name)}/config": announcement(
                self._topic, model.name, model.labels
            )
            for model in classifiers
        }
        self._report, self._shown, self._wait = report, address.shown, wait
        self._connected, self._gone = threading.Event(), threading.Event()
        self._answered = self._closing = False
        self._client = self._make_client(address, longest_pause)
        self._delivery = Delivery(self._shown, self._publish, report, wait=wait)
        self._client.connect_async(address.host, address.port or _PORTS[address.scheme], _KEEPALIVE_SECONDS)
        self._client.loop_start()

    def show(self, result: FrameResult) -> None:
        """Queue the lines of one result."""
        for record in to_records(result):
            level = ERROR if "error" in record else to_level(record["model"])
            message = _Message(f"{self._topic}/{level}", json.dumps(record), retain=level != ERROR)
            self._delivery.put(message)

    def close(self) -> None:
        """Publish the remaining results, for at most 5 seconds (60 with `wait`), and report lost results."""
        lost = self.failed = self._delivery.close(closing_seconds(self._wait))
        self._closing = True
        if self._connected.is_set():
            _wait_for(self._client.publish(f"{self._topic}/{STATUS}", "offline", qos=1, retain=True), 1.0)
        self._client.disconnect()
        # Otherwise paho's thread may wait for a host that does not answer; it ends with the program.
        if self._connected.is_set() and self._gone.wait(1.0):
            self._client.loop_stop()
        if lost:
            self._report(f"{self._shown}: results that never arrived: {lost}")

    def _make_client(self, address: Address, longest_pause: int) -> Client:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise MissingPackageError("paho-mqtt 2", "--publish", "edge-classify[mqtt]") from None
        client = Client(CallbackAPIVersion.VERSION2)
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context())
        client.will_set(f"{self._topic}/{STATUS}", "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, longest_pause)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        return client

    def _publish(self, message: _Message) -> None:
        """Send one message, and wait for it, so that no messages collect in paho's own queue.

        The callbacks below report why the broker cannot be reached.
        """
        if not self._connected.wait(1.0):
            raise Retry("", pause=0)
        info = self._client.publish(message.topic, message.payload, qos=0, retain=message.retain)
        if not _wait_for(info, 2 * _KEEPALIVE_SECONDS):
            raise Retry("", pause=1)

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._answered = True
        if reason.is_failure:
            name = reason.getName()
            hint = (
                ": give its user name and password as mqtt://USER:PASSWORD@HOST"
                if name in _WRONG_LOGIN
                else ""
            )
            self._delivery.report_once(f"refuses the connection ({name}){hint}")
            return
        for topic, sensor in self._announcements.items():
            client.publish(topic, json.dumps(sensor), qos=1, retain=True)
        client.publish(f"{self._topic}/{STATUS}", "online", qos=1, retain=True)
        self._delivery.report_recovery()
        self._connected.set()

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the error.
        self._delivery.report_once(to_reason(error) if isinstance(error, OSError) else "cannot be reached")

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        was_connected, answered = self._connected.is_set(), self._answered
        self._answered = False
        if self._closing:
            self._gone.set()
            return
        self._connected.clear()
        if was_connected:
            self._delivery.report_once("has closed the connection")
        elif not answered:
            self._delivery.report_once(
                "closes the connection without an answer: is it an MQTT broker, and does it need mqtts://?"
            )


def _wait_for(info: MQTTMessageInfo, seconds: float) -> bool:
    """Return whether the message has been sent; with QoS 1, whether the broker has it."""
    try:
        info.wait_for_publish(seconds)
        return info.is_published()
    except (RuntimeError, ValueError):  # The connection is lost, or paho's queue is full.
        return False
