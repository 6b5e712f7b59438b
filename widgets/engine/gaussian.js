// A Gaussian is { mean, chol }: N(mean, chol cholᵀ), chol lower triangular.

import { diagonal, dot, product, invertLower, solveLower, sum } from "./linalg.js";

export const LOG_2PI = Math.log(2 * Math.PI);

export const logDet = (chol) => sum(diagonal(chol).map(Math.log));

/** H[q] in nats. */
export const entropy = (q) => logDet(q.chol) + (q.mean.length / 2) * (1 + LOG_2PI);

/** KL(q ‖ p) in nats, summed from terms that are each at least zero. */
export function kl(q, p) {
  const ratio = product(invertLower(p.chol), q.chol);
  const shift = solveLower(p.chol, q.mean.map((value, i) => value - p.mean[i]));
  let twice = dot(shift, shift);
  ratio.forEach((row, i) => {
    const growth = row[i] ** 2 - 1;
    twice += growth - Math.log1p(growth);
    for (let j = 0; j < i; j++) twice += row[j] ** 2;
  });
  return twice / 2;
}
