// ReparameterizationExplorer: frozen noise, a map that moves, and what the moving tells.

import { sum } from "../engine/linalg.js";
import { select, slider, toggle } from "../lib/controls.js";
import { decimals, h, nats } from "../lib/dom.js";
import { player } from "../lib/player.js";
import { climb, estimates, gradientExact, inside, klExact, LOG_EVIDENCE, MAPS, noiseAt } from "./maps.js";
import { gradientPane, imagePane, noisePane } from "./panes.js";

const STEPS = 80;
const KINDS = { pathwise: "pathwise", score: "score function" };
const LEAST = { draws: 5, seed: 0 };
const MOST = { draws: 100, seed: 9999 };

export function reparameterizationExplorer({ root, model: widget, changed, say }) {
  const state = { map: "location-scale", phi: [0, 1], draws: 30, seed: 0, kind: "pathwise", part: 0, afresh: false };
  let course = [];
  const map = () => MAPS[state.map];

  const noise = noisePane({ draw: redraw });
  const image = imagePane({ draw: redraw, move, done: announce });
  const gradient = gradientPane({ draw: redraw });
  const play = player({
    show: () => redraw(),
    duration: () => 60,
    caption: (frame) => `${frame} of ${STEPS}`,
    onreset: load,
    onpause: announce,
  });
  const fields = {
    map: select("map", Object.fromEntries(Object.entries(MAPS).map(([name, { formula }]) => [name, formula])), (name) =>
      open(name),
    ),
    kind: select("climb by", KINDS, (kind) => start({ kind })),
    part: select("gradient in", { 0: "μ", 1: "log s" }, (part) => {
      state.part = +part;
      redraw();
    }),
  };
  const afresh = toggle("New draws at each move", (on) => start({ afresh: on }));
  const text = (value) => decimals(value);
  const first = slider("μ", { min: 0, max: 1, step: "any", text }, (value) => move([value, now()[1]]));
  const second = slider("s", { min: 0, max: 1, step: "any", text }, (value) => move([now()[0], value]));
  const count = slider("draws", { min: LEAST.draws, max: MOST.draws, step: 5 }, (draws) => start({ draws }));
  const seed = slider("seed", { min: 0, max: 20, step: 1 }, (value) => start({ seed: value }));
  const shown = Object.fromEntries(["exact", "pathwise", "score", "kl"].map((name) => [name, h("b")]));
  const element = h(
    "div",
    {},
    h("div", { class: "vt-panes vt-two vt-below" }, noise.pane.element, image.pane.element, gradient.pane.element),
    play.element,
    h("div", { class: "vt-row" }, first.element, second.element),
    h("div", { class: "vt-row" }, count.element, seed.element),
    h("div", { class: "vt-row" }, ...Object.values(fields).map((field) => field.element), afresh.element),
    h("div", { class: "vt-readout" },
      h("span", {}, "gradient, exact ", shown.exact),
      h("span", {}, "pathwise ", shown.pathwise),
      h("span", {}, "score function ", shown.score),
      h("span", {}, "KL(q ‖ target) ", shown.kl)),
  );

  function load() {
    for (const name of ["draws", "seed"]) state[name] = widget.get(name);
    state.kind = "pathwise";
    state.afresh = false;
    open(widget.get("map"), [widget.get("mu"), widget.get("sigma")]);
  }

  function open(name, phi = [null, null]) {
    state.map = name;
    const { names, low, high, start: given } = map();
    state.phi = inside(map(), phi.map((value, i) => value ?? given[i]));
    noise.open(map(), name);
    image.open(map(), name);
    [first, second].forEach((control, i) => {
      control.range({ min: low[i], max: high[i], label: names[i] });
    });
    fields.part.element.querySelectorAll("option").forEach((option, i) => {
      option.textContent = i ? `log ${names[1]}` : names[0];
    });
    start({});
  }

  /** A new ascent from the φ on show, with new settings or a new φ. */
  function start(changes) {
    play.pause();
    Object.assign(state, changes);
    course = climb(map(), state.phi, state, STEPS);
    fields.map.set(state.map);
    fields.kind.set(state.kind);
    fields.part.set(String(state.part));
    afresh.set(state.afresh);
    count.set(state.draws);
    seed.set(state.seed);
    play.setLast(STEPS);
    play.seek(0);
  }

  /** φ under the reader's hands: the same draws ride along, or new ones come. */
  function move(phi) {
    const seeds = state.afresh ? { seed: (state.seed + 1) % 21 } : {};
    start({ phi: inside(map(), phi), ...seeds });
  }

  function now() {
    const [at, share] = [Math.floor(play.position), play.position % 1];
    const [from, to] = [course[at], course[at + 1] ?? course[at]];
    return from.map((value, i) => value + share * (to[i] - value));
  }

  function redraw() {
    if (!course.length) return;
    const phi = now();
    const { part, afresh: fresh } = state;
    const draws = noiseAt(map(), state, Math.floor(play.position));
    const each = estimates(map(), phi, draws);
    const values = ["pathwise", "score"].map((kind) => each.map((estimate) => estimate[kind][part]));
    const means = values.map((all) => sum(all) / all.length);
    const sds = values.map((all, k) => Math.sqrt(sum(all.map((v) => (v - means[k]) ** 2)) / (all.length - 1)));
    const truth = gradientExact(map(), phi)[part];
    const label = part ? `log ${map().names[1]}` : map().names[0];
    const scene = { map: map(), name: state.map, phi, draws, afresh: fresh };
    if (noise.pane.ready) noise.draw(scene);
    if (image.pane.ready) image.draw({ ...scene, first: fresh ? phi : course[0] });
    if (gradient.pane.ready) gradient.draw({ values, means, truth, label });
    state.kl = Math.max(klExact(map(), phi), 0);
    first.set(phi[0]);
    second.set(phi[1]);
    shown.exact.textContent = decimals(truth);
    shown.pathwise.textContent = `${decimals(means[0])}, sd ${decimals(sds[0], 1)}`;
    shown.score.textContent = `${decimals(means[1])}, sd ${decimals(sds[1], 1)}`;
    shown.kl.textContent = `${nats(state.kl)} nats`;
    state.shown = phi;
    changed();
  }

  function announce() {
    const [a, b] = map().names;
    say(`${a} ${decimals(state.shown[0])}, ${b} ${decimals(state.shown[1])}. KL ${nats(state.kl)} nats.`);
  }

  load();
  return {
    element,
    data: () => ({
      step: Math.floor(play.position), elbo: LOG_EVIDENCE - state.kl, kl: state.kl, mu: state.shown[0], sigma: state.shown[1],
    }),
    params: () => ({
      map: state.map, mu: +course[0][0].toPrecision(6), sigma: +course[0][1].toPrecision(6), seed: state.seed,
      draws: state.draws, climb: state.kind, part: state.part, redraw: +state.afresh, step: Math.floor(play.position),
    }),
    apply(params) {
      const next = {};
      for (const name of ["draws", "seed"]) {
        if (/^\d{1,6}$/.test(params.get(name))) next[name] = Math.min(Math.max(+params.get(name), LEAST[name]), MOST[name]);
      }
      if (params.get("climb") in KINDS) next.kind = params.get("climb");
      if (/^[01]$/.test(params.get("redraw"))) next.afresh = params.get("redraw") === "1";
      if (/^[01]$/.test(params.get("part"))) next.part = +params.get("part");
      const name = params.get("map") in MAPS ? params.get("map") : state.map;
      const given = ["mu", "sigma"].map((key) => (params.has(key) && params.get(key) !== "" ? +params.get(key) : NaN));
      const kept = name === state.map ? state.phi : MAPS[name].start;
      open(name, given.map((value, i) => (Number.isFinite(value) ? value : kept[i])));
      start(next);
      play.seek(Math.min(Math.max(Math.floor(+params.get("step")) || 0, 0), STEPS));
      if (params.get("play") === "1") play.play();
    },
    stop() {
      play.pause();
      for (const { pane } of [noise, image, gradient]) pane.stop();
    },
  };
}
