// JSON in, JSON out: one run of the engine on noise that was drawn elsewhere.

import { readFileSync } from "node:fs";
import {
  adam, decay, estimators, families, gradientAscent, kl, naturalAscent, predict, regression, sgd,
} from "../../widgets/engine/index.js";

const { model: data, family: name, phi, ascent, draws, steps, noise, design } = JSON.parse(
  readFileSync(0, "utf8"),
);
const model = regression(data);
const family = families[name](model.dim);
const next = () => noise.shift();
const rng = { normal: next, chisquare: next };
const optimizers = { sgd: sgd(decay(0.002, 50)), adam: adam(0.1) };
const run =
  ascent === "natural"
    ? naturalAscent(model, family, phi, draws, rng)
    : gradientAscent(model, family, phi, draws, rng, estimators[ascent[0]], optimizers[ascent[1]]);

const exact = model.posterior;
const course = [];
for (let step = 0; step < steps; step++) {
  const { elbo, phi, gain } = run.next().value;
  const q = family.distribution(phi);
  course.push({ phi, ...q, estimate: elbo, gain, elbo: model.elbo(q), kl: kl(q, exact) });
}
console.log(
  JSON.stringify({
    course,
    exact,
    logEvidence: model.logEvidence,
    meanField: kl(model.closestMeanField(), exact),
    bands: design.map((row) => predict(exact, row, data.noiseSd)),
  }),
);
