"""Links of a document that lead nowhere, as GitHub shows it; mkdocs checks those of the site."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

_BLOCK = re.compile(r"^ *(`{3,}).*?^ *\1", re.DOTALL | re.MULTILINE)
_MADE_WITH_THE_SITE = "<!-- options:"


def wrong_links(document: Path, root: Path) -> list[str]:
    """Return the targets that are no file below `root`, no heading of it, or no address of https."""
    text = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", document.read_text(encoding="utf-8")))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'\b(?:src|href)="([^"]+)"', text)
    return [target for target in targets if not _is_good(target, document, root)]


def _is_good(target: str, document: Path, root: Path) -> bool:
    address = urlsplit(target)
    if address.scheme:
        return address.scheme == "https" and "." in address.netloc
    place = (document.parent / address.path).resolve() if address.path else document
    if not place.exists() or not place.is_relative_to(root):
        return False
    if not address.fragment or place.suffix != ".md":
        return not address.fragment
    return address.fragment in _anchors(place) or _MADE_WITH_THE_SITE in place.read_text(encoding="utf-8")


def _anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives to headings: small letters, no signs, blanks as hyphens."""
    text = _BLOCK.sub("", document.read_text(encoding="utf-8"))
    plain = [
        re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)
        for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    ]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}
