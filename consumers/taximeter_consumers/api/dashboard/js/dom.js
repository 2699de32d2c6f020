// Elements out of values. Text only ever becomes text: nothing here takes markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element; props: class, on: {event: listener}, style: {property: value}, anything else an attribute. */
export function h(name, props = {}, ...children) {
  return filled(document.createElement(name), props, children);
}

/** An SVG element. */
export function s(name, props = {}, ...children) {
  return filled(document.createElementNS(SVG, name), props, children);
}

/** A line icon by its name, for decoration. */
export function icon(name) {
  const path = { d: ICONS[name], fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linecap": "round", "stroke-linejoin": "round" };
  return s("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, s("path", path));
}

/** Puts children in the place of those that are there. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Tells screen readers something, when they have time. */
export function say(text) {
  const place = document.getElementById("said");
  if (place && place.textContent !== text) place.textContent = text;
}

/** An amount: short to read, exact in its value and its title. */
export function amount(text, shown, exact) {
  return h("data", { value: text, title: exact }, shown);
}

function filled(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "style") for (const [property, one] of Object.entries(value)) element.style.setProperty(property, one);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

const ICONS = {
  down: "M8 2.5v8m0 0L4.8 7.3M8 10.5l3.2-3.2M3 13.5h10",
  table: "M2.5 3.5h11v9h-11zM2.5 6.5h11M6.5 6.5v6",
  theme: "M8 2.5v11a5.5 5.5 0 0 0 0-11ZM13.5 8A5.5 5.5 0 1 1 8 2.5",
  out: "M6.5 2.5h-4v11h4M6 8h7.5m0 0-2.7-2.7M13.5 8l-2.7 2.7",
  back: "M9.5 3.5 5 8l4.5 4.5",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.3 10.3l3.2 3.2",
  cross: "m4 4 8 8M12 4l-8 8",
  warn: "M8 2.5 14 13H2L8 2.5ZM8 6.5v3M8 11.2v.1",
  fine: "m3.5 8.5 3 3 6-7",
  open: "m6 4 4 4-4 4",
};
