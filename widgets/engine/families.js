// Families q_φ = N(μ, L Lᵀ) with z = μ + L ε: φ is one flat array, as in the Python core.

import { diagonal } from "./linalg.js";

/** φ = (μ, log s), L = diag(s). */
export function meanField(dim) {
  return {
    dim,
    size: 2 * dim,
    allows: (i, j) => i === j,
    distribution: (phi) => ({
      mean: phi.slice(0, dim),
      chol: phi.slice(dim).map((logSd, i, all) => all.map((_, j) => (i === j ? Math.exp(logSd) : 0))),
    }),
    pack: ({ mean, chol }) => [...mean, ...diagonal(chol).map(Math.log)],
    pullback: (alongMean, alongChol, chol) => [
      ...alongMean,
      ...chol.map((row, i) => alongChol[i][i] * row[i]),
    ],
  };
}

/** φ = μ, then the rows of L's lower triangle, its diagonal as logarithms. */
export function fullRank(dim) {
  const lower = [];
  for (let i = 0; i < dim; i++) for (let j = 0; j <= i; j++) lower.push([i, j]);
  return {
    dim,
    size: dim + lower.length,
    allows: () => true,
    distribution(phi) {
      const chol = Array.from({ length: dim }, () => new Array(dim).fill(0));
      lower.forEach(([i, j], k) => {
        chol[i][j] = i === j ? Math.exp(phi[dim + k]) : phi[dim + k];
      });
      return { mean: phi.slice(0, dim), chol };
    },
    pack: ({ mean, chol }) => [
      ...mean,
      ...lower.map(([i, j]) => (i === j ? Math.log(chol[i][j]) : chol[i][j])),
    ],
    pullback: (alongMean, alongChol, chol) => [
      ...alongMean,
      ...lower.map(([i, j]) => alongChol[i][j] * (i === j ? chol[i][j] : 1)),
    ],
  };
}

export const families = { "mean-field": meanField, "full-rank": fullRank };
