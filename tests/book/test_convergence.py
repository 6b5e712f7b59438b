"""Every claim of the chapter on fits, derived again: in closed form where there is one."""

import inspect
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from autograd import elementwise_grad
from scipy import stats
from scipy.linalg import solve_discrete_lyapunov
from scipy.optimize import minimize

import vitutor as vt
from vitutor import diagnostics, natural

PAGE = Path(__file__).parents[2] / "book" / "convergence.md"
FULL, MEAN_FIELD = vt.FullRank(dim=2), vt.MeanField(dim=2)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(6)


@pytest.fixture(scope="module")
def five():
    X, y = vt.load_five_points()
    model = vt.LinearRegression(X, y, noise_sd=1.0, prior_sd=10.0)
    return model, model.posterior()


@pytest.fixture(scope="module")
def penguins():
    with pytest.warns(vt.MissingDataWarning):
        X, y = vt.load_penguins()
    model = vt.LinearRegression(X, y, noise_sd=0.4, prior_sd=10.0)
    return model, model.posterior()


@pytest.fixture(scope="module")
def centred(penguins):
    model, _ = penguins
    X = model.X - [0, model.X[:, 1].mean()]
    model = vt.LinearRegression(X, model.y, 0.4, 10.0)
    return model, model.posterior()


def fitted(model, family, **options):
    with warnings.catch_warnings(action="ignore"):
        return vt.fit(model.log_joint, family, **options)


def adam(model, rate, steps, draws=10, estimator=vt.pathwise, family=MEAN_FIELD, **options):
    options |= {"optimizer": vt.adam(rate), "steps": steps, "draws": draws}
    return fitted(model, family, estimator=estimator, **options)


def correlation(gaussian):
    return gaussian.cov[0, 1] / np.prod(gaussian.sd)


def precision_of(gaussian):
    return np.linalg.inv(gaussian.cov)


def best_mean_field(exact):
    return vt.Gaussian(exact.mean, np.diag(1 / np.diag(precision_of(exact))))


def missing(exact, trajectory):
    """Nats above the best mean-field q, by the core's KL."""
    least = best_mean_field(exact).kl(exact)
    rows = np.atleast_2d(trajectory)
    return np.array([MEAN_FIELD.distribution(phi).kl(exact) - least for phi in rows])


def some_gaussians(n=10, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        root = rng.normal(size=(2, 2))
        yield vt.Gaussian(rng.normal(size=2), root @ root.T + 0.1 * np.eye(2))


def test_each_equation_has_its_test():
    labels = re.findall(r"\(eq-convergence-([\w-]+)\)", PAGE.read_text(encoding="utf-8"))
    assert {f"test_eq_{label.replace('-', '_')}" for label in labels} <= {*globals()}


def test_eq_full_rank():
    for q in some_gaussians():
        L = np.linalg.cholesky(q.cov)
        phi = FULL.from_location_scale(q.mean, L)
        eps = np.random.default_rng(0).normal(size=(20, 2))
        z = FULL.transform(phi, eps)
        np.testing.assert_allclose(z, q.mean + eps @ L.T, rtol=1e-12)
        density = stats.multivariate_normal(q.mean, q.cov).logpdf(z)
        np.testing.assert_allclose(FULL.log_prob(phi, z), density, rtol=1e-9)


def test_eq_gap(five):
    model, exact = five
    for q in some_gaussians():
        assert model.log_evidence() - model.elbo(q) == pytest.approx(q.kl(exact), abs=1e-9)


def test_four_steps_are_enough_for_the_eye_and_the_fit_stops_by_itself(five, number):
    model, exact = five
    fit = fitted(model, FULL, draws=10, seed=0)
    assert fit.distribution(0).kl(exact) == pytest.approx(number("convergence", "conv_kl_start"))
    assert fit.distribution(4).kl(exact) < 1e-3
    assert fit.q.kl(exact) < 1e-11
    assert len(fit.elbo) < 50
    np.testing.assert_array_equal(fit.distribution(0).cov, np.eye(2))


@pytest.mark.parametrize("data", ["five", "penguins"])
def test_eq_shortfall(request, data):
    model, exact = request.getfixturevalue(data)
    precision = precision_of(exact)
    fit = fitted(model, MEAN_FIELD)
    assert fit.converged
    np.testing.assert_allclose(fit.q.sd, np.diag(precision) ** -0.5, rtol=1e-5)
    np.testing.assert_allclose(fit.q.mean, exact.mean, rtol=1e-5)
    least = (np.sum(np.log(np.diag(precision))) - np.linalg.slogdet(precision)[1]) / 2
    assert fit.q.kl(exact) == pytest.approx(least, rel=1e-7)


def test_there_is_no_other_local_minimum(five):
    _, exact = five
    best = MEAN_FIELD.closest(exact)
    for phi in np.random.default_rng(0).normal(scale=2, size=(5, 4)):
        found = minimize(lambda phi: MEAN_FIELD.distribution(phi).kl(exact), phi, tol=1e-10)
        np.testing.assert_allclose(found.x, best, atol=1e-3)


@pytest.mark.parametrize("rho", [0.0, 0.6, -0.854, 0.99])
def test_eq_rho(rho):
    p = vt.Gaussian([1, -2], [[4, rho * 2 * 3], [rho * 2 * 3, 9]])
    best = best_mean_field(p)
    np.testing.assert_allclose(best.sd / p.sd, np.sqrt(1 - rho**2), rtol=1e-9)
    assert best.kl(p) == pytest.approx(-np.log(1 - rho**2) / 2, abs=1e-9)
    if rho == 0.6:
        np.testing.assert_allclose(best.sd / p.sd, 0.8)


def test_the_numbers_of_mean_field(five, penguins, number):
    _, exact = five
    shrunk = np.sqrt(1 - correlation(exact) ** 2)
    assert number("convergence", "conv_shrinkage") == pytest.approx(100 * shrunk, abs=1e-9)
    assert 1.8 < 1 / shrunk < 2.2
    kl = -np.log(shrunk)
    assert number("convergence", "conv_kl_mean_field") == pytest.approx(kl, abs=1e-9)
    assert number("convergence", "conv_kl_to_best") < 1e-10
    _, posterior = penguins
    shrunk = np.sqrt(1 - correlation(posterior) ** 2)
    told = (
        number("convergence", "conv_penguin_shrinkage"),
        number("convergence", "conv_penguin_gap"),
    )
    assert told == pytest.approx((100 * shrunk, -np.log(shrunk)), rel=1e-5)


def test_what_is_printed_of_mean_field(five, penguins, told):
    model, exact = five
    best, rho = best_mean_field(exact), correlation(exact)
    assert told("convergence", "sd by formula:")[0] == round(np.sqrt(1 - rho**2), 4)
    for label in ("best to posterior:", "-log(1 - rho²) / 2:"):
        assert told("convergence", label) == [round(best.kl(exact), 6)]
    assert told("convergence", "fitted to best:")[0] < 1e-10
    for label, u in (("0.00 ", 0), ("2.12 ", model.X[:, 1].mean()), ("8.00 ", 8)):
        sds = [model.predict(q, np.array([[1.0, u]])).sd[0] for q in (exact, best)]
        assert told("convergence", label) == pytest.approx(sds, abs=6e-4)
    _, posterior = penguins
    shrunk = np.sqrt(1 - correlation(posterior) ** 2)
    assert told("convergence", "by formula:") == [round(shrunk, 5)]
    assert told("convergence", "full rank, nats:")[0] < 1e-11
    assert told("convergence", "mean-field, nats:")[0] < 1e-10


def test_the_mean_field_variance_is_the_conditional_one(five):
    _, exact = five
    (a, c), (_, b) = exact.cov
    conditional = np.array([a - c**2 / b, b - c**2 / a])
    np.testing.assert_allclose(best_mean_field(exact).sd ** 2, conditional, rtol=1e-9)


def test_the_marginals_would_stick_out(five):
    _, exact = five
    marginals = vt.Gaussian(exact.mean, np.diag(np.diag(exact.cov)))
    assert marginals.kl(exact) > 2 * best_mean_field(exact).kl(exact)


def test_too_narrow_far_away_and_too_wide_in_the_middle(five, number):
    model, exact = five
    at = np.array([[1.0, model.X[:, 1].mean()], [1.0, 8.0]])
    full, narrow = (model.predict(q, at).sd for q in (exact, best_mean_field(exact)))
    assert narrow[0] > full[0] + 0.05
    assert narrow[1] < full[1] - 0.4
    for name, sd in (("full", full), ("mean_field", narrow)):
        told = [number("convergence", f"conv_{place}_{name}") for place in ("centre", "far")]
        assert told == pytest.approx(sd, abs=1e-5)


def test_penguins_arrive_from_millions_of_nats_away(penguins):
    model, exact = penguins
    fit = fitted(model, FULL)
    assert fit.distribution(0).kl(exact) > 1e7
    assert fit.q.kl(exact) < 1e-11
    assert len(fit.elbo) < 60
    assert correlation(exact) < -0.997


def test_centring_repairs_mean_field_and_hardly_changes_the_posterior(penguins, centred, number):
    model, exact = penguins
    other, target = centred
    assert fitted(model, MEAN_FIELD).q.kl(exact) > 2.5
    assert fitted(other, MEAN_FIELD).q.kl(target) < 1e-10
    assert correlation(target) == pytest.approx(0, abs=1e-12)
    shift = np.array([[1.0, model.X[:, 1].mean()], [0.0, 1.0]])
    apart = target.kl(vt.Gaussian(shift @ exact.mean, shift @ exact.cov @ shift.T))
    assert number("convergence", "conv_other_prior") == pytest.approx(apart, rel=1e-3)
    assert 0 < apart < 1e-3


def gradient_noise(model, exact):
    """The standard deviations of V(φ) of one draw at the top, by quadrature."""
    eps = np.stack(np.meshgrid(NODES, NODES), axis=-1).reshape(-1, 1, 2)
    weights = np.outer(WEIGHTS, WEIGHTS).ravel() / WEIGHTS.sum() ** 2
    top = MEAN_FIELD.closest(exact)
    V = np.array([vt.pathwise(model.log_joint, MEAN_FIELD, top, each)[1] for each in eps])
    np.testing.assert_allclose(weights @ V, 0, atol=1e-9)
    return np.sqrt(weights @ V**2), (V * weights[:, None]).T @ V


def test_eq_floor(five):
    """The theorem's own process, whose stationary covariance is known without leading orders."""
    model, exact = five
    sd, C = gradient_noise(model, exact)
    precision = precision_of(exact)
    K = np.zeros((4, 4))
    K[:2, :2], K[2:, 2:] = precision, 2 * np.eye(2)
    top, h = MEAN_FIELD.closest(exact), 1e-3
    for i, step in enumerate(h * np.eye(4)):
        bend = missing(exact, [top + step])[0] + missing(exact, [top - step])[0]
        assert bend / h**2 == pytest.approx(K[i, i], rel=1e-3)
    W = np.diag(1 / sd)
    for eta, tolerance in ((1e-2, 0.05), (1e-3, 0.005)):
        A = solve_discrete_lyapunov(np.eye(4) - eta * W @ K, eta**2 * W @ C @ W)
        assert np.trace(K @ A) / 2 == pytest.approx(eta / 4 * sd.sum(), rel=tolerance)


def floor(exact, model, rate, draws):
    return rate / 4 * gradient_noise(model, exact)[0].sum() / np.sqrt(draws)


def test_adam_hovers_there_the_nearer_the_smaller_its_rate(five, number):
    model, exact = five
    top = MEAN_FIELD.closest(exact)
    height = {
        (rate, draws): missing(
            exact, adam(model, rate, steps, draws, init=top).trajectory[500::3]
        ).mean()
        / floor(exact, model, rate, draws)
        for rate, draws, steps in [(0.03, 1, 5000), (0.03, 64, 5000), (0.005, 64, 10_000)]
    }
    assert height[0.03, 1] == pytest.approx(1, abs=0.25)
    assert 0.7 < height[0.03, 64] < 0.9
    assert height[0.005, 64] == pytest.approx(1, abs=0.1)
    assert number("convergence", "conv_floor_worst") < 30
    assert number("convergence", "conv_floor_10") == pytest.approx(
        floor(exact, model, 0.1, 10), rel=0.03
    )


def test_the_average_of_the_iterates_is_better_by_orders_of_magnitude(five, number):
    model, exact = five
    fit = adam(model, 0.1, 1500)
    np.testing.assert_allclose(fit.phi, fit.trajectory[-300:].mean(axis=0))
    hover, average = missing(exact, fit.trajectory[-300:]).mean(), missing(exact, fit.phi)[0]
    assert number("convergence", "conv_hover") == pytest.approx(hover, rel=1e-6)
    assert number("convergence", "conv_average") == pytest.approx(average, rel=1e-4)
    assert hover > 50 * average


def test_a_larger_rate_is_faster_and_hovers_higher(five):
    model, exact = five
    courses = [missing(exact, adam(model, rate, 1500).trajectory) for rate in (0.3, 0.1, 0.03)]
    arrived = [np.argmax(course < 0.5) for course in courses]
    assert arrived[0] < arrived[1] < arrived[2]
    hover = [course[600:].mean() for course in courses]
    assert hover[0] > 2 * hover[1] > 4 * hover[2]


def test_sticking_the_landing_has_no_floor(five, told):
    model, exact = five
    fit = adam(model, 0.1, 1000, estimator=vt.sticking_the_landing, family=FULL)
    assert 1e-4 < fit.distribution(100).kl(exact) < 1e-2
    assert fit.distribution(300).kl(exact) < 1e-11
    assert fit.distribution(1000).kl(exact) < 1e-20
    assert told("convergence", "100  ")[0] == pytest.approx(
        fit.distribution(100).kl(exact), rel=0.5
    )
    assert told("convergence", "300  ")[0] < 1e-11
    assert told("convergence", "1000  ")[0] < 1e-20
    hovering = adam(model, 0.1, 1000, family=FULL)
    assert np.mean([hovering.distribution(t).kl(exact) for t in range(800, 1001, 5)]) > 0.01


def slope_and_curvature(exact, q):
    """g and H of the Gaussian log joint, exactly."""
    precision = precision_of(exact)
    return precision @ (exact.mean - q.mean), precision


def changed(q, delta):
    P = precision_of(q) + np.array([[delta[2], delta[3]], [delta[3], delta[4]]])
    return vt.Gaussian(q.mean + delta[:2], np.linalg.inv(P))


def test_eq_trade(five):
    """The largest of gain less divergence, found by a numerical optimiser."""
    model, exact = five
    eta, h = 1e-4, 1e-5
    for q in some_gaussians(3):
        slope = [
            (model.elbo(changed(q, s)) - model.elbo(changed(q, -s))) / (2 * h)
            for s in h * np.eye(5)
        ]

        def loss(scaled, q=q, slope=slope):
            delta = eta * scaled
            return changed(q, delta).kl(q) / eta**2 - slope @ delta / eta

        found = eta * minimize(loss, np.zeros(5), tol=1e-6).x
        g, H = slope_and_curvature(exact, q)
        step = eta * (H - precision_of(q))
        natural = np.concatenate([eta * q.cov @ g, [step[0, 0], step[0, 1], step[1, 1]]])
        np.testing.assert_allclose(found, natural, atol=0.05 * np.abs(natural).max())


def test_eq_natural(five):
    """The two gradients of the proof, by differences, and the divergence of a small change."""
    model, exact = five
    h = 1e-4
    for q in some_gaussians(3):
        g, H = slope_and_curvature(exact, q)
        P, cov = precision_of(q), q.cov
        for delta in np.random.default_rng(0).normal(size=(4, 5)):
            mean, dP = delta[:2], np.array([[delta[2], delta[3]], [delta[3], delta[4]]])
            rise = model.elbo(changed(q, h * delta)) - model.elbo(changed(q, -h * delta))
            gain = g @ mean + np.trace((H - P) @ cov @ dP @ cov) / 2
            assert rise / (2 * h) == pytest.approx(gain, rel=1e-3, abs=1e-3)
            both = changed(q, h * delta).kl(q) + changed(q, -h * delta).kl(q)
            kl = mean @ P @ mean / 2 + np.trace(cov @ dP @ cov @ dP) / 4
            assert both / (2 * h**2) == pytest.approx(kl, rel=1e-2)


def matched_noise(rng, draws):
    eps = rng.standard_normal((draws, 2))
    eps -= eps.mean(axis=0)
    return np.linalg.solve(np.linalg.cholesky(eps.T @ eps / draws), eps.T).T


def natural_step(slope_of, mu, P, eps, rate, L=None):
    L = np.linalg.cholesky(np.linalg.inv(P)) if L is None else L
    slopes = slope_of(mu + eps @ L.T)
    H = -np.linalg.solve(L.T, eps.T @ slopes / len(eps))
    P = (1 - rate) * P + rate * (H + H.T) / 2
    return mu + rate * np.linalg.solve(P, slopes.mean(axis=0)), P


@pytest.mark.parametrize("rate", [0.3, 0.5, 1.0])
def test_eq_recursion(five, rate):
    model, exact = five
    slope_of, precision = elementwise_grad(model.log_joint), precision_of(exact)
    rng = np.random.default_rng(0)
    for q in some_gaussians(5):
        mu, P = q.mean, precision_of(q)
        new_mu, new_P = natural_step(slope_of, mu, P, matched_noise(rng, 10), rate)
        np.testing.assert_allclose(new_P - precision, (1 - rate) * (P - precision), atol=1e-10)
        left = (np.eye(2) - rate * np.linalg.solve(new_P, precision)) @ (mu - exact.mean)
        np.testing.assert_allclose(new_mu - exact.mean, left, atol=1e-10)
        if rate == 1:
            assert vt.Gaussian(new_mu, np.linalg.inv(new_P)).kl(exact) < 1e-12


def test_at_rate_one_half_the_divergence_falls_to_a_quarter(five, printed):
    model, exact = five
    slope_of, rng = elementwise_grad(model.log_joint), np.random.default_rng(0)
    mu, P, course = np.zeros(2), np.eye(2), []
    for _ in range(16):
        mu, P = natural_step(slope_of, mu, P, matched_noise(rng, 10), 0.5)
        course.append(vt.Gaussian(mu, np.linalg.inv(P)).kl(exact))
    assert course[0] > 0.1
    assert course[-1] / course[-2] == pytest.approx(0.25, abs=0.01)
    assert course[11] / course[10] == pytest.approx(0.25, abs=0.01)
    for t in (11, 12):
        assert re.search(rf" {t}  .*  {course[t - 1]:.2e}\n", printed("convergence"))


def test_thm_units():
    def log_joint(z):
        return -(z[:, 0] ** 2) - z[:, 1] ** 4 + z[:, 0] * z[:, 1]

    A, b = np.array([[2.0, 0.3], [-1.0, 0.5]]), np.array([3.0, -1.0])
    inverse = np.linalg.inv(A)
    mu, L = np.array([0.4, -0.2]), np.array([[0.8, 0], [0.3, 0.5]])
    P, eps = np.linalg.inv(L @ L.T), np.random.default_rng(0).normal(size=(10, 2))
    new_mu, new_P = natural_step(elementwise_grad(log_joint), mu, P, eps, 0.5, L)
    there = natural_step(
        elementwise_grad(lambda z: log_joint((z - b) @ inverse.T)),
        A @ mu + b,
        inverse.T @ P @ inverse,
        eps,
        0.5,
        A @ L,
    )
    np.testing.assert_allclose(there[0], A @ new_mu + b, rtol=1e-10)
    np.testing.assert_allclose(there[1], inverse.T @ new_P @ inverse, rtol=1e-10)


def in_units(model, exact, factor, steps, **options):
    units = np.array([1.0, factor])
    start = FULL.from_location_scale(np.zeros(2), np.diag(1 / units))
    with warnings.catch_warnings(action="ignore"):
        fit = vt.fit(lambda z: model.log_joint(z * units), FULL, steps=steps, init=start, **options)
    back = (fit.distribution(t) for t in range(steps + 1))
    return np.array(
        [vt.Gaussian(q.mean * units, q.cov * np.outer(units, units)).kl(exact) for q in back]
    )


def test_units_stop_mattering(five, number):
    model, exact = five
    natural, course = (
        {f: in_units(model, exact, f, steps, **options) for f in (0.001, 1.0, 1000.0)}
        for steps, options in ((12, {}), (300, {"optimizer": vt.adam(0.1)}))
    )
    for f in natural:
        np.testing.assert_allclose(natural[f], natural[1.0], rtol=1e-6)
    assert course[1.0][-1] < 1e-10
    assert course[0.001][-1] == pytest.approx(number("convergence", "conv_units_small"), rel=1e-3)
    assert course[0.001][-1] > 1
    assert course[1000.0].max() > 1e5
    assert course[1000.0][-1] > 0.1
    assert 0.1 / (exact.sd[1] / 1000) > 100
    assert number("convergence", "conv_units_natural") < 1e-6


def test_what_the_text_says_of_the_core(five):
    assert natural.RATE(0) == 0.5
    assert 0.2 < natural.RATE(100) < 0.5
    parameters = inspect.signature(vt.Fit.diagnose).parameters
    assert parameters["draws"].default == 10_000
    eps = natural.paired_noise(np.random.default_rng(0), 10, 2)
    np.testing.assert_array_equal(eps[:5], -eps[5:])
    moment = eps.T @ eps
    np.testing.assert_allclose(moment, moment[0, 0] * np.eye(2), atol=1e-12)
    model, exact = five
    for steps in (2, 3, 4, 6):
        fit = fitted(model, FULL, steps=steps)
        assert fit.converged == (fit.q.kl(exact) < 1e-3)


def test_three_steps_are_called_too_few(penguins):
    model, _ = penguins
    with pytest.warns(vt.NotConvergedWarning, match="3 steps"):
        assert not vt.fit(model.log_joint, FULL, steps=3).converged


@pytest.mark.parametrize("family", [FULL, MEAN_FIELD])
def test_eq_newton(five, family):
    model, exact = five
    phi = family.closest(exact)
    top = model.elbo(family.distribution(phi))
    for nudge in 0.002 * np.random.default_rng(0).normal(size=(5, len(phi))):
        q = family.distribution(phi + nudge)
        g, H = slope_and_curvature(exact, q)
        L = np.linalg.cholesky(q.cov)
        misfit = family.mask * (L.T @ H @ L - np.eye(2))
        gain = g @ np.linalg.solve(H, g) / 2 + np.sum(misfit**2) / 4
        assert top - model.elbo(q) == pytest.approx(gain, rel=0.02)


def test_the_shortfall_is_rough_far_away_and_accurate_near_the_top(five, printed):
    model, exact = five
    for steps in (1, 2, 3, 4, 6, 10):
        fit = fitted(model, FULL, steps=steps)
        ratio = fit.shortfall.nats / fit.q.kl(exact)
        row = f"{steps:5d}   {fit.shortfall.nats:9.1e}   {fit.q.kl(exact):8.1e}"
        assert row in printed("convergence")
        assert 0.7 < ratio < (3 if steps < 4 else 1.4)


@pytest.mark.parametrize("smallest", [0.16, 0.5, 0.9])
def test_eq_khat(smallest):
    """The tail of the ratios, log r = c + (1 - λ) ε² / 2, read off the normal's own tail."""
    log_t = np.array([2e4, 4e4])
    tail = np.log(2) + stats.norm.logsf(np.sqrt(2 * log_t / (1 - smallest)))
    slope = (tail[1] - tail[0]) / (log_t[1] - log_t[0])
    assert -1 / slope == pytest.approx(1 - smallest, rel=1e-3)


@pytest.mark.parametrize(("k", "finite"), [(0.4, True), (0.6, False)])
def test_the_mean_of_the_ratios_is_finite_and_their_variance_only_below_one_half(k, finite):
    eps = np.array([np.linspace(-reach, reach, 200_001) for reach in (8, 16, 32)])
    step = eps[:, 1] - eps[:, 0]
    mean, square = (
        step * np.exp(power * k * eps**2 / 2 - eps**2 / 2).sum(axis=1) / np.sqrt(2 * np.pi)
        for power in (1, 2)
    )
    assert mean[2] == pytest.approx(1 / np.sqrt(1 - k), rel=1e-6)
    assert (square[2] < 1.01 * square[1]) == finite


def test_the_ratios_are_as_in_the_proof(five):
    model, exact = five
    q, precision = best_mean_field(exact), precision_of(exact)
    values, vectors = np.linalg.eigh(np.diag(q.sd) @ precision @ np.diag(q.sd))
    rho = abs(correlation(exact))
    np.testing.assert_allclose(values, [1 - rho, 1 + rho], rtol=1e-9)
    eps = np.random.default_rng(0).normal(size=(50, 2))
    z = q.mean + eps * q.sd
    log_ratio = model.log_joint(z) - q.log_prob(z)
    formula = ((eps @ vectors) ** 2 * (1 - values)).sum(axis=1) / 2
    assert np.ptp(log_ratio - formula) < 1e-9


def khats(target, q, draws=10_000, seeds=20):
    phi = FULL.from_location_scale(q.mean, np.linalg.cholesky(q.cov))
    arguments = target.log_prob, FULL, phi, np.zeros(0)
    rngs = map(np.random.default_rng, range(seeds))
    return np.array([diagnostics.diagnose(*arguments, rng, draws).khat for rng in rngs])


@pytest.mark.parametrize("rho", [0.3, -0.7, 0.854, 0.95])
def test_khat_is_uncertain_by_a_tenth_and_on_average_below_k(rho):
    p = vt.Gaussian([1, -2], [[4, rho * 6], [rho * 6, 9]])
    found = khats(p, best_mean_field(p))
    assert abs(rho) - 0.15 < found.mean() < abs(rho) + 0.03
    assert 0.05 < found.std() < 0.15


def test_the_seeds_of_the_text(five, printed):
    model, exact = five
    fit = fitted(model, MEAN_FIELD, draws=10, seed=0)
    found = np.array([fit.diagnose(seed=s).khat for s in range(40)])
    assert found.mean() < abs(correlation(exact)) - 0.03
    assert 0 < np.mean(found < 0.7) < 0.3
    assert f"k-hat {found.mean():.2f} ± {found.std():.2f}" in printed("convergence")


def test_the_verdicts(five, penguins, centred, told):
    for label, case in (("five points k =", five), ("penguins    k =", penguins)):
        k, khat = told("convergence", label)
        assert k == round(abs(correlation(case[1])), 3)
        assert khat > 0.7
    for model, exact in (five, penguins):
        assert fitted(model, FULL).diagnose().khat == -np.inf
        fit = fitted(model, MEAN_FIELD)
        assert fit.converged
        assert not fit.diagnose().trusted
        assert fit.diagnose().khat == pytest.approx(abs(correlation(exact)), abs=0.1)
    assert fitted(centred[0], MEAN_FIELD).diagnose().trusted


def test_a_q_wider_than_the_posterior_has_bounded_ratios(five):
    _, exact = five
    wide = vt.Gaussian(exact.mean, 1.5 * exact.cov)
    assert np.all(khats(exact, wide, seeds=5) < 0)
    z = wide.sample(np.random.default_rng(0), 5000)
    ratios = exact.log_prob(z) - wide.log_prob(z)
    assert ratios.max() <= np.log(1.5) + 1e-9


def metropolis(log_joint, z, root, steps, rng):
    log_p, chain = log_joint(z), []
    for _ in range(steps):
        proposal = z + rng.standard_normal(z.shape) @ root.T
        new = log_joint(proposal)
        yes = np.log(rng.random(len(z))) < new - log_p
        z, log_p = np.where(yes[:, None], proposal, z), np.where(yes, new, log_p)
        chain.append(z)
    return np.array(chain)


@pytest.fixture(scope="module")
def chains(five):
    model, exact = five
    rng = np.random.default_rng(1)
    start, root = exact.sample(rng, 100), np.linalg.cholesky(exact.cov)
    roots = {"shaped": 2.38 / np.sqrt(2) * root, "round": 0.7 * np.eye(2)}
    return {name: metropolis(model.log_joint, start, r, 10_000, rng) for name, r in roots.items()}


def errors(exact, chain, n):
    """Root mean square errors of means and of standard deviations after n evaluations."""
    off = (chain[:n].mean(axis=0) - exact.mean) / exact.sd, chain[:n].std(axis=0) / exact.sd - 1
    return np.array([np.sqrt(np.mean(each**2)) for each in off])


def test_the_sampler_samples_the_posterior(five, chains, told):
    _, exact = five
    for name in ("shaped", "round"):
        assert max(told("convergence", f"{name}: mean off")) < 0.03
    for chain in chains.values():
        pool = chain.reshape(-1, 2)
        np.testing.assert_allclose((pool.mean(axis=0) - exact.mean) / exact.sd, 0, atol=0.03)
        np.testing.assert_allclose(pool.std(axis=0) / exact.sd, 1, atol=0.03)
        assert np.corrcoef(pool.T)[0, 1] == pytest.approx(correlation(exact), abs=0.01)


def test_the_samplers_error_falls_like_one_over_the_root_of_n(five, chains, number):
    _, exact = five
    needed = {}
    for name, chain in chains.items():
        late, early = errors(exact, chain, 10_000), errors(exact, chain, 2500)
        np.testing.assert_allclose(early / late, 2, rtol=0.25)
        assert late[0] > late[1]
        needed[name] = 10_000 * (late.max() / 0.01) ** 2
    for name in needed:
        assert number("convergence", f"conv_need_{name}") == pytest.approx(needed[name], rel=0.4)
    assert needed["round"] > 3 * needed["shaped"]
    at_end = 100 * errors(exact, chains["shaped"], 10_000)[0]
    assert number("convergence", "conv_at_end") == pytest.approx(at_end, rel=0.2)


def test_the_fit_is_cheaper_and_a_digit_costs_it_some_steps_more(five, number):
    model, exact = five
    fit = fitted(model, FULL, draws=10, seed=0)
    qs = [fit.distribution(t) for t in range(len(fit.trajectory))]
    error = np.array(
        [
            max(
                np.sqrt(np.mean(((q.mean - exact.mean) / exact.sd) ** 2)),
                np.sqrt(np.mean((q.sd / exact.sd - 1) ** 2)),
            )
            for q in qs
        ]
    )
    first = np.argmax(error < 0.01)
    assert number("convergence", "conv_need_vi") == 30 * first
    assert np.argmax(error < 0.001) < first + 10
    assert number("convergence", "conv_need_shaped") > 100 * 30 * first


def test_mean_field_is_overtaken_within_a_hundred_evaluations(five, chains):
    _, exact = five
    ends = np.sqrt(np.mean((best_mean_field(exact).sd / exact.sd - 1) ** 2))
    assert errors(exact, chains["shaped"], 100)[1] < ends
    assert errors(exact, chains["round"], 100)[1] < ends


def test_which_rate_is_ahead_in_the_widget(five, number):
    model, exact = five
    told = {
        (rate, step): number("convergence", f"conv_try_{str(rate)[2:]}_{step}")
        for rate in (0.3, 0.1, 0.03)
        for step in (30, 300)
    }
    assert told[0.1, 30] < told[0.3, 30] < told[0.03, 30]
    assert told[0.03, 30] > 2
    assert told[0.03, 300] < told[0.1, 300] < told[0.3, 300]
    seeds = [
        missing(exact, adam(model, 0.03, 300, seed=s).trajectory[[30, 300]]) for s in range(20, 60)
    ]
    again = np.mean(seeds, axis=0)
    assert told[0.03, 30] == pytest.approx(again[0], rel=0.1)
    assert told[0.03, 300] == pytest.approx(again[1], rel=0.5)


def test_more_neighbours_make_it_narrower_down_to_what_is_not_shared(printed):
    widths = []
    for dim in (2, 3, 10, 100):
        cov = 0.1 * np.eye(dim) + 0.9 * np.ones((dim, dim))
        widths.append(np.sqrt(1 / np.linalg.inv(cov)[0, 0]))
        assert widths[-1] ** 2 == pytest.approx(1 / (10 - 9 / (0.1 + 0.9 * dim)))
        assert f"{dim} {widths[-1].round(4)}\n" in printed("convergence")
    assert widths[0] == pytest.approx(np.sqrt(1 - 0.81))
    assert np.all(np.diff(widths) < 0)
    assert np.sqrt(0.1) < widths[-1] < np.sqrt(0.1) + 0.002


def test_the_other_direction_covers_and_can_be_repaired(five, told):
    _, exact = five
    marginals = np.diag(exact.cov)

    def loss(log_variances):
        return exact.kl(vt.Gaussian(exact.mean, np.diag(np.exp(log_variances))))

    found = minimize(loss, np.zeros(2), tol=1e-10)
    np.testing.assert_allclose(np.exp(found.x), marginals, rtol=1e-4)
    rho = abs(correlation(exact))
    values = np.linalg.eigvals(np.diag(marginals) @ precision_of(exact))
    assert 1 - values.min() == pytest.approx(rho / (1 + rho))
    assert rho / (1 + rho) < 0.5
    assert told("convergence", "in theory k") == [round(rho / (1 + rho), 2)]
    assert told("convergence", "k-hat   ")[0] < 0.7
    q = vt.Gaussian(exact.mean, np.diag(marginals))
    assert khats(exact, q).mean() == pytest.approx(rho / (1 + rho), abs=0.05)


@pytest.mark.parametrize(("r", "diverges"), [(0.5, False), (0.9, False), (-0.45, True)])
def test_natural_steps_of_a_mean_field_mean_can_diverge(r, diverges):
    precision = np.linalg.inv((1 - r) * np.eye(3) + r * np.ones((3, 3)))
    values = np.linalg.eigvals(precision / np.diag(precision)[:, None]).real
    formula = np.array([1 - r, 1 + 2 * r, 1 + 2 * r]) / (1 + r)
    np.testing.assert_allclose(np.sort(values), np.sort(formula), rtol=1e-9)
    assert (values.max() > 2) == (r < -1 / 3)
    assert (values.max() > 2) == diverges
    error, P = np.array([1.0, 0.3, -0.5]), np.diag(np.diag(precision))
    for _ in range(300):
        error = error - np.linalg.solve(P, precision @ error)
    assert (np.linalg.norm(error) > 10) == diverges


def test_a_falling_rate(five, printed):
    model, exact = five
    fit = adam(model, vt.decay(0.3, 50), 2000)
    now = floor(exact, model, 0.3 / 41, 10)
    late = missing(exact, fit.trajectory[-500:]).mean()
    assert 0.8 * now < late < 2 * now
    assert missing(exact, fit.phi)[0] < late / 5
    assert f"last 500     {late:.5f}" in printed("convergence")


def test_a_round_walk_does_not_see_the_penguins(penguins, told):
    model, exact = penguins
    short, long = np.sqrt(np.linalg.eigvalsh(exact.cov))
    assert long / short > 1000
    start = np.tile(exact.mean, (20, 1))
    share, moved = {}, {}
    for name, root in (
        *((k, k * short * np.eye(2)) for k in (1, 30, 100, 1000, 30_000)),
        ("fit", 2.38 / np.sqrt(2) * np.linalg.cholesky(exact.cov)),
    ):
        walk = metropolis(model.log_joint, start, root, 10_000, np.random.default_rng(0))
        share[name] = walk.std(axis=0).mean(axis=0) / exact.sd
        moved[name] = np.any(walk[1:] != walk[:-1], axis=2).mean()
    assert share[1][0] < share[30][0] < share[100][0] < share[1000][0] < 0.5
    assert share[30_000][0] < 0.1
    assert 0.5 < moved[1] < 0.9
    assert 30 * moved[30] == pytest.approx(100 * moved[100], rel=0.1)
    assert 1 / 2000 < moved[1000] < 1 / 500
    for k in (1, 30, 1000, 30_000):
        row = told("convergence", f"{k} short")
        assert row[0] == pytest.approx(moved[k], rel=0.2, abs=1e-5)
        assert row[1] == pytest.approx(share[k][0], rel=0.2, abs=0.03)
    np.testing.assert_allclose(share["fit"], 1, atol=0.05)
