"""One connection to an MQTT broker that is trusted with nothing: it may only confirm what was published."""

from __future__ import annotations

import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from ..sources.addresses import Address
from .network import to_reason

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

PORTS = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE = 30  # Seconds.
# Packets of MQTT 3.1.1 that are meant for who subscribes to nothing, with their length behind the header.
_CONNACK, _PUBACK, _PINGRESP = 0x20, 0x40, 0xD0
_EXPECTED = {_CONNACK: 2, _PUBACK: 2, _PINGRESP: 0}
_NAMES = {1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP"}
_NAMES |= {9: "SUBACK", 11: "UNSUBACK", 13: "PINGRESP", 14: "DISCONNECT", 15: "AUTH"}
_NO_ANSWER = "closes the connection without an answer: is it an MQTT broker, and does it need mqtts://?"
# paho's names for the return codes 4 and 5 of MQTT 3.1.1: the user must change the login.
_WRONG_LOGIN = ("Bad user name or password", "Not authorized")


class BrokerError(Exception):
    """A connection to a broker failed; the text is a phrase that follows the broker's name."""


class BrokerConnection:
    """Publishes with QoS 1 on one connection, which is closed at anything that was not asked for.

    `gone` is set when the connection has ended, for the `reason`.
    """

    def __init__(self, address: Address, will: tuple[str, str], seconds: float) -> None:
        """Connect within `seconds`; the broker publishes `will`, (topic, payload), when this program dies.

        Raises BrokerError.
        """
        self.gone = threading.Event()
        self.reason = "has closed the connection"
        self._refusal: str | None = None
        self._answered = threading.Event()
        self._client = client = _GuardedClient()
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.scheme == "mqtts":
            client.tls_set_context(ssl.create_default_context())
        client.will_set(*will, qos=1, retain=True)
        client.connect_timeout = seconds
        try:
            client.connect(address.host, address.port or PORTS[address.scheme], KEEPALIVE)
        except OSError as error:
            raise BrokerError(to_reason(error)) from None
        except ValueError as error:  # A name that the system does not look up.
            raise BrokerError(f"cannot be reached ({error})") from None
        client.loop_start()
        self._wait_for_answer(seconds)

    def publish(self, topic: str, payload: str, retain: bool) -> MQTTMessageInfo:
        """Begin to publish a message; what is returned says when it is confirmed. Raises BrokerError."""
        self._client.expected_acks += 1
        try:
            info = self._client.publish(topic, payload, qos=1, retain=retain)
        except ValueError:  # MQTT's longest message has 256 MB.
            raise BrokerError("cannot get a message of this length") from None
        if self.gone.is_set():
            raise BrokerError(self.reason)
        return info

    def wait_for(self, info: MQTTMessageInfo, seconds: float, stop: threading.Event) -> bool:
        """Return whether a message is confirmed, at the latest when the connection is gone or on `stop`."""
        end = time.monotonic() + seconds
        while not is_confirmed(info):
            if self.gone.is_set() or stop.is_set() or time.monotonic() >= end:
                return False
            try:
                info.wait_for_publish(0.1)
            except (RuntimeError, ValueError):  # It was published when the connection was lost already.
                self.gone.wait(0.1)
        return True

    def close(self) -> None:
        """Say goodbye, and end the connection; takes two seconds at most."""
        self._client.disconnect()
        self.gone.wait(1.0)
        self.drop("was closed")

    def drop(self, reason: str) -> None:
        """End the connection at once, for this reason unless it had ended before."""
        if not self.gone.is_set():
            self.reason = reason
        self.gone.set()
        self._client.abort()
        self._client.loop_stop()
        # Each refers to this object, which refers to the client: its sockets are closed when it is deleted.
        self._client.on_connect = self._client.on_disconnect = None

    def _wait_for_answer(self, seconds: float) -> None:
        if not self._answered.wait(seconds):
            reason = f"did not answer as an MQTT broker within {seconds:g} s: does it need mqtts://?"
        elif self._refusal is not None or self.gone.is_set():
            reason = self._refusal or self._client.violation or _NO_ANSWER
        else:
            return
        self.drop(reason)
        raise BrokerError(reason)

    def _on_connect(
        self, _c: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        if reason.is_failure:
            name = reason.getName()
            hint = (
                ": give its user name and password as mqtt://USER:PASSWORD@HOST"
                if name in _WRONG_LOGIN
                else ""
            )
            self._refusal = f"refuses the connection ({name}){hint}"
        elif not self._client.is_guarded:
            self._refusal = "is not used: this version of paho-mqtt keeps all that a broker sends"
        self._answered.set()

    def _on_disconnect(
        self, _c: Client, _data: Any, _f: DisconnectFlags, _r: ReasonCode, _p: Properties | None
    ) -> None:
        if self._client.violation and not self.gone.is_set():
            self.reason = self._client.violation
        self.gone.set()
        self._answered.set()


def is_confirmed(info: MQTTMessageInfo) -> bool:
    """Return whether the broker has confirmed a message."""
    try:
        return info.is_published()
    except (RuntimeError, ValueError):  # It was published when the connection was lost already.
        return False


class _GuardedClient(Client):
    """A client that takes only what it asked for: paho itself keeps whatever a broker sends.

    It asks for nothing but confirmations of what it published, so a packet has two bytes at most.
    """

    def __init__(self) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self.violation: str | None = None
        self.expected_acks = 0
        self._acks = self._pings = self._answers = 0
        self._began = time.monotonic()
        self._header = bytearray()  # Of the packet that has begun.
        self._left = 0  # Bytes of its body.

    @property
    def is_guarded(self) -> bool:
        """Whether the broker's answer has passed the guard below."""
        return self._answers > 0

    def abort(self) -> None:
        """Close the socket."""
        self._sock_close()

    def _sock_recv(self, bufsize: int) -> bytes:
        # paho has no public place where incoming packets can be refused before they are kept.
        data: bytes = super()._sock_recv(min(bufsize, 2))
        for byte in data:
            self._take(byte)
        return data

    def _take(self, byte: int) -> None:
        """Follow the framing of packets (MQTT 3.1.1, 2.2); raises ConnectionError for an unexpected one."""
        if self._left:
            self._left -= 1
            return
        self._header.append(byte)
        if len(self._header) == 1:
            self._check_kind(byte)
            return
        kind, self._header = self._header[0], bytearray()
        if byte != _EXPECTED[kind]:
            more = "or more " if byte & 0x80 else ""
            self._refuse(f"{_NAMES[kind >> 4]} of {byte & 0x7F} {more}bytes")
        self._left = byte

    def _check_kind(self, kind: int) -> None:
        self._acks += kind == _PUBACK
        self._pings += kind == _PINGRESP
        self._answers += kind == _CONNACK
        pings_sent = 2 + 2 * (time.monotonic() - self._began) / KEEPALIVE
        expected = kind in _EXPECTED and self._acks <= self.expected_acks
        if not (expected and self._pings <= pings_sent and self._answers <= 1):
            self._refuse(_NAMES.get(kind >> 4, "a packet that MQTT has not"))

    def _refuse(self, what: str) -> None:
        self.violation = f"sent what nobody had asked for ({what}), and the connection was closed"
        raise ConnectionError(self.violation)
