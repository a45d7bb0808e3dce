"""A finished file's photos are replaced by drawn patterns; nothing else in it changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..edge.card import FORMAT
from ..edge.console import say
from ..edge.durable import make_folders
from ..edge.errors import ModelFileError
from ..edge.files import refuse_to_replace, require_writable, write_result
from ..edge.modelfile import ModelFile
from ..edge.tflite.sealing import seal
from .golden import choose_patterns
from .recipes import RECIPES
from .signatures import ModelSigner, leave_signature_out, signed


def write_without_photos(path: Path, output: Path, force: bool, signer: ModelSigner | None = None) -> Path:
    """Write a copy of a file of edge-convert, with patterns as golden examples; return where it is.

    `output` is a folder. A signature of the file is left out, and the copy signed where there is a signer.
    The weights, and with them all answers, stay the same. Raises ModelFileError for another program's file,
    and OutputExistsError.
    """
    data = path.read_bytes() if path.is_file() else None
    if data is None:
        raise ModelFileError(f"{path}: " + ("no such file" if not path.exists() else "is no file"))
    file = ModelFile.read(path)
    card = file.card
    if card is None or card.conversion is None or card.conversion.variant not in RECIPES:
        raise ModelFileError(f"{path} was not made by edge-convert: --without-photos is for its files only")
    leave_signature_out(path, signer)
    target = output / path.name
    refuse_to_replace(target, force)
    flatbuffer = data[: file.zip_offset]
    card = replace(card, format=FORMAT, golden=())
    tolerance = RECIPES[card.conversion.variant].tolerance if card.conversion else 0.0
    golden = choose_patterns(seal(flatbuffer, card), tolerance)
    if golden.hidden:
        say(f"{target.name}: {golden.describe_hidden()}")
    make_folders(output)
    require_writable(target)
    sealed = signed(seal(flatbuffer, card, golden.examples), str(path), signer)
    write_result(target, sealed, replace=force)
    return target
