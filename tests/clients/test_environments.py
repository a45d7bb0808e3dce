"""A client that cannot be had is skipped, unless it is required; nothing half-made is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import environments
from .environments import REQUIRED, Unavailable, call, kept, or_skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "CACHE", tmp_path)


def missing() -> Path:
    raise Unavailable("the client is not installed")


def test_missing_client_skips_the_test_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="the client is not installed"):
        or_skip(missing)


def test_missing_client_fails_the_test_where_clients_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="the client is not installed"):
        or_skip(missing)


def test_failed_build_is_not_kept_and_is_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        folder.mkdir()
        call("client", ["false"])

    with pytest.raises(Unavailable, match="client cannot be installed here"):
        kept("client", "one", fail)
    assert list(tmp_path.iterdir()) == []
    assert kept("client", "one", Path.mkdir).is_dir()


def test_finished_build_is_used_again_until_its_contents_change() -> None:
    built: list[str] = []

    def build(folder: Path) -> None:
        folder.mkdir()
        built.append(folder.name)

    first = kept("client", "one", build)
    assert kept("client", "one", build) == first
    assert kept("client", "two", build) != first
    assert len(built) == 2
