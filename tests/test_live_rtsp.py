"""RTSP, from Debian's GStreamer server, which is killed and started again."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from itertools import islice

import pytest
from edge_classify.edge.errors import SourceError
from edge_classify.edge.sources.opening import open_source

from .support.streams import PASSWORD, RtspServer, age_ms


@pytest.fixture
def server() -> Iterator[RtspServer]:
    camera = RtspServer()
    camera.start()
    yield camera
    camera.stop()


@pytest.mark.alone  # The pictures' age is measured, and they are encoded and decoded on the same cores.
def test_rtsp_camera_shows_the_present_and_is_back_after_a_power_cut(server: RtspServer) -> None:
    remarks: list[str] = []
    source = open_source(server.address(), report=remarks.append)
    try:
        frames = iter(source)
        list(islice(frames, 40))  # FFmpeg has kept about a second from opening it.
        # 35 ms where nothing else runs; all that a queue of a second would not pass.
        assert statistics.median(age_ms(frame) for frame in islice(frames, 30)) < 500
        server.stop()
        error = next(frame.error for frame in frames if frame.error is not None)
        threading.Timer(0.5, server.start).start()
        frame = next(frames)
    finally:
        source.close()
    assert frame.error is None and frame.source == f"rtsp://***@127.0.0.1:{server.port}/camera"
    assert "was lost" in error and "is back after" in remarks[-1]
    assert sum("is not encrypted" in remark for remark in remarks) == 1
    assert PASSWORD not in error + remarks[0]


def test_rtsp_camera_with_a_wrong_password_is_refused_without_showing_it(
    server: RtspServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SourceError, match="it sends no pictures") as error:
        open_source(server.address("geheim2"))
    assert "geheim" not in str(error.value)
    assert capfd.readouterr() == ("", "")
