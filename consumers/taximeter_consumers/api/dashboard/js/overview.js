// Everything about the use that the filters leave.

import { fill, h } from "./dom.js";
import { costPanel } from "./panels/cost.js";
import { quotaPanel } from "./panels/quota.js";
import { runsPanel } from "./panels/runs.js";
import { nodeTypesPanel, topPanel } from "./panels/tops.js";
import { tokensPanel } from "./panels/tokens.js";
import { totals } from "./panels/totals.js";

/** Draws the panels into `main`. */
export function overview(app, main) {
  const quota = quotaPanel(app);
  const head = totals(app);
  const panels = [costPanel(app), quota, tokensPanel(app), nodeTypesPanel(app), topPanel(app, "workflows"), topPanel(app, "users"), topPanel(app, "nodes"), runsPanel(app)];
  const all = [head, ...panels];
  fill(main, h("h1", { class: "unseen" }, "Usage and cost"), head.element, h("div", { class: "grid" }, panels.map((one) => one.element)));
  const recolour = () => panels.forEach((one) => one.recolour?.());
  window.addEventListener("themechange", recolour);
  return {
    kind: "overview",
    refresh: (options) => Promise.all(all.map((one) => one.refresh(options))),
    check: async () => (await head.refresh()) && Promise.all(panels.map((one) => one.refresh())),
    heard: (name, value) => quota.heard(name, value),
    stop() {
      window.removeEventListener("themechange", recolour);
      all.forEach((one) => one.stop());
    },
  };
}
