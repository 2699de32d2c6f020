// The form for a key. The key never comes into the address bar, and the browser is asked not to keep it.

import { fill, h } from "./dom.js";

/** Shows the form; `enter` hears the key. `said` is why it is shown again, `key` what is tried again. */
export function signIn(place, enter, said = "", key = "") {
  const field = h("input", {
    id: "key", name: "key", type: "password", required: true, autocomplete: "off", spellcheck: "false",
    autocapitalize: "off", placeholder: "tm_…", "aria-describedby": said ? "refused how" : "how", "aria-invalid": said && !key ? "true" : null,
  });
  field.value = key;
  const submitted = (event) => {
    event.preventDefault();
    const given = field.value.trim();
    if (given) enter(given);
  };
  document.title = "Sign in · Taximeter";
  fill(
    place,
    h("main", { id: "main", class: "door", tabindex: "-1" },
      h("div", { class: "door-card" },
        h("div", { class: "brand" }, h("img", { src: "/dashboard/static/mark.svg", alt: "", width: "32", height: "32" }), "Taximeter"),
        h("h1", {}, "See what it costs"),
        h("p", { class: "soft" }, "Usage and cost of every run, exact to the last digit."),
        h("form", { on: { submit: submitted }, novalidate: true },
          h("label", { for: "key" }, "API key"),
          field,
          said && h("p", { id: "refused", class: "refused", role: "alert" }, said),
          h("button", { class: "primary", type: "submit" }, "Sign in")),
        h("p", { id: "how", class: "soft small" }, "A key with the scope ", h("code", {}, "read"), ". An operator makes one with ",
          h("code", {}, "taximeter keys create"), ". It is kept in this tab until you close it."))),
  );
  field.focus();
}
