"""vitutor: nothing tuned, the same call at every size."""

from problem import DRAWS, NOISE_SD, PRIOR_SD, contender, nats

import vitutor as vt


def fit(X, y, best, cache):
    model = vt.LinearRegression(X, y, noise_sd=NOISE_SD, prior_sd=PRIOR_SD)
    fit = vt.fit(model.log_joint, vt.FullRank(dim=X.shape[1]), draws=DRAWS, seed=0)
    own, ruler = fit.q.kl(model.posterior()), nats(fit.q.mean, fit.q.cov, X, y)
    if abs(own - ruler) > 1e-9 + 1e-6 * ruler:
        raise AssertionError(f"q.kl(posterior) is {own} but the benchmark's KL is {ruler}")
    return fit.q.mean, fit.q.cov


contender(fit)
