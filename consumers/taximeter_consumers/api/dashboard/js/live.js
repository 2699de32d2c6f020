// What changes, as it changes: one stream by fetch, so that the key goes in a header. It is opened again after a break,
// later each time; where the API has no stream, and while it is away, the page asks every ten seconds instead.

import { headers, reached, refused, urlOf } from "./api.js";
import { reader } from "./sse.js";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 15_000;
const POLL_EVERY = 10_000;
const SILENCE = 45_000;

/** Listens for `params` until `stop` is called. `on` hears status(word), event(name, value), tick() and denied(error). */
export function listen(key, params, on) {
  const ending = new AbortController();
  const polling = setInterval(() => poll && !document.hidden && on.tick(), POLL_EVERY);
  let poll = true;
  const status = (word) => {
    poll = word !== "live";
    on.status(word);
  };
  run(key, params, { ...on, status }, ending.signal);
  return {
    stop() {
      ending.abort();
      clearInterval(polling);
    },
  };
}

async function run(key, params, on, signal) {
  let wait = FIRST_WAIT;
  on.status("connecting");
  while (!signal.aborted) {
    try {
      await follow(key, params, on, signal, () => (wait = FIRST_WAIT));
      on.status("connecting");
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401 || error.status === 403) return on.denied(error);
      on.status(error.status === 404 ? "polling" : "offline");
      if (error.status === 404) wait = LONGEST_WAIT * 4;
    }
    await pause(wait, signal);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

async function follow(key, params, on, signal, opened) {
  const quiet = new AbortController();
  const stop = () => quiet.abort();
  signal.addEventListener("abort", stop);
  let silence = setTimeout(stop, SILENCE);
  try {
    const options = { headers: { ...headers(key), Accept: "text/event-stream" }, cache: "no-store", signal: quiet.signal };
    const answer = await reached(urlOf("/v1/stream", params), options);
    if (!answer.ok) throw refused(answer.status, await answer.text());
    opened();
    on.status("live");
    const take = reader(({ event, data }) => heard(on, event, data));
    const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece = await pieces.read(); !piece.done; piece = await pieces.read()) {
      clearTimeout(silence);
      silence = setTimeout(stop, SILENCE);
      take(piece.value);
    }
  } finally {
    clearTimeout(silence);
    signal.removeEventListener("abort", stop);
  }
}

function heard(on, name, data) {
  let value;
  try {
    value = JSON.parse(data);
  } catch {
    return;
  }
  on.event(name, value);
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
