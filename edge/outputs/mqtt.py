"""Answers for an MQTT broker, announced to Home Assistant."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..answers.result import FrameResult
from ..classifier import Classifier
from ..errors import MissingPackageError
from ..extras import pip_install
from ..sources.addresses import parse_address, unencrypted_remark
from .delivery import FILES, LIVE, Delivery, Pauses, Retry
from .home_assistant import ERROR, STATUS, announcement, to_level, to_topic, unique_id
from .json_lines import to_records
from .network import closing_seconds

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo

    from .mqtt_connection import BrokerConnection

TIME_LIMIT = 10.0  # Seconds for connecting, for its answer, and for each confirmation.
_WINDOW = 32  # Messages that may wait for their confirmation.


class _Message(NamedTuple):
    topic: str
    payload: str
    retain: bool


class Mqtt:
    """Publishes every result; the broker may be absent at any time.

    `TOPIC/<model>` gets the contract's JSON line, retained for later subscribers. `TOPIC/error` gets frames
    that could not be read, not retained. `TOPIC/status` is online or offline, retained; the broker sets it
    offline when this program dies (last will). For Home Assistant each model has a retained
    `homeassistant/sensor/<id>/config`. All with QoS 1: what a broker has not confirmed is sent again on the
    next connection, and counted as lost where there is none. Each runner on a broker needs its own topic.
    """

    failed = 0

    def __init__(
        self,
        url: str,
        classifiers: Sequence[Classifier],
        report: Callable[[str], None],
        wait: bool = False,
        pauses: Pauses | None = None,
    ) -> None:
        """Begin to connect to mqtt:// or mqtts://[USER:PASSWORD@]HOST[:PORT][/TOPIC]; returns at once.

        `classifiers` are the models of the run. With `wait`, show() waits for a slow broker instead of
        dropping results. `pauses` are those between attempts to connect. Raises OptionError for an impossible
        URL, and MissingPackageError without paho-mqtt.
        """
        try:
            from .mqtt_connection import PORTS
        except ImportError:
            raise MissingPackageError("paho-mqtt 2", "--publish", pip_install("mqtt")) from None
        self._address = parse_address(url, "--publish", tuple(PORTS), "mqtt://user:password@host:1883/topic")
        self._topic = to_topic(self._address, url)
        self._announcements = [
            _Message(
                f"homeassistant/sensor/{unique_id(self._topic, model.name)}/config",
                json.dumps(announcement(self._topic, model.name, model.labels, model.unknown_label)),
                retain=True,
            )
            for model in classifiers
        ]
        self._report, self._shown, self._wait = report, self._address.shown, wait
        self._pauses = pauses or Pauses()
        if remark := unencrypted_remark(url, f"--publish {self._shown}"):
            report(remark)
        self._connection: BrokerConnection | None = None
        self._used: BrokerConnection | None = None  # By the delivery.
        self._unconfirmed: deque[tuple[MQTTMessageInfo, _Message]] = deque()
        self._connected, self._closing, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._delivery: Delivery[_Message] = Delivery(
            self._shown,
            self._publish,
            report,
            FILES if wait else LIVE,
            size_of=lambda message: len(message.topic) + len(message.payload),
            abort=self._ended.set,
        )
        self._keeper = threading.Thread(target=self._keep_connected, name="MQTT", daemon=True)
        self._keeper.start()

    def show(self, result: FrameResult) -> None:
        """Queue the lines of one result."""
        for record in to_records(result):
            level = ERROR if "error" in record else to_level(record["model"])
            self._delivery.put(_Message(f"{self._topic}/{level}", json.dumps(record), retain=level != ERROR))

    def close(self) -> None:
        """Publish the remaining results, for at most 5 seconds (60 with `wait`), and report lost results."""
        end = time.monotonic() + closing_seconds(self._wait)
        lost = self._delivery.close(end - time.monotonic())
        connection = self._used
        if connection is not None and connection is self._connection:
            self._confirm(connection, 0, max(1.0, end - time.monotonic()))
        self.failed = lost + len(self._unconfirmed)
        self._closing.set()
        if self._connected.is_set() and (connection := self._connection) is not None:
            self._say(connection, "offline", 1.0)
            connection.close()
        # It may be connecting to a host that does not answer; then it ends with the program.
        self._keeper.join(0.5)
        if self.failed:
            self._report(f"{self._shown}: results that never arrived: {self.failed}")

    def _keep_connected(self) -> None:
        """Connect again and again until closed, with pauses that grow until a connection lasts."""
        failures = 0
        while not self._closing.is_set():
            began = time.monotonic()
            self._connect_once()
            failures = 1 if time.monotonic() - began > TIME_LIMIT + self._pauses.longest else failures + 1
            self._closing.wait(self._pauses.after(failures))

    def _connect_once(self) -> None:
        """Connect, and return when the connection has failed or ended; say why."""
        from .mqtt_connection import BrokerConnection, BrokerError

        try:
            will = f"{self._topic}/{STATUS}", "offline"
            connection = BrokerConnection(self._address, will, TIME_LIMIT)
        except BrokerError as error:
            self._delivery.report_once(str(error))
            return
        try:
            for message in self._announcements:
                connection.publish(*message)
            if not self._say(connection, "online", TIME_LIMIT):
                connection.drop(f"did not confirm what it got within {TIME_LIMIT:g} s")
            else:
                self._connection = connection
                self._connected.set()
                self._delivery.report_recovery()
                connection.gone.wait()
        except BrokerError:
            pass  # It has the same reason.
        self._connected.clear()
        connection.drop("")
        if not self._closing.is_set():
            self._delivery.report_once(connection.reason)

    def _say(self, connection: BrokerConnection, status: str, seconds: float) -> bool:
        """Publish the status, and return whether it was confirmed."""
        from .mqtt_connection import BrokerError

        try:
            info = connection.publish(f"{self._topic}/{STATUS}", status, retain=True)
        except BrokerError:
            return False
        return connection.wait_for(info, seconds, threading.Event())

    def _publish(self, message: _Message) -> None:
        """Send one message, once few enough are unconfirmed; raises Retry while there is no connection.

        Why there is none is reported by the thread that connects.
        """
        from .mqtt_connection import BrokerError

        if not self._connected.wait(1.0) or (connection := self._connection) is None:
            raise Retry("", pause=0)
        try:
            if connection is not self._used:
                self._send_again(connection)
            if not self._confirm(connection, _WINDOW - 1, TIME_LIMIT):
                connection.drop(f"did not confirm what it got within {TIME_LIMIT:g} s")
                raise Retry("", pause=0.1)
            self._unconfirmed.append((connection.publish(*message), message))
        except BrokerError:
            raise Retry("", pause=0.1) from None

    def _send_again(self, connection: BrokerConnection) -> None:
        """Publish what an earlier connection has not confirmed."""
        self._confirm(connection, len(self._unconfirmed), 0)
        self._unconfirmed = deque((connection.publish(*message), message) for _, message in self._unconfirmed)
        self._used = connection

    def _confirm(self, connection: BrokerConnection, most: int, seconds: float) -> bool:
        """Wait until at most this number of messages is unconfirmed; return whether that came true."""
        from .mqtt_connection import is_confirmed

        end = time.monotonic() + seconds
        while self._unconfirmed:
            info, _ = self._unconfirmed[0]
            left = end - time.monotonic() if len(self._unconfirmed) > most else 0.0
            if not is_confirmed(info) and not (left > 0 and connection.wait_for(info, left, self._ended)):
                break
            self._unconfirmed.popleft()
        return len(self._unconfirmed) <= most
