// What every widget of the book has: a root, the theme, the state in the address.

import { announcer } from "./controls.js";
import { h } from "./dom.js";
import { stateLink } from "./state.js";
import css from "./theme.css";

const STYLE = "vitutor-style";

/**
 * A widget is build({ root, model, changed, say }) -> { element, hint?, params(), apply(params), data(), stop() }.
 * `params()` is its state for a link, `apply(map)` takes such a state, `data()` is { step, elbo, kl }
 * and what else a script may want, for the root's data attributes. The widget calls `changed()` after each change of its state, and
 * `say(text)` with what a reader who cannot see it should hear.
 */
export function mount(build, kind, model, el) {
  const scope = el.getRootNode();
  const styles = scope instanceof ShadowRoot ? scope : document.head;
  if (!styles.querySelector(`#${STYLE}`)) styles.append(h("style", { id: STYLE }, css));

  const root = h("section", { class: "vitutor", "data-kind": kind, "aria-label": model.get("label") });
  el.append(root);
  const { element: status, say } = announcer();
  let widget = null;
  let timer = null;
  const changed = () => {
    if (!widget) return;
    for (const [name, value] of Object.entries(widget.data())) root.dataset[name] = value;
    if (timer) return;
    timer = setTimeout(() => {
      timer = null;
      link.update(widget.params());
    }, 200);
  };
  widget = build({ root, model, changed, say });
  const link = stateLink(model.get("name"), root, (params) => {
    widget.apply(params);
    changed();
  });
  root.append(widget.element, h("div", { class: "vt-foot" }, widget.hint ?? "", link.element), status);
  link.open();
  link.update(widget.params());
  changed();
  return () => {
    clearTimeout(timer);
    link.stop();
    widget.stop();
    root.remove();
  };
}
