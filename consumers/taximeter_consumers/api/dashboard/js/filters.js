// The filters: whose use, of what, and when. All of it is in the address bar.

import { ask } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { choicesOf } from "./questions.js";
import { DEFAULT_RANGE, FILTERS, GRANULARITIES, RANGES, filtersOf, granularityOf } from "./state.js";

const LABELS = { account: "Account", user: "User", workflow: "Workflow", model: "Model", context: "Context" };
const ALL = { account: "All accounts", user: "All users", workflow: "All workflows", model: "All models", context: "All contexts" };

/** The bar. `show` brings it up to a state, `load` asks what may be chosen. */
export function filterBar(app) {
  const mine = Object.keys(FILTERS).filter((name) => name !== "account" || app.session.who.accountId === null);
  const fields = Object.fromEntries(mine.map((name) => [name, chooser(name, app)]));
  const range = h("select", { id: "range", on: { change: () => rangeChosen(range.value) } });
  const from = h("input", { id: "from", type: "date", "aria-label": "From, a day of UTC", on: { change: daysChosen } });
  const until = h("input", { id: "until", type: "date", "aria-label": "Until, inclusive", on: { change: daysChosen } });
  const days = h("span", { class: "days" }, from, h("span", { "aria-hidden": "true" }, "–"), until);
  const grain = h("div", { class: "segments", role: "group", "aria-label": "Granularity" });
  const clear = h("button", { class: "quiet", type: "button", on: { click: () => app.go(Object.fromEntries(mine.map((name) => [name, undefined]))) } }, icon("cross"), "Clear");
  const element = h("section", { class: "filters", "aria-label": "Filters" },
    ...mine.map((name) => fields[name].element),
    h("span", { class: "field" }, h("label", { for: "range" }, "Time, UTC"), range), days,
    h("span", { class: "field" }, h("span", { class: "label" }, "Granularity"), grain), clear);

  function rangeChosen(value) {
    if (value) return app.go({ range: value, from: undefined, until: undefined });
    const today = new Date().toISOString().slice(0, 10);
    app.go({ range: "", from: today.slice(0, 8) + "01", until: today });
  }
  function daysChosen() {
    if (from.value && until.value && from.value <= until.value) app.go({ range: "", from: from.value, until: until.value });
  }
  let asked = "";
  for (const turned of ["pointerenter", "focusin"]) element.addEventListener(turned, () => bar.load());
  const bar = {
    element,
    show(state) {
      for (const name of mine) fields[name].show(state);
      fill(range, Object.entries({ ...RANGES, "": "Days…" }).map(([value, text]) => h("option", { value, selected: value === state.range }, text)));
      range.value = state.range;
      days.hidden = Boolean(state.range);
      from.value = state.from ?? "";
      until.value = state.until ?? "";
      const now = granularityOf(state, new Date());
      fill(grain, GRANULARITIES.map((one) => h("button", {
        type: "button", "aria-pressed": String(one === now), on: { click: () => app.go({ granularity: one }) },
      }, one)));
      clear.hidden = !filtersOf(state).some((name) => mine.includes(name));
      element.hidden = Boolean(state.run);
    },
    load() {
      const { state } = app;
      const wanted = JSON.stringify([state.account, state.range, state.from, state.until]);
      if (wanted !== asked && !state.run) mine.forEach((name) => fields[name].load(state));
      asked = state.run ? asked : wanted;
    },
  };
  return bar;
}

/** One filter: a list of what there is, or a field to type in where there is too much. */
function chooser(name, app) {
  const chosen = () => app.go({ [name]: select.value || undefined });
  const select = h("select", { id: `filter-${name}`, on: { change: chosen } });
  const element = h("span", { class: "field" }, h("label", { for: `filter-${name}` }, LABELS[name]), select);
  let values = [];
  let hasMore = false;
  const draw = (current) => {
    const listed = current && !values.includes(current) ? [current, ...values] : values;
    fill(select, h("option", { value: "" }, ALL[name]), listed.map((value) => h("option", { value }, value)),
      hasMore && h("option", { value: "", disabled: true }, "further ones by a link of the tables"));
    select.value = current ?? "";
    element.classList.toggle("set", Boolean(current));
  };
  return {
    element,
    show: (state) => draw(state[name]),
    async load(state) {
      const { path, params } = choicesOf(name, state, new Date());
      try {
        const { value } = await ask(app.session.key, path, params);
        values = [...new Set(value.rows.map((row) => row[FILTERS[name]]).filter((one) => one))].sort();
        hasMore = value.hasMore;
        draw(app.state[name]);
      } catch {
        // The filter stays as it is; the panels say what is wrong.
      }
    },
  };
}

export { DEFAULT_RANGE, LABELS };
