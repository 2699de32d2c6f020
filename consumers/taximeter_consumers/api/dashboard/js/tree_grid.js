// A table that is a tree: rows fold, and the arrow keys move over them as in every tree.

import { fill, h, icon } from "./dom.js";

/** The grid. `lines` gives what is shown for the set of folded keys; columns are as in tables, of lines. */
export function treeGrid(closed, lines, columns) {
  const head = h("tr", { role: "row" }, columns.map((one) => h("th", { role: "columnheader", scope: "col", class: classOf(one) }, one.name)));
  const body = h("tbody", { role: "rowgroup" });
  const element = h("div", { class: "scroll" }, h("table", { role: "treegrid", "aria-label": "The run as a tree", class: "tree" }, h("thead", { role: "rowgroup" }, head), body));
  let current = null;

  function draw(focus) {
    const shown = lines(closed);
    current = shown.some((line) => line.key === current) ? current : shown[0].key;
    fill(body, shown.map(row));
    if (focus) at(current)?.focus();
  }
  function row(line) {
    const isOpen = line.hasBelow ? String(!closed.has(line.key)) : null;
    const fold = line.hasBelow
      ? h("button", { type: "button", class: "fold", tabindex: "-1", "aria-hidden": "true", on: { click: () => toggle(line.key) } }, icon("open"))
      : h("span", { class: "fold" });
    return h("tr", { role: "row", class: line.kind, "aria-level": line.level, "aria-expanded": isOpen, tabindex: line.key === current ? "0" : "-1", "data-key": line.key, on: { keydown: (event) => pressed(event, line), focus: () => (current = line.key) } },
      columns.map((one, index) => h("td", { role: "gridcell", class: classOf(one), "data-column": one.name },
        index ? one.of(line) : h("span", { class: "what", style: { "--level": line.level } }, fold, one.of(line)))));
  }
  function toggle(key) {
    if (!closed.delete(key)) closed.add(key);
    current = key;
    draw(true);
  }
  function pressed(event, line) {
    const rows = [...body.children];
    const index = rows.findIndex((one) => one.dataset.key === line.key);
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined) move(rows[to]);
    else if (event.key === "ArrowRight") line.hasBelow && closed.has(line.key) ? toggle(line.key) : line.hasBelow && move(rows[index + 1]);
    else if (event.key === "ArrowLeft") line.hasBelow && !closed.has(line.key) ? toggle(line.key) : move(parentOf(rows, index));
    else if (event.key === "Enter" && event.target.matches("tr")) line.hasBelow && toggle(line.key);
    else return;
    event.preventDefault();
  }
  function move(target) {
    if (!target) return;
    at(current)?.setAttribute("tabindex", "-1");
    target.setAttribute("tabindex", "0");
    target.focus();
  }
  const at = (key) => [...body.children].find((one) => one.dataset.key === key);
  draw(false);
  return element;
}

function parentOf(rows, index) {
  const level = Number(rows[index].getAttribute("aria-level"));
  return rows.slice(0, index).reverse().find((one) => Number(one.getAttribute("aria-level")) < level);
}

function classOf(column) {
  return [column.number && "number", column.class].filter(Boolean).join(" ") || null;
}
