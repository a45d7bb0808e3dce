"""What of an address may be shown."""

from __future__ import annotations

import pytest
from edge_classify.edge.sources.addresses import redact
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(), st.text(), st.sampled_from(["", "?"]))
def test_secrets_in_an_address_are_hidden_whatever_they_hold(user: str, password: str, mark: str) -> None:
    shown = redact(f"rtsp://{user}:{password}@camera:554/live{mark}{password if mark else ''}")
    assert shown == f"rtsp://***@camera:554/live{mark and '?***'}" or ("@" in password and mark)
    assert redact(f"rtsp://camera/live{mark}") == f"rtsp://camera/live{mark and '?***'}"


@pytest.mark.parametrize("name", ["0", "video 1.avi", "me@home.avi", "what?.avi"])
def test_names_that_are_no_address_are_shown_as_they_are(name: str) -> None:
    assert redact(name) == name
