// A whole run: the ascent of q_φ to the posterior, kept step by step.

import { estimators } from "./estimators.js";
import { families } from "./families.js";
import { kl } from "./gaussian.js";
import { add } from "./linalg.js";
import { naturalAscent } from "./natural.js";

const LANDED = 1e-11;

/** Yields { elbo, phi, gain } after each plain step along the estimated gradient. */
export function* gradientAscent(model, family, phi, draws, rng, estimator, optimizer) {
  let state = optimizer.init(phi);
  while (true) {
    const { elbo, gradient } = estimator(model, family, phi, rng.normal(draws, family.dim));
    const change = optimizer.update(gradient, state);
    state = change.state;
    phi = add(phi, change.step);
    yield { elbo, phi, gain: null };
  }
}

/**
 * At most `steps` steps from the Gaussian `start`; a natural ascent ends where it has arrived.
 * Without an optimizer the ascent is natural. Returns the distributions (the start first), their
 * KL to the posterior, the noisy ELBO of each step, and whether a number became infinite.
 */
export function ascend(model, { family, estimator, optimizer, start, draws, steps, rng }) {
  family = families[family](model.dim);
  const first = family.pack(start);
  const ascent = optimizer
    ? gradientAscent(model, family, first, draws, rng, estimators[estimator], optimizer)
    : naturalAscent(model, family, first, draws, rng);
  const run = { qs: [family.distribution(first)], kls: [], elbos: [], diverged: false };
  run.kls.push(kl(run.qs[0], model.posterior));
  let quiet = 0;
  while (run.elbos.length < steps && quiet < 3) {
    const { elbo, phi, gain } = ascent.next().value;
    const q = family.distribution(phi);
    const gap = kl(q, model.posterior);
    if (![elbo, gap, ...phi, ...q.chol.flat()].every(Number.isFinite)) {
      run.diverged = true;
      break;
    }
    run.elbos.push(elbo);
    run.qs.push(q);
    run.kls.push(gap);
    if (gain !== null) quiet = gain < LANDED ? quiet + 1 : 0;
  }
  return run;
}
