"""What of its maker's a file takes along to everybody who gets it, in plain words."""

from __future__ import annotations

from collections.abc import Iterator

from ...edge.card import ModelCard
from ...edge.modelfile import CARD_NAME, LABELS_NAME
from ...edge.tflite.metadata import OWN_DESCRIPTION
from ...edge.trusted_keys import fingerprint
from ..calibration import NO_CLASS
from .inspection import Inspection
from .metadata import Metadata

_SAYS_KIND = (1, 3)  # The format of cards from which on they say what golden examples are.


def travels(found: Inspection) -> tuple[str, ...]:
    """Return a sentence for each kind of thing: names, notes, pictures, files, paths."""
    return tuple(_sentences(found))


def _sentences(found: Inspection) -> Iterator[str]:
    if found.labels is not None:
        yield f"the names of {len(found.labels):,} classes"
    known = {LABELS_NAME, CARD_NAME}
    if (card := found.card) is not None:
        yield from _card(card)
        yield _golden(card)
        known |= {example.image for example in card.golden}
    else:
        yield "no card, so nothing that says which pictures, if any, come from its maker"
    if found.metadata is not None:
        yield from _metadata(found.metadata, card.name if card else None)
    if others := [file.name for file in found.appended if file.name not in known]:
        yield f"other files: {', '.join(map(repr, others))}"
    if found.signature is not None:
        yield f"the public key of who signed it, {fingerprint(found.signature.key)}, and the version"
    if found.user_paths:
        yield f"paths that name a user: {', '.join(map(repr, found.user_paths))}"


def _card(card: ModelCard) -> Iterator[str]:
    training, conversion = card.training, card.conversion
    sets = dict.fromkeys(part.dataset for part in (training, card.accuracy) if part is not None)
    yield f"a card: the model's name {card.name!r}, " + (
        f"the names of its data sets ({', '.join(map(repr, sets))})" if sets else "no data set's name"
    )
    if training is not None:
        yield f"the note {training.note!r}" if training.note else "no note"
        yield "the settings of its training, and the versions of the programs that made it"
    if conversion is not None and conversion.calibration is not None:
        folders = [name for name in conversion.calibration.per_class if name not in (*card.labels, NO_CLASS)]
        named = f", and the folders' names {', '.join(map(repr, folders))}" if folders else ""
        yield f"a checksum and the number of the images that calibrated it, none of the images{named}"


def _golden(card: ModelCard) -> str:
    count = len(card.golden)
    if not count:
        return "no golden examples, so no photo"
    photos = [example.image for example in card.golden if example.kind == "photo"]
    if not photos:
        return f"{count} golden examples, drawn patterns: no photo"
    shown = ", ".join(photos)
    if tuple(map(int, card.format.split("."))) < _SAYS_KIND:
        return (
            f"{len(photos)} golden examples, probably photos of its data set ({shown}): a card of format "
            f"{card.format} does not say"
        )
    return f"{len(photos)} photo{'s' * (len(photos) > 1)}, as golden examples ({shown})"


def _metadata(metadata: Metadata, card_name: str | None) -> Iterator[str]:
    """Yield what the metadata says of people, but for what edge-convert itself writes beside a card."""
    named = {"author": metadata.author, "license": metadata.license}
    if metadata.name != card_name:
        named["name"] = metadata.name
    if card_name is None or metadata.description != OWN_DESCRIPTION:
        named["description"] = metadata.description
    if said := [f"{key} {value!r}" for key, value in named.items() if value]:
        yield f"in the metadata: {', '.join(said)}"
