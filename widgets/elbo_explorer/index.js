// ElboExplorer: a posterior on a line, and q under the reader's hands.

import { button, select, slider } from "../lib/controls.js";
import { decimals, h, nats } from "../lib/dom.js";
import { player } from "../lib/player.js";
import { densityPane, splitPane, surfacePane } from "./panes.js";
import { climb, forward, HIGH, inside, LOG_EVIDENCE, LOW, moments, reverse, TARGETS } from "./posterior.js";

const STEPS = 60;
const LONGEST = 400;
const NAMES = { gaussian: "Gaussian", skewed: "skewed", "two-humps": "two humps" };

export function elboExplorer({ model: widget, changed, say }) {
  const state = { name: null, phi: [0, 1], visited: [] };
  let [course, own, timer] = [[], null, null];
  const target = () => TARGETS[state.name];

  const density = densityPane({ draw: redraw, move, done: announce });
  const split = splitPane({ draw: redraw });
  const surface = surfacePane({ draw: redraw, move, done: announce });
  const play = player({
    show: () => redraw(),
    duration: (frame) => Math.max(40, 200 * 0.95 ** frame),
    caption: (frame) => `${frame} of ${STEPS}`,
    onreset: load,
    onpause: announce,
  });
  const kind = select("posterior", NAMES, (name) => open(name, state.phi));
  const mean = slider("μ", { min: LOW[0], max: HIGH[0], step: "any", text: decimals }, (mu) => move([mu, now()[1]]));
  const sd = slider("σ", { min: LOW[1], max: HIGH[1], step: "any", text: decimals }, (sigma) => move([now()[0], sigma]));
  const match = button("Best by KL(p‖q)", () => {
    move([own.mean, own.sd]);
    announce();
  });
  const shown = Object.fromEntries(["elbo", "evidence", "reverse", "forward"].map((name) => [name, h("b")]));
  const element = h(
    "div",
    {},
    h("div", { class: "vt-panes vt-two vt-below" }, density.pane.element, split.pane.element, surface.pane.element),
    play.element,
    h("div", { class: "vt-row" }, mean.element, sd.element),
    h("div", { class: "vt-row" }, kind.element, match),
    h("div", { class: "vt-readout" },
      h("span", {}, "ELBO ", shown.elbo),
      h("span", {}, "log p(x) ", shown.evidence),
      h("span", {}, "KL(q‖p) ", shown.reverse),
      h("span", {}, "KL(p‖q) ", shown.forward)),
  );
  const hint = h("p", { class: "vt-hint" }, "Drag q's top, its side, or the dot on the surface. Play climbs from there.");

  function load() {
    open(widget.get("target"), [widget.get("mu"), widget.get("sigma")]);
  }

  function open(name, phi) {
    state.name = name;
    state.visited = [];
    kind.set(name);
    own = moments(target());
    surface.open(target());
    place(phi);
  }

  /** q here, and a fresh ascent from it. */
  function place(phi) {
    play.pause();
    state.phi = inside(phi);
    state.visited = [...state.visited, state.phi].slice(-LONGEST);
    course = climb(target(), state.phi, STEPS);
    play.setLast(STEPS);
    play.seek(0);
  }

  function move(phi) {
    place(phi);
    clearTimeout(timer);
    timer = setTimeout(() => {
      widget.set("mu", state.phi[0]);
      widget.set("sigma", state.phi[1]);
      widget.save_changes();
    }, 200);
  }

  function now() {
    const [at, share] = [Math.floor(play.position), play.position % 1];
    const [from, to] = [course[at], course[at + 1] ?? course[at]];
    return from.map((value, i) => value + share * (to[i] - value));
  }

  function redraw() {
    if (!course.length) return;
    const phi = now();
    const scene = { target: target(), phi, course, position: play.position, visited: state.visited };
    scene.reverse = Math.max(reverse(target(), phi), 0);
    scene.forward = Math.max(forward(own, phi), 0);
    for (const part of [density, split, surface]) if (part.pane.ready) part.draw(scene);
    mean.set(phi[0]);
    sd.set(phi[1]);
    shown.elbo.textContent = `${decimals(LOG_EVIDENCE - scene.reverse, 3)} nats`;
    shown.evidence.textContent = `${decimals(LOG_EVIDENCE, 3)} nats`;
    shown.reverse.textContent = `${nats(scene.reverse)} nats`;
    shown.forward.textContent = `${nats(scene.forward)} nats`;
    Object.assign(state, { shown: phi, reverse: scene.reverse, forward: scene.forward });
    changed();
  }

  function announce() {
    const [mu, sigma] = state.shown;
    say(`μ ${decimals(mu)}, σ ${decimals(sigma)}. ELBO ${decimals(LOG_EVIDENCE - state.reverse, 3)} nats, KL ${nats(state.reverse)} nats.`);
  }

  load();
  return {
    element,
    hint,
    data: () => ({
      step: Math.floor(play.position), elbo: LOG_EVIDENCE - state.reverse, kl: state.reverse, forward: state.forward,
      mu: state.shown[0], sigma: state.shown[1],
    }),
    params: () => ({
      target: state.name, mu: +course[0][0].toPrecision(6), sigma: +course[0][1].toPrecision(6),
      step: Math.floor(play.position),
    }),
    apply(params) {
      const name = params.get("target") in TARGETS ? params.get("target") : state.name;
      const given = ["mu", "sigma"].map((key) => (params.get(key) ? +params.get(key) : NaN));
      open(name, given.map((value, i) => (Number.isFinite(value) ? value : state.phi[i])));
      play.seek(Math.min(Math.max(Math.floor(+params.get("step")) || 0, 0), STEPS));
      if (params.get("play") === "1") play.play();
    },
    stop() {
      play.pause();
      clearTimeout(timer);
      for (const { pane } of [density, split, surface]) pane.stop();
    },
  };
}
