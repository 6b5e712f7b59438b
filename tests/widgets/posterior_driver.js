// Answers test_elbo_explorer.py: a question on standard input, numbers on standard output.

import { readFileSync } from "node:fs";

import * as posterior from "../../widgets/elbo_explorer/posterior.js";

const { target: name, phis, zs } = JSON.parse(readFileSync(0, "utf8"));
const target = posterior.TARGETS[name];
const own = posterior.moments(target);
console.log(
  JSON.stringify({
    log: zs.map(target.log),
    slope: zs.map(target.slope),
    moments: own,
    at: phis.map((phi) => ({
      reverse: posterior.reverse(target, phi),
      forward: posterior.forward(own, phi),
      gradient: posterior.gradient(target, phi),
    })),
    courses: phis.map((phi) => posterior.climb(target, phi, 60)),
  }),
);
