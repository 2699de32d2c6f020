// Cost over time by model, stacked.

import { lacking, costCell } from "../certainty.js";
import { colours, stackedBars } from "../chart.js";
import { largest, sum } from "../decimal.js";
import { amount, h, icon } from "../dom.js";
import { count, exactMoney, many, money, period, placesFor } from "../format.js";
import { panel } from "../panel.js";
import { stacked } from "../series.js";
import { granularityOf } from "../state.js";
import { table } from "../table.js";

const MOST_LISTED = 400;

/** The panel. */
export function costPanel(app) {
  let chart = null;
  let granularity = "day";
  const nameOf = (row) => (row.model === undefined ? "All models" : row.model || "(no name)");
  const columns = [
    ["period", (row) => row.period],
    ["provider", (row) => row.provider],
    ["model", (row) => row.model],
    ["cost_usd", (row) => row.cost.costUsd, "number"],
    ["ai_calls", (row) => row.cost.aiCalls, "number"],
    ["unpriced_calls", (row) => row.cost.unpricedCalls, "number"],
    ["unmeasured_calls", (row) => row.cost.unmeasuredCalls, "number"],
    ["estimated_cost_usd", (row) => row.cost.estimatedCostUsd, "number"],
  ];
  const made = panel(app, {
    id: "costOverTime",
    class: "wide-8",
    title: "Cost over time",
    about: "By model",
    skeleton: 6,
    aboutOf: (question, value) => about(question, value),
    isEmpty: (answer) => !answer.rows.length,
    empty: "Nothing was used in this time.",
    columns,
    rows: (answer) => answer.rows,
    draw(answer, question) {
      granularity = granularityOf(app.state, new Date());
      chart?.stop();
      const data = stacked(answer.rows, granularity, (row) => `${row.provider ?? ""}\n${row.model ?? ""}`, nameOf);
      const total = sum(data.series.map((one) => one.total));
      const label = `Stacked bars of cost by ${granularity} and model: ${money(total)} in ${many(data.times.length, granularity)}. The table below has every number.`;
      chart = stackedBars(data, granularity, label);
      return [chart.element, legend(app, data.series), twin(answer.rows, granularity, question)];
    },
    stop: () => chart?.stop(),
  });
  const about = (question, value) => [
    question.undivided
      ? h("span", { class: "caveat" }, `Not divided by model: with a filter for ${question.undivided.join(" and ")}, that is not kept`)
      : "Calls by model; plugins and resources are not in it",
    value.hasMore ? h("span", { class: "caveat" }, " · only the first 10,000 rows: narrow the time") : null,
  ];
  return { ...made, recolour: () => (chart?.recolour(), recoloured(made.element)) };
}

function legend(app, series) {
  const inks = colours(series.length);
  const places = placesFor(largest(series.map((one) => one.total)));
  return h("ul", { class: "legend" }, series.map((one, index) => {
    const name = [h("span", { class: "swatch", "data-ink": index, style: { background: inks[index] } }), h("span", { class: "legend-name" }, one.name)];
    const said = one.counts.lacking ? [h("span", { class: "least", title: `lacks ${many(one.counts.lacking, "call")}` }, one.total === "0" ? "unknown" : "≥ ")] : [];
    const cost = one.counts.lacking && one.total === "0" ? said : [...said, amount(one.total, money(one.total, places), exactMoney(one.total))];
    const model = one.key.split("\n")[1];
    return h("li", {}, model ? h("button", { type: "button", title: `Only ${model}`, on: { click: () => app.go({ model }) } }, name, h("span", { class: "number" }, cost)) : h("span", { class: "legend-item" }, name, h("span", { class: "number" }, cost)));
  }));
}

function recoloured(element) {
  const inks = colours(7);
  for (const swatch of element.querySelectorAll("[data-ink]")) swatch.style.setProperty("background", inks[Math.min(6, swatch.dataset.ink)]);
}

function twin(rows, granularity, question) {
  const listed = rows.slice(-MOST_LISTED);
  const columns = [
    { name: "Period", of: (row) => period(row.period, granularity) },
    ...(question.undivided ? [] : [{ name: "Model", of: (row) => row.model || "(no name)" }]),
    { name: "Cost", number: true, of: (row) => costCell(row.cost) },
    { name: "AI calls", number: true, of: (row) => count(row.cost.aiCalls) },
    { name: "Lacks", number: true, of: (row) => (lacking(row.cost).isSome ? many(lacking(row.cost).calls, "call") : "–") },
  ];
  const note = rows.length > listed.length ? `The last ${count(listed.length)} of ${count(rows.length)} rows; the CSV has all.` : "";
  return h("details", { class: "twin" }, h("summary", {}, icon("table"), "As a table"), table("Cost over time", columns, listed), note && h("p", { class: "soft small" }, note));
}
