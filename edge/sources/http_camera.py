"""HTTP cameras, without OpenCV: MJPEG streams, and addresses that give one JPEG at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse

from ..errors import SourceError
from .addresses import redact
from .camera import Camera, CameraOptions, Shot, refuse_size
from .frames import EncodedPicture
from .http_client import HttpClient
from .multipart import MAX_PART, is_whole_jpeg, read_parts

TIMEOUT = 10.0  # Seconds for connecting, and the shortest limit for each wait for bytes.
_SNAPSHOTS_PER_SECOND = 5.0


class MjpegCamera:
    """A multipart/x-mixed-replace stream of JPEGs, which are decoded only when they are used."""

    ends = False

    def __init__(self, name: str, client: HttpClient, response: HTTPResponse) -> None:
        """Read the parts of `response`; raises SourceError where its header names no boundary."""
        boundary = response.headers.get_param("boundary")
        if not isinstance(boundary, str) or not boundary.strip("-"):
            raise SourceError("it sends a multipart stream whose header names no boundary")
        self.name = name
        self._client = client
        self._response = response
        self._parts: Iterator[bytes] = read_parts(response, boundary)

    def read(self) -> Shot | None:
        """Wait for the next part; a part that is no whole JPEG counts as damaged."""
        try:
            data = next(self._parts, None)
        except (OSError, HTTPException) as error:
            raise SourceError(self._client.explain(error)) from None
        return None if data is None else _to_shot(data)

    def close(self) -> None:
        """Close the connection."""
        self._response.close()


class SnapshotCamera:
    """An address that gives one picture per request."""

    ends = False

    def __init__(self, name: str, client: HttpClient, response: HTTPResponse, fps: float) -> None:
        """Start with the picture in `response`, and send at most `fps` requests per second."""
        self.name = name
        self._client = client
        self._response: HTTPResponse | None = response
        self._interval = 1 / fps
        self._due = time.monotonic()

    def read(self) -> Shot | None:
        """Wait until the next request is due, and return its picture."""
        now = time.monotonic()
        time.sleep(max(0.0, self._due - now))
        self._due = max(self._due, now) + self._interval
        response, self._response = self._response or self._client.get(), None
        try:
            with response:
                data = response.read(MAX_PART + 1)
        except (OSError, HTTPException) as error:
            raise SourceError(self._client.explain(error)) from None
        if len(data) > MAX_PART:
            raise SourceError(f"it sends a picture of more than {MAX_PART} bytes")
        return _to_shot(data)

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._response is not None:
            self._response.close()


def open_http(url: str, options: CameraOptions) -> Camera:
    """Open an http or https address by its content type: an MJPEG stream, a picture, or a video for FFmpeg.

    Raises SourceError with only the reason, OptionError for a size, and MissingPackageError for a video
    without OpenCV.
    """
    refuse_size(options)
    client = HttpClient(url, max(TIMEOUT, options.patience))
    response = client.get()
    kind = response.headers.get_content_type()
    name = redact(url)
    try:
        if kind.startswith("multipart/"):
            return MjpegCamera(name, client, response)
        if kind.startswith("image/"):
            return SnapshotCamera(name, client, response, options.fps or _SNAPSHOTS_PER_SECOND)
        if kind in ("text/html", "application/xhtml+xml"):
            raise SourceError(f"it sends {kind}, a web page: give the address of the stream itself")
        if "Content-Type" in response.headers and (kind.startswith("text/") or kind == "application/json"):
            raise SourceError(f"it sends {kind} and no pictures: give the address of the stream itself")
    except SourceError:
        response.close()
        raise
    response.close()
    from .opencv import open_stream

    return open_stream(url, options)


def _to_shot(data: bytes) -> Shot:
    return Shot(EncodedPicture(data) if is_whole_jpeg(data) else None, time.monotonic())
