// The frame that every panel has: a head with what can be done, and a body in one of five states: loading, not
// applicable, refused, empty, or drawn. A panel is drawn again only where its answer is another one.

import { ask } from "./api.js";
import { csv, download } from "./csv.js";
import { fill, h, icon } from "./dom.js";
import { questionOf } from "./questions.js";

/**
 * A panel. `made` is {id, title, about, wide, skeleton, actions, draw(answer, question) -> nodes, isEmpty(answer),
 * empty, columns, rows(answer)}.
 */
export function panel(app, made) {
  const body = h("div", { class: "body" });
  const about = h("p", { class: "about", id: `${made.id}-about` }, made.about);
  const save = h("button", { class: "quiet", type: "button", disabled: true, on: { click: () => saved(made, last) }, "aria-label": `${made.title}: download as CSV` }, icon("down"), "CSV");
  const element = h("section", { class: `panel ${made.class ?? ""}`, id: made.id, "aria-labelledby": `${made.id}-title` },
    h("div", { class: "head" }, h("div", {}, h("h2", { id: `${made.id}-title` }, made.title), about), h("div", { class: "actions" }, made.actions, save)), body);
  let last = null;
  let lastQuestion = {};
  let asking = null;
  let shown = "";

  function put(state, ...nodes) {
    element.dataset.state = state;
    save.disabled = state !== "drawn";
    fill(body, ...nodes);
  }
  function drawn(question, text, value) {
    [last, lastQuestion, shown] = [value, question, text];
    fill(about, made.aboutOf?.(question, value) ?? made.about);
    if (made.isEmpty(value)) return put("empty", h("p", { class: "empty" }, made.empty));
    put("drawn", made.draw(value, question));
  }
  async function refresh({ anew = false } = {}) {
    const question = made.question ? made.question(app.state, new Date()) : questionOf(made.id, app.state, new Date());
    asking?.abort();
    asking = new AbortController();
    if (question.cannot) {
      [last, shown] = [null, ""];
      return put("apart", apart(app, question.cannot));
    }
    if (!last) put("loading", skeleton(made.skeleton ?? 5));
    element.setAttribute("aria-busy", "true");
    try {
      const { text, value } = await (made.ask ?? asked)(app, question, asking.signal);
      const said = JSON.stringify([question.path, question.undivided, question.ofEvents]) + text;
      if (anew || said !== shown) drawn(question, said, value);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (app.refused(error) !== undefined) return;
      if (!last || error.status) put("refused", refusal(error, () => refresh({ anew: true })));
    } finally {
      element.removeAttribute("aria-busy");
    }
  }
  return { element, refresh, stop: () => (asking?.abort(), made.stop?.()), body, redraw: () => last && drawn(lastQuestion, shown, last) };
}

/** What a panel says that cannot take some filters into account. */
export function apart(app, names) {
  const several = names.length > 1;
  const clear = () => app.go(Object.fromEntries(names.map((name) => [name, undefined])));
  return h("div", { class: "notice" },
    h("p", {}, h("strong", {}, `Not kept by ${names.join(" and ")}.`), " These sums are not divided so, and other numbers would mislead."),
    h("button", { type: "button", class: "secondary", on: { click: clear } }, `Clear the ${names.join(" and ")} filter${several ? "s" : ""}`));
}

function asked(app, question, signal) {
  return ask(app.session.key, question.path, question.params, signal);
}

function saved(made, answer) {
  const day = new Date().toISOString().slice(0, 10);
  download(`taximeter-${made.id}-${day}.csv`, csv(made.columns, made.rows(answer)));
}

function refusal(error, again) {
  return h("div", { class: "notice bad", role: "alert" },
    h("p", {}, h("strong", {}, `${error.title || "It failed"}.`), ` ${error.detail ?? ""}`),
    h("button", { type: "button", class: "secondary", on: { click: again } }, "Try again"));
}

function skeleton(lines) {
  return h("div", { class: "skeleton", "aria-label": "Loading", role: "status" }, Array.from({ length: lines }, () => h("span")));
}
