"""What does a step of `vt.fit` cost beside the same algorithm written by hand in numpy?

    python benchmarks/step.py            (about 20 s)

Linear regression, S = 10 draws, D = 2, full rank. The hand-written loop knows the gradient, the
family and the shapes; `fit` gets a log joint and goes through autograd. Both run in turns in one
process, and the ratio of the medians is what counts. Then `fit` alone, at a hundred and at a
million rows.
"""

import statistics
import time

import numpy as np

import vitutor as vt

STEPS, REPEATS, DRAWS = 1000, 15, 10


def by_hand(C, d, top, steps, draws, seed):
    """The natural-gradient ascent of vitutor.natural, with all that is general taken out."""
    rng = np.random.default_rng(seed)
    dim = len(d)
    mean, scale, precision = np.zeros(dim), np.eye(dim), np.eye(dim)
    radius, length, step = 10.0, 0.0, np.zeros(dim)
    elbos, phis = np.empty(steps), []
    for t in range(steps):
        half = draws // 2
        rotation, upper = np.linalg.qr(rng.standard_normal((half, dim)))
        paired = np.sqrt(rng.chisquare(half)) * rotation * np.sign(np.diag(upper))
        eps = np.concatenate([paired, -paired])
        z = mean + eps @ scale.T
        square = np.sum(eps**2)
        residual = z @ C.T - d
        values = top - np.sum(residual**2, axis=1) / 2
        local = -(residual @ C) @ scale
        log_volume = np.log(np.diag(scale)).sum() + dim * np.log(2 * np.pi) / 2
        elbos[t] = values.mean() + square / (2 * draws) + log_volume
        weight = square / eps.size
        moment = local.T @ eps * (-dim / square)
        curvature = (moment + moment.T) / 2
        inverse = np.linalg.inv(scale)
        rate = 0.5 / (1 + t / 100)
        toward = min(rate * weight, 0.9)
        values, vectors = np.linalg.eigh(curvature)
        if values[0] < 0:
            curvature = (vectors * np.maximum(values, 0)) @ vectors.T
        before = precision
        precision = (1 - toward) * precision + toward * inverse.T @ curvature @ inverse
        precision = (precision + precision.T) / 2
        uphill = inverse.T @ local.mean(axis=0)
        if length > radius:
            radius = 2 * radius if uphill @ step > 0 else radius / 4
        step = rate * np.linalg.solve(precision, uphill)
        length = np.sqrt(step @ before @ step)
        step *= radius / max(length, radius)
        mean = mean + step
        scale = np.linalg.cholesky(np.linalg.inv(precision))
        phis.append((mean, scale))
    return elbos, phis


def regression(rows, dim=2, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(rows), rng.standard_normal((rows, dim - 1))])
    return vt.LinearRegression(X, X.sum(axis=1) + rng.standard_normal(rows), 1.0, 10.0)


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main():
    small, large = regression(100), regression(1_000_000)
    family = vt.FullRank(2)

    def fit(model, steps=STEPS):
        return vt.fit(model.log_joint, family, steps=steps, draws=DRAWS, seed=0)

    def hand(steps=STEPS):
        return by_hand(small._C, small._d, small._top, steps, DRAWS, 0)

    gap = np.abs(hand(50)[0] - fit(small, 50).elbo).max()
    contenders = {
        "numpy by hand": hand,
        "vt.fit, 100 rows": lambda: fit(small),
        "vt.fit, 1,000,000 rows": lambda: fit(large),
    }
    times = {name: [] for name in contenders}
    for _ in range(REPEATS):
        for name, run in contenders.items():
            times[name].append(seconds(run) / STEPS)
    base = statistics.median(times["numpy by hand"])
    print(f"The two loops' ELBOs agree to {gap:.1e} nats.\n")
    print("| | microseconds a step | ratio |\n| --- | ---: | ---: |")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"| {name} | {1e6 * middle:.0f} | {middle / base:.2f} |")


if __name__ == "__main__":
    main()
