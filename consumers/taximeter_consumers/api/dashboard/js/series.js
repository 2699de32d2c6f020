// Rows by time and model as stacked series: every period of the time is there, also those in which nothing was used.

import { compared, near, sum } from "./decimal.js";

const STEPS = { hour: 3_600, day: 86_400 };
const MOST_PERIODS = 3_000;
const MOST_SERIES = 6;

/** {times (Unix seconds), series: [{name, key, costs, total}]}; the dearest first, what is beyond them as one more. */
export function stacked(rows, granularity, keyOf, nameOf) {
  const times = timesOf(rows, granularity);
  const at = new Map(times.map((time, index) => [time, index]));
  const found = new Map();
  for (const row of rows) {
    const key = keyOf(row);
    if (!found.has(key)) found.set(key, { key, name: nameOf(row), costs: times.map(() => []), counts: { aiCalls: 0, lacking: 0 } });
    const one = found.get(key);
    one.costs[at.get(seconds(row.period))].push(row.cost.costUsd);
    one.counts.lacking += row.cost.unpricedCalls + row.cost.unmeasuredCalls;
    one.counts.aiCalls += row.cost.aiCalls;
  }
  const series = [...found.values()].map((one) => finished(one)).sort((a, b) => compared(b.total, a.total) || (a.name < b.name ? -1 : 1));
  if (series.length <= MOST_SERIES + 1) return { times, series };
  return { times, series: [...series.slice(0, MOST_SERIES), together(series.slice(MOST_SERIES), times)] };
}

/** Heights to draw: each series on top of those before it, the topmost first. */
export function heights(series) {
  const running = series[0]?.costs.map(() => 0) ?? [];
  const layers = series.map(({ costs }) => costs.map((cost, index) => (running[index] += near(cost))));
  return layers.reverse();
}

function finished({ costs, ...one }) {
  const summed = costs.map((list) => sum(list));
  return { ...one, costs: summed, total: sum(summed) };
}

function together(rest, times) {
  const costs = times.map((_, index) => sum(rest.map((one) => one.costs[index])));
  const counts = { aiCalls: 0, lacking: 0 };
  for (const one of rest) for (const name of Object.keys(counts)) counts[name] += one.counts[name];
  return { key: "", name: `${rest.length} further models`, costs, total: sum(costs), counts };
}

function timesOf(rows, granularity) {
  const seen = [...new Set(rows.map((row) => seconds(row.period)))].sort((a, b) => a - b);
  const all = [];
  for (let time = seen[0]; time <= seen.at(-1); time = next(time, granularity)) {
    all.push(time);
    if (all.length > MOST_PERIODS) return seen;
  }
  return all;
}

function next(time, granularity) {
  if (granularity !== "month") return time + STEPS[granularity];
  const moment = new Date(time * 1000);
  return Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth() + 1, 1) / 1000;
}

function seconds(iso) {
  return Math.round(Date.parse(iso) / 1000);
}
