// The four numbers at the top, and the strip that says how far they can be trusted.

import { ask } from "../api.js";
import { certainty, lacking } from "../certainty.js";
import { amount, fill, h, icon, say } from "../dom.js";
import { count, duration, exactMoney, headline, many, money, short } from "../format.js";
import { questionOf } from "../questions.js";
import { csv, download } from "../csv.js";

const COLUMNS = [
  ["cost_usd", (row) => row.cost.costUsd, "number"],
  ["estimated_cost_usd", (row) => row.cost.estimatedCostUsd, "number"],
  ["ai_calls", (row) => row.cost.aiCalls, "number"],
  ["unpriced_calls", (row) => row.cost.unpricedCalls, "number"],
  ["unmeasured_calls", (row) => row.cost.unmeasuredCalls, "number"],
  ["unpriced_plugins", (row) => row.cost.unpricedPlugins, "number"],
  ["input_tokens", (row) => row.usage.inputTokens, "number"],
  ["output_tokens", (row) => row.usage.outputTokens, "number"],
  ["total_tokens", (row) => row.usage.totalTokens, "number"],
  ["executions", (row) => row.usage.executions, "number"],
  ["events", (row) => row.events, "number"],
];

/** One row out of either answer: the rollups' and the one summed from events. */
export function rowOf(answer) {
  if (answer.rows) return answer.rows[0];
  const { total } = answer;
  return { events: total.events, usage: total, cost: total };
}

/** The tiles and the strip. */
export function totals(app) {
  const tiles = h("div", { class: "tiles" });
  const sure = h("div", { class: "sureness", role: "status", "aria-label": "How far the cost is known" });
  const element = h("section", { class: "totals", "aria-label": "Totals", "data-state": "loading" }, sure, tiles);
  let last = "";
  let asking = null;
  fill(tiles, ["Cost", "Tokens", "AI calls", "Events"].map((name) => tile(name, h("span", { class: "skeleton big" }, h("span")), "")));

  /** Whether numbers came that are others than those before. */
  async function refresh() {
    const question = questionOf("totals", app.state, new Date());
    asking?.abort();
    asking = new AbortController();
    try {
      const { text, value } = await ask(app.session.key, question.path, question.params, asking.signal);
      if (text === last) return false;
      const isNews = last !== "";
      last = text;
      draw(rowOf(value), Boolean(question.params.model));
      return isNews;
    } catch (error) {
      if (error.name === "AbortError" || app.refused(error) !== undefined) return false;
      last = "";
      element.dataset.state = "refused";
      fill(sure, h("span", { class: "sure some" }, icon("warn"), `${error.title}. ${error.detail ?? ""}`),
        h("button", { class: "quiet", type: "button", on: { click: refresh } }, "Try again"));
      return false;
    }
  }
  function draw(row, ofOneModel) {
    element.dataset.state = "drawn";
    const { cost, usage } = row;
    const lacks = lacking(cost);
    fill(sure, certainty(cost), h("button", { class: "quiet", type: "button", "aria-label": "Totals: download as CSV", on: { click: () => download("taximeter-totals.csv", csv(COLUMNS, [row])) } }, icon("down"), "CSV"));
    const missing = [lacks.calls && many(lacks.calls, "call"), lacks.plugins && many(lacks.plugins, "plugin use")].filter(Boolean).join(" and ");
    fill(tiles,
      tile("Cost", [lacks.isSome && h("span", { class: "least" }, "at least "), amount(cost.costUsd, money(cost.costUsd), exactMoney(cost.costUsd))],
        [money(cost.costUsd) === exactMoney(cost.costUsd) || cost.costUsd === "0" ? null : h("span", { class: "exact" }, exactMoney(cost.costUsd)), lacks.isSome && h("span", { class: "lacks" }, `lacks ${missing}`), ofOneModel && h("span", {}, "calls of this model alone")], "cost", lacks.isSome),
      tile("Tokens", amount(String(usage.totalTokens), headline(usage.totalTokens), count(usage.totalTokens)),
        [`${short(usage.inputTokens)} in · ${short(usage.outputTokens)} out`, usage.totalTokens < 1e6 ? null : h("span", { class: "exact" }, count(usage.totalTokens))], "tokens"),
      tile("AI calls", amount(String(cost.aiCalls), headline(cost.aiCalls), count(cost.aiCalls)),
        [row.cost.estimatedCalls === undefined ? null : `${count(cost.estimatedCalls)} estimated`], "calls"),
      tile("Events", amount(String(row.events), headline(row.events), count(row.events)),
        [`${count(usage.executions)} node attempts`, usage.durationUs === undefined ? null : `${duration(usage.durationUs)} of work`], "events"));
    say(`Cost ${lacks.isSome ? "at least " : ""}${money(cost.costUsd)}, ${short(usage.totalTokens)} tokens, ${many(cost.aiCalls, "AI call")}.`);
  }
  return { element, refresh, stop: () => asking?.abort() };
}

function tile(name, value, notes, id = "", isLeast = false) {
  return h("div", { class: `tile ${isLeast ? "is-least" : ""}`, "data-tile": id },
    h("h2", {}, name), h("p", { class: "value" }, value), h("p", { class: "notes" }, [notes].flat().filter(Boolean).map((note) => (typeof note === "string" ? h("span", {}, note) : note))));
}
