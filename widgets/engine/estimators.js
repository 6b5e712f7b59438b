// Estimators of the ELBO and of its gradient in φ from the rows of eps: (model, family, phi, eps).

import { LOG_2PI, entropy, logDet } from "./gaussian.js";
import { add, dot, solveLowerTransposed, sum, times } from "./linalg.js";

export const transform = (q, eps) => add(q.mean, times(q.chol, eps));

const logProb = (q, eps) => -(dot(eps, eps) + q.mean.length * LOG_2PI) / 2 - logDet(q.chol);

/** Means over the draws of slope(draw) and slope(draw) εᵀ: the gradients in μ and L of a path. */
function average(eps, slope) {
  const dim = eps[0].length;
  const mean = new Array(dim).fill(0);
  const outer = mean.map(() => new Array(dim).fill(0));
  eps.forEach((draw, s) => {
    const direction = slope(draw, s);
    for (let i = 0; i < dim; i++) {
      mean[i] += direction[i] / eps.length;
      for (let j = 0; j < dim; j++) outer[i][j] += (direction[i] * draw[j]) / eps.length;
    }
  });
  return { mean, outer };
}

export function pathwise(model, family, phi, eps) {
  const q = family.distribution(phi);
  const values = eps.map((draw) => model.logJoint(transform(q, draw)));
  const { mean, outer } = average(eps, (draw) => model.gradient(transform(q, draw)));
  const withEntropy = outer.map((row, i) => row.map((v, j) => v + (i === j ? 1 / q.chol[i][i] : 0)));
  return {
    elbo: sum(values) / eps.length + entropy(q),
    gradient: family.pullback(mean, withEntropy, q.chol),
  };
}

export function stickingTheLanding(model, family, phi, eps) {
  const q = family.distribution(phi);
  const values = eps.map((draw) => model.logJoint(transform(q, draw)) - logProb(q, draw));
  const { mean, outer } = average(eps, (draw) =>
    add(model.gradient(transform(q, draw)), solveLowerTransposed(q.chol, draw)),
  );
  return { elbo: sum(values) / eps.length, gradient: family.pullback(mean, outer, q.chol) };
}

export const scoreFunction = (...args) => score((f) => f, ...args);

/** Each draw's weight less the mean weight of the others; needs two draws. */
export const scoreFunctionWithBaseline = (...args) =>
  score((f) => {
    const mean = sum(f) / f.length;
    return f.map((value) => (value - mean) * (f.length / (f.length - 1)));
  }, ...args);

function score(weigh, model, family, phi, eps) {
  const q = family.distribution(phi);
  const values = eps.map((draw) => model.logJoint(transform(q, draw)) - logProb(q, draw));
  const weights = weigh(values);
  const { mean, outer } = average(eps, (draw, s) =>
    solveLowerTransposed(q.chol, draw).map((value) => value * weights[s]),
  );
  const weight = sum(weights) / eps.length;
  const centred = outer.map((row, i) => row.map((v, j) => v - (i === j ? weight / q.chol[i][i] : 0)));
  return { elbo: sum(values) / eps.length, gradient: family.pullback(mean, centred, q.chol) };
}

export const estimators = {
  "sticking-the-landing": stickingTheLanding,
  pathwise,
  "score-function": scoreFunction,
  "score-function-with-baseline": scoreFunctionWithBaseline,
};
