// Makes the columns of .sortable tables sort by a click; the page is complete without.
for (const table of document.querySelectorAll("table.sortable")) {
  const [body, heads] = [table.tBodies[0], [...table.tHead.rows].at(-1).cells];
  const value = (row, column) => Number.parseFloat(row.cells[column].dataset.value ?? "NaN");
  const text = (row, column) => row.cells[column].textContent.trim();
  const compare = (a, b, column) => {
    const [x, y] = [value(a, column), value(b, column)];
    if (Number.isNaN(x) && Number.isNaN(y)) {
      return text(a, column).localeCompare(text(b, column), undefined, { numeric: true });
    }
    return x - y;
  };
  [...heads].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const cell of heads) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      // Cells without a figure stay at the end, whichever way the others are sorted.
      const numeric = [...body.rows].some((row) => !Number.isNaN(value(row, column)));
      const known = (row) => !numeric || !Number.isNaN(value(row, column));
      const rows = [...body.rows].filter(known).sort((a, b) => compare(a, b, column));
      const rest = [...body.rows].filter((row) => !known(row));
      body.append(...(down ? rows.reverse() : rows), ...rest);
    });
  });
}
