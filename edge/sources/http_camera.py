"""HTTP cameras, without OpenCV: streams of pictures, and addresses that give one picture at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..decoding import stand_in
from ..errors import ImageError, SourceError
from ..image import load_image
from .addresses import redact
from .camera import Camera, CameraOptions, Shot, refuse_size
from .frames import EncodedPicture
from .http_client import HttpAnswer, HttpClient
from .http_content import LONGEST_HEAD, Content, content_of, describe, is_playlist
from .picture_ends import MAX_PICTURE
from .picture_stream import PictureStream, StreamPicture

TIMEOUT = 10.0  # Seconds for connecting, and the shortest limit for each wait for bytes.
_SNAPSHOTS_PER_SECOND = 5.0
_MOST_UNREADABLE = 10  # Pictures from the start on of which none can be decoded.
_VIEWS = b"MPF\0"  # In a JPEG that is followed by other views of the same (CIPA DC-007, 5.2).
_VIEWS_WITHIN = 65_536


class HttpCamera:
    """Pictures from one address, decoded only when they are used; an answer that ends is asked for again."""

    ends = False

    def __init__(self, name: str, client: HttpClient, answer: HttpAnswer, options: CameraOptions) -> None:
        """Begin with `answer`; single pictures are asked for `options.fps` times a second at most.

        Raises SourceError where the answer holds no pictures.
        """
        self.name = name
        self._client = client
        self._interval = 1 / (options.fps or _SNAPSHOTS_PER_SECOND)
        self._due = time.monotonic()
        self._stream: PictureStream | None = None
        self._pictures: Iterator[StreamPicture] = iter(())
        self._first_pictures = _FirstPictures()
        self._begin(answer)

    def read(self) -> Shot | None:
        """Wait for the next picture; one that is cut off counts as damaged. Return None at a stream's end."""
        while (picture := next(self._pictures, None)) is None:
            if self._was_stream:
                return None
            self._ask_again()
        self._count += 1
        return Shot(self._first_pictures.accept(picture), time.monotonic())

    def received(self) -> str:
        """Return what has come in place of pictures; empty where nothing has, or only headers of the next."""
        return self._stream.received if self._stream is not None else ""

    def interrupt(self) -> None:
        """End the present read and all later ones, from any thread."""
        self._client.abort()

    def close(self) -> None:
        """Close the connection, if one is open, and forget what came."""
        self._answer.close()
        self._client.close()
        self._stream = None
        self._pictures = iter(())

    @property
    def _was_stream(self) -> bool:
        """Whether the answer that has ended was a stream, and no picture that is asked for again."""
        return self._count > 1 and not (self._answer.declared or "").startswith("image/")

    def _begin(self, answer: HttpAnswer) -> None:
        self._answer, self._count = answer, 0
        content = _content(self._client, answer)
        if content == "film":
            raise SourceError(
                f"it sends no pictures any more, but {describe(answer.peek(LONGEST_HEAD), answer.declared)}"
            )
        self._pictures = _one_file(answer) if content == "file" else self._find_pictures(answer)

    def _ask_again(self) -> None:
        """Wait until the next request is due, and send it."""
        self._answer.close()
        now = time.monotonic()
        self._due = max(self._due + self._interval, now)
        time.sleep(self._due - now)
        self._begin(self._client.get())

    def _find_pictures(self, answer: HttpAnswer) -> Iterator[StreamPicture]:
        """Yield the pictures of an answer; the first one alone where the others only belong to it."""

        stream = self._stream = PictureStream(answer.read)
        is_single = not answer.is_endless and not (answer.declared or "").startswith(("multipart/", "video/"))
        while (picture := stream.next()) is not None:
            yield picture
            if is_single or (not _is_multipart(answer) and _VIEWS in picture.data[:_VIEWS_WITHIN]):
                return


class _FirstPictures:
    """Holds pictures back that are cut off, and all until the first that can be decoded.

    Some cameras never send a JPEG's end marker. Where one has sent it, a picture without it is cut off.
    """

    def __init__(self) -> None:
        self._unreadable = 0
        self._one_was_decoded = self._one_was_whole = False

    def accept(self, picture: StreamPicture) -> EncodedPicture | None:
        """Return the picture, None where it is damaged; raises SourceError where all have been so far."""
        reason = self._why_unreadable(picture)
        if reason is None:
            self._one_was_decoded = True
            self._one_was_whole |= picture.whole
            return EncodedPicture(picture.data)
        self._unreadable += 1
        if not self._one_was_decoded and self._unreadable >= _MOST_UNREADABLE:
            raise SourceError(f"none of its first {self._unreadable} pictures can be read: {reason}")
        return None

    def _why_unreadable(self, picture: StreamPicture) -> str | None:
        if not picture.readable or (self._one_was_whole and not picture.whole):
            return "it is cut off"
        if not self._one_was_decoded:
            try:
                load_image(picture.data)
            except ImageError as error:
                return str(error).removeprefix("image: ")
        return None


def open_http(url: str, options: CameraOptions) -> Camera:
    """Open an http or https address by what it sends: pictures of any kind, or a video for FFmpeg.

    Raises SourceError with only the reason, OptionError for a size, and MissingPackageError for a video
    without OpenCV.
    """
    refuse_size(options)
    client = HttpClient(url, max(TIMEOUT, options.patience), options.tls_fingerprint)
    try:
        answer = client.get()
        try:
            if _content(client, answer) != "film":
                return HttpCamera(redact(url), client, answer, options)
            playlist = is_playlist(answer.peek(LONGEST_HEAD))
        except BaseException:
            answer.close()
            raise
    except BaseException:
        client.close()
        raise
    answer.close()
    client.close()
    if options.tls_fingerprint is not None:
        raise SourceError(
            "it sends a film, which FFmpeg reads, and FFmpeg cannot compare fingerprints. Instead of "
            "--tls-fingerprint, name the certificate's file in the environment variable SSL_CERT_FILE"
        )
    if stand_in() is not None:  # Else the server would choose whether the sandbox holds.
        raise SourceError(
            "it sends a film, which OpenCV would decode in this process, and --untrusted was given. Name an "
            "address of it that gives pictures (JPEG), or leave out --untrusted"
        )
    from .opencv import open_stream

    return open_stream(url, options, "an HLS playlist (#EXTM3U)" if playlist else "a film")


def _content(client: HttpClient, answer: HttpAnswer) -> Content:
    """Return what an answer holds; raises SourceError, with the proxy that may have sent it."""
    # The type says enough, and bytes may come only with the first picture.
    if _is_multipart(answer):
        return "pictures"
    head = answer.peek(LONGEST_HEAD)
    try:
        return content_of(answer.declared, head)
    except SourceError as error:
        raise SourceError(client.name_proxy(str(error))) from None


def _is_multipart(answer: HttpAnswer) -> bool:
    return (answer.declared or "").startswith("multipart/")


def _one_file(answer: HttpAnswer) -> Iterator[StreamPicture]:
    """Yield the whole answer, which is a picture of a format that has no end of its own."""
    data = bytearray()
    while more := answer.read():
        data += more
        if len(data) > MAX_PICTURE:
            raise SourceError(f"it sends a picture of more than {MAX_PICTURE} bytes")
    yield StreamPicture(bytes(data), whole=True, readable=True)
