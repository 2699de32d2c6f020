// One request to the API; refusals as what they say.

/** A refusal. `status` 0: nobody answered. `detail` says what to do. */
export class Refused extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    Object.assign(this, { status, title, detail });
  }
}

/** The path with its parameters; a list is given again for each value. */
export function urlOf(path, params = {}) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null && one !== "") said.append(name, one);
  }
  const text = said.toString();
  return text ? `${path}?${text}` : path;
}

/** The answer's text and what it means. Throws Refused; an abort goes through as it is. */
export async function ask(key, path, params = {}, signal = undefined) {
  const answer = await reached(urlOf(path, params), { headers: headers(key), cache: "no-store", signal });
  const text = await answer.text();
  if (!answer.ok) throw refused(answer.status, text);
  return { text, value: JSON.parse(text) };
}

/** The header of a key. */
export function headers(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** What a refusal says. */
export function refused(status, text) {
  try {
    const { title, detail } = JSON.parse(text);
    return new Refused(status, String(title ?? ""), String(detail ?? ""));
  } catch {
    return new Refused(status, `The API answers ${status}`, "try again in a few seconds");
  }
}

/** `fetch`, with an outage as a refusal. */
export async function reached(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The API does not answer", "it is tried again by itself");
  }
}
