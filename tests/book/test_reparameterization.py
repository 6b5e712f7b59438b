"""Every claim of the chapter on reparameterization, derived again: exactly where it is exact."""

import warnings

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from numpy.polynomial.hermite_e import hermegauss

import vitutor as vt

NODES, WEIGHTS = hermegauss(6)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
ESTIMATORS = (
    vt.score_function,
    vt.score_function_with_baseline,
    vt.pathwise,
    vt.sticking_the_landing,
)


def moments(estimator, log_joint, family, phi, draws=1):
    """Mean and variance of V over all its noise, by Gauss-Hermite quadrature."""
    axes = draws * family.dim
    eps = np.stack(np.meshgrid(*[NODES] * axes), axis=-1).reshape(-1, draws, family.dim)
    weights = np.prod(np.meshgrid(*[WEIGHTS] * axes), axis=0).ravel()
    V = np.array([estimator(log_joint, family, phi, each)[1] for each in eps])
    mean = weights @ V
    return mean, weights @ (V - mean) ** 2


def density(z, mean=0.0, sd=1.0):
    return np.exp(-(((z - mean) / sd) ** 2) / 2) / (sd * np.sqrt(2 * np.pi))


GRID = np.linspace(-12, 12, 480_001)
CELL = GRID[1] - GRID[0]


def expect(f, mean, sd=1.0):
    """The mean of f(z) under N(mean, sd²), by the midpoints of cells that 0 never is one of."""
    z = GRID[:-1] + CELL / 2
    return np.sum(f(z) * density(z, mean, sd)) * CELL


@pytest.fixture(scope="module")
def five():
    X, y = vt.load_five_points()
    model = vt.LinearRegression(X, y, noise_sd=1.0, prior_sd=10.0)
    return model, model.posterior(), vt.MeanField(dim=2)


def test_frozen_draws_make_a_derivative_and_fresh_ones_make_noise(five):
    model, _, family = five
    start = family.init()
    spread = {}
    for delta in (0.1, 0.001):
        moved = start + delta * np.array([0, 1, 0, 0])
        for frozen in (True, False):
            rng, found = np.random.default_rng(0), []
            for _ in range(200):
                eps = family.noise(rng, 100)
                again = eps if frozen else family.noise(rng, 100)
                rise = vt.elbo(model.log_joint, family, moved, again)
                found.append((rise - vt.elbo(model.log_joint, family, start, eps)) / delta)
            spread[frozen, delta] = np.std(found)
    assert spread[False, 0.001] / spread[False, 0.1] == pytest.approx(100, rel=0.2)
    assert spread[True, 0.001] == pytest.approx(spread[True, 0.1], rel=1e-6)


def ring(phi, eps):
    length = np.sqrt(np.sum(eps**2, axis=1, keepdims=True))
    return phi[0] * eps / length + np.exp(phi[1]) * eps


def test_eq_ring():
    eps = np.random.default_rng(0).standard_normal((50, 2))
    phi, length = np.array([2.0, -1.0]), np.hypot(*eps.T)
    z = ring(phi, eps)
    np.testing.assert_allclose(np.hypot(*z.T), 2 + np.exp(-1) * length)
    outward = (ring(phi + np.array([1e-6, 0]), eps) - z) / 1e-6
    np.testing.assert_allclose(outward, eps / length[:, None], atol=1e-8)


def test_the_ring_climbed_by_hand():
    rho = np.arange(0.0005, 12, 0.001)
    weights = rho * np.exp(-(rho**2) / 2) * 0.001

    def mean_log_p(r, w=0.5, R=3.0, sigma=0.4):
        return weights @ (-((r + w * rho - R) ** 2) / (2 * sigma**2))

    slope = (mean_log_p(1 + 1e-5) - mean_log_p(1 - 1e-5)) / 2e-5
    assert slope == pytest.approx((3 - 1 - 0.5 * np.sqrt(np.pi / 2)) / 0.16, rel=1e-5)


def test_ten_lines_are_the_core_and_unbiased(five):
    model, exact, family = five

    def log_joint(z):
        residual = model.y - z @ model.X.T
        return -anp.sum(residual**2, 1) / 2 - anp.sum(z**2, 1) / 200

    def elbo(phi, eps):
        mu, log_s = phi[:2], phi[2:]
        z = mu + anp.exp(log_s) * eps
        return anp.mean(log_joint(z)) + anp.sum(log_s) + anp.log(2 * anp.pi * anp.e)

    V, phi = grad(elbo), np.array([0.3, -0.2, 0.1, -0.7])
    eps = np.random.default_rng(0).standard_normal((10, 2))
    core = vt.pathwise(model.log_joint, family, phi, eps)[1]
    np.testing.assert_allclose(V(phi, eps), core, rtol=1e-12)
    precision = np.linalg.inv(exact.cov)
    truth = np.concatenate(
        [precision @ (exact.mean - phi[:2]), 1 - np.diag(precision) * np.exp(2 * phi[2:])]
    )
    for estimator in (vt.pathwise, vt.sticking_the_landing, vt.score_function):
        mean, _ = moments(estimator, model.log_joint, family, phi)
        np.testing.assert_allclose(mean, truth, rtol=1e-9)

    rng = np.random.default_rng(0)
    phi = np.zeros(4)
    for t in range(3000):
        phi = phi + 0.02 / (1 + t / 100) * V(phi, rng.standard_normal((10, 2)))
    assert family.distribution(phi).kl(family.distribution(family.closest(exact))) < 1e-3


@pytest.mark.parametrize("mu", [-1.0, 0.0, 0.3])
def test_a_jump_in_p_is_lost_on_the_path_and_not_on_the_score(mu):
    s = 0.5

    def log_p(z):
        return -(z**2) / 2 + 2 * (z > 0)

    exact = -mu + 2 * density(0, mu, s)
    rise = expect(log_p, mu + 1e-3, s) - expect(log_p, mu - 1e-3, s)
    assert rise / 2e-3 == pytest.approx(exact, abs=1e-4)
    assert expect(lambda z: log_p(z) * (z - mu) / s**2, mu, s) == pytest.approx(exact, abs=1e-4)
    assert expect(lambda z: -z, mu, s) == pytest.approx(-mu, abs=1e-9)


def test_autograd_walks_past_a_jump_a_click_and_a_coin():
    eps, u = np.random.default_rng(0).standard_normal(100), np.random.default_rng(1).random(100)

    def jump(mu):
        z = mu + 0.5 * eps
        return anp.mean(-(z**2) / 2 + 2 * (z > 0))

    def coin(phi):
        return anp.mean(1.0 * (u < 1 / (1 + anp.exp(-phi))))

    assert grad(jump)(0.3) == pytest.approx(-np.mean(0.3 + 0.5 * eps))
    with pytest.warns(UserWarning, match="independent of input"):
        assert grad(coin)(0.2) == 0
    with pytest.warns(UserWarning, match="independent of input"):
        assert grad(lambda phi: anp.round(4 * phi) / 4)(0.2) == 0


def test_the_scores_mean_for_a_coin():
    for phi in (-1.0, 0.5):
        p = 1 / (1 + np.exp(-phi))
        assert p * 1 * (1 - p) + (1 - p) * 0 * (0 - p) == pytest.approx(p * (1 - p))
        slope = (1 / (1 + np.exp(-phi - 1e-6)) - 1 / (1 + np.exp(-phi + 1e-6))) / 2e-6
        assert slope == pytest.approx(p * (1 - p), rel=1e-6)


def test_kinks_pass():
    for mu in (0.0, 0.5):
        rise = expect(np.abs, mu + 1e-4) - expect(np.abs, mu - 1e-4)
        assert rise / 2e-4 == pytest.approx(expect(np.sign, mu), abs=1e-6)
    stair = expect(np.floor, 0.501) - expect(np.floor, 0.499)
    assert stair / 0.002 == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("precision", [0.01, 1.0, 1e4])
def test_eq_log_scale(precision):
    s, h = 1 / np.sqrt(precision), 1e-3

    def loss(s):
        return precision * s**2 / 2 - np.log(s)

    step = h * s
    bend = (loss(s + step) - 2 * loss(s) + loss(s - step)) / step**2
    assert bend == pytest.approx(2 * precision, rel=1e-4)
    log_bend = (loss(s * np.exp(h)) - 2 * loss(s) + loss(s * np.exp(-h))) / h**2
    assert log_bend == pytest.approx(2, rel=1e-4)


def test_steps_in_s_and_in_log_s():
    def ascend(right, in_log, most=1000):
        s = 2 * right
        for t in range(most):
            if s <= 0 or abs(s / right - 1) < 0.01:
                return t, s
            slope = 1 / s - s / right**2
            s = s * np.exp(0.1 * s * slope) if in_log else s + 0.1 * slope
        return most, s

    assert len({ascend(right, True)[0] for right in (0.01, 1.0, 100.0)}) == 1
    assert ascend(0.01, False)[1] < 0
    assert ascend(100.0, False)[0] == 1000
    assert ascend(1.0, False)[0] < 100


def test_thm_landing(five):
    model, exact, _ = five
    full = vt.FullRank(dim=2)
    phi = full.closest(exact)
    eps = full.noise(np.random.default_rng(0), 20)
    for each in eps[:, None]:
        landed = vt.sticking_the_landing(model.log_joint, full, phi, each)[1]
        np.testing.assert_allclose(landed, 0, atol=1e-11)
    assert np.abs(vt.pathwise(model.log_joint, full, phi, eps)[1]).max() > 0.1
    baseline = vt.score_function_with_baseline(model.log_joint, full, phi, eps)[1]
    np.testing.assert_allclose(baseline, 0, atol=1e-11)


def test_one_lands_and_one_hovers(five):
    model, exact, _ = five
    ends = {}
    for estimator in (vt.pathwise, vt.sticking_the_landing):
        with warnings.catch_warnings(action="ignore"):
            climb = vt.fit(
                model.log_joint,
                vt.FullRank(dim=2),
                estimator=estimator,
                optimizer=vt.sgd(0.01),
                draws=10,
                steps=1000,
            )
        ends[estimator] = [climb.distribution(t).kl(exact) for t in range(500, 1001, 5)]
    assert 0.01 < np.mean(ends[vt.pathwise]) < 0.1
    assert ends[vt.sticking_the_landing][-1] < 1e-10


def test_eq_mean_field(five):
    model, exact, family = five
    precision = np.linalg.inv(exact.cov)
    rho = exact.cov[0, 1] / np.prod(exact.sd)
    phi = family.closest(exact)
    rest = precision[0, 1] ** 2 / np.diag(precision)[::-1]
    _, closed = moments(vt.pathwise, model.log_joint, family, phi)
    _, landing = moments(vt.sticking_the_landing, model.log_joint, family, phi)
    np.testing.assert_allclose(closed[:2], np.diag(precision) + rest, rtol=1e-9)
    np.testing.assert_allclose(landing[:2], rest, rtol=1e-9)
    np.testing.assert_allclose(landing[:2] / closed[:2], rho**2 / (1 + rho**2), rtol=1e-9)


@pytest.mark.parametrize("width", [0.25, 0.5**0.5, 1.0, 2.0])
def test_a_narrow_q_makes_the_landing_the_noisier(width):
    target, q = vt.Gaussian([0.0], [[1.0]]).log_prob, vt.MeanField(dim=1)
    phi = np.array([0.0, np.log(width)])
    closed = moments(vt.pathwise, target, q, phi)[1][0]
    landing = moments(vt.sticking_the_landing, target, q, phi)[1][0]
    assert closed == pytest.approx(width**2)
    assert landing == pytest.approx((1 / width - width) ** 2, abs=1e-12)


def theory(D, S):
    return (
        (D**2 / 2 + 2 * D + 8) / S,
        (2 * D + 8) / S + 2 * D / (S * (S - 1)),
        3 / S,
        1 / S,
    )


@pytest.mark.parametrize(("dim", "draws"), [(1, 2), (1, 3), (2, 2)])
def test_side_by_side(dim, draws):
    log_p, q = vt.Gaussian(np.ones(dim), np.eye(dim)).log_prob, vt.MeanField(dim)
    for estimator, variance in zip(ESTIMATORS, theory(dim, draws), strict=True):
        found = moments(estimator, log_p, q, q.init(), draws)[1][dim:]
        np.testing.assert_allclose(found, variance, rtol=1e-9)


def test_a_low_and_steep_f_is_worse_for_the_path():
    k, mu = 20, 0.3
    path = expect(lambda z: (k * np.cos(k * z)) ** 2, mu)
    score = expect(lambda z: (np.sin(k * z) * (z - mu)) ** 2, mu)
    assert path == pytest.approx(200, rel=1e-3)
    assert score == pytest.approx(0.5, rel=1e-3)


def test_the_best_laplace_is_lower_by_the_entropies():
    b = np.sqrt(0.5)
    laplace = -0.5 * 2 * b**2 + 1 + np.log(2 * b)
    normal = -0.5 + 0.5 * (1 + np.log(2 * np.pi))
    assert normal - laplace == pytest.approx((np.log(np.pi) - 1) / 2)
    for other in (0.95 * b, 1.05 * b):
        assert -(other**2) + 1 + np.log(2 * other) < laplace


def test_slopes_or_bends():
    mu, s, m, precision = 0.4, 0.7, 1.0, 3.0
    eps = (GRID[:-1] + GRID[1:]) / 2
    weights = density(eps) * CELL
    slope = -precision * (mu + s * eps - m) * eps
    mean = weights @ slope
    assert mean == pytest.approx(-precision * s)
    variance = precision**2 * ((mu - m) ** 2 + 2 * s**2)
    assert weights @ (slope - mean) ** 2 == pytest.approx(variance)


def test_the_limp():
    def limp(precision):
        R = np.sum(precision[0, 1:] ** 2 / np.diag(precision)[1:]) / precision[0, 0]
        return R / (1 + R)

    equal = [limp(np.linalg.inv((np.eye(D) + 1) / 2)) for D in (2, 5, 20, 100)]
    only_sum = [limp(np.eye(D) / 100 + 1) for D in (2, 5, 20, 100)]
    assert np.all(np.diff(equal) < 0)
    assert equal[0] == pytest.approx(0.2)
    assert equal[-1] < 0.011
    assert np.all(np.diff(only_sum) > 0)
    assert only_sum[-1] > 0.98
