"""What the site has beyond its Markdown: the options of each command, and links to files of the sources."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manual.options import reference_of

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
_SEARCH = 'data-md-component="search" role="dialog"'
_NO_HEAD = re.compile(r"<th( [^>]*)?></th>")
_OPTIONS = re.compile(r"^<!-- options: (edge-\w+) -->$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Fill in the options of commands, and show links to files outside the manual as names.

    The sources are not on the site. On GitHub, where the pages are read as well, these links work.
    """
    folder = (ROOT / "docs" / page.file.src_uri).parent
    filled = _OPTIONS.sub(lambda match: reference_of(match[1]), markdown)
    return _LINK.sub(lambda match: _inside(match, folder), filled)


def on_post_page(output: str, **_: Any) -> str:
    """Name the search for screen readers, and take heads without text for what they are."""
    return _NO_HEAD.sub(r"<td\1></td>", output.replace(_SEARCH, f'{_SEARCH} aria-label="Search"'))


def _inside(match: re.Match[str], folder: Path) -> str:
    text, target = match[1], match[2]
    if "://" in target or target.startswith("mailto:"):
        return match[0]
    path = (folder / target).resolve()
    if path.is_relative_to(ROOT / "docs") or not path.exists():
        return match[0]
    name = path.relative_to(ROOT).as_posix()
    return f"`{name}`" if text.strip("`") in (name, path.name) else f"{text} (`{name}`)"
