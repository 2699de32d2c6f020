// From a key to the page: signs in, tells who it is, and hands over.

import { ask } from "./api.js";
import { start } from "./app.js";
import { fill, h } from "./dom.js";
import { dropKey, isHandedOver, keepKey, takeKey } from "./session.js";
import { signIn } from "./sign_in.js";

const place = document.getElementById("app");
let running = null;

async function open(said = "") {
  running?.stop();
  running = null;
  const key = takeKey();
  if (!key) return signIn(place, enter, said);
  fill(place, h("div", { class: "opening", role: "status" }, "Opening…"));
  let who;
  try {
    who = (await ask(key, "/v1/key")).value;
  } catch (error) {
    if (error.status === 401) return leave("This key opens nothing here: it is wrong, ended or revoked.");
    return signIn(place, enter, `${error.title}. ${error.detail ?? ""}`, key);
  }
  if (!who.scopes.some((scope) => scope === "read" || scope === "admin")) {
    return leave(`This key may not read; it has ${who.scopes.join(", ")}. Use one with the scope read.`);
  }
  running = start(place, { key, who, leave });
}

function enter(key) {
  keepKey(key);
  open();
}

function leave(said = "") {
  dropKey();
  open(said);
}

window.addEventListener("hashchange", () => isHandedOver() && open());
open();
