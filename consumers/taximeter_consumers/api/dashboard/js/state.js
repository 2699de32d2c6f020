// What is looked at, as the address bar has it. Everything here is a function of values.

/** Filters by name, and what the API calls them. */
export const FILTERS = { account: "accountId", user: "userId", workflow: "workflowId", model: "model", context: "context" };
export const RANGES = { "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", month: "This month", all: "All time" };
export const GRANULARITIES = ["hour", "day", "month"];
export const DEFAULT_RANGE = "30d";

const DAY = /^\d{4}-\d\d-\d\d$/;
const HOUR_MS = 3_600_000;
const LONGEST = 256;

/** The state of an address; what it cannot mean is left out. */
export function stateOf(search) {
  const given = new URLSearchParams(search);
  const state = { range: DEFAULT_RANGE, granularity: "", order: "recent" };
  for (const name of [...Object.keys(FILTERS), "run", "runAccount"]) {
    const value = given.get(name);
    if (value && value.length <= LONGEST) state[name] = value;
  }
  if (Object.hasOwn(RANGES, given.get("range") ?? "")) state.range = given.get("range");
  const days = ["from", "until"].map((name) => given.get(name) ?? "");
  if (days.every(isDay) && days[0] <= days[1]) Object.assign(state, { range: "", from: days[0], until: days[1] });
  if (GRANULARITIES.includes(given.get("granularity"))) state.granularity = given.get("granularity");
  if (given.get("order") === "cost") state.order = "cost";
  return state;
}

/** The address of a state, from the question mark on; defaults are left out. */
export function searchOf(state) {
  const said = new URLSearchParams();
  for (const name of Object.keys(FILTERS)) if (state[name]) said.set(name, state[name]);
  if (state.range && state.range !== DEFAULT_RANGE) said.set("range", state.range);
  if (!state.range) for (const name of ["from", "until"]) said.set(name, state[name]);
  if (state.granularity) said.set("granularity", state.granularity);
  if (state.order === "cost") said.set("order", "cost");
  for (const name of ["run", "runAccount"]) if (state[name]) said.set(name, state[name]);
  const text = said.toString();
  return text ? `?${text}` : "";
}

/** From when until when, as ISO instants of whole hours; an open end is absent. */
export function bounds(state, now) {
  if (!state.range) {
    const end = new Date(`${state.until}T00:00:00Z`);
    return { from: `${state.from}T00:00:00Z`, until: instant(new Date(end.getTime() + 24 * HOUR_MS)) };
  }
  if (state.range === "all") return {};
  if (state.range === "month") return { from: instant(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1))) };
  const hours = { "24h": 24, "7d": 7 * 24, "30d": 30 * 24 }[state.range];
  const begun = new Date(Math.floor(now.getTime() / HOUR_MS) * HOUR_MS - (hours - 1) * HOUR_MS);
  if (hours > 24) begun.setUTCHours(0);
  return { from: instant(begun) };
}

/** The length of a bar: what was chosen, else what suits the time. */
export function granularityOf(state, now) {
  if (state.granularity) return state.granularity;
  const { from, until } = bounds(state, now);
  if (!from) return "day";
  const days = ((until ? new Date(until) : now) - new Date(from)) / (24 * HOUR_MS);
  return days <= 3 ? "hour" : days <= 200 ? "day" : "month";
}

/** The names of the filters that are set. */
export function filtersOf(state) {
  return Object.keys(FILTERS).filter((name) => state[name]);
}

function isDay(text) {
  const moment = DAY.test(text) ? new Date(`${text}T00:00:00Z`) : new Date(NaN);
  return !Number.isNaN(moment.getTime()) && moment.toISOString().startsWith(text) && text >= "2000" && text < "2099";
}

function instant(moment) {
  return moment.toISOString().replace(".000Z", "Z");
}
