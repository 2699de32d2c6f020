// The page of somebody who is signed in: the frame, the views, and when to ask again.

import { fill, h, say } from "./dom.js";
import { filterBar } from "./filters.js";
import { frame } from "./frame.js";
import { listen } from "./live.js";
import { overview } from "./overview.js";
import { runView } from "./run_view.js";
import { filtersOf, searchOf, stateOf } from "./state.js";

const LEAST_BETWEEN = 2_000;
const UNTIL_IDLE = 2_000;

/** Starts it; the answer's `stop` ends it. `session` is {key, who, leave}. */
export function start(place, session) {
  const app = { session, state: stateOf(location.search), view: null, live: null, latest: {} };
  const wanted = () => (app.view?.kind === "overview" ? app.view.refresh() : undefined);
  const refresh = paced(wanted, LEAST_BETWEEN);
  const top = frame(session);
  app.go = (changes, { replace = false } = {}) => {
    const search = searchOf({ ...app.state, ...changes });
    history[replace ? "replaceState" : "pushState"](null, "", location.pathname + search);
    show();
  };
  const filters = filterBar(app);
  // What may be chosen is asked for last, or when somebody turns to it: a browser opens few connections at a time.
  let idle = null;
  const main = h("main", { id: "main", tabindex: "-1" });
  fill(place, top.element, filters.element, main);

  function show() {
    const before = app.state;
    app.state = stateOf(location.search);
    filters.show(app.state);
    if (subjectOf(before) !== subjectOf(app.state) || !app.live) follow();
    const kind = app.state.run ? "run" : "overview";
    const isSame = app.view?.kind === kind && (kind === "overview" || before.run === app.state.run && before.runAccount === app.state.runAccount);
    if (!isSame) {
      const isAnother = app.view !== null;
      app.view?.stop();
      app.view = (kind === "run" ? runView : overview)(app, main);
      window.scrollTo(0, 0);
      if (isAnother) main.focus({ preventScroll: true });
    }
    clearTimeout(idle);
    app.view.refresh({ anew: true }).then(() => (idle = setTimeout(filters.load, UNTIL_IDLE)));
  }

  function follow() {
    app.live?.stop();
    app.latest = {};
    const params = { accountId: app.state.account, userId: app.state.account || session.who.accountId ? app.state.user : undefined };
    app.live = listen(session.key, params, {
      status: (word) => (top.live(word), word === "polling" || word === "offline" ? top.askFreshness() : undefined),
      tick: () => (refresh(), top.askFreshness()),
      denied: (error) => (error.status === 401 ? session.leave("This key opens nothing any more.") : top.live("polling")),
      event: heard,
    });
  }

  function heard(name, value) {
    const before = app.latest[name];
    app.latest[name] = value;
    if (name === "freshness") top.freshness(value);
    else if (name === "trouble") top.trouble(value.detail);
    else if (name === "usage" || name === "quota") app.view?.heard?.(name, value);
    // The first one comes while the panels are being asked: then it is enough to see whether the totals moved meanwhile.
    else if (name === "totals" && before === undefined) app.view?.check?.();
    else if (name === "totals" && JSON.stringify(before) !== JSON.stringify(value)) refresh();
  }

  app.refused = (error) => (error.status === 401 ? session.leave("This key opens nothing any more.") : undefined);
  const visible = () => !document.hidden && refresh();
  window.addEventListener("popstate", show);
  document.addEventListener("visibilitychange", visible);
  document.title = "Usage and cost · Taximeter";
  show();
  say(`Signed in${session.who.accountId ? ` for account ${session.who.accountId}` : " for all accounts"}.`);
  return {
    stop() {
      app.live?.stop();
      app.view?.stop();
      top.stop();
      refresh.stop();
      clearTimeout(idle);
      window.removeEventListener("popstate", show);
      document.removeEventListener("visibilitychange", visible);
    },
  };
}

/** The words for what is filtered by. */
export function filterWords(state) {
  return filtersOf(state).map((name) => `${name} ${state[name]}`).join(", ");
}

function subjectOf(state) {
  return JSON.stringify([state.account, state.user]);
}

/** Calls at once, and then at most once in a while; the last wish is kept. */
function paced(act, between) {
  let timer = null;
  let last = -Infinity;
  const fire = () => ((timer = null), (last = performance.now()), document.hidden ? undefined : act());
  const wish = () => {
    timer ??= setTimeout(fire, Math.max(0, last + between - performance.now()));
  };
  wish.stop = () => clearTimeout(timer);
  return wish;
}
