// Bayesian linear regression, y = X z + noise, and all that is known about it in closed form.

import { LOG_2PI, entropy } from "./gaussian.js";
import { cholesky, diagonal, dot, invertLower, product, qr, sum, times, transpose } from "./linalg.js";

/** Up to a constant, log p(y, z) = -|C z - d|² / 2; C (D, D) is upper triangular. */
export function regression({ X, y, noiseSd, priorSd }) {
  const dim = X[0].length;
  const data = X.map((row, i) => [...row, y[i]].map((value) => value / noiseSd));
  const prior = X[0].map((_, i) => Array.from({ length: dim + 1 }, (_, j) => +(i === j) / priorSd));
  const { R } = qr([...data, ...prior]);
  const C = R.slice(0, dim).map((row) => row.slice(0, dim));
  const d = R.slice(0, dim).map((row) => row[dim]);
  const top =
    -X.length * (LOG_2PI / 2 + Math.log(noiseSd)) -
    dim * (LOG_2PI / 2 + Math.log(priorSd)) -
    R[dim][dim] ** 2 / 2;

  const inverse = transpose(invertLower(transpose(C)));
  const cov = product(inverse, transpose(inverse));
  const misfit = (z) => times(C, z).map((value, i) => value - d[i]);
  return {
    dim,
    noiseSd,
    posterior: { mean: times(inverse, d), chol: cholesky(cov) },
    logEvidence: top + (dim * LOG_2PI) / 2 - sum(diagonal(C).map(Math.log)),

    logJoint(z) {
      const rest = misfit(z);
      return top - dot(rest, rest) / 2;
    },

    gradient(z) {
      const rest = misfit(z);
      return d.map((_, j) => -sum(C.map((row, i) => row[j] * rest[i])));
    },

    elbo(q) {
      const rest = misfit(q.mean);
      const spread = sum(product(C, q.chol).flat().map((value) => value ** 2));
      return top - (dot(rest, rest) + spread) / 2 + entropy(q);
    },

    /** The q with an axis-aligned covariance that is closest to the posterior. */
    closestMeanField() {
      const sds = diagonal(product(transpose(C), C)).map((value) => 1 / Math.sqrt(value));
      return {
        mean: times(inverse, d),
        chol: sds.map((sd, i) => sds.map((_, j) => (i === j ? sd : 0))),
      };
    },
  };
}

/** Mean and sd of a new observation at a row x of X, when z ~ q; noise included. */
export function predict(q, x, noiseSd) {
  const along = times(transpose(q.chol), x);
  return { mean: dot(q.mean, x), sd: Math.sqrt(dot(along, along) + noiseSd ** 2) };
}
