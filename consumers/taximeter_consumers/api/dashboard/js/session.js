// The key of whoever looks: typed in, or handed over in the fragment of the address, which no server sees. It is kept
// for this tab alone and goes out in one header.

const PLACE = "taximeter.key";

/** The key out of `#key=...`, which is removed from the address bar at once; else the one of this tab. */
export function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given !== null) {
    history.replaceState(history.state, "", location.pathname + location.search);
    keepKey(given.trim());
  }
  return sessionStorage.getItem(PLACE) ?? "";
}

/** Whether the address bar holds a key. */
export function isHandedOver() {
  return new URLSearchParams(location.hash.slice(1)).has("key");
}

/** Keeps it until the tab is closed. */
export function keepKey(key) {
  sessionStorage.setItem(PLACE, key);
}

/** Forgets it. */
export function dropKey() {
  sessionStorage.removeItem(PLACE);
}
