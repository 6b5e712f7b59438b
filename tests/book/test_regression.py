"""Every claim of the chapter on Bayesian linear regression, derived again without the core."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linprog

import vitutor as vt

PAGE = Path(__file__).parents[2] / "book" / "regression.md"


@pytest.fixture(scope="module")
def five():
    X, y = vt.load_five_points()
    model = vt.LinearRegression(X, y, noise_sd=1.0, prior_sd=10.0)
    return model, model.posterior()


@pytest.fixture(scope="module")
def penguins():
    with pytest.warns(vt.MissingDataWarning, match="2 of 344"):
        X, y = vt.load_penguins()
    model = vt.LinearRegression(X, y, noise_sd=0.4, prior_sd=10.0)
    return model, model.posterior()


def like(model, **changes):
    arguments = {name: getattr(model, name) for name in ("X", "y", "noise_sd", "prior_sd")}
    return vt.LinearRegression(**arguments | changes)


def textbook(X, y, noise_sd, prior_sd):
    precision = X.T @ X / noise_sd**2 + np.eye(X.shape[1]) / prior_sd**2
    return precision, np.linalg.solve(precision, X.T @ y) / noise_sd**2


def correlation(gaussian):
    return gaussian.cov[0, 1] / np.prod(gaussian.sd)


def learn(mean, cov, row, y_n, noise_sd=1.0):
    v = noise_sd**2 + row @ cov @ row
    gain = cov @ row / v
    forecast = stats.norm(row @ mean, np.sqrt(v)).logpdf(y_n)
    return mean + gain * (y_n - row @ mean), cov - np.outer(gain, cov @ row), forecast


def anywhere(n=20):
    return np.random.default_rng(0).normal(scale=3, size=(n, 2))


def test_each_equation_has_its_test():
    labels = re.findall(r"\(eq-regression-([\w-]+)\)", PAGE.read_text(encoding="utf-8"))
    assert {f"test_eq_{label.replace('-', '_')}" for label in labels} <= {*globals()}


def test_eq_model(five):
    model, _ = five
    for z, log_joint in zip(anywhere(), model.log_joint(anywhere()), strict=True):
        likelihood = stats.norm(model.X @ z, 1).logpdf(model.y).sum()
        assert log_joint == pytest.approx(likelihood + stats.norm(0, 10).logpdf(z).sum(), abs=1e-10)


@pytest.mark.parametrize(("noise_sd", "prior_sd"), [(1, 10), (0.4, 2)])
def test_eq_joint(five, noise_sd, prior_sd):
    model = like(five[0], noise_sd=noise_sd, prior_sd=prior_sd)
    z = anywhere()
    fit = np.sum((model.y - z @ model.X.T) ** 2, axis=1) / (2 * noise_sd**2)
    size = np.sum(z**2, axis=1) / (2 * prior_sd**2)
    constant = 5 / 2 * np.log(2 * np.pi * noise_sd**2) + np.log(2 * np.pi * prior_sd**2)
    np.testing.assert_allclose(model.log_joint(z), -fit - size - constant, rtol=1e-12)


def test_eq_posterior(five, penguins):
    for model, exact in (five, penguins):
        precision, mean = textbook(model.X, model.y, model.noise_sd, model.prior_sd)
        np.testing.assert_allclose(exact.cov, np.linalg.inv(precision), rtol=1e-9)
        np.testing.assert_allclose(exact.mean, mean, rtol=1e-9)


def test_eq_square(five):
    model, _ = five
    precision, mean = textbook(model.X, model.y, 1, 10)
    off = anywhere() - mean
    drop = np.sum((off @ precision) * off, axis=1) / 2
    np.testing.assert_allclose(model.log_joint(anywhere()), model.log_joint(mean[None]) - drop)


def test_the_mean_is_ridge_regression(five):
    model, exact = five

    def penalised(z):
        return np.sum((model.y - model.X @ z) ** 2) + z @ z / 100

    for nudge in 0.01 * np.vstack([np.eye(2), -np.eye(2)]):
        assert penalised(exact.mean + nudge) > penalised(exact.mean)


def test_the_numbers_of_the_text(five, penguins, number):
    _, exact = five
    told = [number("regression", n) for n in ("intercept", "intercept_sd", "slope", "slope_sd")]
    assert told == pytest.approx(np.ravel([exact.mean, exact.sd], order="F"), abs=1e-12)
    assert number("regression", "correlation") == pytest.approx(correlation(exact), abs=1e-12)
    birds, posterior = penguins
    assert number("regression", "penguin_rho") == pytest.approx(correlation(posterior), abs=1e-9)
    assert number("regression", "shortest") == birds.X[:, 1].min()
    ratio = posterior.sd[0] / posterior.sd[1]
    assert number("regression", "sd_ratio") == pytest.approx(ratio, rel=1e-9)


def test_what_is_printed(five, penguins, told, printed):
    model, exact = five
    for label in ("in the mean:", "in the covariance:", "mean ", "cov ", "log p(x) "):
        assert told("regression", label)[0] < 1e-12
    assert told("regression", "exact:") == [round(correlation(exact), 4)]
    u = model.X[:, 1]
    tilt = -u.mean() / np.sqrt(np.mean(u**2))
    assert told("regression", "from u alone:") == [round(tilt, 4)]
    for prior_sd in (1, 10, 100):
        wide = like(model, prior_sd=prior_sd)
        mean = wide.posterior().mean
        fit = stats.norm(model.X @ mean, 1).logpdf(model.y).sum()
        row = [*mean, fit, fit - wide.log_evidence(), wide.log_evidence()]
        assert told("regression", f"{prior_sd} ") == pytest.approx(row, abs=0.006)
    for label in ("the core:", "density of y:", "an absurd z:"):
        assert told("regression", label) == pytest.approx([model.log_evidence()], abs=1e-9)
    _, posterior = penguins
    (a, b), (da, db) = posterior.mean, posterior.sd
    assert f"intercept {a:.2f} ± {da:.2f} kg" in printed("regression")
    assert f"slope {b:.4f} ± {db:.4f} kg/mm" in printed("regression")
    assert told("regression", "correlation") == [round(correlation(posterior), 4)]


def test_eq_gram(five, penguins):
    for model, _ in (five, penguins):
        u = model.X[:, 1]
        gram = len(u) * np.array([[1, u.mean()], [u.mean(), np.mean(u**2)]])
        np.testing.assert_allclose(model.X.T @ model.X, gram, rtol=1e-12)


def test_eq_tilt(five, penguins):
    for model, exact in (five, penguins):
        u = model.X[:, 1]
        assert correlation(exact) == pytest.approx(-u.mean() / np.sqrt(np.mean(u**2)), abs=2e-3)
        centred = like(model, X=model.X - [0, u.mean()]).posterior()
        assert correlation(centred) == pytest.approx(0, abs=1e-9)
        assert centred.sd[1] == pytest.approx(exact.sd[1], rel=0.005)
        assert centred.sd[0] < 0.6 * exact.sd[0]


def test_eq_evidence(five, number):
    model, exact = five
    precision, mean = textbook(model.X, model.y, 1, 10)
    top = model.log_joint(mean[None])[0]
    closed = top + np.log(2 * np.pi) - np.linalg.slogdet(precision)[1] / 2
    axes = [m + s * np.linspace(-9, 9, 601) for m, s in zip(exact.mean, exact.sd, strict=True)]
    z = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    cell = np.prod(18 / 600 * exact.sd)
    integral = np.log(np.sum(np.exp(model.log_joint(z) - top)) * cell) + top
    assert closed == pytest.approx(integral, abs=1e-9)
    assert number("regression", "evidence") == pytest.approx(closed, abs=1e-9)


@pytest.mark.parametrize("prior_sd", [1, 10, 100])
def test_eq_occam(five, prior_sd):
    model = like(five[0], prior_sd=prior_sd)
    precision, m = textbook(model.X, model.y, 1, prior_sd)
    fit = stats.norm(model.X @ m, 1).logpdf(model.y).sum()
    price = m @ m / (2 * prior_sd**2) + np.linalg.slogdet(prior_sd**2 * precision)[1] / 2
    assert price > 0
    assert model.log_evidence() == pytest.approx(fit - price, abs=1e-10)


def test_a_wide_prior_is_harmless_to_the_posterior_and_never_to_the_evidence(five, number):
    wide, wider = five[0], like(five[0], prior_sd=100)
    assert wider.posterior().kl(wide.posterior()) < 1e-4
    drop = wide.log_evidence() - wider.log_evidence()
    assert drop == pytest.approx(2 * np.log(10), abs=0.01)
    assert number("regression", "evidence_drop") == pytest.approx(drop, abs=1e-9)


def test_the_evidence_is_the_density_of_y_and_the_same_at_whatever_z(five):
    model, exact = five
    cov = np.eye(5) + 100 * model.X @ model.X.T
    density = stats.multivariate_normal(np.zeros(5), cov).logpdf(model.y)
    assert density == pytest.approx(model.log_evidence(), abs=1e-9)
    posterior = stats.multivariate_normal(exact.mean, exact.cov)
    for z in np.vstack([anywhere(), [7.0, -3.0]]):
        difference = model.log_joint(z[None])[0] - posterior.logpdf(z)
        assert difference == pytest.approx(density, abs=1e-8)


@pytest.mark.parametrize("u", [-2.0, 2.1, 8.0])
def test_eq_prediction(five, u):
    model, exact = five
    row = np.array([1, u])
    sd = np.sqrt(1 + row @ exact.cov @ row)
    told = model.predict(exact, row[None])
    assert (told.mean[0], told.sd[0]) == pytest.approx((row @ exact.mean, sd), abs=1e-10)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    heights = row @ exact.mean + np.sqrt(row @ exact.cov @ row) * nodes
    for y in told.mean[0] + sd * np.array([-2, 0, 1]):
        mixture = weights @ stats.norm(heights, 1).pdf(y) / weights.sum()
        assert mixture == pytest.approx(stats.norm(told.mean[0], sd).pdf(y), rel=1e-6)


@pytest.mark.parametrize(("data", "at"), [("five", (-2, 2.1, 8)), ("penguins", (170, 201, 235))])
def test_eq_leverage(request, data, at):
    model, exact = request.getfixturevalue(data)
    u, sigma = model.X[:, 1], model.noise_sd
    for place in at:
        row = np.array([1.0, place])
        distance = (place - u.mean()) ** 2 / np.mean((u - u.mean()) ** 2)
        wide = sigma**2 / len(u) * (1 + distance)
        assert row @ exact.cov @ row == pytest.approx(wide, rel=0.02)
        flat = like(model, prior_sd=1e4).posterior()
        assert row @ flat.cov @ row == pytest.approx(wide, rel=1e-4)


def test_the_band_is_narrowest_near_the_mean_of_u_and_never_narrower_than_the_noise(five):
    model, exact = five
    u = np.linspace(-2, 8, 1001)
    sd = model.predict(exact, np.column_stack([np.ones_like(u), u])).sd
    assert u[sd.argmin()] == pytest.approx(model.X[:, 1].mean(), abs=0.03)
    assert sd.min() > 1
    assert sd[0] > sd.min() + 0.5
    assert sd[-1] > sd.min() + 0.5


def test_eq_sequential(five):
    model, _ = five
    for n in range(1, 6):
        before = like(model, X=model.X[: n - 1], y=model.y[: n - 1]).posterior() if n > 1 else None
        before = before or vt.Gaussian(np.zeros(2), 100 * np.eye(2))
        after = like(model, X=model.X[:n], y=model.y[:n]).posterior()
        z = anywhere()
        product = stats.norm(z @ model.X[n - 1], 1).logpdf(model.y[n - 1]) + before.log_prob(z)
        assert np.ptp(product - after.log_prob(z)) < 1e-8


def test_eq_update(five):
    model, exact = five
    prior = np.zeros(2), 100 * np.eye(2)
    for order in (range(5), [3, 0, 4, 2, 1]):
        mean, cov = prior
        for n in order:
            mean, cov, _ = learn(mean, cov, model.X[n], model.y[n])
        np.testing.assert_allclose(mean, exact.mean, atol=1e-12)
        np.testing.assert_allclose(cov, exact.cov, atol=1e-12)


def test_what_is_predicted_exactly_moves_nothing_and_still_narrows(five):
    _, exact = five
    row = np.array([1.0, 3.0])
    as_told = learn(exact.mean, exact.cov, row, row @ exact.mean)
    surprise = learn(exact.mean, exact.cov, row, 40.0)
    np.testing.assert_allclose(as_told[0], exact.mean, atol=1e-15)
    np.testing.assert_array_equal(as_told[1], surprise[1])
    assert np.all(np.diag(as_told[1]) < np.diag(exact.cov))


def test_eq_chain(five):
    model, _ = five
    for order in (range(5), [4, 2, 0, 1, 3]):
        mean, cov, total = np.zeros(2), 100 * np.eye(2), 0.0
        for n in order:
            mean, cov, forecast = learn(mean, cov, model.X[n], model.y[n])
            total += forecast
        assert total == pytest.approx(model.log_evidence(), abs=1e-10)


def test_the_second_point_cuts_the_ridge_a_little_and_the_others_much(five):
    model, _ = five
    mean, cov, length = np.zeros(2), 100 * np.eye(2), []
    for row, y_n in zip(model.X, model.y, strict=True):
        mean, cov, _ = learn(mean, cov, row, y_n)
        length.append(np.sqrt(np.linalg.eigvalsh(cov)[1]))
    assert length[0] > 9
    assert 4 < length[1] < length[0]
    assert length[4] < length[1] / 4


def test_up_keeps_the_shape_and_sideways_does_not(five, number):
    model, exact = five
    up = like(model, y=model.y + 2 * (np.arange(5) == 4)).posterior()
    np.testing.assert_allclose(up.cov, exact.cov, rtol=1e-12)
    assert np.all(np.abs(up.mean - exact.mean) > 0.2)
    X = model.X.copy()
    X[4, 1] += 2
    aside = like(model, X=X).posterior()
    assert aside.sd[1] < 0.8 * exact.sd[1]
    told = [number("regression", f"lever_{name}") for name in ("intercept", "slope")]
    assert told == pytest.approx(aside.sd, abs=1e-12)
    assert np.all(aside.sd < exact.sd)


def test_the_longest_lever_serves_the_intercept_too(five, number):
    _, exact = five
    sds = {
        name: np.sqrt(np.diag(learn(exact.mean, exact.cov, np.array([1.0, u]), 0.0)[1]))
        for name, u in (("middle", 2.1), ("zero", 0.0), ("far", 12.0))
    }
    for name, sd in sds.items():
        assert number("regression", f"sixth_{name}") == pytest.approx(sd[0], abs=1e-12)
    assert sds["far"][0] < sds["zero"][0] < sds["middle"][0]
    assert min(sds, key=lambda name: sds[name][1]) == "far"


def test_the_links_hold_the_five_points_and_the_sixth(five):
    model, _ = five
    links = re.findall(r"#lab:points=([^&]+)&", PAGE.read_text(encoding="utf-8"))
    assert len(links) == 3
    for link, last in zip(links, (2.1, 0, 12), strict=True):
        points = np.array([[float(v) for v in p.split(",")] for p in link.split(";")])
        np.testing.assert_allclose(points[:5], np.column_stack([model.X[:, 1], model.y]), atol=5e-3)
        assert points[5, 0] == last


def slope_in_fractions(X, y, noise_sd):
    u, mass = ([Fraction(float(v)) for v in column] for column in (X[:, 1], y))
    noise, prior = Fraction(noise_sd) ** 2, Fraction(1, 100)
    a, b = len(u) / noise + prior, sum(u) / noise
    c = sum(v**2 for v in u) / noise + prior
    d, e = sum(mass) / noise, sum(i * j for i, j in zip(u, mass, strict=True)) / noise
    return (a * e - b * d) / (a * c - b * b)


@pytest.mark.parametrize("away", [0, 1e5])
def test_the_referee_keeps_more_digits_than_the_textbook(penguins, away):
    model, _ = penguins
    X = model.X + np.array([0, away])
    exactly = slope_in_fractions(X, model.y, 0.4)
    found = {
        "core": like(model, X=X).posterior().mean[1],
        "textbook": textbook(X, model.y, 0.4, 10.0)[1][1],
    }
    error = {name: abs(float(Fraction(float(v)) / exactly - 1)) for name, v in found.items()}
    long, short = np.sqrt(np.linalg.eigvalsh(np.linalg.inv(X.T @ X)))[::-1]
    assert error["core"] < min(1e-15 * long / short, error["textbook"])
    assert error["textbook"] < 1e-15 * (long / short) ** 2
    if away:
        assert error["textbook"] > 10 * error["core"]


def test_exact_does_not_mean_true(penguins, number, printed):
    model, exact = penguins
    assert model.X.shape == (342, 2)
    mean, sd = model.predict(exact, model.X)
    inside = np.mean(np.abs(model.y - mean) < 1.96 * sd)
    assert 0.94 < inside < 0.97
    assert f"{inside:.1%} of 342" in printed("regression")
    middle = (model.X[:, 1] >= 200) & (model.X[:, 1] <= 215)
    above = 100 * np.mean(model.y[middle] > mean[middle])
    assert number("regression", "above_middle") == pytest.approx(above, abs=1e-9)
    assert above < 42


def test_lines_are_far_more_concentrated_than_observations(penguins):
    model, exact = penguins
    rows = model.X[[0, 100, 200]]
    height = np.sqrt(np.sum((rows @ exact.cov) * rows, axis=1))
    assert np.all(model.predict(exact, rows).sd > 5 * height)


def test_measured_twice_the_mean_stays_and_the_sd_falls_by_root_two(five):
    model, _ = five
    flat = like(model, prior_sd=1e4)
    twice = like(flat, X=np.vstack([model.X, model.X]), y=np.tile(model.y, 2)).posterior()
    np.testing.assert_allclose(twice.mean, flat.posterior().mean, rtol=1e-6)
    np.testing.assert_allclose(flat.posterior().sd / twice.sd, np.sqrt(2), rtol=1e-6)
    assert correlation(twice) == pytest.approx(correlation(flat.posterior()), abs=1e-6)


def test_centimetres_leave_the_correlation(penguins):
    model, exact = penguins
    centimetres = like(model, X=model.X / [1, 10]).posterior()
    assert correlation(centimetres) == pytest.approx(correlation(exact), abs=1e-4)


def test_an_outlier_moves_the_evidence_and_no_width(five, printed):
    model, exact = five
    slip = like(model, y=model.y * [1, 1, 1, 1, 10])
    assert slip.y[4] == pytest.approx(23.7)
    np.testing.assert_allclose(slip.posterior().cov, exact.cov, rtol=1e-12)
    assert model.log_evidence() - slip.log_evidence() > 50
    for case in (model, slip):
        q = case.posterior()
        line = f"slope {q.mean[1]:.2f} ± {q.sd[1]:.4f}, log p(x) {case.log_evidence():.1f}"
        assert line in printed("regression")
    above = np.column_stack([-slip.X, -np.ones(5)])  # the line with the least largest residual
    below = np.column_stack([slip.X, -np.ones(5)])
    least = linprog(
        [0, 0, 1],
        np.vstack([above, below]),
        np.concatenate([-slip.y, slip.y]),
        bounds=[(None, None)] * 3,
    )
    assert least.fun > 3


def test_precisions_add(five):
    _, exact = five
    row = np.array([1.0, 3.0])
    mean, cov, _ = learn(exact.mean, exact.cov, row, 5.0)
    precision = np.linalg.inv(exact.cov)
    np.testing.assert_allclose(np.linalg.inv(cov), precision + np.outer(row, row), rtol=1e-9)
    np.testing.assert_allclose(
        np.linalg.solve(cov, mean), precision @ exact.mean + 5 * row, rtol=1e-9
    )


def test_the_best_sixth_point(five, printed):
    _, exact = five
    places = np.linspace(-20, 20, 401)
    after = np.array(
        [np.diag(learn(exact.mean, exact.cov, np.array([1, u]), 0.0)[1]) for u in places]
    )
    intercept, slope = places[after.argmin(axis=0)]
    assert slope == -20
    assert -12 < intercept < -9
    assert f"intercept u = {intercept:.1f}" in printed("regression")


def test_forgetting_undoes_learning_and_leave_one_out_is_no_evidence(five, printed):
    model, exact = five
    total = 0.0
    for n in range(5):
        rest = like(model, X=np.delete(model.X, n, axis=0), y=np.delete(model.y, n)).posterior()
        row = model.X[n]
        spread = exact.cov @ row
        gain = spread / (row @ spread - 1)
        np.testing.assert_allclose(exact.cov - np.outer(gain, spread), rest.cov, atol=1e-12)
        forgot = exact.mean + gain * (model.y[n] - row @ exact.mean)
        np.testing.assert_allclose(forgot, rest.mean, atol=1e-12)
        total += learn(rest.mean, rest.cov, row, model.y[n])[2]
    assert total > model.log_evidence() + 4
    assert f"leave one out {total:.3f}" in printed("regression")


def test_k_times_the_same_is_one_with_noise_over_root_k(five):
    model, _ = five
    thrice = like(model, X=model.X[[0, 0, 0, 1, 2, 3, 4]], y=model.y[[0, 0, 0, 1, 2, 3, 4]])
    scale = np.array([np.sqrt(3), 1, 1, 1, 1])
    weighted = like(model, X=model.X * scale[:, None], y=model.y * scale)
    np.testing.assert_allclose(thrice.posterior().mean, weighted.posterior().mean, rtol=1e-12)
    np.testing.assert_allclose(thrice.posterior().cov, weighted.posterior().cov, rtol=1e-12)
