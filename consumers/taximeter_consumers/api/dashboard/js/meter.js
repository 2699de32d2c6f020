// A bar of a limit: how much of it is used, by length, number, colour, and a word.

import { amount, h, icon } from "./dom.js";

export const NEAR = 80;
export const OVER = 100;

/** fine, near or over. */
export function levelOf(percent) {
  return percent >= OVER ? "over" : percent >= NEAR ? "near" : "fine";
}

/** {title, percent, used, limit, unit, note, of}; used and limit are texts as they are read. */
export function meter({ id, title, percent, used, limit, unit, note }) {
  const level = levelOf(percent);
  const words = { fine: "", near: "near the limit", over: "at the limit" }[level];
  const shown = `${Number(percent.toFixed(percent < 10 ? 2 : 1))} %`;
  const amounts = `${used} / ${limit} ${unit}`;
  return h("div", { class: `meter ${level}`, "data-meter": id, tabindex: "0", role: "progressbar", "aria-label": title, "aria-valuemin": "0", "aria-valuemax": "100",
    "aria-valuenow": String(Math.min(100, percent)), "aria-valuetext": `${shown}${words ? `, ${words}` : ""}: ${amounts}` },
    h("div", { class: "meter-head" }, h("span", { class: "meter-title", title }, title),
      words && h("span", { class: `badge ${level}` }, icon("warn"), words), amount(String(percent), shown, amounts)),
    h("div", { class: "rail" }, h("span", { class: "filled", style: { width: `${Math.min(100, percent)}%` } }), h("span", { class: "mark", "aria-hidden": "true" })),
    h("div", { class: "meter-foot", "aria-hidden": "true" }, h("span", { class: "soft small" }, note), h("span", { class: "amounts small" }, amounts)));
}
