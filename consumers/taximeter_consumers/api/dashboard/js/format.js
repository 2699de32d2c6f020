// Values as people read them. Times are UTC.

import { compared, isZero, rounded } from "./decimal.js";

const WHOLE = new Intl.NumberFormat("en-US");
const UNITS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];

/** So many places suit amounts of which this is the largest. */
export function placesFor(largest) {
  const size = largest.replace("-", "");
  if (isZero(size)) return 2;
  if (compared(size, "1") >= 0) return 2;
  return compared(size, "0.01") >= 0 ? 4 : 6;
}

/** Dollars for reading: grouped, rounded half up; what is something never looks like nothing. */
export function money(text, places = placesFor(text)) {
  if (isZero(text)) return "$0.00";
  const short = rounded(text, places);
  const sign = short.startsWith("-") ? "−" : "";
  if (isZero(short)) return `${text.startsWith("-") ? "−" : ""}<$0.${"1".padStart(places, "0")}`;
  return `${sign}$${grouped(short.replace("-", ""))}`;
}

/** Dollars to the last digit. */
export function exactMoney(text) {
  return `${text.startsWith("-") ? "−" : ""}$${grouped(text.replace("-", ""))}`;
}

/** A whole number in full. */
export function count(value) {
  return WHOLE.format(value);
}

/** A whole number in short: 1.24M. */
export function short(value) {
  const [unit, letter] = UNITS.find(([size]) => Math.abs(value) >= size) ?? [1, ""];
  if (unit === 1) return WHOLE.format(value);
  const text = (value / unit).toPrecision(3);
  return `${text.includes("e") ? Math.round(value / unit) : text}${letter}`;
}

/** Microseconds as time. */
export function duration(micros) {
  const seconds = micros / 1e6;
  if (seconds < 0.001) return micros ? `${Math.round(micros)} µs` : "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${count(Math.floor(whole / 3600))} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A whole number in full while it is short, and then in short. */
export function headline(value) {
  return Math.abs(value) < 1e6 ? count(value) : short(value);
}

/** Seconds ago, in words. */
export function ago(seconds) {
  if (seconds < 1.5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86400)} days ago`;
}

const named = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const MINUTE = named({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const SECOND = named({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const FORMS = {
  hour: named({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
  day: named({ weekday: "short", day: "numeric", month: "short", year: "numeric" }),
  month: named({ month: "long", year: "numeric" }),
};

/** A moment to the minute. */
export const minute = (iso) => MINUTE.format(new Date(iso));

/** A moment to the second, with its zone. */
export const second = (iso) => `${SECOND.format(new Date(iso))} UTC`;

/** A period by when it begins. */
export const period = (iso, granularity) => FORMS[granularity].format(new Date(iso));

/** Count and word: "1 call", "2 calls". */
export const many = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

function grouped(text) {
  const [whole, places] = text.split(".");
  const groups = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return places ? `${groups}.${places}` : groups;
}
