"""Answers for an MQTT broker, announced so that Home Assistant finds them by itself."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..answers.result import Result
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
# The reasons of MQTT 3.1.1's return codes 4 and 5, as paho names them: somebody must change something.
_WRONG_LOGIN = ("Bad user name or password", "Not authorized")


class _Message(NamedTuple):
    topic: str
    payload: str
    retain: bool


class Mqtt:
    """Publishes every result; the broker may be away at the start, and come and go.

    `TOPIC/<model>`: the contract's JSON line, retained, so that who comes later sees the last one. QoS 0,
    since the next one replaces it. `TOPIC/error`: what could not be read, not retained. `TOPIC/status`:
    online or offline, retained, QoS 1; the broker says offline itself when this program dies (last will). And
    for Home Assistant a retained `homeassistant/sensor/<id>/config` a model. Each runner on a broker needs a
    topic of its own.
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

        `classifiers`: those whose answers will come. `wait`: show() waits for a slow broker instead of
        dropping results. `longest_pause`: seconds; attempts to connect begin 1 s apart, and the pause
        doubles. Raises OptionError for a URL that cannot be one, MissingPackageError without paho-mqtt.
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

    def show(self, result: Result) -> None:
        """Queue the lines of one result."""
        for record in to_records(result):
            failed = "error" in record
            level = ERROR if failed else to_level(record["model"])
            self._delivery.put(_Message(f"{self._topic}/{level}", json.dumps(record), retain=not failed))

    def close(self) -> None:
        """Publish what is left, for 5 seconds at most (60 with `wait`), and "offline"; say what was lost."""
        lost = self.failed = self._delivery.close(closing_seconds(self._wait))
        self._closing = True
        if self._connected.is_set():
            _wait_for(self._client.publish(f"{self._topic}/{STATUS}", "offline", qos=1, retain=True), 1.0)
        self._client.disconnect()
        # paho's thread may be waiting for a host that does not answer: it ends with the program then.
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
        """Hand one message to the network: paho holds no other meanwhile, so that nothing piles up there.

        Why it cannot be reached was said by the callbacks below.
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
            self._delivery.say_once(f"refuses the connection ({name}){hint}")
            return
        for topic, sensor in self._announcements.items():
            client.publish(topic, json.dumps(sensor), qos=1, retain=True)
        client.publish(f"{self._topic}/{STATUS}", "online", qos=1, retain=True)
        self._delivery.say_recovery()
        self._connected.set()

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the error.
        self._delivery.say_once(to_reason(error) if isinstance(error, OSError) else "cannot be reached")

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
            self._delivery.say_once("has broken off the connection")
        elif not answered:
            self._delivery.say_once(
                "hangs up without an answer: is it an MQTT broker, and does it want mqtts://?"
            )


def _wait_for(info: MQTTMessageInfo, seconds: float) -> bool:
    """Return whether the message has been sent; with QoS 1, whether the broker has it."""
    try:
        info.wait_for_publish(seconds)
        return info.is_published()
    except (RuntimeError, ValueError):  # The connection has gone; or paho's queue is full.
        return False
