// Native controls, each with its name.

import { h } from "./dom.js";

let made = 0;

export const button = (text, onclick, attributes = {}) =>
  h("button", { type: "button", onclick, ...attributes }, text);

/** A button that stays pressed: { element, get, set }. */
export function toggle(text, onchange) {
  const element = button(text, () => {
    set(!get());
    onchange(get());
  });
  const get = () => element.getAttribute("aria-pressed") === "true";
  const set = (pressed) => element.setAttribute("aria-pressed", pressed);
  set(false);
  return { element, get, set };
}

/** A drop-down list of { value: label }: { element, get, set, enable }. */
export function select(label, options, onchange) {
  const list = h(
    "select",
    { onchange: () => onchange(list.value) },
    ...Object.entries(options).map(([value, text]) => h("option", { value }, text)),
  );
  return {
    element: h("label", { class: "vt-field" }, h("span", {}, label), list),
    get: () => list.value,
    set(value) {
      if (![...list.options].some((option) => option.value === value)) list.append(new Option(value, value));
      list.value = value;
    },
    enable(on) {
      list.disabled = !on;
    },
  };
}

/** A slider with its value beside it: { element, get, set, range }. `text` says the value. */
export function slider(label, { min, max, step, text = String }, oninput) {
  const id = `vt-slider-${++made}`;
  const shown = h("output", { for: id });
  const range = h("input", { id, type: "range", min, max, step, oninput: () => moved() });
  const write = () => {
    shown.textContent = text(+range.value);
    range.setAttribute("aria-valuetext", text(+range.value));
    range.style.setProperty("--filled", `${(100 * (range.value - range.min)) / (range.max - range.min)}%`);
  };
  const moved = () => {
    write();
    oninput(+range.value);
  };
  write();
  const named = h("label", { for: id }, label);
  return {
    element: h("div", { class: "vt-slider" }, named, range, shown),
    get: () => +range.value,
    range(to) {
      Object.assign(range, { min: to.min, max: to.max });
      named.textContent = to.label;
      write();
    },
    set(value) {
      range.value = value;
      write();
    },
  };
}

/** A region that says what is on show, but not at every frame: say(text) keeps still for a second. */
export function announcer() {
  const element = h("div", { class: "vt-hidden", role: "status", "aria-live": "polite" });
  let timer = null;
  return {
    element,
    say(text) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (element.textContent !== text) element.textContent = text;
      }, 1000);
    },
  };
}
