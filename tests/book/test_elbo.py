"""Every claim of the chapter on the ELBO, derived again from closed forms and quadrature."""

import re
from math import lgamma

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize

import vitutor as vt

MEAN_FIELD = vt.MeanField(dim=2)


@pytest.fixture(scope="module")
def five():
    X, y = vt.load_five_points()
    model = vt.LinearRegression(X, y, noise_sd=1.0, prior_sd=10.0)
    return model, model.posterior()


def mean_field(model):
    """The best mean-field q, by the formula of its variances and not by the core's."""
    exact = model.posterior()
    return vt.Gaussian(exact.mean, np.diag(1 / np.diag(np.linalg.inv(exact.cov))))


def counter(z, alpha=1.0):
    """The counter's log joint after alpha - 1 clicks in a minute."""
    return alpha * z - 2 * np.exp(z) - lgamma(alpha)


def counter_elbo(mu, log_sigma, alpha=1.0):
    q = stats.norm(mu, np.exp(log_sigma))
    a, b = q.ppf([1e-15, 1 - 1e-15])
    return quad(lambda z: q.pdf(z) * (counter(z, alpha) - q.logpdf(z)), a, b, limit=200)[0]


def test_eq_half():
    assert quad(lambda z: np.exp(counter(z)), -40, 6)[0] == pytest.approx(0.5, abs=1e-9)


def test_the_mean_weight_is_the_evidence_and_its_mean_logarithm_is_less(printed):
    log_of_mean = float(re.search(r"log of the mean weight\s+(\S+)", printed("elbo"))[1])
    mean_of_log = float(re.search(r"mean of the log weight\s+(\S+)", printed("elbo"))[1])
    assert log_of_mean == pytest.approx(np.log(0.5), abs=0.01)
    assert mean_of_log == pytest.approx(counter_elbo(-1, 0), abs=0.005)
    assert mean_of_log < np.log(0.5) - 0.05


def test_thm_gap(five, number, printed):
    model, exact = five
    assert number("elbo", "agreement") < 1e-9
    assert "largest difference < 1e-9: True" in printed("elbo")
    log_p = stats.multivariate_normal(exact.mean, exact.cov)
    rng = np.random.default_rng(0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)
    eps = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel() / (2 * np.pi)
    for _ in range(10):
        root = np.tril(rng.normal(size=(2, 2))) + 2 * np.eye(2)
        mean = rng.normal(size=2)
        z, log_q = mean + eps @ root.T, stats.multivariate_normal(mean, root @ root.T)
        elbo = weights @ (model.log_joint(z) - log_q.logpdf(z))
        kl = weights @ (log_q.logpdf(z) - log_p.logpdf(z))
        assert elbo + kl == pytest.approx(model.log_evidence(), abs=1e-9)


def test_the_three_readings(five, number, printed):
    model, exact = five
    assert "the three readings agree to 1e-9: True" in printed("elbo")
    prior = vt.Gaussian(np.zeros(2), 100 * np.eye(2))
    for q in (vt.Gaussian(np.zeros(2), np.eye(2)), mean_field(model), exact):
        residual = model.y - model.X @ q.mean
        fit = -(residual @ residual + np.trace(model.X @ q.cov @ model.X.T)) / 2
        fit -= len(model.y) / 2 * np.log(2 * np.pi)
        assert fit - q.kl(prior) == pytest.approx(model.elbo(q), abs=1e-9)
        assert model.log_evidence() - q.kl(exact) == pytest.approx(model.elbo(q), abs=1e-9)
    assert number("elbo", "gap") == pytest.approx(mean_field(model).kl(exact), abs=1e-12)
    assert number("elbo", "evidence") == pytest.approx(model.log_evidence(), abs=1e-12)


def test_the_mean_field_gap_is_all_entropy(five):
    model, exact = five
    gap = exact.entropy() - mean_field(model).entropy()
    assert gap == pytest.approx(mean_field(model).kl(exact), abs=1e-12)
    assert gap > 0.5


def test_eq_surface_and_eq_top():
    def closed(mu, log_sigma):
        growth = np.exp(mu + np.exp(2 * log_sigma) / 2)
        return mu - 2 * growth + log_sigma + np.log(2 * np.pi * np.e) / 2

    for phi in [(-1.2, 0.0), (0.5, -1.0), (-2.0, 0.4)]:
        assert closed(*phi) == pytest.approx(counter_elbo(*phi), abs=1e-8)
    top = minimize(lambda phi: -counter_elbo(*phi), [0, -0.5], method="Nelder-Mead", tol=1e-10)
    assert top.x == pytest.approx([-np.log(2) - 0.5, 0.0], abs=1e-4)
    assert np.log(0.5) + top.fun == pytest.approx(1 - np.log(2 * np.pi) / 2, abs=1e-8)


def test_the_best_mu_is_between_mode_and_mean_and_the_best_sigma_too_narrow():
    mode, mean, sd = -np.log(2), -np.euler_gamma - np.log(2), np.pi / np.sqrt(6)
    best = -np.log(2) - 0.5
    assert mean < best < mode
    assert best - mean < mode - best
    assert sd > 1.2


def test_the_corridor_has_two_tops_and_the_counter_one(printed):
    assert len(re.findall(r"^counter .*gap", printed("elbo"), re.MULTILINE)) == 1
    tops = re.findall(r"^corridor .*gap (\S+)", printed("elbo"), re.MULTILINE)
    assert sorted(map(float, tops)) == [0.33, 1.27]


def test_the_order_of_the_elbos_is_not_that_of_the_evidences(five):
    model, _ = five

    def compare(prior_sd):
        flat = vt.LinearRegression(model.X[:, :1], model.y, 1.0, prior_sd)
        sloped = vt.LinearRegression(model.X, model.y, 1.0, prior_sd)
        bound = sloped.elbo(mean_field(sloped))
        return sloped.log_evidence() > flat.log_evidence(), bound > flat.log_evidence()

    assert compare(4.0) == (True, False)
    assert compare(3.0) == (True, True)
    assert compare(3.5) == compare(5.5) == (True, False)
    assert compare(6.0) == (False, False)


@pytest.mark.parametrize("c", [100.0, 0.01])
def test_eq_units(five, c):
    model, _ = five
    scaled = vt.LinearRegression(model.X, c * model.y, c, 10 * c)
    q, p = mean_field(scaled), mean_field(model)
    assert scaled.elbo(q) == pytest.approx(model.elbo(p) - 5 * np.log(c), abs=1e-9)
    assert q.kl(scaled.posterior()) == pytest.approx(p.kl(model.posterior()), abs=1e-12)


def test_the_two_people_of_the_question_have_the_same_approximation(five, number):
    model, _ = five
    assert number("elbo", "theirs") == pytest.approx(model.elbo(mean_field(model)), abs=1e-9)
    shift = number("elbo", "ours") - number("elbo", "theirs")
    assert shift == pytest.approx(5 * np.log(100), abs=1e-9)
    assert number("elbo", "ours") > 0 > number("elbo", "theirs")


def test_the_error_of_the_estimate(five):
    model, exact = five
    spreads = []
    for phi in (MEAN_FIELD.init(), MEAN_FIELD.closest(exact)):
        q = MEAN_FIELD.distribution(phi)
        eps = MEAN_FIELD.noise(np.random.default_rng(5), 200_000)
        z = MEAN_FIELD.transform(phi, eps)
        f = model.log_joint(z) - MEAN_FIELD.log_prob(phi, z)
        assert abs(f.mean() - model.elbo(q)) < 4 * f.std() / np.sqrt(len(f))
        estimates = f.reshape(-1, 100).mean(axis=1)
        assert estimates.std() == pytest.approx(f.std() / 10, rel=0.06)
        assert vt.elbo(model.log_joint, MEAN_FIELD, phi, eps) == pytest.approx(f.mean(), abs=1e-9)
        spreads.append(f.std())
    assert 30 < spreads[0] / spreads[1] < 50


def test_one_draw_is_enough_at_the_posterior(five):
    model, exact = five
    z = exact.sample(np.random.default_rng(0), 50)
    f = model.log_joint(z) - exact.log_prob(z)
    np.testing.assert_allclose(f, model.log_evidence(), atol=1e-12)


@pytest.mark.parametrize("alpha", [1, 3, 10])
def test_stirlings_remainder_is_the_gap(alpha):
    stirling = (alpha - 0.5) * np.log(alpha) - alpha + np.log(2 * np.pi) / 2
    evidence = lgamma(alpha) - lgamma(alpha) - alpha * np.log(2)
    assert np.log(quad(lambda z: np.exp(counter(z, alpha)), -40, 6)[0]) == pytest.approx(evidence)
    best = np.log(alpha / 2) - 1 / (2 * alpha), -np.log(alpha) / 2
    gap = evidence - counter_elbo(*best, alpha)
    assert gap == pytest.approx(lgamma(alpha) - stirling, abs=1e-8)
    assert gap == pytest.approx(1 / (12 * alpha), rel=0.03)
    for nudge in [(0.05, 0), (-0.05, 0), (0, 0.05), (0, -0.05)]:
        assert counter_elbo(best[0] + nudge[0], best[1] + nudge[1], alpha) < counter_elbo(
            *best, alpha
        )


def test_more_weights_tighten_the_bound(printed, five):
    model, _ = five
    bounds = [float(b) for b in re.findall(r"^K = +\d+ +(\S+)", printed("elbo"), re.MULTILINE)]
    assert len(bounds) == 5
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(model.elbo(mean_field(model)), abs=0.03)
    assert bounds[-1] < model.log_evidence()


def test_common_noise_needs_far_fewer_draws(printed):
    fresh, common = (
        int(n.replace(",", "")) for n in re.findall(r"draws with .* noise: (\S+)", printed("elbo"))
    )
    assert fresh > 10_000 * common


def test_too_wide_is_worse_than_too_narrow():
    posterior = vt.Gaussian([0.0], [[1.0]])
    narrow, wide = (vt.Gaussian([0.0], [[r**2]]).kl(posterior) for r in (0.5, 2.0))
    assert wide == pytest.approx(1.5 - np.log(2))
    assert narrow == pytest.approx(np.log(2) - 3 / 8)
    assert wide > narrow
