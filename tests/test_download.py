"""A download of weights is announced in one line; its failure tells the address, the reason and ways out."""

from __future__ import annotations

import pytest
from edge_classify.convert.download import DownloadFailure, download_shown


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("URL fetch failure on https://x/w.h5: None -- [Errno -2] Name or service not known",
         "https://x/w.h5: Name or service not known"),
        ("URL fetch failure on https://x/w.h5: 403 -- Forbidden", "https://x/w.h5: 403 Forbidden"),
        ("Incomplete or corrupted file detected.", "None"),
    ],
)  # fmt: skip
def test_failure_tells_the_address_and_the_reason(raised: str, said: str) -> None:
    assert str(DownloadFailure.of(Exception(raised))) == said


def test_download_is_one_line_on_stderr_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with download_shown("the weights"):
        for text in ("Downloading data from https://x/w.h5", "\n", "\r\x1b[1m10/100\x1b[0m ━━━ 1s", "\n"):
            print(text, end="")  # noqa: T201 - As Keras does.
    print("a result")  # noqa: T201
    out, err = capsys.readouterr()
    assert out == "a result\n"
    assert err == "Downloading the weights, once; Keras keeps them\n"


def test_nothing_is_said_of_weights_that_are_there_already(capsys: pytest.CaptureFixture[str]) -> None:
    with download_shown("the weights"):
        pass
    assert capsys.readouterr() == ("", "")
