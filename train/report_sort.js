// Makes the columns of .sortable tables sort by a click; the page is complete without.
for (const table of document.querySelectorAll("table.sortable")) {
  const [body, heads] = [table.tBodies[0], [...table.tHead.rows].at(-1).cells];
  const key = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  [...heads].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const cell of heads) cell.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) =>
        key(a, column).localeCompare(key(b, column), undefined, { numeric: true }));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
