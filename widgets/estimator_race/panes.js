// The three panes of the race: weights, the gap, and the spread of the gradient.

import { symbol, symbolCircle, symbolDiamond, symbolSquare, symbolTriangle } from "d3-shape";

import { h } from "../lib/dom.js";
import { ellipse, path, plot } from "../lib/plot.js";
import { between } from "../regression_lab/course.js";
import { STEPS } from "./race.js";

/** All are q, so all are orange; a dash and a mark tell one from the other. */
const LOOKS = {
  "sticking-the-landing": { mark: symbolCircle, dash: null, width: 2.2 },
  pathwise: { mark: symbolSquare, dash: "7 3", width: 1.8 },
  "score-function-with-baseline": { mark: symbolTriangle, dash: "7 2.5 1.5 2.5", width: 1.8 },
  "score-function": { mark: symbolDiamond, dash: "2 2", width: 1.8 },
};
const NAMES = Object.keys(LOOKS);
const LABELS = {
  "sticking-the-landing": "sticking the landing",
  pathwise: "pathwise",
  "score-function-with-baseline": "with baseline",
  "score-function": "score function",
};
const LINE = 14;
const ratio = (width) => (width > 450 ? 0.5 : width > 300 ? 0.8 : 1.02);
let made = 0;

/** No further out than a dashed line can be drawn. */
const near = (pane, points) =>
  points.map((at) =>
    [pane.x, pane.y].map((scale, i) => {
      const [low, high] = scale.domain();
      const far = 20 * (high - low);
      return Math.min(Math.max(at[i], low - far), high + far);
    }),
  );
const stroke = (shape, name) =>
  shape.attr("stroke-dasharray", LOOKS[name].dash).attr("stroke-width", LOOKS[name].width);
const curve = (layer, name, kind) => stroke(layer.append("path").attr("class", `vt-runner-line ${kind}`), name);
const mark = (layer, name) =>
  layer.append("path").attr("class", "vt-now").attr("d", symbol(LOOKS[name].mark, 75)());
const each = (make) => Object.fromEntries([...NAMES].reverse().map((name) => [name, make(name)]));

/** A line and a mark, as in the panes, for the legend. */
export function swatch(name) {
  const { mark, dash, width } = LOOKS[name];
  const element = h("span", { class: "vt-swatch", "aria-hidden": "true" });
  element.innerHTML =
    `<svg width="38" height="14" viewBox="0 -7 38 14"><path class="vt-runner-line" d="M0 0H38" ` +
    `stroke-width="${width}" ${dash ? `stroke-dasharray="${dash}"` : ""}/>` +
    `<path class="vt-now" transform="translate(19,0)" d="${symbol(mark, 75)()}"/></svg>`;
  return element;
}

/** Parameter space: the exact posterior, and of each runner the path of its mean and its ellipse. */
export function weightsPane({ labels, draw }) {
  const pane = plot({
    title: "weights: each q<sub>φ</sub>",
    label: "Weights: the q of each estimator over the exact posterior",
    x: { label: labels[0], domain: [-3, 3] },
    y: { label: labels[1], domain: [-3, 3] },
    ratio,
    draw,
  });
  const exact = [1, 2].map(() => pane.marks.append("path").attr("class", "vt-exact"));
  const traces = each(() => pane.marks.append("path").attr("class", "vt-trace"));
  const rings = each((name) => curve(pane.marks, name, ""));
  const centres = each((name) => mark(pane.marks, name));

  return {
    pane,
    /** Axes with room for the posterior and for the start. */
    frame({ posterior }, start) {
      const sd = (q, i) => Math.hypot(...q.chol[i]);
      const [x, y] = [0, 1].map((i) => [
        Math.min(posterior.mean[i] - 3.2 * sd(posterior, i), start.mean[i] - 1.4 * sd(start, i)),
        Math.max(posterior.mean[i] + 3.2 * sd(posterior, i), start.mean[i] + 1.4 * sd(start, i)),
      ]);
      pane.rescale({ x, y });
    },
    draw(runs, position, posterior) {
      exact.forEach((shape, i) => shape.attr("d", path(pane, ellipse(posterior, i + 1), true)));
      for (const name of NAMES) {
        const run = runs.find((each) => each.name === name);
        const racing = run && position < run.qs.length;
        const q = racing && between(run, Math.min(position, run.qs.length - 1));
        const means = run?.qs.slice(0, Math.floor(position) + 1).map((q) => q.mean);
        traces[name].attr("d", run ? path(pane, near(pane, racing ? [...means, q.mean] : means)) : null);
        rings[name].attr("d", racing ? path(pane, near(pane, ellipse(q, 1)), true) : null);
        centres[name].attr("display", racing ? null : "none");
        if (!racing) continue;
        const [[x, y]] = near(pane, [q.mean]);
        centres[name].attr("transform", `translate(${pane.x(x)},${pane.y(y)})`);
      }
    },
  };
}

/** A number of each runner at each step, on a log axis: faint what is to come, with its name at its end. */
export function coursePane({ title, label, draw }) {
  const pane = plot({
    title,
    label,
    x: { label: "step", domain: [0, STEPS] },
    y: { label: "", domain: [1e-12, 100], log: true },
    ratio,
    draw,
  });
  const id = `vt-past-${++made}`;
  const past = pane.svg.append("clipPath").attr("id", id).append("rect").attr("y", -9);
  const floor = pane.marks.append("path").attr("class", "vt-exact");
  const faint = each((name) => curve(pane.marks, name, "vt-faint"));
  const layer = pane.marks.append("g").attr("clip-path", `url(#${id})`);
  const lines = each((name) => curve(layer, name, ""));
  const marks = each((name) => mark(pane.over, name));
  const names = each(() => pane.over.append("text").attr("class", "vt-label vt-runner-name"));
  const note = pane.over.append("text").attr("class", "vt-label vt-runner-name vt-runner-note");
  const height = (value) => {
    const [low, high] = pane.y.domain();
    return pane.y(Math.min(Math.max(value, low), high));
  };

  return {
    pane,
    rescale: (low, high) => pane.rescale({ y: [low, high] }),
    /** The whole of each line: values(run) has one number a step. */
    load(runs, values, best) {
      if (!pane.ready) return;
      const low = pane.y.domain()[0];
      floor.attr("d", best ? path(pane, [[0, best], [STEPS, best]]) : null);
      const ends = [];
      note.attr("display", best ? null : "none");
      if (best) ends.push({ label: note, text: "best mean-field", x: pane.width, y: height(best) + LINE });
      for (const name of NAMES) {
        const run = runs.find((each) => each.name === name);
        const d = run ? path(pane, values(run).map((value, t) => [t, Math.max(value, low)])) : null;
        faint[name].attr("d", d);
        lines[name].attr("d", d);
        names[name].attr("display", run ? null : "none");
        if (!run) continue;
        const [x, y] = [pane.x(run.qs.length - 1), height(values(run).at(-1)) - 7];
        ends.push({ label: names[name], text: LABELS[name], x, y });
      }
      spaced(ends, pane.height - 4).forEach(({ label, text, x, y }) => {
        const left = x < pane.width / 2;
        label
          .text(text)
          .attr("text-anchor", left ? "start" : "end")
          .attr("x", left ? x + 8 : x)
          .attr("y", y);
      });
    },
    draw(runs, position, values) {
      past.attr("width", Math.max(0, pane.x(position))).attr("height", pane.height + 18);
      for (const name of NAMES) {
        const run = runs.find((each) => each.name === name);
        const racing = run && position < run.qs.length;
        marks[name].attr("display", racing ? null : "none");
        if (!racing) continue;
        const t = Math.floor(position);
        const [from, to] = [t, Math.min(t + 1, run.qs.length - 1)].map((k) => height(values(run)[k]));
        const y = from + (position % 1) * (to - from);
        marks[name].attr("transform", `translate(${pane.x(position)},${y})`);
      }
    },
  };
}

/** Labels at least a line apart, and inside the pane. */
function spaced(labels, bottom) {
  const sorted = labels.toSorted((a, b) => a.y - b.y);
  for (let round = 0; round < 20; round++) {
    for (let i = 1; i < sorted.length; i++) {
      const short = Math.max(0, LINE - (sorted[i].y - sorted[i - 1].y)) / 2;
      sorted[i - 1].y -= short;
      sorted[i].y += short;
    }
  }
  sorted.forEach((label, i) => {
    label.y = Math.max(label.y, i ? sorted[i - 1].y + LINE : LINE - 2);
  });
  sorted.reverse().forEach((label, i) => {
    label.y = Math.min(label.y, i ? sorted[i - 1].y - LINE : bottom);
  });
  return sorted;
}
