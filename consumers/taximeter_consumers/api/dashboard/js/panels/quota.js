// Limits: of one account all of them, of all accounts the month's tokens of the dearest ones.

import { Refused, ask } from "../api.js";
import { h } from "../dom.js";
import { count, exactMoney, minute } from "../format.js";
import { meter } from "../meter.js";
import { panel } from "../panel.js";
import { questionOf } from "../questions.js";
import { filtersOf } from "../state.js";
import { nameCell } from "../table.js";

const USAGE = "/api/account/usage";

/** The panel; `heard` takes what the stream says. */
export function quotaPanel(app) {
  let shown = null;
  const accountOf = (state) => app.session.who.accountId ?? state.account;
  const made = panel(app, {
    id: "quota",
    class: "wide-4",
    title: "Limits",
    about: "Of the billing month",
    skeleton: 4,
    question(state, now) {
      const account = accountOf(state);
      return account ? { path: USAGE, account, user: state.user } : { ...questionOf("accounts", state.model ? { ...state, model: undefined } : state, now), path: "accounts" };
    },
    ask: (_, question, signal) => (question.account ? one(app, question, signal) : several(app, signal)),
    aboutOf: (_, value) => [value.usages ? "Tokens of the billing month, the dearest accounts" : `Billing month ${value.usage.month}${value.usage.plan ? `, plan ${value.usage.plan}` : ""}`,
      filtersOf(app.state).some((name) => name !== "account") && " · of the whole account, whatever else is filtered by"],
    isEmpty: (value) => Boolean(value.usages) && !value.usages.length,
    empty: "No account used anything in this time.",
    columns: [
      ["account_id", (row) => row.account], ["limit", (row) => row.limitId], ["meter", (row) => row.meter], ["window", (row) => row.window],
      ["used", (row) => row.used, "number"], ["limit_amount", (row) => row.limit, "number"], ["percent", (row) => row.percent, "number"],
    ],
    rows: rowsOf,
    draw(value) {
      shown = value;
      return value.usages ? value.usages.map((entry) => accountBar(app, entry)) : accountBars(value);
    },
  });
  return {
    ...made,
    heard(name, value) {
      if (!shown || shown.usages) return;
      if (name === "usage" && value.accountId === shown.account) Object.assign(shown, { usage: value });
      else if (name === "quota") Object.assign(shown, { standings: value.standings });
      else return;
      made.redraw();
    },
  };
}

async function one(app, { account, user }, signal) {
  const [usage, quota] = await Promise.all([
    ask(app.session.key, USAGE, { accountId: account }, signal),
    ask(app.session.key, `/v1/quota/${encodeURIComponent(account)}`, { userId: user }, signal).catch(withoutService),
  ]);
  const value = { account, usage: usage.value, standings: quota.value.standings, hasService: quota.hasService ?? true };
  return { text: JSON.stringify(value), value };
}

/** All accounts: their bars, as far as the API has them. */
async function several(app, signal) {
  const { path, params, cannot } = questionOf("accounts", { ...app.state, model: undefined }, new Date());
  if (cannot) return { text: "", value: { usages: [] } };
  const { value } = await ask(app.session.key, path, params, signal);
  const usages = await Promise.all(value.rows.filter((row) => row.accountId).map(async ({ accountId }) => ({
    account: accountId, usage: (await ask(app.session.key, USAGE, { accountId }, signal)).value,
  })));
  return { text: JSON.stringify(usages), value: { usages } };
}

/** Without the quota service there is the month's bar alone. */
function withoutService(error) {
  if (!(error instanceof Refused) || error.status === 401) throw error;
  return { value: { standings: [] }, hasService: false };
}

function accountBar(app, { account, usage }) {
  return h("div", { class: "meter-of" }, nameCell(app, "account", account), usageBar(account, usage, `Tokens of ${account}`));
}

function usageBar(account, usage, title) {
  if (usage.limit === null) {
    return h("div", { class: "meter unlimited", "data-meter": account }, h("div", { class: "meter-head" }, h("span", { class: "meter-title" }, title),
      h("data", { value: String(usage.used) }, `${count(usage.used)} tokens`)), h("p", { class: "soft small" }, "No limit is set"));
  }
  const note = [usage.plan, usage.addOn && `${count(usage.addOn)} added`, `${count(usage.remaining)} left`].filter(Boolean).join(" · ");
  return meter({ id: account, title, percent: usage.percent, used: count(usage.used), limit: count(usage.limit), unit: "tokens", note });
}

function accountBars({ account, usage, standings, hasService }) {
  const month = (one) => one.level === `account/${encodeURIComponent(account)}` && one.meter === "total_tokens" && one.window === "month";
  const others = standings.filter((one) => !month(one));
  return [
    usageBar(account, usage, "Tokens this month"),
    others.map((one) => meter({
      id: `${one.level} ${one.limitId}`, title: titleOf(one), percent: Number(one.percent), used: amountOf(one, one.used), limit: amountOf(one, one.limit),
      unit: unitOf(one), note: [one.hard ? "stops work" : "only warns", one.resetsAt && `resets ${minute(one.resetsAt)}`, one.held !== "0" && `${amountOf(one, one.held)} reserved`].filter(Boolean).join(" · "),
    })),
    hasService ? null : h("p", { class: "soft small" }, "The quota service does not answer: other limits are not shown."),
  ];
}

function titleOf(one) {
  const level = one.level.split("/");
  const whose = level[0] === "account" ? "" : ` of ${level[0]} ${decodeURIComponent(level.at(-1))}`;
  return `${one.meter.replaceAll("_", " ")} per ${one.window}${whose}`;
}

function amountOf(one, text) {
  return one.meter === "cost_usd" ? exactMoney(text) : exactMoney(text).replace("$", "");
}

function unitOf(one) {
  return one.meter === "cost_usd" ? "" : one.meter.endsWith("tokens") ? "tokens" : one.meter.replaceAll("_", " ");
}

function rowsOf(value) {
  const ofUsage = ({ account, usage }) => ({ account, limitId: usage.plan, meter: "total_tokens", window: "month", used: usage.used, limit: usage.limit, percent: usage.percent });
  return value.usages ? value.usages.map(ofUsage) : [ofUsage(value), ...value.standings.map((one) => ({ account: value.account, ...one }))];
}
