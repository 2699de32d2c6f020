// Server-sent events of a fetch, as it can send a header, which EventSource cannot.

export function parsed(text) {
  const event = { name: "message", data: [] };
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) event.name = line.slice(7);
    else if (line.startsWith("data: ")) event.data.push(line.slice(6));
  }
  return event.data.length ? { name: event.name, data: event.data.join("\n") } : null;
}

// Throws when nothing comes for so long.
export async function* events(response, silenceMs) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await within(reader.read(), silenceMs);
      if (done) return;
      text += value;
      const parts = text.split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const event = parsed(part);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function within(promise, milliseconds) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error("the stream is silent")), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
