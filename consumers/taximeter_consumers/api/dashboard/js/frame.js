// The head of the page: whose numbers these are, how fresh they are, and the way out.

import { reached } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { ago, count } from "./format.js";
import { theme, turn } from "./theme.js";

const WORDS = {
  live: ["Live", "Numbers come as they change"],
  connecting: ["Connecting", "The stream is being opened"],
  polling: ["Every 10 s", "There is no stream here: the page asks every ten seconds"],
  offline: ["Offline", "The API does not answer; it is tried again by itself"],
};
const THEMES = { auto: "as the system has it", light: "light", dark: "dark" };

/** The header; its functions tell it what has changed. */
export function frame({ who, leave }) {
  const dot = h("span", { class: "dot", "aria-hidden": "true" });
  const word = h("span", { class: "live-word" });
  const live = h("span", { class: "live", "data-status": "connecting" }, dot, word);
  const fresh = h("span", { class: "fresh" });
  const themeButton = h("button", { class: "quiet icon-only", type: "button", on: { click: () => told(themeButton, turn()) } }, icon("theme"));
  told(themeButton, theme());
  let seen = null;
  const element = h("header", { class: "top" },
    h("a", { class: "brand", href: "/dashboard" }, h("img", { src: "/dashboard/static/mark.svg", alt: "", width: "24", height: "24" }), h("span", {}, "Taximeter")),
    h("span", { class: "whose", title: `key ${who.name}` }, h("span", { class: "unseen" }, "Account: "), who.accountId ?? "All accounts"),
    h("div", { class: "top-end" },
      h("div", { class: "pulse", role: "group", "aria-label": "Freshness" }, live, fresh),
      themeButton,
      h("button", { class: "quiet icon-only", type: "button", title: "Sign out", "aria-label": "Sign out", on: { click: () => leave() } }, icon("out"))));
  const ticking = setInterval(() => seen && drawFreshness(fresh, seen), 1_000);

  const head = {
    element,
    live(status) {
      live.dataset.status = status;
      const [short, long] = WORDS[status];
      fill(word, short);
      live.title = long;
    },
    freshness(value) {
      seen = { value, at: performance.now() };
      drawFreshness(fresh, seen);
    },
    trouble(detail) {
      seen = null;
      drawTrouble(fresh, detail || "The API has trouble reading");
    },
    async askFreshness() {
      try {
        const answer = await reached("/readyz", { cache: "no-store" });
        const said = await answer.json();
        head.freshness({ ...said, ready: said.isReady, unreadRecords: said.sinkUnreadRecords });
      } catch {
        seen = null;
        drawTrouble(fresh, "The API does not answer");
      }
    },
    stop: () => clearInterval(ticking),
  };
  head.live("connecting");
  return head;
}

/** How fresh the numbers are, in words: {text, long, isGood}. A function of values. */
export function freshnessOf(value, secondsSince) {
  if (!value.ready) return { text: value.reasons?.[0] ?? "Not ready", long: (value.reasons ?? []).join("; "), isGood: false };
  const lag = value.rollupLagSeconds;
  const stored = value.lastStoredSeconds;
  const unread = value.unreadRecords ? `${count(value.unreadRecords)} records wait in Kafka. ` : "";
  const last = stored === null || stored === undefined ? "Nothing was stored yet." : `The last use was stored ${ago(stored + secondsSince)}.`;
  if (lag >= 5) return { text: `${Math.round(lag)} s behind`, long: `The sums are ${Math.round(lag)} s behind. ${unread}${last}`, isGood: true };
  return { text: `Up to date ${ago(secondsSince)}`, long: `The sums have all that is stored. ${unread}${last}`, isGood: true };
}

function drawFreshness(place, { value, at }) {
  const { text, long, isGood } = freshnessOf(value, (performance.now() - at) / 1000);
  place.title = long;
  place.classList.toggle("bad", !isGood);
  fill(place, isGood ? null : icon("warn"), text);
}

function drawTrouble(place, detail) {
  place.title = detail;
  place.classList.add("bad");
  fill(place, icon("warn"), detail);
}

function told(button, name) {
  button.title = `Colours: ${THEMES[name]}`;
  button.setAttribute("aria-label", `Colours: ${THEMES[name]}. Change`);
}
