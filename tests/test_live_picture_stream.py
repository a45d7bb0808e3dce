"""Pictures come out of a stream as they went in, whatever stands between them and however it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest
from edge_classify.edge.errors import SourceError
from edge_classify.edge.sources import picture_stream
from edge_classify.edge.sources.picture_ends import MAX_PICTURE
from edge_classify.edge.sources.picture_stream import MAX_BETWEEN, PictureStream, StreamPicture
from hypothesis import given, settings
from hypothesis import strategies as st

from .support.encoded import encoded, part, with_thumbnail

JPEGS = [encoded(number) for number in range(4)]


def stream_of(chunks: Iterator[bytes]) -> PictureStream:
    return PictureStream(lambda: next(chunks, b""))


def pictures_in(data: bytes, size: int) -> list[StreamPicture]:
    stream = stream_of(data[at : at + size] for at in range(0, len(data), size))
    return list(iter(stream.next, None))


# How picture number n is sent, and what of it must come out.
FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "usual": lambda data: part(data, length=len(data)),
    "no length": part,
    "no dashes": lambda data: part(data, b"myboundary\r\n"),
    "glued to the header": lambda data: part(data, b"--jpgboundary", after=b""),
    "glued to the picture": lambda data: part(data, after=b""),
    "quoted": lambda data: part(data, b'--"a frame"\r\n'),
    "line feeds": lambda data: b"--frame\nContent-Type: image/jpeg\n\n" + data + b"\n",
    "boundary without headers": lambda data: b"--frame\r\n" + data + b"\r\n",
    "headers without boundary": lambda data: part(data, b""),
    "nothing between": lambda data: data,
    "zeros between": lambda data: data + bytes(33),
    "length 0": lambda data: part(data, length=0),
    "length too small": lambda data: part(data, length=len(data) // 2),
    "length too large": lambda data: part(data, length=3 * len(data)),
    "length beyond all limits": lambda data: part(data, length=10**14),
    "bytes behind": lambda data: part(data + b"META0001"),
    "half a marker behind": lambda data: part(data + b"\xff\xd8\xff"),
    "a thumbnail behind": lambda data: part(data + JPEGS[0]),
    "a thumbnail in a line of its own behind": lambda data: part(data + b"\r\n" + JPEGS[0]),
    "a thumbnail behind, no headers": lambda data: b"--frame\r\n" + data + JPEGS[0] + b"\r\n",
    "bytes before": lambda data: part(b"\0\1\2\3" + data),
}


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_jpegs_come_out_whatever_is_between_them(framing: str, size: int) -> None:
    data = b"".join(map(FRAMINGS[framing], JPEGS))
    assert [picture.data for picture in pictures_in(data, size)] == JPEGS


@pytest.mark.parametrize(
    "make",
    [
        with_thumbnail,
        lambda number: encoded(number, progressive=True),
        lambda number: encoded(number, restart_marker_blocks=1),
        lambda number: encoded(number, comment=b"\xff\xd9\xff\xd8\xff\xe0"),
        lambda number: b"\xff\xd8\xff\xff\xff" + encoded(number)[2:],  # Markers may be filled: T.81, B.1.1.2.
        lambda number: encoded(number, "PNG"),
        lambda number: encoded(number, "WEBP"),
        lambda number: encoded(number, "WEBP", lossless=True),
    ],
    ids=["thumbnail", "progressive", "restarts", "markers in a comment", "filled", "PNG", "WebP", "VP8L"],
)  # fmt: skip
@pytest.mark.parametrize("framing", ["usual", "no length", "nothing between", "length too small"])
def test_pictures_end_at_their_own_end_whatever_they_hold(make: Callable[[int], bytes], framing: str) -> None:
    sent = [make(number) for number in range(3)]
    data = b"".join(map(FRAMINGS[framing], sent))
    found = pictures_in(data, 500)
    assert [picture.data for picture in found] == sent
    assert all(picture.whole for picture in found)


@pytest.mark.parametrize("make", [encoded, with_thumbnail, lambda number: encoded(number, progressive=True)])
@pytest.mark.parametrize(
    "framing",
    ["usual", "no length", "no dashes", "glued to the header", "headers without boundary", "nothing between"],
)
def test_jpegs_without_end_marker_end_at_the_next_boundary_or_picture(
    make: Callable[[int], bytes], framing: str
) -> None:
    sent = [make(number)[:-2] for number in range(3)]
    found = pictures_in(b"".join(map(FRAMINGS[framing], sent)), 500)
    assert [picture.data.removesuffix(b"\r\n") for picture in found] == sent
    assert not any(picture.whole for picture in found) and all(picture.readable for picture in found)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.98])
@pytest.mark.parametrize("framing", ["usual", "no length", "nothing between"])
def test_picture_that_is_cut_off_costs_no_other(framing: str, share: float) -> None:
    cut = JPEGS[1][: int(share * len(JPEGS[1]))]
    data = b"".join(map(FRAMINGS[framing], [JPEGS[0], cut, JPEGS[2], JPEGS[3]]))
    found = pictures_in(data, 500)
    assert [picture.data for picture in found if picture.whole] == [JPEGS[0], JPEGS[2], JPEGS[3]]


def test_picture_comes_with_its_last_byte_and_waits_for_nothing_behind_it() -> None:
    asked: list[None] = []

    def read() -> bytes:
        asked.append(None)
        assert len(asked) == 1, "the stream was read again, though a picture was there"
        return part(JPEGS[0], after=b"")

    found = PictureStream(read).next()
    assert found is not None and found.data == JPEGS[0]


def test_picture_without_end_comes_with_its_last_byte_where_lengths_were_right_before() -> None:
    cut = [data[:-2] for data in JPEGS]
    chunks = iter([part(cut[0], length=len(cut[0])), part(cut[1], length=len(cut[1]), after=b"")])
    stream = stream_of(chunks)
    found = [stream.next(), stream.next()]
    assert [picture and picture.data for picture in found] == cut[:2]


def test_frames_with_headers_at_the_first_only_are_found_after_some() -> None:
    found = pictures_in(part(JPEGS[0]) + JPEGS[1] * 12, 500)
    assert [picture.data for picture in found] == [
        JPEGS[0],
        *JPEGS[1:2] * 4,
    ]  # Eight might belong to the first.


def test_boundaries_may_differ_from_part_to_part() -> None:
    data = b"".join(part(jpeg, b"--frame%d\r\n" % number) for number, jpeg in enumerate(JPEGS))
    assert [picture.data for picture in pictures_in(data, 500)] == JPEGS


@given(st.binary(max_size=3000), st.integers(1, 500))
@settings(deadline=None)
def test_noise_costs_no_picture_behind_the_next_one_and_raises_nothing_else(noise: bytes, size: int) -> None:
    found = pictures_in(part(JPEGS[0]) + noise + part(JPEGS[1]) + part(JPEGS[2]) + part(JPEGS[3]), size)
    assert found[0].data == JPEGS[0] and found[-1].data == JPEGS[3]


@given(
    st.lists(st.sampled_from([*JPEGS, b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\xff\0\0WEBP"]))
)
@settings(deadline=None)
def test_starts_without_a_picture_end_somewhere(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    try:
        assert sum(len(picture.data) for picture in pictures_in(data, 700)) <= len(data)
    except SourceError as error:
        assert not data and str(error) == "nothing came"


def test_boundary_that_looks_like_the_picture_does_not_hold_the_stream_up() -> None:
    found = pictures_in(b"RIFFABCD\r\nRIFFABCDWEBP" + part(JPEGS[0], b""), 7)
    assert found[-1].data == JPEGS[0]
    assert all(picture.data for picture in found)


def test_stream_without_pictures_ends_in_a_sentence_that_says_what_came() -> None:
    stream = stream_of(repeat(b"Too many users. " * 1000))
    with pytest.raises(
        SourceError, match=r"^in 4\d{6} bytes came no JPEG, PNG or WebP, but text that begins with"
    ):
        stream.next()
    assert MAX_BETWEEN < 5_000_000


def test_stream_that_stops_giving_pictures_ends_too() -> None:
    stream = stream_of(chain([part(JPEGS[0])], repeat(bytes(100_000))))
    assert stream.next() is not None
    with pytest.raises(
        SourceError, match=r"bytes came no JPEG, PNG or WebP, but something that begins with b'\\r"
    ):
        stream.next()


def test_picture_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_stream, "MAX_PICTURE", 10**6)  # Else 32 MiB are read.
    assert MAX_PICTURE == 32 * 2**20
    stream = stream_of(chain([JPEGS[0][:-2]], repeat(b"\x01" * 100_000)))
    with pytest.raises(SourceError, match="it sends a picture of more than 1000000 bytes"):
        stream.next()
