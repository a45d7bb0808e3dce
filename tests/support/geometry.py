"""Where a browser puts the parts of a page, and what of that nobody can read."""

from __future__ import annotations

from .browser_page import BrowserPage

SMALLEST_PX = 11
# Rectangles of one picture's texts may share this many px: lines of text are higher than their letters.
_SLACK_PX = 2

_FAULTS = """(() => {
  const [smallest, slack] = [%d, %d];
  const faults = [];
  for (const part of document.querySelectorAll("details")) part.open = true;
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) {
    faults.push(`the page is ${document.documentElement.scrollWidth} px wide, on a screen of ${width}`);
  }
  const scrolls = (part) => part && part !== document.body
    && (["auto", "scroll"].includes(getComputedStyle(part).overflowX) || scrolls(part.parentElement));
  for (const table of document.querySelectorAll("table")) {
    const [own, around] = [table.getBoundingClientRect(), table.parentElement.getBoundingClientRect()];
    const fits = own.right <= around.right + 1;
    if (!fits && !scrolls(table.parentElement)) faults.push(`a table of ${own.width} px does not scroll`);
    if (fits && table.scrollWidth > own.width + 1) faults.push(`the cells of a table leave it`);
  }
  for (const part of document.querySelectorAll(".scroll")) {
    const cell = part.querySelector("tbody tr > *");
    if (!cell || !part.clientWidth || part.scrollWidth <= part.clientWidth) continue;
    part.scrollLeft = 60;
    const moved = part.getBoundingClientRect().left + part.clientLeft - cell.getBoundingClientRect().left;
    if (moved > 1) faults.push(`"${cell.textContent}" scrolls out of sight`);
    if (cell.offsetWidth > 0.6 * part.clientWidth) faults.push(`"${cell.textContent}" hides the figures`);
    part.scrollLeft = 0;
  }
  const apart = (a, b) => a.right <= b.left + slack || b.right <= a.left + slack
    || a.bottom <= b.top + slack || b.bottom <= a.top + slack;
  for (const svg of document.querySelectorAll("svg[role=img]")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    const texts = [...svg.querySelectorAll("text")].map((text) => [text, text.getBoundingClientRect()]);
    texts.forEach(([text, box], number) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1
          || box.top < frame.top - 1 || box.bottom > frame.bottom + 1) {
        faults.push(`${svg.querySelector("title").textContent}: "${text.textContent}" leaves the picture`);
      }
      for (const [other, its] of texts.slice(number + 1)) {
        if (!apart(box, its)) {
          faults.push(`${svg.querySelector("title").textContent}: "${text.textContent}" lies on`
            + ` "${other.textContent}"`);
        }
      }
      const size = Number.parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a;
      if (size < smallest - 0.01) faults.push(`"${text.textContent}" has ${size.toFixed(1)} px`);
    });
  }
  const letters = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (letters.nextNode()) {
    const parent = letters.currentNode.parentElement;
    if (!letters.currentNode.data.trim() || parent.closest("svg, script, style")) continue;
    if (!parent.getClientRects().length) continue;
    const size = Number.parseFloat(getComputedStyle(parent).fontSize);
    if (size < smallest) faults.push(`"${letters.currentNode.data.trim()}" has ${size} px`);
  }
  return faults;
})()""" % (SMALLEST_PX, _SLACK_PX)  # noqa: UP031  Braces are JavaScript's here.


def find_faults(page: BrowserPage) -> list[str]:
    """Return what is wrong with the geometry of the open page.

    Wrong are: a page wider than its screen, a table that neither fits nor scrolls, or that scrolls together
    with its first column, texts of a picture on top of each other or outside of it, text smaller than 11 px.
    Parts that can be folded away are unfolded first.
    """
    found: list[str] = page.evaluate(_FAULTS)
    return found
