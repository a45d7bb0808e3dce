"""MQTT topics, and the message by which Home Assistant finds the published answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from ..classifier import Doubt
from ..errors import OptionError
from ..sources.addresses import Address
from .network import program_version

DEFAULT_TOPIC = "edge-classify"
STATUS, ERROR = "status", "error"
_LONGEST_TOPIC = 1024
_LONGEST_LEVEL = 64
# Home Assistant's longest state; and the most options among which a person can choose.
_LONGEST_STATE = 255
_MOST_OPTIONS = 100


def to_topic(address: Address, url: str) -> str:
    """Return the topic in the path of `url`, or the default; raises OptionError for an impossible topic."""
    try:
        topic = unquote(address.path, errors="strict").removeprefix("/").rstrip("/") or DEFAULT_TOPIC
        length = len(topic.encode())
    except UnicodeError:
        raise OptionError(f"--publish {address.shown}: the topic is not UTF-8") from None
    wrong = re.search(r"[+#\x00-\x1f\x7f-\x9f]", topic)
    beyond = address.query or address.fragment or url.endswith(("?", "#"))
    if wrong or beyond or topic.startswith("$") or length > _LONGEST_TOPIC:
        raise OptionError(
            f"--publish {address.shown}: a topic may hold no + # ? and no control characters, must not begin "
            f"with $, and is at most {_LONGEST_TOPIC} bytes long. Received: {topic}"
        )
    return topic


def to_level(model: str) -> str:
    """Return a topic level for a model's name: a plain name itself, another name made plain and with a hash.

    Two names never share a level, and no level is that of the status or of the errors.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", model)[-_LONGEST_LEVEL:]
    if plain == model and model not in ("", STATUS, ERROR):
        return model
    return f"{plain}-{_short_hash(model)}"


def unique_id(topic: str, model: str) -> str:
    """Return the sensor's identifier for Home Assistant: the same after a restart and on every machine."""
    return f"edge-classify-{_short_hash(topic, model)}"


def announcement(
    topic: str, model: str, labels: Sequence[str], unknown_label: str | None = None
) -> dict[str, Any]:
    """Return the configuration of a sensor: its state is the model's label, its attributes are the JSON line.

    The state may also be "unsure", and `unknown_label` where the model has an output for unknown things.
    See https://www.home-assistant.io/integrations/sensor.mqtt/ and .../mqtt/#mqtt-discovery. A state is cut
    to the 255 characters that Home Assistant allows. Up to 100 labels are offered as options.
    """
    state = f"{topic}/{to_level(model)}"
    version = program_version()
    sensor: dict[str, Any] = {
        "name": model,
        "unique_id": unique_id(topic, model),
        "state_topic": state,
        "value_template": f"{{{{ value_json.answer[:{_LONGEST_STATE}] }}}}",
        "json_attributes_topic": state,
        "availability_topic": f"{topic}/{STATUS}",
        "payload_available": "online",
        "payload_not_available": "offline",
        "icon": "mdi:image-search",
        "device": {
            "identifiers": [f"edge-classify-{_short_hash(topic)}"],
            "name": topic,
            "manufacturer": "edge-classify",
            "model": "Image classifier",
            "sw_version": version,
        },
        "origin": {"name": "edge-classify", "sw_version": version},
    }
    # A rendered template has no spaces around it.
    states = [*labels, Doubt.UNSURE.value, *([unknown_label] if unknown_label else [])]
    options = list(dict.fromkeys(state[:_LONGEST_STATE].strip() for state in states))
    if len(options) <= _MOST_OPTIONS:
        sensor |= {"device_class": "enum", "options": options}
    return sensor


def _short_hash(*parts: str) -> str:
    text = "\0".join(parts).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()[:16]
