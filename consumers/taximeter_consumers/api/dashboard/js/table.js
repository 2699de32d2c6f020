// Tables: a caption for those who do not see them, numbers to the right, names that filter on a click.

import { h } from "./dom.js";

/** A table; columns are {name, of(row), number, class, label}. */
export function table(caption, columns, rows) {
  const head = columns.map((one) => h("th", { scope: "col", class: classOf(one) }, one.label ? h("span", { class: "unseen" }, one.name) : one.name));
  const line = (row) => h("tr", {}, columns.map((one, index) => h(index ? "td" : "th", { scope: index ? null : "row", class: classOf(one), "data-column": one.name }, one.of(row))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows.map(line))));
}

/** A name that filters by itself. */
export function nameCell(app, filter, value, more = {}) {
  if (!value) return h("span", { class: "soft" }, "(none)");
  return h("button", { type: "button", class: "link name", title: value, "aria-label": `${value}: show only this ${filter}`, on: { click: () => app.go({ [filter]: value, ...more }) } }, value);
}

/** A bar as long as its share, for the eye alone. */
export function shareBar(share, part = "") {
  return h("span", { class: "share", "aria-hidden": "true" }, h("span", { class: part, style: { width: `${Math.max(0, Math.min(1, share || 0)) * 100}%` } }));
}

function classOf(column) {
  return [column.number && "number", column.class].filter(Boolean).join(" ") || null;
}
