"""Parts of a stream, whatever they hold and however they are framed."""

from __future__ import annotations

from io import BytesIO

import pytest
from edge_classify.edge.errors import SourceError
from edge_classify.edge.sources.multipart import MAX_PART, is_whole_jpeg, read_parts
from hypothesis import given
from hypothesis import strategies as st

BODIES = st.lists(st.binary(min_size=1, max_size=300).filter(lambda data: b"--mark" not in data), max_size=5)


def framed(bodies: list[bytes], with_length: bool, newline: bytes = b"\r\n") -> bytes:
    parts = []
    for body in bodies:
        length = b"Content-Length: %d" % len(body) + newline if with_length else b""
        parts.append(
            b"--mark" + newline + b"Content-Type: image/jpeg" + newline + length + newline + body + newline
        )
    return b"".join(parts) + b"--mark--" + newline


@given(BODIES, st.sampled_from(["mark", "--mark"]))
def test_parts_with_a_length_come_out_as_they_went_in(bodies: list[bytes], boundary: str) -> None:
    assert list(read_parts(BytesIO(framed(bodies, True)), boundary)) == bodies


@given(BODIES)
def test_parts_without_a_length_come_out_as_they_went_in(bodies: list[bytes]) -> None:
    assert list(read_parts(BytesIO(framed(bodies, False)), "mark")) == bodies


@given(BODIES, st.binary(max_size=50))
def test_stream_that_is_cut_off_gives_the_parts_before(bodies: list[bytes], _noise: bytes) -> None:
    whole = framed(bodies, True)
    for cut in range(0, len(whole), 7):
        parts = list(read_parts(BytesIO(whole[:cut]), "mark"))
        assert parts[:-1] == bodies[: max(0, len(parts) - 1)]


@given(st.binary(max_size=2000))
def test_noise_gives_parts_or_a_source_error(data: bytes) -> None:
    try:
        list(read_parts(BytesIO(b"--mark\r\n" + data), "mark"))
    except SourceError as error:
        assert "picture" in str(error)


def test_part_that_claims_to_be_endless_is_refused_before_it_is_read() -> None:
    claim = b"--mark\r\nContent-Length: 99999999999\r\n\r\nx"
    with pytest.raises(SourceError, match=f"99999999999 bytes, and at most {MAX_PART} are allowed"):
        list(read_parts(BytesIO(claim), "mark"))


def test_part_that_never_ends_is_refused() -> None:
    class Endless(BytesIO):
        def readline(self, limit: int | None = -1, /) -> bytes:
            return super().readline() or bytes(limit or 1)

    with pytest.raises(SourceError, match="it sends a picture of"):
        list(read_parts(Endless(b"--mark\r\n\r\n"), "mark"))


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"\xff\xd8 picture \xff\xd9", True),
        (b"\xff\xd8 picture \xff\xd9\0\0\0\r\n", True),
        (b"\xff\xd8 thumb \xff\xd9 pic", False),
        (b"\xff\xd8 pic", False),
        (b"icture \xff\xd9", False),
        (b"", False),
    ],
)
def test_jpeg_is_whole_when_it_starts_and_ends_as_one(data: bytes, whole: bool) -> None:
    assert is_whole_jpeg(data) == whole
