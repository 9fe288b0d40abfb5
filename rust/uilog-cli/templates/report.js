"use strict";
// Shows only the rows that have all the words of the filter.
const box = document.getElementById("filter-box");
const input = document.getElementById("filter");
const status = document.getElementById("filter-status");
const rows = Array.from(document.querySelectorAll("tbody tr"), (row) => ({
  row,
  text: row.textContent.toLowerCase(),
}));
function apply() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { row, text } of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  status.textContent = words.length
    ? `${shown} of ${rows.length} rows`
    : "";
}
input.addEventListener("input", apply);
box.hidden = false;
apply();
