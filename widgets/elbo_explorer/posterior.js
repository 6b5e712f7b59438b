// Posteriors on a line, known up to their evidence, and what a normal q makes of them. Knows no page.

const LOG_ROOT = Math.log(2 * Math.PI) / 2;
const FINEST = 0.02;
/** log p(x) of every target. */
export const LOG_EVIDENCE = -2.3;
const normal = (z, m, s) => -(((z - m) / s) ** 2) / 2 - Math.log(s) - LOG_ROOT;
const SKEW = { at: -0.6, scale: 0.8 };
const HUMPS = [
  { weight: 0.55, m: -2, s: 0.45 },
  { weight: 0.45, m: 1.9, s: 0.55 },
];

/** log p(z | x) and its derivative. */
export const TARGETS = {
  gaussian: {
    log: (z) => normal(z, 0.7, 0.6),
    slope: (z) => -(z - 0.7) / 0.36,
  },
  skewed: {
    log(z) {
      const u = (z - SKEW.at) / SKEW.scale;
      return -u - Math.exp(-u) - Math.log(SKEW.scale);
    },
    slope: (z) => (Math.exp(-(z - SKEW.at) / SKEW.scale) - 1) / SKEW.scale,
  },
  "two-humps": {
    log(z) {
      const parts = HUMPS.map(({ weight, m, s }) => Math.log(weight) + normal(z, m, s));
      const top = Math.max(...parts);
      return top + Math.log(parts.reduce((total, part) => total + Math.exp(part - top), 0));
    },
    slope(z) {
      const parts = HUMPS.map(({ weight, m, s }) => [Math.log(weight) + normal(z, m, s), -(z - m) / s ** 2]);
      const top = Math.max(...parts.map(([log]) => log));
      let [above, below] = [0, 0];
      for (const [log, slope] of parts) {
        above += Math.exp(log - top) * slope;
        below += Math.exp(log - top);
      }
      return above / below;
    },
  },
};

/** E_q[f(z)] for q = N(mu, sigma²), by the trapezoidal rule, which is exact to 1e-10 for smooth f. */
export function expectation(f, [mu, sigma], finest = FINEST) {
  const step = Math.min(finest, sigma / 6);
  const reach = Math.ceil((9 * sigma) / step);
  let total = 0;
  for (let i = -reach; i <= reach; i++) {
    const off = i * step;
    total += Math.exp(-((off / sigma) ** 2) / 2) * f(mu + off);
  }
  return (total * step) / sigma / Math.sqrt(2 * Math.PI);
}

export const entropy = (sigma) => Math.log(sigma) + LOG_ROOT + 0.5;

/** KL(q ‖ p) in nats. */
export const reverse = ({ log }, phi, finest) => -expectation(log, phi, finest) - entropy(phi[1]);

/** Mean, standard deviation and entropy of the posterior, by the trapezoidal rule. */
export function moments({ log }) {
  const [low, high, step] = [-14, 24, 0.005];
  let [m, square, entropy] = [0, 0, 0];
  for (let z = low; z <= high; z += step) {
    const mass = Math.exp(log(z)) * step;
    m += mass * z;
    square += mass * z * z;
    if (mass > 0) entropy -= mass * log(z);
  }
  return { mean: m, sd: Math.sqrt(square - m * m), entropy };
}

/** KL(p ‖ q) in nats, from the posterior's moments. */
export const forward = ({ mean, sd, entropy: own }, [mu, sigma]) =>
  -own + Math.log(sigma) + LOG_ROOT + (sd ** 2 + (mean - mu) ** 2) / (2 * sigma ** 2);

/** ∂ELBO/∂μ and ∂ELBO/∂log σ. */
export const gradient = ({ slope }, [mu, sigma]) => [
  expectation(slope, [mu, sigma]),
  expectation((z) => slope(z) * (z - mu), [mu, sigma]) + 1,
];

export const LOW = [-4, 0.1];
export const HIGH = [4, 3];
export const inside = (phi) => phi.map((value, i) => Math.min(Math.max(value, LOW[i]), HIGH[i]));

/** φ after each of `steps` natural-gradient steps up the ELBO, none of which goes down. */
export function climb(target, phi, steps) {
  const course = [phi];
  let here = reverse(target, phi);
  for (let t = 0; t < steps; t++) {
    const [mu, sigma] = course[t];
    const [byMu, byLog] = gradient(target, [mu, sigma]);
    let next = course[t];
    for (let rate = 0.25; rate > 1e-4; rate /= 2) {
      const tried = inside([mu + rate * sigma ** 2 * byMu, sigma * Math.exp((rate * byLog) / 2)]);
      const there = reverse(target, tried);
      if (there <= here) {
        [next, here] = [tried, there];
        break;
      }
    }
    course.push(next);
  }
  return course;
}
