// Which question answers which panel. The API keeps some dimensions together and others not; where a panel cannot
// take a filter into account the answer here is {cannot}, and the panel says so instead of showing other numbers.

import { FILTERS, bounds, filtersOf, granularityOf } from "./state.js";

const SUMMARY = "/api/metering/summary";
const EVENTS = "/v1/usage/summary";
const BY_SUBJECT = ["account", "user", "workflow", "context"];
const BY_MODEL = ["account", "model"];
const BY_NODE = ["account", "user", "workflow"];
export const MOST_ROWS = 10_000;

/** The question of a panel: {path, params}, or {cannot: names of filters}. */
export function questionOf(panel, state, now) {
  return QUESTIONS[panel](state, now);
}

const QUESTIONS = {
  totals: (state, now) => oneOf(state, now, [BY_SUBJECT, BY_MODEL]) ?? ofEvents(state, now),
  costOverTime(state, now) {
    const params = { granularity: granularityOf(state, now), limit: MOST_ROWS };
    if (!beyond(state, BY_MODEL).length) return summary(state, now, { ...params, groupBy: ["provider", "model"] });
    if (!beyond(state, BY_SUBJECT).length) return { ...summary(state, now, params), undivided: beyond(state, BY_MODEL) };
    return { cannot: beyond(state, BY_MODEL) };
  },
  tokens(state, now) {
    if (!beyond(state, BY_MODEL).length) return summary(state, now, { groupBy: ["provider", "model"], limit: 200 });
    return ofEvents(state, now);
  },
  nodeTypes: (state, now) => grouped(state, now, BY_NODE, ["nodeType"], 100),
  workflows: (state, now) => grouped(state, now, BY_SUBJECT, ["workflow"], 100),
  users: (state, now) => grouped(state, now, BY_SUBJECT, state.account ? ["user"] : ["account", "user"], 100),
  nodes: (state, now) => grouped(state, now, BY_NODE, ["workflow", "node"], 100),
  accounts: (state, now) => grouped(state, now, BY_SUBJECT, ["account"], 6),
  runs(state, now) {
    const cannot = beyond(state, BY_SUBJECT);
    if (cannot.length) return { cannot };
    return { path: "/api/metering/runs", params: { ...asked(state, now), order: state.order, limit: 12 } };
  },
};

/** The question for the values that a filter may have. */
export function choicesOf(filter, state, now) {
  const groups = { account: "account", user: "user", workflow: "workflow", model: "model", context: "context" };
  const narrowed = filter === "account" || !state.account ? {} : { account: state.account };
  return summary({ ...narrowed, range: state.range, from: state.from, until: state.until }, now, { groupBy: [groups[filter]], limit: 400 });
}

function oneOf(state, now, kept) {
  return kept.some((names) => !beyond(state, names).length) ? summary(state, now, {}) : null;
}

function ofEvents(state, now) {
  return { path: EVENTS, params: asked(state, now), ofEvents: true };
}

function grouped(state, now, kept, groupBy, limit) {
  const cannot = beyond(state, kept);
  return cannot.length ? { cannot } : summary(state, now, { groupBy, limit });
}

function summary(state, now, params) {
  return { path: SUMMARY, params: { ...asked(state, now), ...params } };
}

function asked(state, now) {
  const given = Object.fromEntries(filtersOf(state).map((name) => [FILTERS[name], state[name]]));
  return { ...given, ...bounds(state, now) };
}

function beyond(state, kept) {
  return filtersOf(state).filter((name) => !kept.includes(name));
}
