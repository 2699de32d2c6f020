// Tokens by model: input and what of it came out of a cache, output and what of it was reasoning.

import { costCell } from "../certainty.js";
import { largest } from "../decimal.js";
import { amount, h } from "../dom.js";
import { count, placesFor, short } from "../format.js";
import { panel } from "../panel.js";
import { nameCell, table } from "../table.js";

const MOST_SHOWN = 8;
const PARTS = [
  ["input", "Input", (usage) => Math.max(0, usage.inputTokens - usage.cacheReadTokens)],
  ["cached", "Cached", (usage) => usage.cacheReadTokens],
  ["output", "Output", (usage) => Math.max(0, usage.outputTokens - usage.reasoningTokens)],
  ["reasoning", "Reasoning", (usage) => usage.reasoningTokens],
];

/** Rows by model out of either answer, the most tokens first. */
export function modelRows(answer) {
  const rows = answer.rows ?? answer.byModel.map((row) => ({ provider: row.provider, model: row.model, usage: row, cost: row }));
  return [...rows].sort((a, b) => b.usage.totalTokens - a.usage.totalTokens);
}

/** The panel. */
export function tokensPanel(app) {
  const whole = (name) => ({ name, number: true });
  return panel(app, {
    id: "tokens",
    class: "wide-8",
    title: "Tokens by model",
    about: "Input has its cached part in it, output its reasoning",
    aboutOf: (question) => `Input has its cached part in it, output its reasoning${question.ofEvents ? " · summed from single events, for these filters" : ""}`,
    skeleton: 6,
    isEmpty: (answer) => !modelRows(answer).length,
    empty: "No model was called in this time.",
    columns: [
      ["provider", (row) => row.provider], ["model", (row) => row.model],
      ["input_tokens", (row) => row.usage.inputTokens, "number"], ["cache_read_tokens", (row) => row.usage.cacheReadTokens, "number"],
      ["cache_write_tokens", (row) => row.usage.cacheWriteTokens, "number"], ["output_tokens", (row) => row.usage.outputTokens, "number"],
      ["reasoning_tokens", (row) => row.usage.reasoningTokens, "number"], ["total_tokens", (row) => row.usage.totalTokens, "number"],
      ["ai_calls", (row) => row.cost.aiCalls, "number"], ["cost_usd", (row) => row.cost.costUsd, "number"],
      ["unpriced_calls", (row) => row.cost.unpricedCalls, "number"], ["unmeasured_calls", (row) => row.cost.unmeasuredCalls, "number"],
    ],
    rows: modelRows,
    draw(answer) {
      const rows = modelRows(answer);
      const most = Math.max(1, ...rows.map((row) => row.usage.totalTokens));
      const tokens = (of) => (row) => amount(String(of(row.usage)), short(of(row.usage)), count(of(row.usage)));
      const dearest = largest(rows.map((row) => row.cost.costUsd));
      const columns = [
        { name: "Model", of: (row) => [nameCell(app, "model", row.model), h("span", { class: "soft small under" }, row.provider)] },
        { name: "Split", class: "split-cell", of: (row) => split(row.usage, most) },
        { ...whole("Input"), of: tokens((usage) => usage.inputTokens) },
        { ...whole("Cached"), of: tokens((usage) => usage.cacheReadTokens) },
        { ...whole("Output"), of: tokens((usage) => usage.outputTokens) },
        { ...whole("Reasoning"), of: tokens((usage) => usage.reasoningTokens) },
        { ...whole("Total"), class: "strong", of: tokens((usage) => usage.totalTokens) },
        { ...whole("Cost"), of: (row) => costCell(row.cost, placesFor(dearest)) },
      ];
      const more = rows.length > MOST_SHOWN ? h("p", { class: "soft small" }, `${count(rows.length - MOST_SHOWN)} further models are in the CSV.`) : null;
      return [key(), table("Tokens by model", columns, rows.slice(0, MOST_SHOWN)), more];
    },
  });
}

function key() {
  return h("ul", { class: "legend flat" }, PARTS.map(([name, label]) => h("li", {}, h("span", { class: "legend-item" }, h("span", { class: `swatch part-${name}` }), label))));
}

function split(usage, most) {
  const parts = PARTS.map(([name, label, of]) => ({ name, label, tokens: of(usage) })).filter((part) => part.tokens);
  const text = parts.map((part) => `${part.label} ${count(part.tokens)}`).join(", ");
  return h("span", { class: "split", role: "img", "aria-label": text || "no tokens", title: text },
    parts.map((part) => h("span", { class: `part-${part.name}`, style: { width: `${Math.max(0.4, (part.tokens / most) * 100)}%` } })));
}
