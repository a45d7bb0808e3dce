"""A download of weights is announced in one line; its failure tells the address, the reason and ways out."""

from __future__ import annotations

import pytest
from edge_classify.train.download import describe_failure, download_shown


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("URL fetch failure on https://x/w.h5: None -- [Errno -2] Name or service not known",
         "cannot be downloaded (Name or service not known). Fetch https://x/w.h5 on a machine"),
        ("URL fetch failure on https://x/w.h5: 403 -- Forbidden",
         "cannot be downloaded (403 Forbidden). Fetch https://x/w.h5 on a machine"),
        ("Incomplete or corrupted file detected.", "cannot be loaded (Incomplete or corrupted file detected"),
    ],
)  # fmt: skip
def test_failure_says_what_was_tried_why_it_failed_and_what_to_do(raised: str, said: str) -> None:
    described = describe_failure(Exception(raised))
    assert described.startswith(said) and "--weights FILE" in described


def test_download_is_one_line_on_stderr_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    with download_shown("MobileNetV2"):
        for text in ("Downloading data from https://x/w.h5", "\n", "\r\x1b[1m10/100\x1b[0m ━━━ 1s", "\n"):
            print(text, end="")  # noqa: T201 - As Keras does.
    print("a result")  # noqa: T201
    out, err = capsys.readouterr()
    assert out == "a result\n"
    assert err == "Downloading the ImageNet weights of MobileNetV2, once; Keras keeps them\n"


def test_nothing_is_said_of_weights_that_are_there_already(capsys: pytest.CaptureFixture[str]) -> None:
    with download_shown("MobileNetV2"):
        pass
    assert capsys.readouterr() == ("", "")
