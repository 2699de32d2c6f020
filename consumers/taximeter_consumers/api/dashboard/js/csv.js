// CSV that spreadsheets open without running anything: a text that would be a formula gets an apostrophe before it, by
// the same rule as the API's exports. Numbers are as the API wrote them, exact.

const FORMULA = /^[\s\0]*[=+\-@＝＋－＠]/;

/** A file of rows; columns are [name, of a row, "number"?]. */
export function csv(columns, rows) {
  const lines = [columns.map(([name]) => cell(name, false))];
  for (const row of rows) lines.push(columns.map(([, of, kind]) => cell(of(row), kind === "number")));
  return lines.map((line) => line.join(",") + "\r\n").join("");
}

/** One cell. */
export function cell(value, isNumber) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = !isNumber && FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n\0]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Hands a file to whoever sits in front of the page. */
export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
