// Server-sent events out of a stream of text, by the rules of the standard. A function of what came so far.

/** A reader: give it pieces of text, it calls back with {event, data, id} for each whole event. */
export function reader(onEvent) {
  let rest = "";
  let event = { event: "", data: [], id: "" };
  const line = (text) => {
    if (text === "") {
      if (event.data.length) onEvent({ event: event.event || "message", data: event.data.join("\n"), id: event.id });
      event = { event: "", data: [], id: event.id };
      return;
    }
    const at = text.indexOf(":");
    const name = at < 0 ? text : text.slice(0, at);
    const value = at < 0 ? "" : text.slice(at + 1).replace(/^ /, "");
    if (name === "event") event.event = value;
    else if (name === "data") event.data.push(value);
    else if (name === "id") event.id = value;
  };
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    lines.forEach(line);
  };
}
