"""What lies under a file's name when the file itself was never fetched: a Git LFS pointer, or a web page."""

from __future__ import annotations

PLACEHOLDER_BYTES = 512  # Of a file's beginning, which tell it.
_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<?xml")


def placeholder(head: bytes) -> str | None:
    """Return what a file that begins with `head` is in place of its content, with the remedy; or None.

    The words follow the file's name.

    Example:
        >>> placeholder(b"version https://git-lfs.github.com/spec/v1")
        'is a Git LFS pointer, and not the file that it stands for. Run: git lfs pull'
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(_POINTER):
        return "is a Git LFS pointer, and not the file that it stands for. Run: git lfs pull"
    if text.startswith(_PAGES) and (b"<html" in text or not text.startswith(b"<?xml")):
        return (
            "is a web page: the download got a page in place of the file. Open its address in a browser, and "
            "take the link to the file itself"
        )
    return None
