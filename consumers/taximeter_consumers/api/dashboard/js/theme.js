// Light, dark, or as the system has it; remembered in this browser.

const PLACE = "taximeter.theme";
const ORDER = ["auto", "light", "dark"];

/** auto, light or dark. */
export function theme() {
  const kept = read();
  return ORDER.includes(kept) ? kept : "auto";
}

/** The next of the three; whoever draws with colours hears the event `themechange` on the window. */
export function turn() {
  const next = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length];
  try {
    localStorage.setItem(PLACE, next);
  } catch {
    // A browser that keeps nothing shows it until the page is left.
  }
  apply(next);
  return next;
}

function apply(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  window.dispatchEvent(new Event("themechange"));
}

function read() {
  try {
    return localStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

apply(theme());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => window.dispatchEvent(new Event("themechange")));
