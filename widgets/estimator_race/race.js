// Four ascents on the same noise, and how far their gradients spread. Knows no page.

import {
  adam, estimators, families, generator, gradientAscent, kl, sgd, transform,
} from "../engine/index.js";
import { LOG_2PI, logDet } from "../engine/gaussian.js";
import { add, dot, identity, solveLowerTransposed, sum, transpose } from "../engine/linalg.js";

export const STEPS = 400;
export const RUNNERS = {
  "sticking-the-landing": "sticking the landing",
  pathwise: "pathwise",
  "score-function-with-baseline": "score function with baseline",
  "score-function": "score function",
};
const BASELINE = "score-function-with-baseline";
const OPTIMIZERS = { adam, sgd };
const square = (values) => values.map((value) => value ** 2);

/**
 * The standard deviation of V(φ) over the noise, the root of its total variance, exactly: log p is a
 * parabola here.
 */
export function spread(model, family, phi, name, draws) {
  const q = family.distribution(phi);
  const sds = name in SLOPES ? pathSds(SLOPES[name](model, q), q) : scoreSds(model, q, name === BASELINE, draws);
  const scaled = family.pullback(sds.mean, sds.outer, q.chol);
  return Math.sqrt(sum(square(scaled)) / draws);
}

/** The path's slope in z, which is linear in ε. */
const SLOPES = {
  pathwise: (model, q) => (eps) => model.gradient(transform(q, eps)),
  "sticking-the-landing": (model, q) => (eps) =>
    add(model.gradient(transform(q, eps)), solveLowerTransposed(q.chol, eps)),
};

/** Of slope(ε) and slope(ε) εᵀ where slope(ε) = v + A ε, from the fourth moments of ε. */
function pathSds(slope, { mean }) {
  const v = slope(mean.map(() => 0));
  const columns = identity(mean.length).map((unit) => slope(unit).map((value, i) => value - v[i]));
  const A = transpose(columns);
  const rows = A.map((row) => sum(square(row)));
  return {
    mean: rows.map(Math.sqrt),
    outer: A.map((row, i) => row.map((a) => Math.sqrt(v[i] ** 2 + rows[i] + a ** 2))),
  };
}

// Gauss-Hermite with five nodes: exact for polynomials up to degree 9. V(φ)² of one draw has degree 8.
const root = Math.sqrt(10);
const NODES = [
  [0, 8 / 15],
  ...[1, -1].flatMap((sign) => [-1, 1].map((side) => [side * Math.sqrt(5 - sign * root), (7 + 2 * sign * root) / 60])),
];
const GRID = NODES.flatMap(([a, p]) => NODES.map(([b, r]) => ({ eps: [a, b], weight: p * r })));
const average = (values) => sum(values.map((value, k) => value * GRID[k].weight));
const centred = (values) => {
  const middle = average(values);
  return values.map((value) => value - middle);
};

/**
 * Of (log p - log q) times the score. With the leave-one-out baseline V(φ) is their sample
 * covariance, whose variance is known from the moments of one draw.
 */
function scoreSds(model, { mean, chol }, baseline, draws) {
  const volume = logDet(chol) + (mean.length * LOG_2PI) / 2;
  const weights = GRID.map(
    ({ eps }) => model.logJoint(transform({ mean, chol }, eps)) + dot(eps, eps) / 2 + volume,
  );
  const f = baseline ? centred(weights) : weights;
  const along = GRID.map(({ eps }) => solveLowerTransposed(chol, eps));
  const sd = (score) => {
    const product = score.map((value, k) => value * f[k]);
    const own = average(square(centred(product)));
    if (!baseline) return Math.sqrt(own);
    const pairs = average(product) ** 2 + average(square(f)) * average(square(score));
    return Math.sqrt(own + pairs / (draws - 1));
  };
  return {
    mean: mean.map((_, i) => sd(along.map((row) => row[i]))),
    outer: mean.map((_, i) =>
      mean.map((_, j) => sd(along.map((row, k) => row[i] * GRID[k].eps[j] - (i === j ? 1 / chol[i][i] : 0)))),
    ),
  };
}

/**
 * { name, qs, kls, spreads, diverged, done, advance() }: one ascent from `start`, longer by a step at
 * each advance(), until it is done: after STEPS, or when a number is no longer finite.
 */
export function runner(model, name, { family: familyName, optimizer, rate, draws, seed }, start) {
  const family = families[familyName](model.dim);
  const first = family.pack(start);
  const ascent = gradientAscent(
    model, family, first, draws, generator(seed), estimators[name], OPTIMIZERS[optimizer](+rate),
  );
  const run = { name, qs: [], kls: [], spreads: [], diverged: false, done: false, advance };
  const keep = (phi) => {
    const q = family.distribution(phi);
    const [gap, sd] = [kl(q, model.posterior), spread(model, family, phi, name, draws)];
    if (![gap, sd, ...phi, ...q.chol.flat()].every(Number.isFinite)) return false;
    run.qs.push(q);
    run.kls.push(gap);
    run.spreads.push(sd);
    return true;
  };
  function advance() {
    const { elbo, phi } = ascent.next().value;
    run.diverged = !(Number.isFinite(elbo) && keep(phi));
    run.done = run.diverged || run.qs.length > STEPS;
  }
  keep(first);
  return run;
}
