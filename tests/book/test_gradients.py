"""Every claim of the chapter on noisy ascent, derived again: by quadrature where it is exact."""

import warnings

import numpy as np
import pytest

import vitutor as vt

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(6)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def moments(estimator, log_joint, family, phi, draws=1):
    """Mean and variance of V over all its noise, by Gauss-Hermite quadrature."""
    axes = draws * family.dim
    eps = np.stack(np.meshgrid(*[NODES] * axes), axis=-1).reshape(-1, draws, family.dim)
    weights = np.prod(np.meshgrid(*[WEIGHTS] * axes), axis=0).ravel()
    V = np.array([estimator(log_joint, family, phi, each)[1] for each in eps])
    mean = weights @ V
    return mean, weights @ (V - mean) ** 2


@pytest.fixture(scope="module")
def five():
    X, y = vt.load_five_points()
    model = vt.LinearRegression(X, y, noise_sd=1.0, prior_sd=10.0)
    return model, model.posterior(), vt.MeanField(dim=2)


@pytest.fixture(scope="module")
def level():
    _, y = vt.load_five_points()
    model = vt.LinearRegression(np.ones((5, 1)), y, 1.0, 10.0)
    return model, model.posterior().mean[0], 1 / model.posterior().cov[0, 0]


def exact_gradient(exact, phi):
    precision = np.linalg.inv(exact.cov)
    s = np.exp(phi[2:])
    return np.concatenate([precision @ (exact.mean - phi[:2]), 1 - np.diag(precision) * s**2])


def quietly(log_joint, family, **options):
    with warnings.catch_warnings(action="ignore"):
        return vt.fit(log_joint, family, **options)


def test_eq_exact(five):
    model, exact, family = five
    phi = np.array([0.3, -0.2, 0.1, -0.7])
    for j, step in enumerate(1e-5 * np.eye(4)):
        rise = model.elbo(family.distribution(phi + step))
        rise -= model.elbo(family.distribution(phi - step))
        assert rise / 2e-5 == pytest.approx(exact_gradient(exact, phi)[j], abs=1e-6)


def test_most_readings_point_downhill_and_their_mean_is_right(five):
    model, exact, family = five
    rng, start = np.random.default_rng(1), family.init()
    V = np.array(
        [
            vt.score_function(model.log_joint, family, start, family.noise(rng, 1))[1]
            for _ in range(3000)
        ]
    )
    uphill = exact_gradient(exact, start)
    assert 0.6 < np.mean(V @ uphill < 0) < 0.72
    assert np.all(np.abs(V.mean(axis=0) - uphill) < 4 * V.std(axis=0) / np.sqrt(3000))
    mean, _ = moments(vt.score_function, model.log_joint, family, start)
    np.testing.assert_allclose(mean, uphill, rtol=1e-9)


def test_the_walk_arrives(five):
    model, exact, family = five
    options = {"estimator": vt.score_function, "optimizer": vt.sgd(1e-4), "draws": 1}
    walk = quietly(model.log_joint, family, steps=5000, **options)
    gap = family.distribution(family.closest(exact)).kl(exact)
    assert walk.distribution(0).kl(exact) - gap > 20
    assert walk.distribution(-1).kl(exact) - gap < 0.5


def second_moments(rates, h, v, a):
    course = [a]
    for eta in rates:
        course.append((1 - h * eta) ** 2 * course[-1] + eta**2 * v**2)
    return np.array(course)


def test_eq_recursion_and_eq_floor(level):
    _, m, h = level
    v, steps, runs = 5.0, 400, 4000
    rng, mu = np.random.default_rng(0), np.zeros(runs)
    for _ in range(steps):
        mu = mu + 0.05 * (h * (m - mu) + v * rng.standard_normal(runs))
    a = second_moments([0.05] * steps, h, v, m**2)
    assert np.mean((mu - m) ** 2) == pytest.approx(a[-1], rel=0.1)
    assert h / 2 * a[-1] == pytest.approx(0.05 * v**2 / (2 * (2 - h * 0.05)), rel=1e-9)
    assert second_moments([2.01 / h] * 400, h, 0.0, 1.0)[-1] > 100


def test_schedules(level):
    _, m, h = level
    t, v = np.arange(100_000), 5.0
    right = second_moments(vt.decay(0.05, 20)(t), h, v, m**2)
    assert h / 2 * right[3000] == pytest.approx(0.0022, rel=0.1)
    assert right[-1] < right[3000] / 25
    too_fast = 0.05 / (1 + t / 4) ** 2
    bias = m * np.prod(1 - h * too_fast)
    stopped = h / 2 * second_moments(too_fast, h, v, m**2)
    assert h / 2 * bias**2 > 0.3
    assert stopped[-1] == pytest.approx(stopped[3000], rel=0.01)


def test_the_best_rate_of_the_form_c_over_t(level):
    _, m, h = level
    t = np.arange(10, 200_000)
    found = {}
    for ch in (0.8, 1.0, 1.3, 4.0):
        a = second_moments(ch / h / t, h, 5.0, 0.0)
        found[ch] = a[-1] * t[-1] * h**2 / 25
    for ch in found:
        assert found[ch] == pytest.approx(ch**2 / (2 * ch - 1), rel=0.02)
    assert min(found, key=found.get) == 1.0
    start = second_moments(0.25 / h / t, h, 0.0, m**2)
    assert start[-1] / start[len(t) // 4] == pytest.approx(4**-0.5, rel=0.01)


def test_eq_average():
    h, v, eta, m, T = 5.01, 5.0, 0.05, 1.5, 700
    xi, mu = np.random.default_rng(0).standard_normal(T), [0.0]
    for each in xi:
        mu.append(mu[-1] + eta * (h * (m - mu[-1]) + v * each))
    right = (mu[0] - mu[-1]) / (eta * h * T) + v / h * xi.mean()
    assert np.mean(mu[:-1]) - m == pytest.approx(right, abs=1e-12)


def test_the_average_of_a_fit_is_nearer_than_its_end(five):
    model, exact, family = five
    options = {"estimator": vt.score_function, "optimizer": vt.sgd(0.001), "draws": 10}
    noisy = quietly(model.log_joint, family, steps=2000, **options)
    best = family.distribution(family.closest(exact))
    np.testing.assert_array_equal(noisy.phi, noisy.trajectory[-400:].mean(axis=0))
    assert noisy.q.kl(best) < noisy.distribution(-1).kl(best) / 10


def test_adams_first_step_and_its_indifference_to_the_gradients_scale():
    gradients = np.random.default_rng(0).normal(size=(50, 3))
    paths = []
    for scale in (1.0, 1e6):
        optimizer = vt.adam(0.1)
        state, path = optimizer.init(np.zeros(3)), []
        for gradient in scale * gradients:
            step, state = optimizer.update(gradient, state)
            path.append(step)
        paths.append(path)
    np.testing.assert_allclose(np.abs(paths[0][0]), 0.1, rtol=1e-6)
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-5)


def test_units(five):
    model, _, family = five
    left = {}
    for unit in (0.1, 1.0, 10.0):
        scaled = vt.LinearRegression(model.X * [1, unit], model.y, 1.0, 10.0)
        target = scaled.posterior()
        top = family.distribution(family.closest(target)).kl(target)
        assert quietly(scaled.log_joint, family).q.kl(target) - top < 1e-10
        for name, optimizer in (("sgd", vt.sgd(0.01)), ("adam", vt.adam(0.1))):
            options = {"estimator": vt.pathwise, "optimizer": optimizer, "steps": 1000}
            try:
                fit = quietly(scaled.log_joint, family, **options)
                left[name, unit] = fit.q.kl(target) - top
            except vt.DivergedError:
                left[name, unit] = np.inf
    assert left["sgd", 1.0] < 0.01
    assert left["sgd", 0.1] > 0.1
    assert left["sgd", 10.0] == np.inf
    assert max(left["adam", 0.1], left["adam", 1.0]) < 0.01
    assert 0.02 < left["adam", 10.0] < 1


def test_the_score_fails_where_the_support_moves():
    phi = 3.0
    z = (np.arange(1000) + 0.5) / 1000 * phi
    assert np.mean(z * (-1 / phi)) == pytest.approx(-0.5)
    assert np.mean(z) / phi == pytest.approx(0.5)


@pytest.mark.parametrize("constant", [0.0, 100.0])
@pytest.mark.parametrize("delta", [0.0, 0.6])
def test_eq_variance_and_eq_best(level, constant, delta):
    model, m, h = level
    q, s2 = vt.MeanField(dim=1), 1 / h
    phi = np.array([m - delta, np.log(s2) / 2])
    A = model.log_evidence() + constant - delta**2 / (2 * s2)

    def log_joint(z):
        return model.log_joint(z) + constant

    mean, variance = moments(vt.score_function, log_joint, q, phi)
    assert mean[0] == pytest.approx(h * delta, abs=1e-9)
    assert variance[0] == pytest.approx((A**2 + 2 * delta**2 / s2) / s2, rel=1e-9)
    _, variance = moments(vt.score_function, lambda z: log_joint(z) - A, q, phi)
    assert variance[0] == pytest.approx(2 * delta**2 / s2**2, abs=1e-9)
    assert variance[1] == pytest.approx(10 * delta**2 / s2, abs=1e-9)


def test_the_best_baseline_of_the_figure(five):
    model, _, family = five
    eps = np.stack(np.meshgrid(NODES, NODES), axis=-1).reshape(-1, 2)
    weights = np.outer(WEIGHTS, WEIGHTS).ravel()
    f = model.log_joint(eps) - family.log_prob(family.init(), eps)
    w = eps[:, 1]
    best = weights @ (f * w**2)
    assert best == pytest.approx(-64.5, abs=1)
    assert weights @ f == pytest.approx(-34.8, abs=0.5)

    def sd(b):
        return np.sqrt(weights @ ((f - b) * w) ** 2 - (weights @ (f * w)) ** 2)

    assert sd(best) < min(sd(best - 1), sd(best + 1))
    assert 1.4 < sd(0) / sd(best) < 1.7


def test_thm_leave_one_out(level):
    model, m, h = level
    q, phi = vt.MeanField(dim=1), np.array([m - 0.6, 0.1])
    exact = np.array([h * 0.6, 1 - h * np.exp(0.2)])
    mean, _ = moments(vt.score_function_with_baseline, model.log_joint, q, phi, draws=2)
    np.testing.assert_allclose(mean, exact, rtol=1e-9)

    def with_the_mean_of_all(log_joint, family, phi, eps):
        z = family.transform(phi, eps)
        f = log_joint(z) - family.log_prob(phi, z)
        score = np.hstack([eps / np.exp(phi[1]), eps**2 - 1])
        return f.mean(), (f - f.mean()) @ score / len(eps)

    mean, _ = moments(with_the_mean_of_all, model.log_joint, q, phi, draws=2)
    np.testing.assert_allclose(mean, exact / 2, rtol=1e-9)


def test_two_draws_with_a_baseline_seldom_point_downhill(five):
    model, exact, family = five
    rng, start = np.random.default_rng(1), family.init()
    uphill = exact_gradient(exact, start)
    wrong = {}
    for estimator in (vt.score_function, vt.score_function_with_baseline):
        V = [
            estimator(model.log_joint, family, start, family.noise(rng, 2))[1] for _ in range(3000)
        ]
        wrong[estimator] = np.mean(np.array(V) @ uphill < 0)
    assert wrong[vt.score_function] > 0.5
    assert 0.1 < wrong[vt.score_function_with_baseline] < 0.25


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_eq_dimension(dim):
    log_p, q = vt.Gaussian(np.ones(dim), np.eye(dim)).log_prob, vt.MeanField(dim)
    mean, variance = moments(vt.score_function, log_p, q, q.init())
    np.testing.assert_allclose(mean[:dim], 1, rtol=1e-9)
    np.testing.assert_allclose(variance[:dim], dim**2 / 4 + dim + 1, rtol=1e-9)
    _, variance = moments(vt.score_function, lambda z: log_p(z) + dim / 2, q, q.init())
    np.testing.assert_allclose(variance[:dim], dim + 1, rtol=1e-9)


@pytest.mark.parametrize(("dim", "draws"), [(1, 2), (1, 3), (2, 2)])
def test_the_leave_one_out_variance_of_the_figure(dim, draws):
    log_p, q = vt.Gaussian(np.ones(dim), np.eye(dim)).log_prob, vt.MeanField(dim)
    _, variance = moments(vt.score_function_with_baseline, log_p, q, q.init(), draws)
    figure = (dim + 2 + (dim - draws + 2) / (draws - 1)) / draws
    np.testing.assert_allclose(variance[:dim], figure, rtol=1e-9)


def steps_until(course, exact, limit):
    kls = [course.distribution(t).kl(exact) for t in range(0, len(course.trajectory), 10)]
    return 10 * int(np.argmax(np.array(kls) < limit)), min(kls)


def test_it_crawls_in_twenty_dimensions():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((100, 20))
    y = X @ rng.standard_normal(20) + rng.standard_normal(100)
    model, family = vt.LinearRegression(X, y, 1.0, 10.0), vt.MeanField(20)
    exact = model.posterior()
    gap = family.distribution(family.closest(exact)).kl(exact)
    options = {"optimizer": vt.adam(0.05), "draws": 10, "steps": 1000}
    found = {
        estimator: steps_until(
            quietly(model.log_joint, family, estimator=estimator, **options), exact, gap + 10
        )
        for estimator in (
            vt.score_function,
            vt.score_function_with_baseline,
            vt.sticking_the_landing,
        )
    }
    assert found[vt.score_function][1] > gap + 50
    assert found[vt.score_function_with_baseline][0] > 2 * found[vt.sticking_the_landing][0] > 0


def test_a_coin_is_climbed_to_its_posterior():
    rng, logit = np.random.default_rng(1), 0.0
    for _ in range(2000):
        heads = 1 / (1 + np.exp(-logit))
        z = (rng.random(10) < heads) * 1.0
        f = -((2 - 3 * z) ** 2) / 8 - (z * logit - np.log1p(np.exp(logit)))
        logit += 0.5 * np.mean((f - f.mean()) * 10 / 9 * (z - heads))
    assert logit == pytest.approx(3 / 8, abs=1e-9)


def test_a_budget_can_be_cut_either_way(five):
    model, exact, family = five
    best = family.distribution(family.closest(exact))
    for seed in range(2):
        ends = [
            quietly(
                model.log_joint,
                family,
                estimator=vt.score_function,
                optimizer=vt.sgd(1e-4 * draws),
                draws=draws,
                steps=5_000 // draws,
                seed=seed,
            ).q.kl(best)
            for draws in (1, 10)
        ]
        assert ends[0] == pytest.approx(ends[1], rel=0.3)
