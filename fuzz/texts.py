"""Readers of texts: addresses, options, logins, lists, labels, tables of labels, results."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from edge_classify.benchmarks.results.reading import parse_record, read_results
from edge_classify.edge.answers.region import Region
from edge_classify.edge.cli_types import parse_bytes
from edge_classify.edge.errors import BenchmarkError, DatasetError, LabelError, OptionError, SourceError
from edge_classify.edge.image_labels.columns import Columns
from edge_classify.edge.image_labels.delimited import read_delimited
from edge_classify.edge.image_labels.json_file import read_json
from edge_classify.edge.label_formats import decode_text, parse_structured, without_numbers
from edge_classify.edge.labels import composed, parse_labels, tell_apart
from edge_classify.edge.modelfile import Normalization
from edge_classify.edge.sources.addresses import parse_address, redact
from edge_classify.edge.sources.fingerprints import parse_fingerprint
from edge_classify.edge.sources.http_login import Login, read_challenges, strongest
from edge_classify.edge.sources.listing import read_listing, require_list

from tests.support.benchmark_results import failure, result

from .target import Target

_SCHEMES = ("http", "https", "rtsp", "mqtt", "mqtts")
_TABLE = Path("labels.csv")
_ENOUGH = 6  # Characters of a password that occurs nowhere else by chance.


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _address(data: bytes) -> None:
    url = _text(data)
    shown = redact(url)
    parsed = parse_address(url, "--camera", _SCHEMES, "http://host/stream")
    _ = parsed.place, parsed.shown
    secret = parsed.password or ""
    rest = url.rpartition("@")[2]
    if len(secret) >= _ENOUGH and secret not in rest and secret not in "http://***@":
        assert secret not in shown, "a password is shown"


def _option(data: bytes) -> None:
    """Read a text as each kind of value that an option may have."""
    text = _text(data)
    for parse in (Region.parse, Normalization.parse, Columns.parse, parse_bytes, parse_fingerprint):
        try:
            _ = parse(text)
        except (ValueError, OptionError):
            continue


def _login(data: bytes) -> None:
    found = strongest(read_challenges(data.decode("latin-1").split("\n")))
    if found is not None:
        header = found.answer(Login("user", "secret"), "http://camera/stream?x=1", "0a4f113b")
        assert "\n" not in header and "\r" not in header, "a line of its own in a header"


def _listing(data: bytes) -> None:
    require_list(data[:512])
    half = len(data) // 2
    for pieces in ([data], [data[:half], data[half:]]):
        assert "" not in read_listing(pieces), "an empty path"


def _labels(data: bytes) -> None:
    text = decode_text(data, "labels.txt")
    for origin in ("labels.txt", "labels.csv", "labels.json"):
        try:
            found = parse_structured(text, origin)
            if found is None:
                found = without_numbers(parse_labels(text.encode(), origin), origin)
        except LabelError:
            continue
        names = tell_apart(composed(found.labels))
        assert len(names) == len(found.labels) and len(set(names)) == len(names), "names are not told apart"


def _table(data: bytes) -> None:
    text = decode_text(data, "labels.csv")
    for read in (read_delimited, read_json):
        for columns in (Columns(), Columns(image="image", label="label"), Columns(image="1", label="2")):
            try:
                table = read(_TABLE, text, columns, _is_picture)
            except DatasetError:
                continue
            _ = list(table.rows)


def _is_picture(name: str) -> bool:
    return name.endswith(".jpg")


def _results(data: bytes) -> None:
    path = _scratch() / "results.jsonl"
    path.write_bytes(data)
    read_results(path, lambda _: None)


def _record(data: bytes) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    parse_record(value)


@cache
def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def _address_seeds() -> Iterator[bytes]:
    yield b"http://user:pass%40word@192.168.0.7:8080/video?token=abc#x"
    yield b"rtsp://admin:secret12@[fe80::1%25eth0]:554/h264"
    yield b"mqtts://u:p@broker.local:8883/home/camera"
    yield b"https://k\xc3\xbcche.example/cam.jpg"


def _option_seeds() -> Iterator[bytes]:
    yield b"40,0,320,240"
    yield b"10%,10%,50%,50.5%"
    yield b"-1..1"
    yield b"123.675,116.28,103.53,58.395,57.12,57.375"
    yield b"image=photo,label=species,split=set"
    yield b"1.5GB"
    yield b"sha256 Fingerprint=" + b":".join([b"0A"] * 32)


def _login_seeds() -> Iterator[bytes]:
    yield b'Digest realm="cam", nonce="dcd98b", qop="auth,auth-int", algorithm=SHA-256, opaque="5c"'
    yield b'Basic realm="x"\nDigest realm="a, b", nonce="1", algorithm=MD5-sess, qop="auth", stale=true'


def _listing_seeds() -> Iterator[bytes]:
    yield b"a.jpg\nb c.png\r\n\n/d/e.jpg\n"
    yield b"a.jpg\0b\nc.jpg\0"
    yield b"\xef\xbb\xbfa.jpg\n"


def _label_seeds() -> Iterator[bytes]:
    yield b"cat\ndog\nbird\n"
    yield b"0 tench\n1 goldfish\n2 shark\n"
    yield b'["cat", "dog"]'
    yield b'{"0": "cat", "1": "dog"}'
    yield b'{"cat": 0, "dog": 1}'
    yield b"index,label\n0,cat\n1,dog\n"
    yield b'item {\n  id: 1\n  name: "cat"\n}\nitem {\n  id: 2\n  display_name: "dog"\n}\n'
    yield b"cat, dog, bird\n"
    yield "cat\ndog\n".encode("utf-16")


def _table_seeds() -> Iterator[bytes]:
    yield b"image,label,split\na.jpg,cat,train\nb.jpg,dog,test\n"
    yield b"filename;cat;dog\na.jpg;1;0\nb.jpg;0;1\n"
    yield b"a.jpg\tcat\nb.jpg\tdog\n"
    yield b'[{"image": "a.jpg", "label": "cat"}, {"image": "b.jpg", "label": ["dog"]}]'
    yield b'{"a.jpg": "cat", "b.jpg": "dog"}'
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 2}],
        "categories": [{"id": 2, "name": "cat"}],
    }
    yield json.dumps(coco).encode()
    choice = {"type": "choices", "from_name": "c", "to_name": "image", "value": {"choices": ["cat"]}}
    yield json.dumps([{"data": {"image": "a.jpg"}, "annotations": [{"result": [choice]}]}]).encode()


def _record_seeds() -> Iterator[bytes]:
    for record in (result(), failure()):
        yield json.dumps(record.to_record()).encode()


def _result_seeds() -> Iterator[bytes]:
    lines = list(_record_seeds())
    yield b"\n".join(lines) + b"\n"
    yield lines[0] + b"\n" + lines[1][:50]


TARGETS = (
    Target("address", _address, (OptionError,), _address_seeds, 256),
    Target("option", _option, (), _option_seeds, 256),
    Target("login", _login, (), _login_seeds, 1024),
    Target("listing", _listing, (SourceError,), _listing_seeds, 1024),
    Target("labels", _labels, (LabelError,), _label_seeds, 2048),
    Target("label_table", _table, (LabelError, DatasetError), _table_seeds, 4096),
    Target("result", _record, (BenchmarkError,), _record_seeds, 16384),
    Target("results", _results, (BenchmarkError,), _result_seeds, 16384),
)
