// How work ended: a colour, a shape and a word.

import { h } from "./dom.js";
import { count } from "./format.js";

const SHAPES = { success: "●", error: "✕", timeout: "◷", cancelled: "■", unknown: "?", "": "–" };
const WORDS = { success: "Success", error: "Error", timeout: "Timeout", cancelled: "Cancelled", unknown: "Unknown", "": "–" };

/** The worst of the attempts' outcomes, as far as counts tell. */
export function outcomeOf({ errors, timeouts, cancellations, successes }) {
  return timeouts ? "timeout" : errors ? "error" : cancellations ? "cancelled" : successes ? "success" : "unknown";
}

/** A badge; with counts it says how many attempts failed. */
export function outcomeBadge(outcome, counts = null) {
  const known = Object.hasOwn(WORDS, outcome) ? outcome : "unknown";
  const failed = counts ? counts.errors + counts.timeouts + counts.cancellations : 0;
  const text = counts ? (failed ? `${count(failed)} of ${count(failed + counts.successes)} failed` : "All well") : WORDS[known];
  return h("span", { class: `outcome ${known || "none"}`, title: counts ? `${count(counts.successes)} succeeded, ${count(counts.errors)} errors, ${count(counts.timeouts)} timeouts, ${count(counts.cancellations)} cancelled` : null },
    h("span", { "aria-hidden": "true" }, SHAPES[known]), text);
}
