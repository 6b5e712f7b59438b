// Natural-gradient ascent, step for step as the Python core's natural.py, whose formulas it follows.
// log p is a parabola here, so its curvature is never negative and is used as it is.

import { transform } from "./estimators.js";
import { LOG_2PI, logDet } from "./gaussian.js";
import {
  add, build, cholesky, dot, identity, invert, invertLower, product, qr, scale, sum, times,
  transpose,
} from "./linalg.js";
import { decay } from "./optimizers.js";

const RATE = decay(0.5, 100);
const FIRST_RADIUS = 10;

/** Yields { elbo, phi, gain } after each step of `draws` draws, without end. */
export function* naturalAscent(model, family, phi, draws, rng) {
  const { dim } = family;
  const gather = stepsPerUpdate(draws, dim);
  let { mean, chol } = family.distribution(phi);
  let precision = invert(product(chol, transpose(chol)));
  let [radius, length, step] = [FIRST_RADIUS, 0, new Array(dim).fill(0)];
  for (let update = 0; ; update++) {
    const eps = pairedNoise(rng, gather * draws, dim);
    const slopes = [];
    let elbo;
    for (let part = 0; part < gather; part++) {
      const own = eps.slice(part * draws, (part + 1) * draws);
      const z = own.map((draw) => transform({ mean, chol }, draw));
      slopes.push(...z.map(model.gradient));
      const squares = sum(own.flat().map((value) => value ** 2));
      const logVolume = logDet(chol) + (dim * LOG_2PI) / 2;
      elbo = sum(z.map(model.logJoint)) / draws + squares / (2 * draws) + logVolume;
      if (part < gather - 1) yield { elbo, phi, gain: null };
    }

    const { gradient, curvature, weight } = localShape(slopes, eps, chol);
    const unit = identity(dim);
    let misfit = 0;
    curvature.forEach((row, i) =>
      row.forEach((value, j) => (misfit += family.allows(i, j) ? (value - unit[i][j]) ** 2 / 4 : 0)),
    );
    const inverse = invertLower(chol);
    const rate = RATE(update);
    const toward = Math.min(rate * weight, 0.9);
    const target = product(transpose(inverse), product(curvature, inverse));
    const before = precision;
    const mixed = before.map((row, i) => row.map((v, j) => (1 - toward) * v + toward * target[i][j]));
    precision = mixed.map((row, i) => row.map((value, j) => (value + mixed[j][i]) / 2));
    const uphill = times(transpose(inverse), gradient);
    if (length > radius) radius = dot(uphill, step) > 0 ? 2 * radius : radius / 4;
    const newton = times(invert(precision), uphill);
    const gain = misfit + dot(gradient, times(inverse, newton)) / 2;
    step = scale(newton, rate);
    length = Math.sqrt(dot(step, times(before, step)));
    step = scale(step, radius / Math.max(length, radius));
    mean = add(mean, step);
    chol = cholesky(invert(build(dim, dim, (i, j) => (family.allows(i, j) ? precision[i][j] : 0))));
    phi = family.pack({ mean, chol });
    yield { elbo, phi, gain };
  }
}

/** The fewest steps whose draws together can be paired and span all dimensions. */
function stepsPerUpdate(draws, dim) {
  const gather = Math.ceil((2 * dim) / draws);
  return gather + ((gather * draws) % 2);
}

/** Draws in pairs ε, -ε, whose second moment is exactly a multiple of the identity. */
function pairedNoise(rng, rows, dim) {
  const half = rows / 2;
  const { Q } = qr(rng.normal(half, dim));
  const radius = Math.sqrt(rng.chisquare(half));
  const draws = Q.map((row) => scale(row, radius));
  return [...draws, ...draws.map((row) => scale(row, -1))];
}

/** Lᵀ ĝ, Lᵀ Ĥ L and the weight |ε|² / (S D). */
function localShape(slopes, eps, chol) {
  const local = product(slopes, chol);
  const square = sum(eps.flat().map((value) => value ** 2));
  const moment = product(transpose(local), eps).map((row) => scale(row, -chol.length / square));
  return {
    gradient: transpose(local).map((column) => sum(column) / column.length),
    curvature: moment.map((row, i) => row.map((value, j) => (value + moment[j][i]) / 2)),
    weight: square / (eps.length * chol.length),
  };
}
