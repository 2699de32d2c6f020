// One run as a tree: what each node and attempt used, cost and wasted, and when it ran.

import { ask } from "./api.js";
import { certainty, costCell } from "./certainty.js";
import { csv, download } from "./csv.js";
import { amount, fill, h, icon, say } from "./dom.js";
import { count, duration, exactMoney, money, placesFor, second, short } from "./format.js";
import { outcomeBadge } from "./outcome.js";
import { linesOf, spanOf, wasteOf } from "./tree.js";
import { treeGrid } from "./tree_grid.js";

const QUALITIES = { missing: "Missing", unknown: "Unknown", partial: "Partial", estimated: "Estimated", measured: "Measured", reported: "Reported" };

/** Draws the run of the state into `main`. */
export function runView(app, main) {
  const { run: runId, runAccount } = app.state;
  const body = h("div", { class: "run-body" });
  const back = () => app.go({ run: undefined, runAccount: undefined });
  const closed = new Set();
  const asking = new AbortController();
  fill(main,
    h("div", { class: "run-head" }, h("button", { type: "button", class: "quiet", on: { click: back } }, icon("back"), "All usage"),
      h("h1", {}, h("span", { class: "soft" }, "Run "), h("span", { class: "mono" }, runId))), body);

  async function refresh() {
    if (!body.firstChild) fill(body, h("div", { class: "skeleton", role: "status", "aria-label": "Loading" }, Array.from({ length: 8 }, () => h("span"))));
    try {
      const { value } = await ask(app.session.key, `/api/metering/runs/${encodeURIComponent(runId)}`, { accountId: runAccount }, asking.signal);
      draw(value);
      say(`Run ${runId}: ${money(value.run.together.costUsd)}.`);
    } catch (error) {
      if (error.name === "AbortError" || app.refused(error) !== undefined) return;
      fill(body, refusal(app, error, refresh));
    }
  }
  function draw(answer) {
    const { run } = answer;
    const span = spanOf(run);
    const grid = treeGrid(closed, (folded) => linesOf(run, folded), columnsOf(span, placesFor(run.together.costUsd)));
    fill(body, facts(app, run), h("section", { class: "panel", "aria-label": "Nodes and attempts", id: "runTree", "data-state": "drawn" },
      h("div", { class: "head" }, h("div", {}, h("h2", {}, "Nodes and attempts"), h("p", { class: "about" }, answer.isComplete ? "Arrow keys move; left and right fold and unfold" : h("span", { class: "caveat" }, "Only a part: the run is larger than what is shown"))),
        h("div", { class: "actions" }, h("button", { class: "quiet", type: "button", "aria-label": "Run: download as CSV", on: { click: () => saved(run) } }, icon("down"), "CSV"))),
      grid));
  }
  return { kind: "run", refresh, heard: () => undefined, stop: () => asking.abort() };
}

function facts(app, run) {
  const all = run.together;
  const ownCost = { ...run.cost, ...all, costSource: run.cost.costSource };
  const fact = (name, ...value) => h("div", { class: "fact" }, h("dt", {}, name), h("dd", {}, value));
  return [
    h("div", { class: "sureness" }, certainty({ ...run.cost, ...(all.runs > 1 ? { unpricedCalls: all.unpricedCalls, unmeasuredCalls: all.unmeasuredCalls, unpricedPlugins: all.unpricedPlugins, aiCalls: all.aiCalls } : {}) })),
    h("dl", { class: "facts" },
      fact(all.runs > 1 ? `Cost of ${all.runs} runs` : "Cost", costCell({ ...ownCost, costSource: all.costUsd === "0" ? run.cost.costSource : "mixed" })),
      fact("Wasted", amount(all.wastedCostUsd, money(all.wastedCostUsd), exactMoney(all.wastedCostUsd))),
      fact("Tokens", amount(String(all.totalTokens), short(all.totalTokens), count(all.totalTokens))),
      fact("How it ended", outcomeBadge(run.outcome)),
      fact("Took", duration((Date.parse(run.endedAt) - Date.parse(run.startedAt)) * 1000)),
      fact("Began", h("time", { datetime: run.startedAt }, second(run.startedAt))),
      fact("Workflow", run.workflowId || "(none)"),
      fact("User", run.userId || "(none)"),
      fact("Account", run.accountId),
      run.parentRunId && fact("Part of", h("button", { type: "button", class: "link mono", on: { click: () => app.go({ run: run.parentRunId }) } }, run.parentRunId))),
  ];
}

function columnsOf(span, places) {
  const whole = Math.max(1, span.until - span.from);
  const at = (iso) => ((Date.parse(iso) - span.from) / whole) * 100;
  return [
    { name: "What", of: nameOf },
    { name: "How it ended", class: "outcome-cell", of: ({ item }) => outcomeBadge(item.outcome) },
    { name: "When", class: "when-cell", of: ({ item, kind }) => {
      const left = Math.min(99.4, at(item.startedAt));
      const width = Math.max(0.6, Math.min(100 - left, at(item.endedAt) - left));
      return h("span", { class: "when", title: `${second(item.startedAt)}, ${duration(took(item))}` }, h("span", { class: `span ${kind} ${item.outcome}`, style: { left: `${left}%`, width: `${width}%` } }));
    } },
    { name: "Took", number: true, class: "wide-only", of: ({ item }) => duration(item.usage.durationUs) },
    { name: "Tokens", number: true, class: "wide-only", of: ({ item }) => (item.usage.totalTokens ? amount(String(item.usage.totalTokens), short(item.usage.totalTokens), count(item.usage.totalTokens)) : h("span", { class: "soft" }, "–")) },
    { name: "Quality", class: "wide-only", of: ({ item }) => h("span", { class: `quality ${item.quality}` }, QUALITIES[item.quality] ?? "–") },
    { name: "Wasted", number: true, class: "waste-cell", of: (line) => wasted(line, places) },
    { name: "Cost", number: true, class: "strong", of: ({ item }) => costCell(item.cost, places) },
  ];
}

function nameOf({ kind, item }) {
  if (kind === "run") return [h("span", { class: "kind" }, "run"), h("span", { class: "name mono", title: item.runId }, item.runId)];
  if (kind === "node") return [h("span", { class: "name", title: item.nodeId }, item.nodeId), h("span", { class: "soft small" }, item.nodeType)];
  const models = item.models.map((one) => one.model).join(", ");
  return [h("span", { class: "name" }, `Attempt ${item.attempt}`), h("span", { class: "soft small name", title: item.errorMessage || models }, item.errorMessage || item.breachReason || models)];
}

function wasted({ kind, item, isLast }, places) {
  if (kind === "attempt") {
    const why = wasteOf(item, isLast);
    return why && item.cost.costUsd !== "0" ? h("span", { class: "waste" }, h("span", { class: "soft small" }, why), amount(item.cost.costUsd, money(item.cost.costUsd, places), exactMoney(item.cost.costUsd))) : h("span", { class: "soft small" }, why || "–");
  }
  const cost = item.spent.wastedCostUsd;
  return cost === "0" ? h("span", { class: "soft" }, "–") : h("span", { class: "waste" }, amount(cost, money(cost, places), exactMoney(cost)));
}

function took(item) {
  return (Date.parse(item.endedAt) - Date.parse(item.startedAt)) * 1000;
}

function saved(run) {
  const columns = [
    ["kind", (line) => line.kind], ["run_id", (line) => line.run.runId], ["node_id", (line) => (line.kind === "node" ? line.item.nodeId : line.node?.nodeId)],
    ["attempt", (line) => (line.kind === "attempt" ? line.item.attempt : ""), "number"], ["outcome", (line) => line.item.outcome], ["quality", (line) => line.item.quality],
    ["started_at", (line) => line.item.startedAt], ["ended_at", (line) => line.item.endedAt], ["duration_us", (line) => line.item.usage.durationUs, "number"],
    ["total_tokens", (line) => line.item.usage.totalTokens, "number"], ["cost_usd", (line) => line.item.cost.costUsd, "number"],
    ["wasted_cost_usd", (line) => line.item.spent?.wastedCostUsd ?? (wasteOf(line.item, line.isLast) ? line.item.cost.costUsd : "0"), "number"],
    ["unpriced_calls", (line) => line.item.cost.unpricedCalls, "number"], ["unmeasured_calls", (line) => line.item.cost.unmeasuredCalls, "number"],
    ["error", (line) => line.item.errorMessage],
  ];
  download(`taximeter-run-${new Date().toISOString().slice(0, 10)}.csv`, csv(columns, linesOf(run, new Set())));
}

function refusal(app, error, again) {
  const is404 = error.status === 404;
  return h("div", { class: "panel" }, h("div", { class: "notice bad", role: "alert" },
    h("p", {}, h("strong", {}, is404 ? "There is no such run." : `${error.title}.`), is404 ? " Look at the id, and whether it is of this account; a run shows seconds after its first event." : ` ${error.detail ?? ""}`),
    h("button", { type: "button", class: "secondary", on: { click: again } }, "Try again")));
}
