// The course of a fit, from the live engine or from a recording, frame by frame. Knows no page.

import { adam, ascend, generator, kl, regression } from "../engine/index.js";

const STEPS = 300;
export const START = { mean: [0, 0], chol: [[1, 0], [0, 1]] };
export const LIVE = { estimator: "sticking-the-landing", rate: "0.1", draws: 10, seed: 0 };

/** The line's model: points are [x, y], z is intercept and slope. */
export const lineModel = (points, { noiseSd, priorSd }) =>
  regression({ X: points.map(([x]) => [1, x]), y: points.map(([, y]) => y), noiseSd, priorSd });

/** { qs, kls, steps, diverged }: one distribution a frame, its KL, and the step it belongs to. */
export function liveCourse(model, { family, estimator, rate, draws, seed }, start, steps = STEPS) {
  const optimizer = rate === "natural" ? null : adam(+rate);
  const rng = generator(seed);
  const run = ascend(model, { family, estimator, optimizer, start, draws, steps, rng });
  return { qs: run.qs, kls: run.kls, steps: run.qs.map((_, t) => t), diverged: run.diverged };
}

/** A recording holds rows of (μ1, μ2, L11, L21, L22), and the step of each. */
export function recordedCourse(model, { qs, steps, diverged }) {
  const distributions = qs.map(([a, b, l11, l21, l22]) => ({ mean: [a, b], chol: [[l11, 0], [l21, l22]] }));
  return { qs: distributions, kls: distributions.map((q) => kl(q, model.posterior)), steps, diverged };
}

/** q between two frames, for the eye: μ and L in a straight line. */
export function between({ qs }, position) {
  const [from, share] = [qs[Math.floor(position)], position % 1];
  if (share === 0) return from;
  const to = qs[Math.floor(position) + 1];
  const mix = (a, b) => a + share * (b - a);
  return {
    mean: from.mean.map((value, i) => mix(value, to.mean[i])),
    chol: from.chol.map((row, i) => row.map((value, j) => mix(value, to.chol[i][j]))),
  };
}

/** The q of a family next to `q`: a mean-field one keeps the scales of L and drops its tilt. */
export const into = (family, { mean, chol }) => ({
  mean,
  chol: family === "full-rank" ? chol : chol.map((row, i) => row.map((value, j) => (i === j ? value : 0))),
});
