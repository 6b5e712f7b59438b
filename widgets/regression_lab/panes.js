// The three panes of the lab: weights, data, and the gap.

import { predict } from "../engine/index.js";
import { decimals, nats } from "../lib/dom.js";
import { draggable } from "../lib/drag.js";
import { ellipse, path, plot } from "../lib/plot.js";

const LINES = 16;
const SMALLEST = 1e-13;
const REACH = 14;
const names = ["μ of q", "first column of L", "second column of L"];

/** A mark that can be moved: a dot, with room around it for a finger. */
function mark(layer, kind, radius) {
  const group = layer.append("g").attr("class", kind).attr("tabindex", 0).attr("role", "button");
  group.append("circle").attr("class", "vt-reach").attr("r", REACH);
  group.append("circle").attr("class", "vt-dot").attr("r", radius);
  return group;
}

const goTo = (group, plot, [x, y]) => group.attr("transform", `translate(${plot.x(x)},${plot.y(y)})`);

/** Parameter space: the exact posterior, q, its particles, and handles on q for who wants to drive. */
export function weightsPane({ labels, noise, draw, drive }) {
  const pane = plot({
    title: "q<sub>φ</sub> over the exact posterior",
    label: "Weights: q over the exact posterior",
    x: { label: labels[0], domain: [-3, 3] },
    y: { label: labels[1], domain: [-3, 3] },
    ratio: () => 1,
    draw,
  });
  const { marks } = pane;
  const outer = marks.append("path").attr("class", "vt-q vt-outer");
  const trace = marks.append("path").attr("class", "vt-trace");
  const exact = [1, 2].map(() => marks.append("path").attr("class", "vt-exact"));
  const one = marks.append("path").attr("class", "vt-q");
  const particles = noise.map(() => marks.append("circle").attr("class", "vt-particle").attr("r", 2.2));
  const centre = marks.append("circle").attr("class", "vt-now").attr("r", 4.5);

  let now = null;
  const places = [
    (q) => q.mean,
    (q) => [q.mean[0] + q.chol[0][0], q.mean[1] + q.chol[1][0]],
    (q) => [q.mean[0], q.mean[1] + q.chol[1][1]],
  ];
  const least = (span) => span / 500;
  const moves = [
    (q, at) => ({ ...q, mean: at }),
    (q, at, family) => ({
      ...q,
      chol: [
        [Math.max(at[0] - q.mean[0], least(q.chol[0][0])), 0],
        [family === "full-rank" ? at[1] - q.mean[1] : 0, q.chol[1][1]],
      ],
    }),
    (q, at) => ({ ...q, chol: [q.chol[0], [q.chol[1][0], Math.max(at[1] - q.mean[1], least(q.chol[1][1]))]] }),
  ];
  const handles = places.map((place, i) => {
    const handle = mark(pane.over, i ? "vt-handle" : "vt-handle vt-centre", i ? 6 : 7);
    draggable(handle, pane, {
      place: () => place(now.q),
      move: (at) => drive(moves[i](now.q, at, now.family)),
    });
    return handle;
  });

  return {
    pane,
    /** Look so that the box of `low` … `high` is in view, at once or a little nearer to it. */
    look(low, high, atOnce) {
      const share = atOnce ? 1 : 0.2;
      const domains = [pane.x, pane.y].map((scale, i) => {
        const [from, to] = scale.domain();
        const room = 0.05 * (high[i] - low[i]);
        return [from + share * (low[i] - room - from), to + share * (high[i] + room - to)];
      });
      pane.rescale({ x: domains[0], y: domains[1] });
    },
    draw({ q, means, posterior, family, driving }) {
      now = { q, family };
      exact.forEach((shape, i) => shape.attr("d", path(pane, ellipse(posterior, i + 1), true)));
      one.attr("d", path(pane, ellipse(q, 1), true));
      outer.attr("d", path(pane, ellipse(q, 2), true));
      trace.attr("d", driving ? null : path(pane, means));
      centre.attr("cx", pane.x(q.mean[0])).attr("cy", pane.y(q.mean[1]));
      const [[l11], [l21, l22]] = q.chol;
      noise.forEach(([a, b], i) => {
        particles[i]
          .attr("cx", pane.x(q.mean[0] + l11 * a).toFixed(1))
          .attr("cy", pane.y(q.mean[1] + l21 * a + l22 * b).toFixed(1));
      });
      handles.forEach((handle, i) => {
        handle.attr("display", driving ? null : "none");
        if (!driving) return;
        const at = places[i](q);
        goTo(handle, pane, at);
        const where = `${labels[0]} ${decimals(at[0])}, ${labels[1]} ${decimals(at[1])}`;
        handle.attr("aria-label", `${names[i]}, at ${where}. Arrow keys move it.`);
      });
    },
  };
}

/** Function space: data that can be moved, lines drawn from q, the exact predictive band. */
export function dataPane({ narrow, labels, noise, draw, editable, change, pick, release }) {
  const pane = plot({
    title: "lines drawn from q<sub>φ</sub>",
    label: "Data and lines drawn from q",
    x: { label: labels[0], domain: [0, 1] },
    y: { label: labels[1], domain: [0, 1] },
    ratio: () => (narrow() ? 0.7 : 1),
    draw,
  });
  const band = pane.marks.append("path").attr("class", "vt-band");
  const lines = noise.slice(0, LINES).map(() => pane.marks.append("path").attr("class", "vt-trace"));
  const middle = pane.marks.append("path").attr("class", "vt-exact");
  const cloud = pane.marks.append("g");
  let groups = [];
  let now = null;

  if (editable) {
    pane.background.style("cursor", "copy");
    pane.svg.on("click", (event) => {
      const at = pane.at(event);
      const inside = [pane.x, pane.y].every((s, i) => at[i] >= s.domain()[0] && at[i] <= s.domain()[1]);
      if (inside) change([...now.points, at], now.points.length);
    });
  }

  function addMark(index) {
    const group = mark(pane.over, "vt-point", 6);
    const at = (to) => now.points.map((point, i) => (i === index ? to : point));
    draggable(group, pane, {
      place: () => now.points[index],
      move: (to) => change(at(to), index, true),
      done: release,
    });
    group.on("focus", () => pick(index));
    group.on("keydown.remove", (event) => {
      if (event.key !== "Delete" && event.key !== "Backspace") return;
      event.preventDefault();
      if (now.points.length > 1) change(now.points.filter((_, i) => i !== index), Math.max(0, index - 1));
    });
    return group;
  }

  return {
    pane,
    focus: (index) => groups[index]?.node().focus({ preventScroll: true }),
    /** Axes with room around the points and the band. */
    frame(points, model) {
      const xs = points.map(([x]) => x);
      const span = Math.max(...xs) - Math.min(...xs) || 1;
      const x = [Math.min(...xs) - 0.15 * span, Math.max(...xs) + 0.15 * span];
      const ends = x.map((at) => predict(model.posterior, [1, at], model.noiseSd));
      const ys = points.map(([, y]) => y);
      const low = Math.min(...ys, ...ends.map((e) => e.mean - 2 * e.sd));
      const high = Math.max(...ys, ...ends.map((e) => e.mean + 2 * e.sd));
      pane.rescale({ x, y: [low, high] });
    },
    draw({ q, points, model, picked }) {
      const [from, to] = pane.x.domain();
      if (now?.model !== model || now.width !== pane.width) {
        const grid = Array.from({ length: 25 }, (_, i) => from + ((to - from) * i) / 24);
        const exact = grid.map((x) => ({ x, ...predict(model.posterior, [1, x], model.noiseSd) }));
        const upper = exact.map(({ x, mean, sd }) => [x, mean + 1.96 * sd]);
        const lower = exact.map(({ x, mean, sd }) => [x, mean - 1.96 * sd]);
        band.attr("d", `${path(pane, upper)}L${path(pane, lower.reverse()).slice(1)}Z`);
        middle.attr("d", path(pane, [exact[0], exact[24]].map(({ x, mean }) => [x, mean])));
      }
      if (editable) {
        while (groups.length > points.length) groups.pop().remove();
        while (groups.length < points.length) groups.push(addMark(groups.length));
      } else if (cloud.selectAll("circle").size() !== points.length) {
        groups = points.map(() => cloud.append("circle").attr("class", "vt-cloud").attr("r", 2.5));
      }
      if (now?.points !== points || now.width !== pane.width || now.picked !== picked) {
        points.forEach((point, i) => {
          goTo(groups[i], pane, point);
          if (!editable) return;
          const where = `${labels[0]} ${decimals(point[0])}, ${labels[1]} ${decimals(point[1])}`;
          groups[i]
            .attr("aria-label", `Point ${i + 1} of ${points.length}, ${where}. Arrow keys move it, Delete removes it.`)
            .attr("aria-current", i === picked);
        });
      }
      const [[l11], [l21, l22]] = q.chol;
      lines.forEach((line, i) => {
        const intercept = q.mean[0] + l11 * noise[i][0];
        const slope = q.mean[1] + l21 * noise[i][0] + l22 * noise[i][1];
        line.attr("d", path(pane, [[from, intercept + slope * from], [to, intercept + slope * to]]));
      });
      now = { points, model, picked, width: pane.width };
    },
  };
}

/** The objective: the gap log p(x) - ELBO on a log axis, or the ELBO itself. */
export function gapPane({ narrow, draw, toggle }) {
  const common = { x: { label: "step", domain: [0, 1] }, ratio: (width) => (width < 290 ? 1 : narrow() ? 0.6 : 0.4), draw };
  const gap = plot({
    ...common,
    title: "log p(x) − ELBO",
    label: "The gap between log evidence and ELBO, which is the KL divergence, at each step",
    y: { label: "nats", domain: [SMALLEST, 100], log: true },
  });
  const elbo = plot({
    ...common,
    title: "ELBO",
    label: "The ELBO at each step, under the log evidence",
    y: { label: "nats", domain: [-1, 0] },
  });
  const parts = [gap, elbo].map((pane) => {
    const floor = pane.marks.append("path").attr("class", "vt-exact");
    const note = pane.marks.append("text").attr("class", "vt-note").attr("text-anchor", "end");
    const future = pane.marks.append("path").attr("class", "vt-q").attr("stroke-opacity", 0.3);
    const past = pane.marks.append("path").attr("class", "vt-q");
    const dot = pane.over.append("circle").attr("class", "vt-now").attr("r", 5.5);
    const label = pane.over.append("text").attr("class", "vt-label");
    return { pane, floor, note, future, past, dot, label };
  });
  elbo.element.hidden = true;
  gap.heading.append(toggle);
  const above = (value) => Math.max(value, SMALLEST);
  let course = null;

  return {
    panes: [gap, elbo],
    show(which) {
      parts.forEach(({ pane }, i) => (pane.element.hidden = which !== (i ? "elbo" : "gap")));
      (which === "elbo" ? elbo : gap).heading.append(toggle);
    },
    load(next, evidence, best) {
      course = { ...next, evidence, best };
      const { kls, steps } = next;
      const x = [0, Math.max(steps.at(-1), 1)];
      const low = Math.min(...kls);
      const high = 10 ** Math.ceil(Math.log10(above(Math.max(...kls))) + 0.1);
      gap.rescale({ x, y: [Math.min(Math.max(10 ** Math.floor(Math.log10(above(low))), SMALLEST), high / 1e4), high] });
      const worst = Math.max(...kls.slice(Math.min(2, kls.length - 1)), 0.5);
      elbo.rescale({ x, y: [evidence - 1.2 * worst, evidence + 0.2 * worst] });
    },
    draw({ position, kl, driving }) {
      const { kls, steps, evidence, best } = course;
      const at = Math.floor(position);
      const step = steps[at] + (position % 1) * ((steps[at + 1] ?? steps[at]) - steps[at]);
      parts.forEach(({ pane, floor, note, future, past, dot, label }, i) => {
        if (!pane.ready || pane.element.hidden) return;
        const height = i ? (value) => evidence - value : above;
        const [left, right] = pane.x.domain();
        const points = kls.map((value, t) => [steps[t], height(value)]);
        const line = i ? evidence : best;
        const shown = line > pane.y.domain()[0];
        floor.attr("d", shown ? path(pane, [[left, line], [right, line]]) : null);
        note
          .text(!shown ? "" : i ? "log p(x)" : "best mean-field")
          .attr("x", pane.width - 4)
          .attr("y", shown ? pane.y(line) + (i ? -5 : 14) : 0);
        future.attr("d", driving ? null : path(pane, points.slice(at)));
        past.attr("d", driving ? null : path(pane, [...points.slice(0, at + 1), [step, height(kl)]]));
        const spot = [pane.x(driving ? left : step), Math.min(Math.max(pane.y(height(kl)), 0), pane.height)];
        dot.attr("cx", spot[0]).attr("cy", spot[1]);
        const flip = spot[0] > pane.width * 0.55;
        label
          .text(`${nats(i ? evidence - kl : kl)} nats`)
          .attr("text-anchor", flip ? "end" : "start")
          .attr("x", spot[0] + (flip ? -10 : 12))
          .attr("y", Math.max(spot[1] - (flip ? 12 : 0), 12));
      });
    },
  };
}
