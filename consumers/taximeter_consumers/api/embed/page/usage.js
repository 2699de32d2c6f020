// The embedded usage page. The token comes in the fragment of the address, or later from the page around this one.
import { events } from "/embed/stream.js";
import { shown } from "/embed/words.js";

const NEAR_PERCENT = 75;
const PATIENCE = [1000, 2000, 5000, 10000, 30000];
// A heartbeat comes every 15 seconds.
const SILENCE_MS = 45000;
const part = (id) => document.getElementById(id);
const settings = new URLSearchParams(location.hash.slice(1));
const origins = (document.documentElement.dataset.origins || "").split(" ").filter(Boolean);
let token = settings.get("token") || "";
let running = null;
let filled = 0;

function dress() {
  const title = (settings.get("title") || "").trim().slice(0, 120) || "Usage this month";
  part("title").textContent = title;
  document.title = title;
  const theme = settings.get("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}

function show(usage) {
  const card = part("card");
  const words = shown(usage, NEAR_PERCENT);
  card.removeAttribute("aria-busy");
  card.dataset.level = words.level;
  card.dataset.state = words.hasLimit ? "shown" : "unlimited";
  part("message").hidden = true;
  part("percent-number").textContent = words.big;
  part("status-text").textContent = words.status;
  part("left").textContent = words.left;
  part("tip").textContent = words.tip;
  const track = part("track");
  track.setAttribute("aria-valuenow", String(Math.round(words.filled)));
  track.setAttribute("aria-valuetext", words.spoken);
  const fill = part("fill");
  fill.style.width = `${words.filled}%`;
  fill.toggleAttribute("data-some", words.filled > 0);
  filled = words.filled;
  place();
}

// Puts the tip over the end of the bar, within the card.
function place() {
  const track = part("track");
  const tip = part("tip");
  const most = track.clientWidth - tip.offsetWidth;
  const wanted = (track.clientWidth * filled) / 100 - tip.offsetWidth / 2;
  track.style.setProperty("--x", `${Math.round(Math.max(0, Math.min(wanted, most)))}px`);
}

function say(title, text) {
  const card = part("card");
  card.removeAttribute("aria-busy");
  card.dataset.state = "message";
  delete card.dataset.level;
  part("message-title").textContent = title;
  part("message-text").textContent = text;
  part("message").hidden = false;
}

function live(is) {
  part("card").dataset.live = is ? "yes" : "no";
}

function refused(problem) {
  const kind = String((problem || {}).type || "");
  if (kind.endsWith("#token-expired")) say("This view has expired", "Reload the page to see the usage again.");
  else say("Usage cannot be shown", "The link to this view is not valid. Reload the page, or ask whoever gave it to you.");
  // Whoever embeds may send a fresh token.
  if (window.parent !== window) window.parent.postMessage({ taximeter: "token-needed" }, "*");
}

// Whether to come again.
async function once(signal) {
  const headers = { Authorization: `Embed ${token}` };
  const read = await fetch("/embed/usage.json", { headers, signal, cache: "no-store" });
  if (read.status === 401 || read.status === 404) {
    refused(await read.json().catch(() => null));
    return false;
  }
  if (!read.ok) throw new Error(`status ${read.status}`);
  show(await read.json());
  // Nobody sees it: the number is enough.
  if (document.hidden) return true;
  const stream = await fetch("/embed/stream", { headers, signal, cache: "no-store" });
  if (!stream.ok) throw new Error(`status ${stream.status}`);
  for await (const event of events(stream, SILENCE_MS)) {
    if (event.name === "usage") {
      show(JSON.parse(event.data));
      live(true);
    } else if (event.name === "trouble") live(false);
  }
  return true;
}

async function follow(signal) {
  let failures = 0;
  while (!signal.aborted) {
    const began = Date.now();
    try {
      if (!(await once(signal))) return;
      failures = Date.now() - began > 5000 ? 0 : failures + 1;
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      if (part("card").dataset.state === "loading" && failures > 2) say("Usage cannot be shown now", "It comes by itself when it is there again.");
    }
    live(false);
    const wait = PATIENCE[Math.min(failures, PATIENCE.length) - 1] || 200;
    // Not all pages at the same moment.
    await new Promise((done) => setTimeout(done, wait * (0.75 + Math.random() / 2)));
  }
}

function start() {
  if (running) running.abort();
  if (!token) {
    refused(null);
    return;
  }
  running = new AbortController();
  follow(running.signal);
}

function allowed(origin) {
  return origins.some((one) => origin === (one === "'self'" ? location.origin : one));
}

window.addEventListener("message", (event) => {
  const fresh = event.data && event.data.taximeterToken;
  if (event.source !== window.parent || !allowed(event.origin) || typeof fresh !== "string") return;
  token = fresh;
  start();
});
window.addEventListener("resize", place);
window.addEventListener("hashchange", () => location.reload());
document.addEventListener("visibilitychange", () => {
  if (part("card").dataset.state !== "message") start();
});

dress();
start();
