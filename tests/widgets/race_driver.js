// JSON in, JSON out: a whole race beside the engine's own ascents, or the spread at some φ.

import { readFileSync } from "node:fs";
import { adam, ascend, families, generator, regression, sgd } from "../../widgets/engine/index.js";
import { runner, RUNNERS, spread, STEPS } from "../../widgets/estimator_race/race.js";

const { model: data, settings, phis } = JSON.parse(readFileSync(0, "utf8"));
const model = regression(data);

function race() {
  const { family, optimizer, rate, draws, seed } = settings;
  const start = { mean: [0, 0], chol: [[1, 0], [0, 1]] };
  const steps = { adam, sgd };
  return Object.keys(RUNNERS).map((estimator) => {
    const run = runner(model, estimator, settings, start);
    while (!run.done) run.advance();
    const rule = steps[optimizer](+rate);
    const rng = generator(seed);
    const own = ascend(model, { family, estimator, optimizer: rule, start, draws, steps: STEPS, rng });
    return { ...run, engine: { kls: own.kls, diverged: own.diverged } };
  });
}

const spreads = () =>
  phis.map(({ family, phi, estimator, draws }) => spread(model, families[family](2), phi, estimator, draws));

console.log(JSON.stringify({ steps: STEPS, ...(settings ? { runs: race() } : { spreads: spreads() }) }));
