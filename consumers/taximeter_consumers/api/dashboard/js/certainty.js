// What a sum of cost lacks and how much of it is a guess. Unknown is never called nothing.

import { percent } from "./decimal.js";
import { amount, h, icon } from "./dom.js";
import { count, exactMoney, many, money } from "./format.js";

/** The counts of a cost that is not all known: {calls, plugins, isAll}. */
export function lacking(cost) {
  const calls = cost.unpricedCalls + cost.unmeasuredCalls;
  return { calls, plugins: cost.unpricedPlugins ?? 0, isSome: calls + (cost.unpricedPlugins ?? 0) > 0 };
}

/** A cost for a cell: "≥" where it lacks something, "unknown" where nothing of it is known. */
export function costCell(cost, places) {
  const { calls, plugins, isSome } = lacking(cost);
  const what = [calls && many(calls, "call"), plugins && many(plugins, "plugin use")].filter(Boolean).join(" and ");
  if (cost.costSource === "unpriced" || (isSome && cost.costUsd === "0")) {
    return h("data", { class: "cost unknown", value: cost.costUsd, title: `unknown: ${what} without a known price or use` }, "unknown");
  }
  const exact = exactMoney(cost.costUsd);
  if (cost.costSource === "none") return h("data", { class: "cost soft", value: cost.costUsd, title: "nothing in it has a price" }, "–");
  if (!isSome) return h("span", { class: "cost" }, amount(cost.costUsd, money(cost.costUsd, places), exact));
  return h("span", { class: "cost" }, h("span", { class: "least", title: `at least: lacks ${what}` }, h("span", { "aria-hidden": "true" }, "≥"), h("span", { class: "unseen" }, "at least ")),
    amount(cost.costUsd, money(cost.costUsd, places), `at least ${exact}; lacks ${what}`));
}

/** The strip that stays in sight. */
export function certainty(cost, hasCalls = true) {
  const calls = cost.aiCalls;
  const guess = percent(cost.estimatedCostUsd, cost.costUsd) || "0";
  const share = (number) => (calls ? ` (${percent(String(number), String(calls)) || "0.0"} %)` : "");
  const part = (name, label, number, text, title) =>
    h("span", { class: `sure ${number ? "some" : "none"}`, "data-part": name, title }, icon(number ? "warn" : "fine"), h("span", { class: "sure-label" }, label), " ", text);
  return [
    part("unpriced", "Unpriced", cost.unpricedCalls, [amount(String(cost.unpricedCalls), count(cost.unpricedCalls)), share(cost.unpricedCalls)], "Calls of models without a known price: the cost lacks them"),
    part("unmeasured", "Unmeasured", cost.unmeasuredCalls, [amount(String(cost.unmeasuredCalls), count(cost.unmeasuredCalls)), share(cost.unmeasuredCalls)], "Calls whose use is not known: the cost lacks them"),
    cost.unpricedPlugins ? part("plugins", "Unpriced plugin uses", cost.unpricedPlugins, amount(String(cost.unpricedPlugins), count(cost.unpricedPlugins)), "Units of plugins without a known price: the cost lacks them") : null,
    part("estimated", "Estimated", cost.estimatedCostUsd === "0" ? 0 : 1, h("data", { value: cost.estimatedCostUsd, title: exactMoney(cost.estimatedCostUsd) }, `${guess} % of the cost`), "Cost of use that was estimated or seen in part"),
    hasCalls && !calls ? h("span", { class: "sure none" }, "No AI calls") : null,
  ];
}
