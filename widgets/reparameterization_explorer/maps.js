// Maps z = g_φ(ε), a target for each, and two estimates of the ELBO's gradient. Knows no page.
//
// Each map works through one number u = a + b e, where e is ε or |ε|, and φ = (a, log b). The change
// from u to z is the same for q and for the target, so it leaves log p - log q as it is.

import { LOG_2PI } from "../engine/gaussian.js";
import { adam, generator } from "../engine/index.js";
import { sum } from "../engine/linalg.js";

/** log p(x): the target is a posterior, and its evidence is not one. */
export const LOG_EVIDENCE = -5;
const MEAN_LENGTH = Math.sqrt(Math.PI / 2);
const EULER = 0.5772156649015329;

/** Noise e with density r(e): log r, its score at φ in units of (1 / b, 1), its first two moments, E[log r]. */
const NORMAL = {
  logDensity: (e) => -(e * e + LOG_2PI) / 2,
  score: (e) => [e, e * e - 1],
  moments: [0, 1],
  meanLog: -(1 + LOG_2PI) / 2,
};
/** The length of a two-dimensional normal ε. */
const RAYLEIGH = {
  logDensity: (e) => Math.log(e) - (e * e) / 2,
  score: (e) => [e - 1 / e, e * e - 2],
  moments: [MEAN_LENGTH, 2],
  meanLog: (Math.log(2) - EULER) / 2 - 1,
};

/** The standard normal distribution function, by Simpson's rule. */
function normalCdf(x) {
  const [low, steps] = [-9, 400];
  const h = (x - low) / steps;
  let total = 0;
  for (let i = 0; i <= steps; i++) {
    total += (i === 0 || i === steps ? 1 : i % 2 ? 4 : 2) * Math.exp(-((low + i * h) ** 2) / 2);
  }
  return (total * h) / 3 / Math.sqrt(2 * Math.PI);
}

export const MAPS = {
  "location-scale": {
    dim: 1, names: ["μ", "s"], noise: NORMAL, target: { m: 1, t: 0.5, mass: 1 }, start: [-1, 1],
    low: [-3, 0.1], high: [3, 2], formula: "z = μ + s ε", e: (eps) => eps[0], z: (u) => [u],
  },
  "log-normal": {
    dim: 1, names: ["μ", "s"], noise: NORMAL, target: { m: 0.4, t: 0.35, mass: 1 }, start: [-0.5, 0.8],
    low: [-1.5, 0.1], high: [1.5, 1.2], formula: "z = exp(μ + s ε)", e: (eps) => eps[0], z: (u) => [Math.exp(u)],
  },
  ring: {
    dim: 2, names: ["r", "w"], noise: RAYLEIGH, target: { m: 2, t: 0.25, mass: normalCdf(8) }, start: [0.3, 0.8],
    low: [0, 0.05], high: [3, 1.2], formula: "z = r ε / |ε| + w ε",
    e: (eps) => Math.hypot(...eps), z: (u, eps) => eps.map((value) => (u * value) / Math.hypot(...eps)),
  },
};

/** The noise of step t: the same at each, or drawn afresh. */
export const noiseAt = (map, { seed, draws, afresh }, t) =>
  generator(afresh ? 1000 * seed + t : 1000 * seed).normal(draws, map.dim);

export const along = (map, [a, b], eps) => a + b * map.e(eps);
export const transform = (map, phi, eps) => map.z(along(map, phi, eps), eps);

const logJoint = ({ target: { m, t, mass } }, u) =>
  LOG_EVIDENCE -(((u - m) / t) ** 2 + LOG_2PI) / 2 - Math.log(t) - Math.log(mass);

/** d log p / du: how much better it gets along the path. */
export const slope = ({ target: { m, t } }, u) => -(u - m) / t ** 2;

/** Of each draw, its estimates of ∂ELBO/∂a and ∂ELBO/∂log b: { pathwise, score }, each [one, other]. */
export function estimates(map, [a, b], draws) {
  return draws.map((eps) => {
    const e = map.e(eps);
    const u = a + b * e;
    const along = slope(map, u);
    const value = logJoint(map, u) - map.noise.logDensity(e) + Math.log(b);
    const [byA, byB] = map.noise.score(e);
    return { pathwise: [along, along * b * e + 1], score: [(value * byA) / b, value * byB] };
  });
}

/** KL(q ‖ target) in nats, in closed form. */
export function klExact(map, [a, b]) {
  const { m, t, mass } = map.target;
  const [first, second] = map.noise.moments;
  const square = (a - m) ** 2 + 2 * (a - m) * b * first + b * b * second;
  return map.noise.meanLog - Math.log(b) + square / (2 * t * t) + Math.log(t * mass) + LOG_2PI / 2;
}

/** The exact ∂ELBO/∂a and ∂ELBO/∂log b. */
export function gradientExact(map, [a, b]) {
  const { m, t } = map.target;
  const [first, second] = map.noise.moments;
  return [-(a - m + b * first) / t ** 2, 1 - (b * (a - m) * first + b * b * second) / t ** 2];
}

/** The φ after each of `steps` steps of Adam along the mean estimate, the first included. */
export function climb(map, phi, settings, steps) {
  const optimizer = adam(0.08);
  let params = [phi[0], Math.log(phi[1])];
  let state = optimizer.init(params);
  const course = [phi];
  for (let t = 0; t < steps; t++) {
    const each = estimates(map, course[t], noiseAt(map, settings, t));
    const gradient = [0, 1].map((i) => sum(each.map((one) => one[settings.kind][i])) / each.length);
    const change = optimizer.update(gradient, state);
    state = change.state;
    const next = inside(map, [params[0] + change.step[0], Math.exp(params[1] + change.step[1])]);
    params = [next[0], Math.log(next[1])];
    course.push(next);
  }
  return course;
}

/** φ within what the sliders reach. */
export const inside = (map, phi) => phi.map((value, i) => Math.min(Math.max(value, map.low[i]), map.high[i]));
