"""Every claim of the chapter on learning the model, derived again from closed forms."""

import re
import warnings
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest
from scipy import special, stats
from scipy.optimize import minimize, minimize_scalar

import vitutor as vt

PAGE = Path(__file__).parents[2] / "book" / "learning.md"
TAU, N, D = 10.0, 5, 2
ALPHA_0, BETA_0, V = 1.0, 1.0, 100.0
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(30)
X, Y = vt.load_five_points()
GRAM = X.T @ X


def model(log_sigma, tau=TAU):
    return vt.LinearRegression(X, Y, np.exp(log_sigma), tau)


def log_joint(z, theta):
    squares = anp.sum((Y - z @ X.T) ** 2, axis=1) / anp.exp(2 * theta[0])
    size = anp.sum(z**2, axis=1) / TAU**2
    constants = N * theta[0] + D * np.log(TAU) + (N + D) / 2 * np.log(2 * np.pi)
    return -(squares + size) / 2 - constants


def log_joint_both(z, theta):
    squares = anp.sum((Y - z @ X.T) ** 2, axis=1) / anp.exp(2 * theta[0])
    size = anp.sum(z**2, axis=1) / anp.exp(2 * theta[1])
    logs = N * theta[0] + D * theta[1]
    return -(squares + size) / 2 - logs - (N + D) / 2 * np.log(2 * np.pi)


def top_of(evidence, bounds=(-3, 3)):
    found = minimize_scalar(lambda t: -evidence(t), bounds=bounds, options={"xatol": 1e-10})
    return found.x


@pytest.fixture(scope="module")
def best():
    """The log σ with the most evidence."""
    return top_of(lambda t: model(t).log_evidence())


@pytest.fixture(scope="module")
def ascent():
    return vt.fit(log_joint, vt.FullRank(D), theta=[np.log(3.0)], draws=100)


def some_gaussians(n=5, dim=2, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        root = rng.normal(size=(dim, dim))
        yield vt.Gaussian(rng.normal(size=dim), root @ root.T + 0.1 * np.eye(dim))


def expect(f, q):
    """The mean of f over the rows of z ~ q, by Gauss-Hermite quadrature."""
    grid = np.stack(np.meshgrid(*[NODES] * q.dim), axis=-1).reshape(-1, q.dim)
    weights = np.prod(np.meshgrid(*[WEIGHTS] * q.dim), axis=0).ravel()
    return weights @ f(q.mean + grid @ np.linalg.cholesky(q.cov).T) / weights.sum()


def slope(f, x, h=1e-5):
    return (f(x + h) - f(x - h)) / (2 * h)


def best_mean_field(exact):
    return vt.Gaussian(exact.mean, np.diag(1 / np.diag(np.linalg.inv(exact.cov))))


LOG_TAU = np.log(TAU)


def profile(log_sigma, log_tau=LOG_TAU):
    """The largest mean-field ELBO."""
    at = model(log_sigma, np.exp(log_tau))
    return at.elbo(best_mean_field(at.posterior()))


def test_each_equation_has_its_test():
    labels = re.findall(r"\(eq-learning-([\w-]+)\)", PAGE.read_text(encoding="utf-8"))
    assert {f"test_eq_{label.replace('-', '_')}" for label in labels} <= {*globals()}


@pytest.mark.parametrize("log_sigma", [-1.0, 0.0, 1.1])
def test_eq_elbo(log_sigma):
    at = model(log_sigma)
    for q in some_gaussians():
        elbo = expect(lambda z, q=q: log_joint(z, [log_sigma]) - q.log_prob(z), q)
        right = at.log_evidence() - q.kl(at.posterior())
        assert elbo == pytest.approx(right, rel=1e-9)
        assert elbo < at.log_evidence()


def test_thm_joint(best):
    full = vt.FullRank(D)
    for log_sigma in (-1.0, best, 1.0):
        at = model(log_sigma)
        q = full.distribution(full.closest(at.posterior()))
        assert at.elbo(q) == pytest.approx(at.log_evidence(), abs=1e-9)

    def lost(joint):
        return -model(joint[-1]).elbo(full.distribution(joint[:-1]))

    found = minimize(lost, np.zeros(6), tol=1e-9)
    assert found.x[-1] == pytest.approx(best, abs=1e-4)


def test_the_ascent_finds_the_most_evidence(best, ascent, number, printed):
    assert np.exp(ascent.theta[0]) == pytest.approx(np.exp(best), rel=0.01)
    assert number("learning", "learn_hat") == pytest.approx(np.exp(best), rel=1e-6)
    assert number("learning", "learn_off") == pytest.approx(
        100 * abs(np.exp(ascent.theta[0] - best) - 1), rel=1e-3
    )
    assert "most evidence: sigma = 0.5559" in printed("learning")
    alone = vt.fit(model(best).log_joint, vt.FullRank(D), draws=100)
    off = np.abs(alone.q.sd / model(best).posterior().sd - 1).max()
    assert off < 1e-5
    assert number("learning", "learn_alone") < 1e-5


def test_it_is_smaller_than_the_truth_by_less_than_a_nat(best, number):
    top, truth = model(best).log_evidence(), model(0.0).log_evidence()
    assert 1.6 < 1 / np.exp(best) < 2
    assert 0 < top - truth < 1
    told = [number("learning", f"learn_evidence_{name}") for name in ("hat", "one")]
    assert told == pytest.approx([top, truth], abs=1e-8)


def test_without_the_constant_sigma_grows_for_ever():
    exact = model(0.0).posterior()
    bound = [
        expect(lambda z, t=t: log_joint(z, [t]) + N * t, exact) for t in (0.0, 1.0, 2.0, 4.0, 8.0)
    ]
    assert np.all(np.diff(bound) > 0)


def test_in_theta_the_noise_does_not_die(best):
    full, at = vt.FullRank(D), model(best)
    phi = full.closest(at.posterior())
    V = np.array(
        [
            vt.sticking_the_landing(log_joint, full, phi, each[None], np.array([best]))[1]
            for each in full.noise(np.random.default_rng(0), 200)
        ]
    )
    np.testing.assert_allclose(V[:, :-1], 0, atol=1e-10)
    assert V[:, -1].std() > 0.5


@pytest.mark.parametrize("log_sigma", [-1.0, 0.3])
def test_eq_fisher(log_sigma):
    exact = model(log_sigma).posterior()
    by_theta = expect(lambda z: slope(lambda t: log_joint(z, [t]), log_sigma), exact)
    assert by_theta == pytest.approx(slope(lambda t: model(t).log_evidence(), log_sigma), abs=1e-6)


@pytest.mark.parametrize("log_sigma", [-1.0, 0.3])
def test_eq_slope(log_sigma):
    for q in some_gaussians():
        residual = Y - X @ q.mean
        spread = np.trace(GRAM @ q.cov)
        right = (residual @ residual + spread) / np.exp(2 * log_sigma) - N
        assert slope(lambda t, q=q: model(t).elbo(q), log_sigma) == pytest.approx(right, rel=1e-6)


def gamma(sigma, tau=TAU):
    values = np.linalg.eigvalsh(GRAM)
    return np.sum(values / (values + (sigma / tau) ** 2))


@pytest.mark.parametrize(("sigma", "tau"), [(1, 10), (3, 1), (0.5, 0.1)])
def test_eq_gamma(sigma, tau):
    cov = model(np.log(sigma), tau).posterior().cov
    assert np.trace(GRAM @ cov) / sigma**2 == pytest.approx(gamma(sigma, tau), rel=1e-9)


def test_gamma_counts_what_the_data_determine():
    assert gamma(1, 1e4) == pytest.approx(2, abs=1e-6)
    assert gamma(1, 1e-4) == pytest.approx(0, abs=1e-6)
    values = np.linalg.eigvalsh(GRAM)
    between = 1 / np.sqrt(np.sqrt(np.prod(values)))  # the prior between the two directions
    assert 0.8 < gamma(1, between) < 1.2


def test_eq_fixed(best, printed, told):
    residual = Y - X @ model(best).posterior().mean
    sigma = np.sqrt(residual @ residual / (N - gamma(np.exp(best))))
    assert sigma == pytest.approx(np.exp(best), rel=1e-6)
    least = np.linalg.lstsq(X, Y, rcond=None)[1][0]
    assert np.exp(best) == pytest.approx(np.sqrt(least / (N - D)), rel=1e-3)
    assert np.sqrt(least / N) < 0.8 * np.exp(best)
    assert told("learning", "gamma  ") == [round(gamma(np.exp(best)), 4)]
    for label in ("right side of the rule", "most evidence  "):
        assert told("learning", label) == pytest.approx([np.exp(best)], abs=1e-6)
    assert told("learning", "residual / (N - D)") == [round(np.sqrt(least / (N - D)), 6)]
    assert f"residual / N            {np.sqrt(least / N):.6f}" in printed("learning")


def em(turns, sigma=3.0):
    course = [sigma]
    for _ in range(turns):
        q = model(np.log(sigma)).posterior()
        residual = Y - X @ q.mean
        sigma = np.sqrt((residual @ residual + np.trace(GRAM @ q.cov)) / N)
        course.append(sigma)
    return np.array(course)


def test_eq_em(best):
    course = em(40)
    evidence = [model(np.log(s)).log_evidence() for s in course]
    assert np.all(np.diff(evidence) > -1e-12)
    assert course[-1] == pytest.approx(np.exp(best), rel=1e-7)
    q = model(np.log(course[3])).posterior()
    highest = top_of(lambda t: expect(lambda z: log_joint(z, [t]), q))
    assert np.exp(highest) == pytest.approx(course[4], rel=1e-6)


def test_the_rate_of_em(best, told):
    for t in (0, 1, 2, 5, 10, 20):
        sigma, off = told("learning", f"{t}  sigma")
        assert sigma == round(em(20)[t], 6)
        assert off == pytest.approx(abs(em(20)[t] / np.exp(best) - 1), rel=0.5, abs=1e-8)
    assert told("learning", "gamma / N:") == [round(gamma(np.exp(best)) / N, 3)]
    assert told("learning", "factor a turn:") == pytest.approx(
        told("learning", "gamma / N:"), abs=0.005
    )
    error = np.abs(em(20) ** 2 - np.exp(2 * best))
    share = gamma(np.exp(best)) / N
    assert error[11] / error[10] == pytest.approx(share, abs=0.005)
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(10, 8))
    heights = Z @ rng.normal(size=8) + rng.normal(size=10)
    least = np.linalg.lstsq(Z, heights, rcond=None)[1][0]
    sigma2, course = 9.0, []
    for _ in range(40):
        q = vt.LinearRegression(Z, heights, np.sqrt(sigma2), 1e3).posterior()
        residual = heights - Z @ q.mean
        sigma2 = (residual @ residual + np.trace(Z.T @ Z @ q.cov)) / 10
        course.append(abs(sigma2 - least / 2))
    assert course[20] / course[19] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("log_sigma", [-1.0, 0.0, 1.0])
def test_eq_profile(log_sigma):
    at = model(log_sigma)
    precision = np.linalg.inv(at.posterior().cov)
    gap = (np.sum(np.log(np.diag(precision))) - np.linalg.slogdet(precision)[1]) / 2
    assert gap > 0
    family = vt.MeanField(D)
    climbed = minimize(lambda phi: -at.elbo(family.distribution(phi)), np.zeros(4), tol=1e-10)
    assert at.log_evidence() + climbed.fun == pytest.approx(gap, abs=1e-6)
    assert profile(log_sigma) == pytest.approx(-climbed.fun, abs=1e-6)


@pytest.mark.parametrize(("sigma", "tau"), [(1, 10), (0.55, 0.6), (2, 0.5)])
def test_eq_mean_field(sigma, tau):
    at = model(np.log(sigma), tau)
    exact = at.posterior()
    residual = Y - X @ exact.mean
    diagonal, c = np.diag(GRAM), (sigma / tau) ** 2
    wide = np.sum(diagonal / (diagonal + c))
    assert wide >= gamma(sigma, tau)
    by_sigma = residual @ residual / sigma**2 - N
    noise = slope(lambda t: profile(t, np.log(tau)), np.log(sigma))
    assert noise == pytest.approx(by_sigma + wide, abs=1e-6)
    evidence = slope(lambda t: model(t, tau).log_evidence(), np.log(sigma))
    assert evidence == pytest.approx(by_sigma + gamma(sigma, tau), abs=1e-6)
    narrow = np.sum(1 / np.diag(np.linalg.inv(exact.cov)))
    assert narrow <= np.trace(exact.cov)
    size = exact.mean @ exact.mean
    prior = slope(lambda t: profile(np.log(sigma), t), np.log(tau))
    assert prior == pytest.approx((size + narrow) / tau**2 - D, abs=1e-6)
    evidence = slope(lambda t: model(np.log(sigma), np.exp(t)).log_evidence(), np.log(tau))
    assert evidence == pytest.approx((size + np.trace(exact.cov)) / tau**2 - D, abs=1e-6)


def test_the_inequalities_hold_for_any_design():
    rng = np.random.default_rng(0)
    for _ in range(50):
        Z, c = rng.normal(size=(6, 4)) @ rng.normal(size=(4, 4)), rng.exponential()
        values, diagonal = np.linalg.eigvalsh(Z.T @ Z), np.sum(Z**2, axis=0)
        assert np.sum(diagonal / (diagonal + c)) >= np.sum(values / (values + c)) - 1e-12


@pytest.fixture(scope="module")
def tops():
    def top(lost):
        return np.exp(minimize(lost, [0, 0], options={"gtol": 1e-8}).x)

    return {
        "evidence": top(lambda t: -model(t[0], np.exp(t[1])).log_evidence()),
        "mean-field": top(lambda t: -profile(*t)),
    }


def test_the_mean_field_ascent_ends_at_more_noise_and_a_narrower_prior(best, tops, number, told):
    for name, ascent in (("evidence", "full rank"), ("mean-field", "mean-field")):
        exactly = told("learning", f"{name}, exactly")
        assert exactly == pytest.approx(tops[name], abs=1e-4)
        assert told("learning", f"{ascent}, ascent") == pytest.approx(exactly, rel=0.01)
    (sigma, tau), (wider, narrower) = tops["evidence"], tops["mean-field"]
    assert wider > sigma
    assert narrower < tau
    assert number("learning", "learn_both_bias") == pytest.approx(
        100 * (wider / sigma - 1), rel=1e-3
    )
    assert number("learning", "learn_tau_bias") == pytest.approx(
        100 * (1 - narrower / tau), rel=1e-3
    )
    alone = np.exp(top_of(profile))
    assert 0 < alone / np.exp(best) - 1 < 1e-3
    assert number("learning", "learn_sigma_bias") == pytest.approx(
        100 * (alone / np.exp(best) - 1), rel=1e-2
    )
    assert model(best).log_evidence() - profile(best) > 0.5


@pytest.mark.parametrize(
    ("which", "family"), [("evidence", vt.FullRank), ("mean-field", vt.MeanField)]
)
def test_the_ascents_find_the_tops_of_their_curves(tops, which, family):
    with warnings.catch_warnings(action="ignore"):
        fit = vt.fit(log_joint_both, family(D), theta=[0.0, 0.0], draws=100)
    np.testing.assert_allclose(np.exp(fit.theta), tops[which], rtol=0.01)


def test_the_gap_grows_with_tau():
    gaps = [model(-0.6, t).log_evidence() - profile(-0.6, np.log(t)) for t in (0.2, 0.5, 1, 2)]
    assert np.all(np.diff(gaps) > 0)


LAMBDA = GRAM + np.eye(D) / V
M = np.linalg.solve(LAMBDA, X.T @ Y)
ALPHA = ALPHA_0 + N / 2
BETA = BETA_0 + (Y @ Y - M @ LAMBDA @ M) / 2


def log_joint_latent(latent):
    z, ell = latent[:, :2], latent[:, 2]
    squares = anp.sum((Y - z @ X.T) ** 2, axis=1) + anp.sum(z**2, axis=1) / V + 2 * BETA_0
    powers = (N + D + 2 * ALPHA_0) * ell
    constant = (N + D) / 2 * np.log(2 * np.pi) + D / 2 * np.log(V) - np.log(2)
    constant += special.gammaln(ALPHA_0) - ALPHA_0 * np.log(BETA_0)
    return -squares / 2 * anp.exp(-2 * ell) - powers - constant


def latents(n=20):
    return np.random.default_rng(0).normal([0, 1, -0.3], [0.6, 0.3, 0.4], size=(n, 3))


def test_eq_nig():
    for (*z, ell), found in zip(latents(), log_joint_latent(latents()), strict=True):
        sigma = np.exp(ell)
        right = stats.norm(X @ np.array(z), sigma).logpdf(Y).sum()
        right += stats.norm(0, sigma * np.sqrt(V)).logpdf(z).sum()
        right += stats.invgamma(ALPHA_0, scale=BETA_0).logpdf(sigma**2)
        assert found == pytest.approx(right + np.log(2) + 2 * ell, abs=1e-9)


def log_evidence():
    found = ALPHA_0 * np.log(BETA_0) - ALPHA * np.log(BETA)
    found += special.gammaln(ALPHA) - special.gammaln(ALPHA_0)
    return found - N / 2 * np.log(2 * np.pi) - np.linalg.slogdet(V * LAMBDA)[1] / 2


def log_posterior(latent):
    ell = latent[2]
    z = stats.multivariate_normal(M, np.exp(2 * ell) * np.linalg.inv(LAMBDA)).logpdf(latent[:2])
    return z + stats.invgamma(ALPHA, scale=BETA).logpdf(np.exp(2 * ell)) + np.log(2) + 2 * ell


def test_eq_nig_posterior():
    joint = log_joint_latent(latents())
    for latent, log_p in zip(latents(), joint, strict=True):
        assert log_p - log_posterior(latent) == pytest.approx(log_evidence(), abs=1e-8)
    ell, step = np.linspace(-4, 6, 4001, retstep=True)
    weight = stats.invgamma(ALPHA, scale=BETA).pdf(np.exp(2 * ell)) * 2 * np.exp(2 * ell) * step
    inverse = np.linalg.inv(LAMBDA)
    for j in range(2):
        scale = np.sqrt(BETA / ALPHA * inverse[j, j])
        for z in M[j] + scale * np.array([-3, 0, 1]):
            mixture = weight @ stats.norm(M[j], np.exp(ell) * np.sqrt(inverse[j, j])).pdf(z)
            assert mixture == pytest.approx(stats.t(2 * ALPHA, M[j], scale).pdf(z), rel=1e-6)


def test_eq_nig_evidence():
    shape = BETA_0 / ALPHA_0 * (np.eye(N) + V * X @ X.T)
    student = stats.multivariate_t(np.zeros(N), shape, df=2 * ALPHA_0)
    assert log_evidence() == pytest.approx(student.logpdf(Y), abs=1e-8)


def test_eq_jacobian():
    prior = stats.invgamma(3.0, scale=2.0)
    for ell in (-1.0, -0.2, 0.5):
        density = slope(lambda t: prior.cdf(np.exp(2 * t)), ell)
        assert density == pytest.approx(prior.pdf(np.exp(2 * ell)) * 2 * np.exp(2 * ell), rel=1e-6)


def best_normal(mean_field, alpha=ALPHA):
    inverse = np.diag(1 / np.diag(LAMBDA)) if mean_field else np.linalg.inv(LAMBDA)
    s2 = 1 / (4 * alpha + 2 * D)
    cov = np.zeros((3, 3))
    cov[:2, :2], cov[2, 2] = BETA / alpha * inverse, s2
    return vt.Gaussian([*M, np.log(BETA / alpha) / 2 + s2], cov)


def elbo_latent(q):
    """E[log joint] in closed form, by the proof's moment of exp(-2 ℓ), plus the entropy."""
    mean, cov = q.mean, q.cov
    factor = np.exp(-2 * mean[2] + 2 * cov[2, 2])
    d = mean[:2] - 2 * cov[:2, 2] - M
    inner = BETA + (np.trace(LAMBDA @ cov[:2, :2]) + d @ LAMBDA @ d) / 2
    constant = log_joint_latent(np.array([[*M, 0.0]]))[0] + BETA
    return constant - (2 * ALPHA + D) * mean[2] - factor * inner + q.entropy()


def test_the_proofs_elbo_is_right():
    for q in [best_normal(False), best_normal(True), *some_gaussians(3, dim=3)]:
        tame = vt.Gaussian(q.mean / 2, q.cov / 20)
        by_quadrature = expect(log_joint_latent, tame) + tame.entropy()
        assert elbo_latent(tame) == pytest.approx(by_quadrature, rel=1e-8)


@pytest.fixture(scope="module")
def latent_fits():
    with warnings.catch_warnings(action="ignore"):
        return {
            name: vt.fit(log_joint_latent, family(3), draws=100)
            for name, family in (("full", vt.FullRank), ("mean-field", vt.MeanField))
        }


@pytest.mark.parametrize("which", ["full", "mean-field"])
def test_eq_best(latent_fits, which):
    best = best_normal(which == "mean-field")
    family = latent_fits[which].family
    top = family.from_location_scale(best.mean, np.linalg.cholesky(best.cov))
    rng = np.random.default_rng(0)
    for _ in range(20):
        nudged = family.distribution(top + 0.02 * rng.normal(size=len(top)))
        assert elbo_latent(nudged) < elbo_latent(best)
    climbed = minimize(lambda phi: -elbo_latent(family.distribution(phi)), top + 0.2, tol=1e-9)
    np.testing.assert_allclose(climbed.x, top, atol=1e-4)
    fitted = latent_fits[which].q
    np.testing.assert_allclose(fitted.sd, best.sd, rtol=0.02)
    np.testing.assert_allclose(fitted.mean, best.mean, atol=0.02)


def exact_sds():
    scale = np.sqrt(BETA / ALPHA * np.diag(np.linalg.inv(LAMBDA)))
    return np.append(stats.t(2 * ALPHA).std() * scale, np.sqrt(special.polygamma(1, ALPHA)) / 2)


def test_the_best_normal_is_narrower_everywhere(printed):
    full, narrow, exact = best_normal(False), best_normal(True), exact_sds()
    row = f"in theory    {full.sd[0]:8.4f} {full.sd[1]:6.4f} {full.sd[2]:9.4f}"
    assert row in printed("learning")
    assert np.all(full.sd < 0.9 * exact)
    assert np.all(narrow.sd[:2] < 0.6 * full.sd[:2])
    assert narrow.sd[2] == full.sd[2]
    z, ell = M, np.log(BETA / ALPHA) / 2
    bend = -slope(
        lambda t: slope(lambda s: log_joint_latent(np.array([[*z, s]]))[0], t, 1e-3), ell, 1e-3
    )
    assert 1 / np.sqrt(bend) < exact[2]
    assert f"exact        {exact[0]:8.4f} {exact[1]:6.4f} {exact[2]:9.4f}" in printed("learning")


def test_the_nats_that_are_missing(printed):
    table = re.findall(
        r"^(full|mean-field) +(\S+) +(\S+) +(\S+)$",
        printed("learning").split("nats missing")[1][:120],
        re.MULTILINE,
    )
    assert [row[0] for row in table] == ["full", "mean-field"]
    for name, joint, of_slope, of_ell in table:
        q = best_normal(name == "mean-field")
        assert float(joint) == pytest.approx(log_evidence() - elbo_latent(q), abs=2e-3)
        student = stats.t(2 * ALPHA, M[1], np.sqrt(BETA / ALPHA * np.linalg.inv(LAMBDA)[1, 1]))
        grid, step = np.linspace(M[1] - 10 * q.sd[1], M[1] + 10 * q.sd[1], 4001, retstep=True)
        normal = stats.norm(q.mean[1], q.sd[1])
        kl = np.sum(normal.pdf(grid) * (normal.logpdf(grid) - student.logpdf(grid))) * step
        assert float(of_slope) == pytest.approx(kl, abs=2e-3)
        normal = stats.norm(q.mean[2], q.sd[2])
        grid, step = np.linspace(-4, 4, 8001, retstep=True)
        exact = stats.invgamma(ALPHA, scale=BETA).logpdf(np.exp(2 * grid)) + np.log(2) + 2 * grid
        kl = np.sum(normal.pdf(grid) * (normal.logpdf(grid) - exact)) * step
        assert float(of_ell) == pytest.approx(kl, abs=2e-3)


def holds(student, mean, sd):
    return student.cdf(mean + 1.96 * sd) - student.cdf(mean - 1.96 * sd)


def coverage(rows, heights):
    """Of the 95 % intervals of the slope with σ held, inferred in full, and by mean-field."""
    precision = rows.T @ rows + np.eye(D) / V
    m = np.linalg.solve(precision, rows.T @ heights)
    alpha = ALPHA_0 + len(heights) / 2
    beta = BETA_0 + (heights @ heights - m @ precision @ m) / 2
    at = top_of(lambda t: vt.LinearRegression(rows, heights, np.exp(t), TAU).log_evidence())
    held = vt.LinearRegression(rows, heights, np.exp(at), TAU).posterior()
    scale = np.sqrt(beta / alpha * np.linalg.inv(precision)[1, 1])
    narrow = np.sqrt(beta / alpha / precision[1, 1])
    student = stats.t(2 * alpha, m[1], scale)
    return np.array(
        [
            holds(student, held.mean[1], held.sd[1]),
            holds(student, m[1], scale),
            holds(student, m[1], narrow),
        ]
    )


def test_what_the_intervals_hold(number, told):
    held, full, narrow = 100 * coverage(X, Y)
    for label, share in (("sigma held", held), ("full rank ", full), ("mean-field", narrow)):
        assert told("learning", f"{label} holds") == pytest.approx([share], abs=0.5)
    told = [number("learning", f"learn_{name}") for name in ("held", "full", "narrow")]
    assert told == pytest.approx([held, full, narrow], abs=0.5)
    assert narrow < held < full < 95
    assert full - held == pytest.approx((95 - held) / 2, abs=1)
    assert full - narrow > 2 * (95 - held)


def test_eq_limit(number):
    u = X[:, 1]
    tilt = -u.mean() / np.sqrt(np.mean(u**2))
    limit = 200 * stats.norm.cdf(1.96 * np.sqrt(1 - tilt**2)) - 100
    assert number("learning", "learn_limit") == pytest.approx(limit, abs=1e-9)
    rng = np.random.default_rng(0)
    rows = np.tile(X, (2000, 1))
    narrow = coverage(rows, rows @ [-1, 1] + rng.normal(size=len(rows)))[2]
    assert 100 * narrow == pytest.approx(limit, abs=0.1)


def test_the_first_two_errors_fade_with_n_and_the_last_does_not():
    rng = np.random.default_rng(0)
    rows = np.tile(X, (100, 1))
    held, full, narrow = 100 * coverage(rows, rows @ [-1, 1] + rng.normal(size=len(rows)))
    assert held > 94.5
    assert full > 94.5
    assert narrow < 75


def test_khat_notices_the_tails(latent_fits, number):
    assert number("learning", "learn_khat") > 0.7
    assert not latent_fits["full"].diagnose().trusted


def test_q_comes_to_the_dashed_ellipse_from_outside(ascent, best):
    final = model(best).posterior()
    sd = np.array([ascent.distribution(t).sd for t in range(len(ascent.trajectory))])
    assert np.all(sd[4] > 2 * final.sd)
    np.testing.assert_allclose(sd[-1], final.sd, rtol=0.05)
    for t in range(5, 60, 5):
        moment = model(ascent.theta_trajectory[t, 0]).posterior()
        assert ascent.distribution(t).kl(moment) < 0.1


def test_the_link_lifts_the_middle_point_and_a_learned_sigma_would_notice(best, printed):
    (link,) = re.findall(r"#lab:points=([^&]+)&", PAGE.read_text(encoding="utf-8"))
    points = np.array([[float(v) for v in p.split(",")] for p in link.split(";")])
    np.testing.assert_allclose(points[:, 0], X[:, 1], atol=5e-3)
    lifted = points[:, 1] - Y
    assert 2.4 < lifted[2] < 2.7
    np.testing.assert_allclose(lifted[[0, 1, 3, 4]], 0, atol=5e-3)
    heights = np.where(np.arange(N) == 2, 4.5, Y)
    held = vt.LinearRegression(X, heights, np.exp(best), TAU).posterior()
    np.testing.assert_allclose(held.cov, model(best).posterior().cov, rtol=1e-9)
    again = np.exp(top_of(lambda t: vt.LinearRegression(X, heights, np.exp(t), TAU).log_evidence()))
    assert again > 2 * np.exp(best)
    assert f"sigma {again:.2f} instead of" in printed("learning")


def test_the_mode_of_sigma_is_smaller():
    ell = np.linspace(-3, 3, 60_001)
    log_p = stats.invgamma(ALPHA, scale=BETA).logpdf(np.exp(2 * ell)) + 2 * ell
    assert np.exp(ell[np.argmax(log_p - ell)]) < np.exp(ell[log_p.argmax()])


def test_half_the_noise(best, printed, told):
    rows, heights = np.vstack([X, X]), np.tile(Y, 2)
    twice = top_of(lambda t: vt.LinearRegression(rows, heights, np.exp(t), TAU).log_evidence())
    assert np.exp(twice - best) == pytest.approx(np.sqrt(3 / 4), rel=2e-3)
    assert told("learning", "sigma: times") == [round(np.exp(twice - best), 4)]
    for alpha in (3.5, 6.0):
        sd = np.sqrt(special.polygamma(1, alpha)) / 2
        assert sd == pytest.approx(1 / np.sqrt(4 * alpha), rel=0.1)
        assert f"sd {sd:.3f}" in printed("learning")


@pytest.mark.parametrize("which", ["evidence", "mean-field"])
def test_the_priors_m_step(tops, told, which):
    sigma, tau = 3.0, 3.0
    for _ in range(300):
        q = model(np.log(sigma), tau).posterior()
        q = best_mean_field(q) if which == "mean-field" else q
        residual = Y - X @ q.mean
        sigma = np.sqrt((residual @ residual + np.trace(GRAM @ q.cov)) / N)
        tau = np.sqrt((q.mean @ q.mean + np.trace(q.cov)) / D)
    np.testing.assert_allclose([sigma, tau], tops[which], rtol=1e-4)
    assert told("learning", f"{which}, turns") == pytest.approx(tops[which], abs=1e-4)


def test_a_prior_that_is_tied_to_the_noise(best, told):
    cov = np.eye(N) + V * X @ X.T
    sigma = np.exp(
        top_of(lambda t: stats.multivariate_normal(np.zeros(N), np.exp(2 * t) * cov).logpdf(Y))
    )
    assert sigma == pytest.approx(np.sqrt(Y @ np.linalg.solve(cov, Y) / N), rel=1e-6)
    least = np.linalg.lstsq(X, Y, rcond=None)[1][0]
    assert sigma == pytest.approx(np.sqrt(least / N), rel=0.01)
    assert told("learning", "tied:") == pytest.approx([sigma], abs=1e-4)
    assert sigma < 0.8 * np.exp(best)


def test_without_the_jacobian_it_is_another_prior(printed):
    with warnings.catch_warnings(action="ignore"):
        fit = vt.fit(lambda z: log_joint_latent(z) - 2 * z[:, 2], vt.FullRank(3), draws=100)
    other = best_normal(False, ALPHA + 1)
    np.testing.assert_allclose(fit.q.mean, other.mean, atol=0.02)
    np.testing.assert_allclose(fit.q.sd, other.sd, rtol=0.02)
    assert other.mean[2] < best_normal(False).mean[2] - 0.1
    assert f"{other.mean[2]:.3f} in theory" in printed("learning")


@pytest.mark.parametrize("tau", [10, 0.3])
def test_penguins_and_their_noise(tau, told):
    with pytest.warns(vt.MissingDataWarning):
        flippers, mass = vt.load_penguins()

    def at(t):
        return vt.LinearRegression(flippers, mass, np.exp(t), tau)

    def bound(t):
        return at(t).elbo(best_mean_field(at(t).posterior()))

    evidence, mean_field = np.exp(top_of(lambda t: at(t).log_evidence())), np.exp(top_of(bound))
    assert (evidence == pytest.approx(0.4, abs=0.01)) == (tau == 10)
    assert told("learning", f"tau {float(tau)}: evidence") == [round(evidence, 5)]
    assert 0 < mean_field / evidence - 1 < (1e-5 if tau == 10 else D / (2 * len(mass)))
    assert at(np.log(evidence)).log_evidence() - bound(np.log(evidence)) > 2
