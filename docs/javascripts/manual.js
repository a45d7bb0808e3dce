// What the theme adds while a page is shown, made usable by keyboard and told apart by screen readers.
document$.subscribe(() => {
  const article = document.querySelector("article");
  const mend = () => {
    for (const table of article.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) table.tabIndex = 0;
    for (const code of article.querySelectorAll("pre > code:not([tabindex])"))
      if (code.scrollWidth > code.clientWidth) code.tabIndex = 0;
    // The buttons beside a block of code are no navigation of the page.
    for (const buttons of article.querySelectorAll("nav.md-code__nav")) buttons.setAttribute("role", "none");
  };
  new MutationObserver(mend).observe(article, { childList: true, subtree: true, attributeFilter: ["tabindex"] });
  mend();
});
