// The state of a widget in the address of the page: #name:family=mean-field&seed=2.

import { h } from "./dom.js";

/**
 * A link to the state on show, and a listener for such links anywhere in the page. `apply(params)`
 * gets the Map of a link's parameters, at once if the page was opened by one; a parameter that the
 * link leaves out keeps its value. Returns { element, update(params), stop }.
 */
export function stateLink(name, root, apply) {
  const prefix = `#${name}:`;
  const element = h("a", { class: "vt-link", href: prefix, onclick: share }, "Link to this state");
  const read = (hash) => new Map(new URLSearchParams(hash.slice(prefix.length)));

  function follow(hash) {
    if (!hash.startsWith(prefix)) return;
    apply(read(hash));
    root.scrollIntoView({ block: "nearest" });
  }

  function share(event) {
    event.preventDefault();
    event.stopPropagation();
    history.replaceState(history.state, "", element.getAttribute("href"));
    navigator.clipboard?.writeText(location.href).then(
      () => {
        element.textContent = "Link copied";
        setTimeout(() => (element.textContent = "Link to this state"), 2000);
      },
      () => {},
    );
  }

  const clicked = (event) => {
    const link = event.target.closest?.(`a[href^="${prefix}"]`);
    if (!link || root.contains(link)) return;
    event.preventDefault();
    history.replaceState(history.state, "", link.getAttribute("href"));
    follow(link.getAttribute("href"));
  };
  const changed = () => follow(decodeURI(location.hash));
  document.addEventListener("click", clicked, true);
  addEventListener("hashchange", changed);
  return {
    element,
    open: () => follow(decodeURI(location.hash)),
    update(params) {
      element.setAttribute("href", prefix + new URLSearchParams(params));
    },
    stop() {
      document.removeEventListener("click", clicked, true);
      removeEventListener("hashchange", changed);
    },
  };
}
