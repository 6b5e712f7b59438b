// EstimatorRace: the same ascent under four estimators of its gradient, side by side.

import { kl } from "../engine/index.js";
import { select } from "../lib/controls.js";
import { h, nats } from "../lib/dom.js";
import { player } from "../lib/player.js";
import { into, lineModel, START } from "../regression_lab/course.js";
import { coursePane, swatch, weightsPane } from "./panes.js";
import { runner, RUNNERS, STEPS } from "./race.js";

const SLICE = 4;
const SMALLEST = { kl: 1e-12, spread: 1e-8 };
const choices = (...values) => Object.fromEntries(values.map((value) => [value, String(value)]));
const OPTIONS = {
  family: { "full-rank": "full rank", "mean-field": "mean-field" },
  optimizer: { adam: "Adam", sgd: "SGD" },
  rate: choices("0.003", "0.01", "0.03", "0.1", "0.3"),
  draws: choices(2, 4, 10, 30, 100),
  seed: choices(...Array(10).keys()),
};
const LABELS = { family: "family", optimizer: "optimiser", rate: "step size", draws: "draws", seed: "seed" };
const MOST = { draws: [2, 1000], seed: [0, 999999] };
const NAMES = Object.keys(RUNNERS);
const DECADES = 1e4;

export function estimatorRace({ root, model: widget, changed, say }) {
  const model = lineModel(widget.get("points"), {
    noiseSd: widget.get("noise_sd"),
    priorSd: widget.get("prior_sd"),
  });
  let settings = {};
  let racing = new Set(NAMES);
  let runs = [];
  let best = 0;
  let timer = 0;
  const shown = () => runs.filter(({ name }) => racing.has(name));
  const kls = (run) => run.kls;
  const spreads = (run) => run.spreads;

  const weights = weightsPane({ labels: widget.get("weights"), draw: redraw });
  const gap = coursePane({
    title: "KL(q<sub>φ</sub> ‖ posterior), nats",
    label: "KL divergence to the posterior at each step, for each estimator",
    draw: reload,
  });
  const noise = coursePane({
    title: "sd of the gradient V(φ)",
    label: "Standard deviation of the estimated gradient at each step, for each estimator",
    draw: reload,
  });
  const play = player({
    show: () => redraw(),
    duration: (frame) => Math.max(16, 260 * 0.93 ** frame),
    caption: (frame) => `${frame} of ${STEPS}`,
    onreset: load,
    onpause: announce,
  });
  const fields = Object.fromEntries(
    Object.entries(OPTIONS).map(([name, options]) => [
      name,
      select(LABELS[name], options, (value) => start({ ...settings, [name]: name in MOST ? +value : value })),
    ]),
  );
  const rows = Object.fromEntries(
    NAMES.map((name) => {
      const box = h("input", { type: "checkbox", onchange: () => toggle(name, box.checked) });
      const text = h("span", { class: "vt-runner-text" });
      const title = h("span", { class: "vt-runner-title" }, swatch(name), RUNNERS[name]);
      return [name, { box, text, element: h("div", { class: "vt-runner" }, h("label", {}, box, title), text) }];
    }),
  );
  const element = h(
    "div",
    {},
    h("div", { class: "vt-panes vt-three" }, weights.pane.element, gap.pane.element, noise.pane.element),
    play.element,
    h("div", { class: "vt-runners", role: "group", "aria-label": "estimators" },
      ...NAMES.map((name) => rows[name].element)),
    h("div", { class: "vt-row" }, ...Object.values(fields).map((field) => field.element)),
  );

  // ---- the runs

  /** As Python made it. */
  function load() {
    race(NAMES);
    start(widget.get("settings"));
  }

  function start(next) {
    play.pause();
    settings = { ...next };
    for (const [name, field] of Object.entries(fields)) field.set(String(settings[name]));
    const first = into(settings.family, START);
    best = settings.family === "mean-field" ? kl(model.closestMeanField(), model.posterior) : 0;
    runs = NAMES.map((name) => runner(model, name, settings, first));
    weights.frame(model, first);
    compute();
    play.setLast(STEPS);
    play.seek(0);
  }

  /** A slice of the work, then the next when the page has had its turn. */
  function compute() {
    clearTimeout(timer);
    const until = performance.now() + SLICE;
    do for (const run of runs) if (!run.done) run.advance();
    while (performance.now() < until && runs.some((run) => !run.done));
    if (runs.some((run) => !run.done)) timer = setTimeout(compute);
    else reload();
  }

  // ---- what is on show

  function race(names) {
    racing = new Set(names);
    for (const name of NAMES) rows[name].box.checked = racing.has(name);
  }

  function toggle(name, on) {
    race(NAMES.filter((other) => (other === name ? on : racing.has(other))));
    reload();
    announce();
  }

  function reload() {
    if (runs.every((run) => run.done)) {
      gap.rescale(...axis(kls, SMALLEST.kl));
      noise.rescale(...axis(spreads, SMALLEST.spread));
      gap.load(shown(), kls, best);
      noise.load(shown(), spreads, 0);
    }
    redraw();
  }

  /** From the least value of all four, to well above where they start. */
  function axis(values, smallest) {
    const start = Math.max(...runs.map((run) => values(run)[0]));
    const least = Math.min(...runs.flatMap(values));
    const top = 10 ** Math.ceil(Math.log10(start) + 0.3);
    return [Math.max(smallest, Math.min(10 ** Math.floor(Math.log10(least)), top / DECADES)), top];
  }

  const step = () => Math.floor(play.position);
  function words(run) {
    const ahead = step() < run.qs.length;
    if (!ahead) return run.done ? `diverged at step ${run.qs.length}` : "is being computed";
    const now = `KL ${nats(run.kls[step()])} nats, sd of V ${nats(run.spreads[step()])}`;
    return run.diverged ? `${now}; diverges at ${run.qs.length}` : now;
  }

  function redraw() {
    if (!runs.length) return;
    if (weights.pane.ready) weights.draw(shown(), play.position, model.posterior);
    if (gap.pane.ready) gap.draw(shown(), play.position, kls);
    if (noise.pane.ready) noise.draw(shown(), play.position, spreads);
    for (const run of runs) rows[run.name].text.textContent = racing.has(run.name) ? words(run) : "left out";
    changed();
  }

  function announce() {
    say([`Step ${step()}`, ...shown().map((run) => `${RUNNERS[run.name]}: ${words(run)}`)].join(". "));
  }

  widget.on("change:settings", load);
  load();

  return {
    element,
    hint: h("span", {}, "All start alike and see the same noise ε. V(φ) is the estimated gradient; its sd is exact."),
    data() {
      const run = shown()[0] ?? runs[0];
      const gap = run.kls[Math.min(step(), run.kls.length - 1)];
      return { step: step(), elbo: model.logEvidence - gap, kl: gap };
    },
    params() {
      const params = { ...settings, step: step() };
      if (racing.size < NAMES.length) params.run = [...racing].join();
      return params;
    },
    apply(params) {
      play.pause();
      const next = { ...settings };
      for (const name of ["family", "optimizer"]) {
        if (params.get(name) in OPTIONS[name]) next[name] = params.get(name);
      }
      for (const [name, [least, most]] of Object.entries(MOST)) {
        if (/^\d{1,6}$/.test(params.get(name))) next[name] = Math.min(Math.max(+params.get(name), least), most);
      }
      if (+params.get("rate") > 0 && +params.get("rate") <= 1) next.rate = String(+params.get("rate"));
      const named = NAMES.filter((name) => params.get("run")?.split(",").includes(name));
      if (named.length) race(named);
      if (Object.keys(next).some((name) => next[name] !== settings[name])) start(next);
      else reload();
      if (params.has("step")) play.seek(Math.min(Math.max(Math.floor(+params.get("step")) || 0, 0), STEPS));
      if (params.get("play") === "1") play.play();
    },
    stop() {
      play.pause();
      clearTimeout(timer);
      widget.off("change:settings", load);
      for (const { pane } of [weights, gap, noise]) pane.stop();
    },
  };
}
