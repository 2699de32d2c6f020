// The dearest workflows, users and nodes, and the time of each node type.

import { costCell } from "../certainty.js";
import { largest, near } from "../decimal.js";
import { amount, h } from "../dom.js";
import { count, duration, placesFor } from "../format.js";
import { panel } from "../panel.js";
import { nameCell, shareBar, table } from "../table.js";

const MOST_SHOWN = 8;
const MEASURES = [
  ["cost_usd", (row) => row.cost.costUsd, "number"], ["ai_calls", (row) => row.cost.aiCalls, "number"],
  ["unpriced_calls", (row) => row.cost.unpricedCalls, "number"], ["unmeasured_calls", (row) => row.cost.unmeasuredCalls, "number"],
  ["estimated_cost_usd", (row) => row.cost.estimatedCostUsd, "number"], ["total_tokens", (row) => row.usage.totalTokens, "number"],
  ["duration_us", (row) => row.usage.durationUs, "number"], ["executions", (row) => row.usage.executions, "number"],
  ["errors", (row) => row.outcomes.errors, "number"], ["timeouts", (row) => row.outcomes.timeouts, "number"],
];
const TOPS = {
  workflows: {
    title: "Top workflows", one: "Workflow", keys: [["workflow_id", (row) => row.workflowId]],
    name: (app, row) => nameCell(app, "workflow", row.workflowId),
  },
  users: {
    title: "Top users", one: "User", keys: [["account_id", (row) => row.accountId], ["user_id", (row) => row.userId]],
    name: (app, row) => [nameCell(app, "user", row.userId, row.accountId ? { account: app.session.who.accountId ? undefined : row.accountId } : {}),
      row.accountId && !app.session.who.accountId && h("span", { class: "soft small under" }, row.accountId)],
  },
  nodes: {
    title: "Top nodes", one: "Node", keys: [["workflow_id", (row) => row.workflowId], ["node_id", (row) => row.nodeId]],
    name: (_, row) => [h("span", { class: "name", title: row.nodeId }, row.nodeId || "(none)"), h("span", { class: "soft small under", title: row.workflowId }, row.workflowId)],
  },
};

/** The panel of one of the tops. */
export function topPanel(app, id) {
  const { title, one, keys, name } = TOPS[id];
  return panel(app, {
    id,
    class: "wide-4",
    title,
    about: "By cost",
    aboutOf: (_, value) => (value.rows.length > MOST_SHOWN ? `By cost; ${MOST_SHOWN} of ${count(value.rows.length)}${value.hasMore ? " and more" : ""}` : "By cost"),
    skeleton: 8,
    isEmpty: (answer) => !answer.rows.length,
    empty: "Nothing was used in this time.",
    columns: [...keys, ...MEASURES],
    rows: (answer) => answer.rows,
    draw(answer) {
      const rows = answer.rows.slice(0, MOST_SHOWN);
      const dearest = largest(rows.map((row) => row.cost.costUsd));
      const columns = [
        { name: one, class: "lead", of: (row) => [name(app, row), shareBar(near(row.cost.costUsd) / (near(dearest) || 1))] },
        { name: "Cost", number: true, of: (row) => costCell(row.cost, placesFor(dearest)) },
      ];
      return table(`${title} by cost`, columns, rows);
    },
  });
}

/** Time by node type. */
export function nodeTypesPanel(app) {
  const byTime = (rows) => [...rows].sort((a, b) => b.usage.durationUs - a.usage.durationUs);
  return panel(app, {
    id: "nodeTypes",
    class: "wide-4",
    title: "Time by node type",
    about: "A node counts when it began",
    skeleton: 5,
    isEmpty: (answer) => !answer.rows.length,
    empty: "No node ran in this time.",
    columns: [["node_type", (row) => row.nodeType], ...MEASURES],
    rows: (answer) => byTime(answer.rows),
    draw(answer) {
      const rows = byTime(answer.rows);
      const longest = Math.max(1, ...rows.map((row) => row.usage.durationUs));
      const failed = (row) => row.outcomes.errors + row.outcomes.timeouts;
      const columns = [
        { name: "Type", class: "lead", of: (row) => [h("span", { class: "name", title: row.nodeType }, row.nodeType || "(none)"),
          h("span", { class: "soft small under" }, `${count(row.usage.executions)} attempts${failed(row) ? `, ${count(failed(row))} failed` : ""}`), shareBar(row.usage.durationUs / longest, "time")] },
        { name: "Time", number: true, of: (row) => amount(String(row.usage.durationUs), duration(row.usage.durationUs), `${count(row.usage.durationUs)} µs`) },
      ];
      return table("Time by node type", columns, rows);
    },
  });
}
