"""Text of others on a terminal and in reports: names of files, labels, what devices and servers say."""

from __future__ import annotations


def printable(text: str) -> str:
    """Replace control characters other than newline, which a terminal would obey, by their codes.

    So are right-to-left marks, which would show what follows in another order, and halves of letters.
    """
    return "".join(
        letter if letter.isprintable() or letter == "\n" else f"\\x{ord(letter):02x}" for letter in text
    )


def one_line(text: str) -> str:
    """Return `printable` text without line ends, which a file's name or a label may hold."""
    return printable(text).replace("\n", "\\x0a")
