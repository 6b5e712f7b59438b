// One pane: an SVG with axes, thin grid lines, and layers to draw on, in pixels at any width.

import { axisBottom, axisLeft } from "d3-axis";
import { scaleLinear, scaleLog } from "d3-scale";
import { select } from "d3-selection";
import { curveLinear, curveLinearClosed, line } from "d3-shape";

import { h, powerOfTen } from "./dom.js";

const MARGIN = { top: 8, right: 10, bottom: 36, left: 54 };
let made = 0;

/**
 * `title` may hold markup; `x` and `y` are { label, domain, log, ticks }; `ratio(width)` is height
 * over width. `draw` is called when the pane has a new size. Layers: `marks` is clipped to the axes,
 * `over` is not.
 */
export function plot({ title, label, x, y, ratio, draw }) {
  const id = `vt-clip-${++made}`;
  const heading = h("div", { class: "vt-title" });
  heading.innerHTML = title;
  const element = h("div", { class: "vt-pane" }, heading);
  const svg = select(element).append("svg").attr("role", "group").attr("aria-label", label);
  const clip = svg.append("clipPath").attr("id", id).append("rect");
  const inner = svg.append("g").attr("transform", `translate(${MARGIN.left},${MARGIN.top})`);
  const axes = { x: inner.append("g"), y: inner.append("g") };
  for (const axis of Object.values(axes)) axis.attr("class", "vt-axis").attr("aria-hidden", "true");
  const names = {
    x: inner.append("text").attr("class", "vt-name").attr("text-anchor", "middle").text(x.label),
    y: inner.append("text").attr("class", "vt-name").attr("text-anchor", "middle").text(y.label),
  };
  const background = inner.append("rect").attr("class", "vt-background");
  const marks = inner.append("g").attr("clip-path", `url(#${id})`);
  const over = inner.append("g");
  const scales = {
    x: (x.log ? scaleLog() : scaleLinear()).domain(x.domain),
    y: (y.log ? scaleLog() : scaleLinear()).domain(y.domain),
  };
  let [width, height, shown] = [0, 0, ""];

  function drawAxes() {
    const now = [width, height, scales.x.domain(), scales.y.domain()].join();
    if (now === shown) return;
    shown = now;
    const across = axisBottom(scales.x).tickSize(-height).tickPadding(7);
    const up = axisLeft(scales.y).tickSize(-width).tickPadding(7);
    if (x.ticks) across.tickValues(x.ticks);
    else ticks(across, scales.x, x, Math.max(2, Math.floor(width / 60)));
    if (y.ticks) up.tickValues(y.ticks);
    else ticks(up, scales.y, y, Math.max(2, Math.floor(height / 45)));
    axes.x.call(across);
    axes.y.call(up);
  }

  function resize() {
    const all = Math.floor(element.clientWidth);
    if (all === 0 || all - MARGIN.left - MARGIN.right === width) return;
    width = all - MARGIN.left - MARGIN.right;
    height = Math.round(all * ratio(all)) - MARGIN.top - MARGIN.bottom;
    scales.x.range([0, width]);
    scales.y.range([height, 0]);
    svg.attr("width", all).attr("height", height + MARGIN.top + MARGIN.bottom);
    for (const rect of [clip, background]) rect.attr("width", width).attr("height", height);
    axes.x.attr("transform", `translate(0,${height})`);
    names.x.attr("x", width / 2).attr("y", height + 32);
    names.y.attr("transform", `translate(-46,${height / 2}) rotate(-90)`);
    drawAxes();
    draw();
  }
  const observer = new ResizeObserver(resize);
  observer.observe(element);
  queueMicrotask(resize); // by then it is in the page, and nothing moves after the first paint

  return {
    element,
    heading,
    svg,
    background,
    marks,
    over,
    x: scales.x,
    y: scales.y,
    get ready() {
      return width > 0;
    },
    get width() {
      return width;
    },
    get height() {
      return height;
    },
    /** Other domains, a logarithmic y or not, another name for it. */
    rescale(domains) {
      if (domains.x) scales.x.domain(domains.x);
      if (domains.y) scales.y.domain(domains.y);
      if (width > 0) drawAxes();
    },
    /** Other names for the axes. */
    name(labels) {
      for (const [axis, text] of Object.entries(labels)) names[axis].text(text);
    },
    /** The data coordinates of a pointer event. */
    at(event) {
      const box = background.node().getBoundingClientRect();
      return [scales.x.invert(event.clientX - box.left), scales.y.invert(event.clientY - box.top)];
    },
    stop: () => observer.disconnect(),
  };
}

function ticks(axis, scale, { log }, count) {
  if (!log) return axis.ticks(count);
  const [low, high] = scale.domain().map(Math.log10);
  const by = Math.max(1, Math.ceil((high - low) / count));
  const exponents = [];
  for (let e = Math.floor(high / by) * by; e >= low; e -= by) exponents.push(e);
  return axis.tickValues(exponents.map((e) => 10 ** e)).tickFormat((v) => powerOfTen(Math.round(Math.log10(v))));
}

/** The d of a line through points in data coordinates. */
export const path = (plot, points, closed = false) =>
  line((p) => plot.x(p[0]), (p) => plot.y(p[1])).digits(1).curve(closed ? curveLinearClosed : curveLinear)(points);

const TURN = Array.from({ length: 49 }, (_, i) => [Math.cos((i * Math.PI) / 24), Math.sin((i * Math.PI) / 24)]);

/** The points of the ellipse of a two-dimensional { mean, chol } at `sds` standard deviations. */
export const ellipse = ({ mean, chol }, sds) =>
  TURN.map(([a, b]) => [
    mean[0] + sds * (chol[0][0] * a + chol[0][1] * b),
    mean[1] + sds * (chol[1][0] * a + chol[1][1] * b),
  ]);
