// Runs, the latest or the dearest first, and the way to one by its id.

import { ask } from "../api.js";
import { costCell } from "../certainty.js";
import { largest } from "../decimal.js";
import { amount, h, icon } from "../dom.js";
import { count, duration, exactMoney, minute, money, placesFor, second, short } from "../format.js";
import { outcomeOf, outcomeBadge } from "../outcome.js";
import { panel } from "../panel.js";
import { questionOf } from "../questions.js";
import { nameCell, table } from "../table.js";

const PAGE = 12;
const MOST = 500;

/** The panel. Further pages are added to what is shown. */
export function runsPanel(app) {
  let length = PAGE;
  let seen = "";
  const field = h("input", { id: "run-id", type: "search", placeholder: "Run id", "aria-label": "Open a run by its id", autocomplete: "off", spellcheck: "false", maxlength: "256" });
  const find = (event) => {
    event.preventDefault();
    if (field.value.trim()) app.go({ run: field.value.trim(), runAccount: app.state.account });
  };
  const search = h("form", { class: "search", role: "search", on: { submit: find } }, icon("search"), field, h("button", { class: "secondary", type: "submit" }, "Open"));
  const orders = h("div", { class: "segments", role: "group", "aria-label": "Order" });
  const drawOrders = () => orders.replaceChildren(...[["recent", "Recent"], ["cost", "Dearest"]].map(([order, name]) =>
    h("button", { type: "button", "aria-pressed": String(app.state.order === order), on: { click: () => app.go({ order }, { replace: true }) } }, name)));
  const made = panel(app, {
    id: "runs",
    class: "wide-12",
    title: "Runs",
    about: "By when they began",
    aboutOf: () => (app.state.order === "cost" ? "The dearest first; sub-runs stand beside the runs that began them" : "By when they began; sub-runs stand beside the runs that began them"),
    actions: [search, orders],
    skeleton: 8,
    isEmpty: (answer) => !answer.runs.length,
    empty: "No run began in this time.",
    columns: [
      ["account_id", (row) => row.accountId], ["run_id", (row) => row.runId], ["parent_run_id", (row) => row.parentRunId], ["workflow_id", (row) => row.workflowId],
      ["user_id", (row) => row.userId], ["context", (row) => row.context], ["started_at", (row) => row.startedAt], ["ended_at", (row) => row.endedAt],
      ["executions", (row) => row.usage.executions, "number"], ["errors", (row) => row.outcomes.errors, "number"], ["timeouts", (row) => row.outcomes.timeouts, "number"],
      ["total_tokens", (row) => row.usage.totalTokens, "number"], ["cost_usd", (row) => row.cost.costUsd, "number"], ["wasted_cost_usd", (row) => row.spent.wastedCostUsd, "number"],
      ["unpriced_calls", (row) => row.cost.unpricedCalls, "number"], ["unmeasured_calls", (row) => row.cost.unmeasuredCalls, "number"],
    ],
    rows: (answer) => answer.runs,
    question(state, now) {
      const found = questionOf("runs", state, now);
      const about = JSON.stringify({ ...found.params, limit: 0 });
      if (about !== seen) [length, seen] = [PAGE, about];
      return found.cannot ? found : { ...found, params: { ...found.params, limit: Math.min(MOST, length) } };
    },
    draw(answer, question) {
      length = Math.max(PAGE, answer.runs.length);
      return [table("Runs", columnsOf(app, placesFor(largest(answer.runs.map((row) => row.cost.costUsd)))), answer.runs), further(app, answer, question, () => made.redraw())];
    },
  });
  return { ...made, refresh: (options) => (drawOrders(), made.refresh(options)) };
}

function columnsOf(app, places) {
  const open = (row) => app.go({ run: row.runId, runAccount: app.session.who.accountId ? undefined : row.accountId });
  return [
    { name: "Run", class: "run-cell", of: (row) => h("button", { type: "button", class: "link name mono", title: row.runId, "data-run": row.runId, on: { click: () => open(row) } }, row.runId || "(none)") },
    { name: "How it went", of: (row) => outcomeBadge(outcomeOf(row.outcomes), row.outcomes) },
    { name: "Workflow", class: "wide-only", of: (row) => nameCell(app, "workflow", row.workflowId) },
    { name: "User", class: "wide-only", of: (row) => nameCell(app, "user", row.userId) },
    { name: "Began", class: "number", of: (row) => h("time", { datetime: row.startedAt, title: second(row.startedAt) }, minute(row.startedAt)) },
    { name: "Took", class: "wide-only", number: true, of: (row) => duration((Date.parse(row.endedAt) - Date.parse(row.startedAt)) * 1000) },
    { name: "Tokens", class: "wide-only", number: true, of: (row) => amount(String(row.usage.totalTokens), short(row.usage.totalTokens), count(row.usage.totalTokens)) },
    { name: "Wasted", number: true, of: (row) => (row.spent.wastedCostUsd === "0" ? h("span", { class: "soft" }, "–") : amount(row.spent.wastedCostUsd, money(row.spent.wastedCostUsd, places), exactMoney(row.spent.wastedCostUsd))) },
    { name: "Cost", number: true, class: "strong", of: (row) => costCell(row.cost, places) },
  ];
}

function further(app, answer, question, redraw) {
  if (!answer.nextCursor || !question.params) return null;
  const more = async (event) => {
    event.target.disabled = true;
    try {
      const { value } = await ask(app.session.key, question.path, { ...question.params, limit: 50, cursor: answer.nextCursor });
      Object.assign(answer, { runs: [...answer.runs, ...value.runs], nextCursor: value.nextCursor, question });
      redraw();
    } catch (error) {
      event.target.disabled = false;
      event.target.textContent = `${error.title}: try again`;
    }
  };
  return h("button", { type: "button", class: "secondary more", on: { click: more } }, "Show more");
}
