// Stacked bars over time by uPlot, with a pointer that also the arrow keys move. What is read stands in the tip and in
// the table beside the chart, as exact amounts; the canvas has heights alone.

import { fill, h, say } from "./dom.js";
import { money, period } from "./format.js";
import { heights } from "./series.js";

const HEIGHT = 300;
const STEP = { hour: 3_600, day: 86_400, month: 28 * 86_400 };
const axisForms = {
  hour: new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit" }),
  day: new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short" }),
  month: new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", month: "short", year: "numeric" }),
};

/** The colours of series, as the style sheet has them now. */
export function colours(number) {
  const style = getComputedStyle(document.documentElement);
  return Array.from({ length: number }, (_, index) => style.getPropertyValue(`--series-${Math.min(index, 6) + 1}`).trim());
}

/** A chart of {times, series}; `stop` lets go of it. */
export function stackedBars({ times, series }, granularity, label) {
  const tip = h("div", { class: "tip", hidden: true });
  const host = h("div", { class: "chart", tabindex: "0", role: "img", "aria-label": label, "aria-keyshortcuts": "ArrowLeft ArrowRight" }, tip);
  let plot = null;
  let index = -1;
  const options = (width) => optionsOf(width, series, granularity, (at, left) => pointed(at, left));

  function pointed(at, left) {
    index = at ?? -1;
    tip.hidden = at === null || at === undefined;
    if (tip.hidden) return;
    drawTip(tip, times[at], series, at, granularity);
    const room = host.clientWidth - tip.offsetWidth - 8;
    tip.style.setProperty("left", `${Math.max(8, Math.min(left + plot.bbox.left / devicePixelRatio + 14, room))}px`);
  }
  function build() {
    plot?.destroy();
    plot = new globalThis.uPlot(options(Math.max(260, host.clientWidth)), [times, ...heights(series)], host);
  }
  host.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") return plot.setCursor({ left: -10, top: -10 });
    if (!by) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(times.length - 1, index < 0 ? (by > 0 ? 0 : times.length - 1) : index + by));
    plot.setCursor({ left: plot.valToPos(times[at], "x"), top: HEIGHT / 2 });
    say(tipText(times[at], series, at, granularity));
  });
  host.addEventListener("blur", () => plot?.setCursor({ left: -10, top: -10 }));
  const seen = new ResizeObserver(() => {
    const width = Math.max(260, host.clientWidth);
    if (!plot) build();
    else if (Math.abs(plot.width - width) > 1) plot.setSize({ width, height: HEIGHT });
  });
  seen.observe(host);
  return { element: host, recolour: () => plot && build(), stop: () => (seen.disconnect(), plot?.destroy()) };
}

function optionsOf(width, series, granularity, pointed) {
  const style = getComputedStyle(document.documentElement);
  const [ink, line] = ["--ink-soft", "--line"].map((name) => style.getPropertyValue(name).trim());
  const font = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
  const step = STEP[granularity];
  const bars = globalThis.uPlot.paths.bars({ size: [0.72, 44] });
  const fills = colours(series.length).reverse();
  return {
    width,
    height: HEIGHT,
    padding: [12, 8, 0, 0],
    tzDate: (time) => globalThis.uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, focus: { prox: -1 } },
    scales: {
      x: { range: (_, low, high) => [low - step * 0.6, high + step * 0.6] },
      y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      { stroke: ink, font, grid: { show: false }, ticks: { show: false }, size: 30, gap: 8, space: 64, values: (_, splits, __, ___, by) => splits.map((at) => tick(at, granularity, by)) },
      { stroke: ink, font, size: 62, gap: 8, ticks: { show: false }, grid: { stroke: line, width: 1 }, space: 44, values: (_, splits) => splits.map(dollars) },
    ],
    series: [{}, ...series.map((one, at) => ({ label: one.name, fill: fills[at], width: 0, paths: bars, points: { show: false } }))],
    hooks: { setCursor: [(plot) => pointed(plot.cursor.idx, plot.cursor.left)] },
  };
}

function tick(at, granularity, by) {
  const moment = new Date(at * 1000);
  const isMidnight = moment.getUTCHours() + moment.getUTCMinutes() === 0;
  if (granularity === "hour" && by < 86_400 && !isMidnight) return axisForms.hour.format(moment);
  return granularity === "month" || by >= 28 * 86_400 ? axisForms.month.format(moment) : axisForms.day.format(moment);
}

function dollars(value) {
  if (value === 0) return "$0";
  if (value >= 1000) return `$${Number((value / 1000).toPrecision(3))}k`;
  return `$${Number(value.toPrecision(3))}`;
}

function drawTip(tip, time, series, at, granularity) {
  const inks = colours(series.length);
  const rows = series.map((one, index) => [one, inks[index]]).filter(([one]) => one.costs[at] !== "0");
  fill(tip, h("p", { class: "tip-when" }, period(time * 1000, granularity)),
    rows.map(([one, ink]) => h("p", {}, h("span", { class: "swatch", style: { background: ink } }), h("span", { class: "tip-name" }, one.name), h("span", { class: "number" }, money(one.costs[at])))),
    rows.length ? null : h("p", { class: "soft" }, "No cost"));
}

function tipText(time, series, at, granularity) {
  const rows = series.filter((one) => one.costs[at] !== "0").map((one) => `${one.name} ${money(one.costs[at])}`);
  return `${period(time * 1000, granularity)}: ${rows.join(", ") || "no cost"}`;
}
