// The three panes: the noise, what the map makes of it, and two estimates of the gradient.

import { decimals } from "../lib/dom.js";
import { draggable } from "../lib/drag.js";
import { path, plot } from "../lib/plot.js";
import { along, slope, transform } from "./maps.js";

const FAR = { "location-scale": [-4, 4], "log-normal": [0, 5], ring: [-4, 4] };
const NOISE = [-3.3, 3.3];
const TAGGED = 3;
const PULL = 0.12;
let made = 0;
const grid = (low, high, n) => Array.from({ length: n + 1 }, (_, i) => low + ((high - low) * i) / n);
const circle = (radius) => grid(0, 2 * Math.PI, 60).map((t) => [radius * Math.cos(t), radius * Math.sin(t)]);
const density = (u, m, t) => Math.exp(-(((u - m) / t) ** 2) / 2) / t / Math.sqrt(2 * Math.PI);

/** One dot a draw, the first three with their numbers, so that one finds them in the next pane. */
function cloud(layer) {
  const dots = [];
  const tags = grid(0, TAGGED - 1, TAGGED - 1).map((i) =>
    layer.append("text").attr("class", "vt-tag").attr("dx", 5).attr("dy", -5).text(i + 1),
  );
  return (pane, places) => {
    while (dots.length > places.length) dots.pop().remove();
    while (dots.length < places.length) dots.push(layer.insert("circle", "text").attr("class", "vt-particle").attr("r", 2.6));
    places.forEach(([x, y], i) => {
      const [px, py] = [pane.x(x).toFixed(1), pane.y(y).toFixed(1)];
      dots[i].attr("cx", px).attr("cy", py);
      tags[i]?.attr("x", px).attr("y", py);
    });
  };
}

export function noisePane({ draw }) {
  const pane = plot({
    title: "noise ε, drawn once",
    label: "The noise, and where the map sends it",
    x: { label: "ε", domain: NOISE },
    y: { label: "z", domain: FAR.ring },
    ratio: () => 1,
    draw,
  });
  const curve = pane.marks.append("path").attr("class", "vt-q");
  const place = cloud(pane.marks);
  return {
    pane,
    open(map, name) {
      pane.rescale({ x: NOISE, y: map.dim === 1 ? FAR[name] : NOISE });
      pane.name({ x: map.dim === 1 ? "ε" : "ε₁", y: map.dim === 1 ? "z" : "ε₂" });
    },
    draw({ map, phi, draws, afresh }) {
      pane.heading.textContent = afresh ? "noise ε, drawn afresh" : "noise ε, drawn once";
      const line = map.dim === 1 ? grid(...NOISE, 60).map((e) => [e, transform(map, phi, [e])[0]]) : [];
      curve.attr("d", path(pane, line));
      place(pane, draws.map((eps) => (map.dim === 1 ? [eps[0], transform(map, phi, eps)[0]] : eps)));
    },
  };
}

export function imagePane({ draw, move, done }) {
  const pane = plot({
    title: "z = g<sub>φ</sub>(ε) and the target",
    label: "What the map makes of the noise, over the target",
    x: { label: "z", domain: FAR.ring },
    y: { label: "", domain: FAR.ring },
    ratio: () => 1,
    draw,
  });
  const { marks } = pane;
  const exact = [0, 1, 2].map(() => marks.append("path").attr("class", "vt-exact"));
  const family = marks.append("path").attr("class", "vt-q");
  const trails = marks.append("path").attr("class", "vt-trace");
  const head = `vt-head-${++made}`;
  const marker = pane.svg.append("marker").attr("id", head).attr("viewBox", "0 0 6 6").attr("refX", 5).attr("refY", 3);
  marker.attr("orient", "auto").attr("class", "vt-head").append("path").attr("d", "M0,0L6,3L0,6Z");
  const layer = marks.append("g").attr("class", "vt-arrow");
  const arrows = [];
  const place = cloud(marks);
  let now = null;
  let top = 1;

  const height = (i) => top * (0.06 + 0.3 * ((i * 0.618) % 1));
  const spot = (u, eps, i) => {
    const z = now.map.z(u, eps);
    return now.map.dim === 1 ? [z[0], height(i)] : z;
  };
  const onAxis = (u) => [now.map.dim === 1 ? now.map.z(u)[0] : u, 0];
  const back = (x) => (now.name === "log-normal" ? Math.log(Math.max(x, 1e-3)) : x);
  const handles = [0, 1].map((i) => {
    const handle = pane.over.append("g").attr("class", i ? "vt-handle" : "vt-handle vt-centre");
    handle.attr("tabindex", 0).attr("role", "button");
    handle.append("circle").attr("class", "vt-reach").attr("r", 14);
    handle.append("circle").attr("class", "vt-dot").attr("r", i ? 6 : 7);
    draggable(handle, pane, {
      place: () => onAxis(now.phi[0] + (i ? now.phi[1] : 0)),
      move: ([x]) => move(i ? [now.phi[0], back(x) - now.phi[0]] : [back(x), now.phi[1]]),
      done,
    });
    return handle;
  });

  return {
    pane,
    open(map, name) {
      const { m, t } = map.target;
      top = map.dim === 1 ? 1.3 * density(m, m, t) / (name === "log-normal" ? Math.exp(m - t * t) : 1) : 1;
      pane.rescale({ x: FAR[name], y: map.dim === 1 ? [0, top] : FAR[name] });
      pane.name({ x: map.dim === 1 ? "z" : "z₁", y: map.dim === 1 ? "density" : "z₂" });
    },
    draw({ map, name, phi, draws, first }) {
      now = { map, name, phi };
      const { m, t } = map.target;
      const [a, b] = phi;
      if (map.dim === 1) {
        const zs = grid(...FAR[name], 120);
        const q = name === "log-normal" ? (z, c, d) => density(Math.log(z), c, d) / z : density;
        exact[0].attr("d", path(pane, zs.map((z) => [z, z > 0 || name !== "log-normal" ? q(z, m, t) : 0])));
        family.attr("d", path(pane, zs.map((z) => [z, z > 0 || name !== "log-normal" ? q(z, a, b) : 0])));
        exact.slice(1).forEach((shape) => shape.attr("d", null));
      } else {
        [m - t, m, m + t].forEach((radius, i) => exact[i].attr("d", path(pane, circle(radius), true)));
        family.attr("d", path(pane, circle(a), true));
      }
      place(pane, draws.map((eps, i) => spot(along(map, phi, eps), eps, i)));
      const piece = (from, to, eps, i) => path(pane, [spot(from, eps, i), spot(to, eps, i)]);
      const us = draws.map((eps) => along(map, phi, eps));
      trails.attr("d", draws.map((eps, i) => piece(along(map, first, eps), us[i], eps, i)).join(""));
      while (arrows.length > draws.length) arrows.pop().remove();
      while (arrows.length < draws.length) arrows.push(layer.append("path").attr("marker-end", `url(#${head})`));
      draws.forEach((eps, i) => {
        const to = us[i] + Math.max(Math.min(PULL * slope(map, us[i]) * t, 1), -1);
        arrows[i].attr("d", piece(us[i], map.dim === 2 ? Math.max(to, 0) : to, eps, i));
      });
      [a, a + b].forEach((u, i) => {
        const [x, y] = onAxis(u);
        handles[i].attr("transform", `translate(${pane.x(x)},${pane.y(y)})`);
        handles[i].attr("aria-label", `${map.names[i]}, at ${decimals(phi[i])}. Left and right arrow keys move it.`);
      });
    },
  };
}

/** Each draw's estimate of one partial derivative, in two rows, and the exact value. */
export function gradientPane({ draw }) {
  const pane = plot({
    title: "two estimates of the gradient, one dot a draw",
    label: "Each draw's estimate of the gradient, pathwise above, score function below",
    x: { label: "estimate", domain: [-1, 1] },
    y: { label: "", domain: [0, 4], ticks: [] },
    ratio: (width) => (width < 480 ? 0.8 : 0.36),
    draw,
  });
  const exact = pane.marks.append("path").attr("class", "vt-exact");
  const rows = [["pathwise", 3], ["score function", 1]].map(([name, y]) => {
    const dots = [];
    const text = pane.over.append("text").attr("class", "vt-note").text(name);
    const layer = pane.marks.append("g");
    const mean = pane.marks.append("path").attr("class", "vt-q vt-mean");
    return { y, dots, layer, mean, text };
  });
  return {
    pane,
    draw({ values, means, truth, label }) {
      pane.name({ x: `∂ELBO / ∂ ${label}` });
      const far = values[1].map((value) => Math.abs(value - truth)).sort((p, q) => p - q);
      const reach = 1.15 * Math.max(far[Math.floor(0.9 * (far.length - 1))], 0.5);
      pane.rescale({ x: [truth - reach, truth + reach] });
      exact.attr("d", path(pane, [[truth, 0], [truth, 4]]));
      rows.forEach(({ y, dots, layer, mean, text }, k) => {
        while (dots.length > values[k].length) dots.pop().remove();
        while (dots.length < values[k].length) dots.push(layer.append("circle").attr("class", "vt-particle").attr("r", 2.6));
        values[k].forEach((value, i) => {
          const inside = Math.max(Math.min(value, truth + reach), truth - reach);
          dots[i].attr("cx", pane.x(inside).toFixed(1)).attr("cy", pane.y(y + 0.9 * (((i * 0.618) % 1) - 0.5)).toFixed(1));
        });
        const middle = Math.max(Math.min(means[k], truth + reach), truth - reach);
        mean.attr("d", path(pane, [[middle, y - 0.7], [middle, y + 0.7]]));
        text.attr("x", 4).attr("y", pane.y(y + 0.72));
      });
    },
  };
}
