// The three panes: the densities, the evidence split in two, and the surface that is climbed.

import { contours } from "d3-contour";

import { decimals, nats } from "../lib/dom.js";
import { draggable } from "../lib/drag.js";
import { path, plot } from "../lib/plot.js";
import { HIGH, LOG_EVIDENCE, LOW, reverse } from "./posterior.js";

const Z = [-5, 5];
const DEEP = 5;
const LEVELS = [0.05, 0.2, 0.5, 1, 2, 4, 8];
const GRID = [46, 34];
const grid = (low, high, n) => Array.from({ length: n + 1 }, (_, i) => low + ((high - low) * i) / n);
const normal = (z, [m, s]) => Math.exp(-(((z - m) / s) ** 2) / 2) / s / Math.sqrt(2 * Math.PI);

function handle(layer, kind, radius) {
  const group = layer.append("g").attr("class", `vt-handle ${kind}`).attr("tabindex", 0).attr("role", "button");
  group.append("circle").attr("class", "vt-reach").attr("r", 14);
  group.append("circle").attr("class", "vt-dot").attr("r", radius);
  return group;
}

export function densityPane({ draw, move, done }) {
  const pane = plot({
    title: "the posterior and q<sub>φ</sub>",
    label: "The densities of the posterior and of q",
    x: { label: "z", domain: Z },
    y: { label: "density", domain: [0, 0.9] },
    ratio: () => 1,
    draw,
  });
  const { marks } = pane;
  const area = marks.append("path").attr("class", "vt-band");
  const exact = marks.append("path").attr("class", "vt-exact");
  const fill = marks.append("path").attr("class", "vt-q vt-outer");
  const line = marks.append("path").attr("class", "vt-q");
  let now = null;
  const places = [([mu]) => [mu, normal(mu, now)], ([mu, sigma]) => [mu + sigma, normal(mu + sigma, now)]];
  const moves = [([, sigma], [x]) => [x, sigma], ([mu], [x]) => [mu, Math.max(x - mu, LOW[1])]];
  const handles = ["vt-centre", ""].map((kind, i) => {
    const mark = handle(pane.over, kind, i ? 6 : 7);
    draggable(mark, pane, { place: () => places[i](now), move: (at) => move(moves[i](now, at)), done });
    return mark;
  });
  return {
    pane,
    draw({ target, phi }) {
      now = phi;
      const zs = grid(...Z, 160);
      const p = zs.map((z) => [z, Math.exp(target.log(z))]);
      const q = zs.map((z) => [z, normal(z, phi)]);
      const ends = [[Z[1], 0], [Z[0], 0]];
      area.attr("d", path(pane, [...p, ...ends], true));
      exact.attr("d", path(pane, p));
      fill.attr("d", path(pane, [...q, ...ends], true));
      line.attr("d", path(pane, q));
      handles.forEach((mark, i) => {
        const [x, y] = places[i](phi);
        mark.attr("transform", `translate(${pane.x(x)},${Math.max(pane.y(y), 0)})`);
        mark.attr("aria-label", `${i ? "σ" : "μ"} of q, ${decimals(phi[i])}. Left and right arrow keys move it.`);
      });
    },
  };
}

/** log p(x), and what each divergence leaves of it: the left column ends at the ELBO. */
export function splitPane({ draw }) {
  const pane = plot({
    title: "log p(x) = ELBO + KL",
    label: "The log evidence, split into ELBO and KL divergence",
    x: { label: "", domain: [0, 2.5], ticks: [] },
    y: { label: "nats", domain: [LOG_EVIDENCE - DEEP, LOG_EVIDENCE + 1] },
    ratio: () => 1,
    draw,
  });
  const { marks, over } = pane;
  const columns = [[0.1, 0.9], [1, 1.8]].map(([left, right], i) => ({
    left, right,
    rest: marks.append("path").attr("class", i ? "vt-nothing" : "vt-q vt-outer"),
    gap: marks.append("path").attr("class", i ? "vt-gap vt-other" : "vt-gap"),
    name: over.append("text").attr("class", "vt-label").attr("text-anchor", "middle"),
    value: over.append("text").attr("class", "vt-note").attr("text-anchor", "middle"),
  }));
  const top = marks.append("path").attr("class", "vt-exact");
  const note = over.append("text").attr("class", "vt-note").attr("text-anchor", "end").text("log p(x)");
  const elbo = over.append("text").attr("class", "vt-note").attr("text-anchor", "middle");
  const box = ({ left, right }, from, to) => path(pane, [[left, from], [right, from], [right, to], [left, to]], true);
  return {
    pane,
    draw({ reverse, forward }) {
      const floor = LOG_EVIDENCE - DEEP;
      top.attr("d", path(pane, [[0, LOG_EVIDENCE], [2.5, LOG_EVIDENCE]]));
      note.attr("x", pane.width - 3).attr("y", pane.y(LOG_EVIDENCE) - 5);
      [reverse, forward].forEach((value, i) => {
        const column = columns[i];
        const end = Math.max(LOG_EVIDENCE - value, floor);
        const middle = pane.x((column.left + column.right) / 2);
        column.gap.attr("d", box(column, LOG_EVIDENCE, end));
        column.rest.attr("d", i ? null : box(column, end, floor));
        const line = pane.y(LOG_EVIDENCE);
        column.name.text(i ? "KL(p‖q)" : "KL(q‖p)").attr("x", middle).attr("y", line - 20);
        column.value.text(nats(value)).attr("x", middle).attr("y", line - 6);
      });
      const at = Math.max(LOG_EVIDENCE - reverse, floor);
      elbo.text(`ELBO ${decimals(LOG_EVIDENCE - reverse)}`).attr("x", pane.x(0.5));
      elbo.attr("y", Math.min(pane.y(at) + 16, pane.height - 6));
    },
  };
}

/** The ELBO over μ and log σ, with the way that was taken. */
export function surfacePane({ draw, move, done }) {
  const pane = plot({
    title: "the ELBO over μ and log σ",
    label: "The ELBO as a surface over the mean and log standard deviation of q",
    x: { label: "μ", domain: [LOW[0], HIGH[0]] },
    y: { label: "log σ", domain: [Math.log(LOW[1]), Math.log(HIGH[1])] },
    ratio: (width) => (width < 290 ? 1 : width < 480 ? 0.75 : 0.42),
    draw,
  });
  const { marks } = pane;
  const bands = LEVELS.map(() => marks.append("path").attr("class", "vt-level"));
  const ahead = marks.append("path").attr("class", "vt-q").attr("stroke-opacity", 0.3);
  const trail = marks.append("path").attr("class", "vt-trace");
  const way = marks.append("path").attr("class", "vt-q");
  const dot = handle(pane.over, "vt-centre", 7);
  let now = null;
  let shapes = [];
  const point = ([mu, sigma]) => [mu, Math.log(sigma)];
  draggable(dot, pane, { place: () => point(now), move: ([x, y]) => move([x, Math.exp(y)]), done });
  return {
    pane,
    open(target) {
      const [across, up] = GRID;
      const values = [];
      const [xs, ys] = [pane.x.domain(), pane.y.domain()];
      const at = ([low, high], i, n) => low + ((high - low) * (i + 0.5)) / n;
      for (let j = 0; j < up; j++) {
        for (let i = 0; i < across; i++) {
          values.push(-reverse(target, [at(xs, i, across), Math.exp(at(ys, j, up))], 0.1));
        }
      }
      const scaled = ([i, j]) => [xs[0] + ((xs[1] - xs[0]) * i) / across, ys[0] + ((ys[1] - ys[0]) * j) / up];
      const rings = contours().size(GRID).thresholds(LEVELS.map((level) => -level).reverse())(values);
      shapes = rings.reverse().map(({ coordinates }) => coordinates.flat().map((ring) => ring.map(scaled)));
    },
    draw({ phi, course, position, visited }) {
      now = phi;
      shapes.forEach((rings, i) => bands[i].attr("d", rings.map((ring) => path(pane, ring, true)).join("")));
      const at = Math.floor(position);
      trail.attr("d", path(pane, visited.map(point)));
      ahead.attr("d", path(pane, course.slice(at).map(point)));
      way.attr("d", path(pane, [...course.slice(0, at + 1), phi].map(point)));
      const [x, y] = point(phi);
      dot.attr("transform", `translate(${pane.x(x)},${pane.y(y)})`);
      dot.attr("aria-label", `q on the surface, μ ${decimals(phi[0])}, σ ${decimals(phi[1])}. Arrow keys move it.`);
    },
  };
}
