// Answers test_reparameterization_explorer.py: a question on standard input, numbers on standard output.

import { readFileSync } from "node:fs";

import * as maps from "../../widgets/reparameterization_explorer/maps.js";

const { map: name, phi, eps, settings } = JSON.parse(readFileSync(0, "utf8"));
const map = maps.MAPS[name];
console.log(
  JSON.stringify({
    z: eps.map((draw) => maps.transform(map, phi, draw)),
    each: maps.estimates(map, phi, eps),
    kl: maps.klExact(map, phi),
    gradient: maps.gradientExact(map, phi),
    target: map.target,
    start: map.start,
    low: map.low,
    high: map.high,
    evidence: maps.LOG_EVIDENCE,
    course: maps.climb(map, phi, settings, 80),
  }),
);
