// RegressionLab: q_φ on its way to the exact posterior of a line, in three linked panes.

import { families, generator, kl } from "../engine/index.js";
import { button, select, toggle } from "../lib/controls.js";
import { decimals, h, nats } from "../lib/dom.js";
import { player } from "../lib/player.js";
import { between, into, lineModel, liveCourse, LIVE, recordedCourse, START } from "./course.js";
import { dataPane, gapPane, weightsPane } from "./panes.js";

const PARTICLES = 40;
const MOST_EDITABLE = 30;
const PATIENCE = 3000;
const CHASE = 3;
const FITTED = "as fitted";
const OPTIONS = {
  family: { "full-rank": "full rank", "mean-field": "mean-field" },
  estimator: {
    "sticking-the-landing": "sticking the landing",
    pathwise: "pathwise",
    "score-function": "score function",
    "score-function-with-baseline": "score function with baseline",
  },
  rate: { natural: "natural gradient", 0.03: "Adam 0.03", 0.1: "Adam 0.1", 0.3: "Adam 0.3" },
  draws: { 2: "2", 4: "4", 10: "10", 30: "30", 100: "100" },
  seed: Object.fromEntries(Array.from({ length: 10 }, (_, i) => [i, String(i)])),
};
const LABELS = { family: "family", estimator: "estimator", rate: "step size", draws: "draws", seed: "seed" };

export function regressionLab({ root, model: widget, changed, say }) {
  const sds = { noiseSd: widget.get("noise_sd"), priorSd: widget.get("prior_sd") };
  const noise = generator(7).normal(PARTICLES, 2);
  const editable = widget.get("points").length <= MOST_EDITABLE;
  const narrow = () => root.clientWidth < 480;
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const state = {
    settings: {},
    points: [],
    start: START,
    model: null,
    course: null,
    driven: null,
    picked: -1,
    q: null,
    recorded: false,
  };
  let dragging = false;

  const weights = weightsPane({ labels: widget.get("weights"), noise, draw: redraw, drive });
  const data = dataPane({
    narrow,
    labels: widget.get("axes"),
    noise,
    draw: redraw,
    editable,
    change: changePoints,
    pick(index) {
      pick(index);
      redraw();
    },
    release() {
      dragging = false;
      if (!state.driven) refit(state.q, true);
    },
  });
  const view = toggle("ELBO", () => showPane());
  view.element.setAttribute("aria-label", "Show the ELBO instead of the gap");
  const gap = gapPane({ narrow, draw: redraw, toggle: view.element });

  const play = player({
    show: () => redraw(),
    duration: (frame) => Math.max(20, 260 * 0.93 ** frame),
    caption: (frame) => `${state.course?.steps[frame] ?? 0} of ${state.course?.steps.at(-1) ?? 0}`,
    onreset: load,
    onplay() {
      if (state.driven) refit(state.driven);
    },
    onpause: () => announce(),
  });
  const fields = Object.fromEntries(
    Object.entries(OPTIONS).map(([name, options]) => [name, select(LABELS[name], options, (v) => set(name, v))]),
  );
  const driver = toggle("You drive", (on) => {
    play.pause();
    if (on) drive(state.q);
    else refit(state.driven, true);
  });
  const add = button("Add point", () => {
    const [x, y] = [data.pane.x, data.pane.y].map((scale) => (scale.domain()[0] + scale.domain()[1]) / 2);
    changePoints([...state.points, [x, y]], state.points.length);
    data.focus(state.picked);
  });
  const remove = button(
    "Remove point",
    () => changePoints(state.points.filter((_, i) => i !== state.picked), Math.max(0, state.picked - 1)),
    { disabled: true },
  );
  const shown = Object.fromEntries(["elbo", "evidence", "kl"].map((name) => [name, h("b")]));
  const alert = h("p", { class: "vt-alert", role: "alert", hidden: true });
  const hint = h("p", { class: "vt-hint" });

  const element = h(
    "div",
    {},
    h("div", { class: "vt-panes vt-three" }, weights.pane.element, data.pane.element,
      h("div", { class: "vt-pane" }, ...gap.panes.map((pane) => pane.element))),
    play.element,
    h("div", { class: "vt-row" }, ...Object.values(fields).map((field) => field.element),
      driver.element, ...(editable ? [add, remove] : [])),
    h("div", { class: "vt-readout" },
      h("span", {}, "ELBO ", shown.elbo),
      h("span", {}, "log p(x) ", shown.evidence),
      h("span", {}, "KL(q ‖ posterior) ", shown.kl)),
    alert,
  );

  // ---- the course of the fit

  /** As Python made it: its data, its settings and, if there is one, its recording. */
  function load() {
    state.points = widget.get("points");
    pick(-1);
    state.settings = { ...widget.get("settings") };
    state.driven = null;
    state.model = lineModel(state.points, sds);
    const recording = widget.get("recording");
    state.recorded = Boolean(recording);
    state.start = START;
    if (recording) show(recordedCourse(state.model, recording));
    else compute(START);
    data.frame(state.points, state.model);
    look(true);
    play.seek(0);
  }

  function show(course) {
    state.course = course;
    state.start = course.qs[0];
    gap.load(course, state.model.logEvidence, bestOfFamily());
    alert.hidden = !course.diverged;
    if (course.diverged) {
      alert.textContent =
        `The fit diverged after step ${course.steps.at(-1)}: its steps grew without end. ` +
        "Choose a smaller step size, more draws, or an estimator with less noise.";
    }
    writeSettings();
    play.setLast(course.qs.length - 1);
  }

  function compute(start) {
    show(liveCourse(state.model, filled(), into(state.settings.family, start)));
  }

  /** A new ascent from `start`: by Python, if it answers, else by the live engine. */
  function refit(start, playOn = false) {
    play.pause();
    state.driven = null;
    driver.set(false);
    state.recorded = false;
    state.settings = filled();
    const from = into(state.settings.family, start);
    if (kernel.there) {
      show({ qs: [from], kls: [kl(from, state.model.posterior)], steps: [0], diverged: false });
      play.seek(0);
      kernel.ask(from, playOn);
    } else {
      begin(() => compute(from), playOn);
    }
  }

  function begin(load, playOn) {
    load();
    play.seek(0);
    if (playOn) play.play();
    changed();
  }

  const bestOfFamily = () =>
    state.settings.family === "mean-field" ? kl(state.model.closestMeanField(), state.model.posterior) : 0;

  const filled = () => {
    const { family, ...rest } = state.settings;
    const known = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
    return { family, ...LIVE, ...known };
  };

  function set(name, value) {
    if (value === "") {
      play.pause();
      load();
      return;
    }
    const number = name === "draws" || name === "seed";
    state.settings = { ...state.settings, [name]: number ? +value : value };
    refit(state.driven ?? state.start);
  }

  function writeSettings() {
    for (const [name, field] of Object.entries(fields)) {
      const list = field.element.querySelector("select");
      const value = state.settings[name];
      const known = value === null ? "" : String(value);
      if (![...list.options].some((option) => option.value === known)) {
        list.append(new Option(known === "" ? FITTED : name === "rate" ? `Adam ${known}` : known, known));
      }
      field.set(known);
    }
    fields.estimator.enable(state.settings.rate !== "natural");
  }

  // ---- the reader's hands

  function drive(q) {
    state.driven = into(state.settings.family, q);
    driver.set(true);
    redraw();
    changed();
    announce();
  }

  function pick(index) {
    state.picked = index;
    remove.disabled = index < 0 || state.points.length < 2;
  }

  /** New data: the exact posterior jumps, and q sets out after it from where it is. */
  function changePoints(points, picked, byDragging = false) {
    const q = state.q;
    state.points = points;
    state.model = lineModel(points, sds);
    pick(picked);
    if (byDragging) {
      if (!dragging) play.pause();
      dragging = true;
      state.recorded = false;
      state.settings = filled();
      show(liveCourse(state.model, state.settings, into(state.settings.family, state.driven ?? q), CHASE));
      play.seek(state.course.qs.length - 1);
    } else if (state.driven) {
      redraw();
    } else {
      refit(q, true);
    }
    changed();
  }

  // ---- what is on show

  function look(atOnce) {
    const { posterior } = state.model;
    const sd = (q, i) => Math.hypot(...q.chol[i]);
    const [low, high] = [[], []];
    for (const i of [0, 1]) {
      low[i] = Math.min(posterior.mean[i] - 3.2 * sd(posterior, i), state.q.mean[i] - 2.4 * sd(state.q, i));
      high[i] = Math.max(posterior.mean[i] + 3.2 * sd(posterior, i), state.q.mean[i] + 2.4 * sd(state.q, i));
    }
    weights.look(low, high, atOnce || still.matches);
  }

  function redraw() {
    if (!state.course) return;
    const { course, model, driven, points, picked } = state;
    const position = play.position;
    const at = Math.floor(position);
    state.q = driven ?? between(course, position);
    const gapNow = position % 1 || driven ? kl(state.q, model.posterior) : course.kls[at];
    if (!driven) look(!play.playing);
    if (weights.pane.ready) {
      const means = course.qs.slice(0, at + 1).map((q) => q.mean);
      means.push(state.q.mean);
      weights.draw({ q: state.q, means, posterior: model.posterior, family: state.settings.family, driving: driven });
    }
    if (data.pane.ready) data.draw({ q: state.q, points, model, picked });
    gap.draw({ position, kl: gapNow, driving: driven });
    state.gap = gapNow;
    shown.elbo.textContent = `${decimals(model.logEvidence - gapNow, 3)} nats`;
    shown.evidence.textContent = `${decimals(model.logEvidence, 3)} nats`;
    shown.kl.textContent = `${nats(gapNow)} nats`;
    hint.textContent = driven
      ? "Drag q: the filled handle is μ, the others are the columns of L. Press Play to hand over."
      : editable
        ? "Click in the data to add a point, drag one to move it."
        : "";
    changed();
  }

  function showPane() {
    gap.show(view.get() ? "elbo" : "gap");
    changed();
  }

  function announce() {
    const step = state.driven ? "You drive" : `Step ${state.course.steps[Math.floor(play.position)]}`;
    say(`${step}. KL ${nats(state.gap)} nats, ELBO ${decimals(state.model.logEvidence - state.gap, 3)} nats.`);
  }

  // ---- a kernel, if there is one

  const kernel = {
    there: false,
    asked: 0,
    ask(start, playOn) {
      const id = ++this.asked;
      const { settings, points } = state;
      const [[l11], [l21, l22]] = start.chol;
      this.answer = (recording) => {
        clearTimeout(timer);
        this.answer = null;
        state.recorded = Boolean(recording);
        this.there = Boolean(recording);
        begin(recording ? () => show(recordedCourse(state.model, recording)) : () => compute(start), playOn);
      };
      const timer = setTimeout(() => id === this.asked && this.answer?.(null), PATIENCE);
      try {
        widget.send({ type: "fit", id, settings, points, start: [...start.mean, l11, l21, l22] });
      } catch {
        this.answer(null);
      }
    },
    heard({ type, id, recording }) {
      if (type === "here") this.there = true;
      if (type === "fit" && id === this.asked) this.answer?.(recording);
    },
  };
  const heard = (message) => kernel.heard(message);
  widget.on("msg:custom", heard);
  widget.on("change:recording", load);
  widget.send({ type: "hello" });

  load();

  // ---- the state as a link

  const text = (numbers) => numbers.map((v) => +v.toPrecision(6)).join(",");
  return {
    element,
    hint,
    data: () => ({
      step: state.driven ? "" : state.course.steps[Math.floor(play.position)],
      elbo: state.model.logEvidence - state.gap,
      kl: state.gap,
      q: JSON.stringify(state.q),
      posterior: JSON.stringify(state.model.posterior),
      points: JSON.stringify(state.points),
    }),
    params() {
      const params = {};
      for (const [name, value] of Object.entries(state.settings)) if (value !== null) params[name] = value;
      if (state.points !== widget.get("points")) params.points = state.points.map(text).join(";");
      const start = state.driven ?? state.start;
      const family = families[state.settings.family](2);
      const first = widget.get("recording") && state.recorded ? null : family.pack(start);
      if (first && first.some((value) => value !== 0)) params.start = text(first);
      if (view.get()) params.show = "elbo";
      if (state.driven) params.drive = "1";
      else params.step = state.course.steps[Math.floor(play.position)];
      return params;
    },
    apply(params) {
      play.pause();
      const next = { ...state.settings };
      for (const name of Object.keys(OPTIONS)) {
        if (!params.has(name)) continue;
        const value = params.get(name);
        if (name === "draws" || name === "seed") {
          if (/^\d{1,6}$/.test(value)) next[name] = Math.max(name === "draws" ? 1 : 0, Math.min(+value, 10000));
        } else if (value in OPTIONS[name] || (name === "rate" && +value > 0 && +value <= 1)) next[name] = value;
      }
      const numbers = (value) => value.split(",").map(Number);
      const points = params.get("points")?.split(";").map(numbers);
      const fresh = points?.every((p) => p.length === 2 && p.every(Number.isFinite)) && editable;
      if (fresh) {
        state.points = points.slice(0, MOST_EDITABLE);
        state.model = lineModel(state.points, sds);
        data.frame(state.points, state.model);
      }
      state.settings = next;
      const family = families[next.family](2);
      const phi = params.has("start") ? numbers(params.get("start")) : null;
      const start =
        phi && phi.length === family.size && phi.every(Number.isFinite) ? family.distribution(phi) : state.start;
      if (fresh || phi || [...params.keys()].some((name) => name in OPTIONS)) refit(start);
      if (params.has("show")) {
        view.set(params.get("show") === "elbo");
        showPane();
      }
      if (params.get("drive") === "1") drive(start);
      else {
        const step = +params.get("step") || 0;
        const frame = state.course.steps.findLastIndex((t) => t <= step);
        play.seek(Math.max(0, frame));
        if (params.get("play") === "1") play.play();
      }
      look(true);
      redraw();
    },
    stop() {
      play.pause();
      widget.off("msg:custom", heard);
      widget.off("change:recording", load);
      for (const pane of [weights.pane, data.pane, ...gap.panes]) pane.stop();
    },
  };
}
