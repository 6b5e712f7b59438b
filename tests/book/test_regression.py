"""Every claim of the chapter on Bayesian linear regression, derived again from the core."""

import warnings

import numpy as np
import pytest

import vitutor as vt


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


def fitted(model, family, **options):
    return vt.fit(model.log_joint, family(dim=2), **options)


def correlation(gaussian):
    return gaussian.cov[0, 1] / np.prod(gaussian.sd)


def test_eq_posterior(five):
    model, exact = five
    precision = model.X.T @ model.X + np.eye(2) / 100
    np.testing.assert_allclose(np.linalg.inv(precision), exact.cov, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.solve(precision, model.X.T @ model.y), exact.mean)


def test_eq_log_joint(five):
    model, _ = five
    z = np.random.default_rng(0).normal(size=(50, 2))
    parabola = -np.sum((model.y - z @ model.X.T) ** 2, axis=1) / 2 - np.sum(z**2, axis=1) / 200
    constant = model.log_joint(z) - parabola
    assert np.ptp(constant) < 1e-12


def test_eq_gap(five):
    model, exact = five
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.normal(size=(2, 2))
        q = vt.Gaussian(rng.normal(size=2), root @ root.T + 0.1 * np.eye(2))
        assert abs(model.elbo(q) + q.kl(exact) - model.log_evidence()) < 1e-9


def test_four_steps_are_enough_for_the_eye_and_the_fit_stops_by_itself(five):
    model, exact = five
    fit = fitted(model, vt.FullRank, draws=10, seed=0)
    assert fit.distribution(0).kl(exact) > 20
    assert fit.distribution(4).kl(exact) < 1e-3
    assert fit.q.kl(exact) < 1e-11
    assert len(fit.elbo) < 50


def test_noise_dies_at_the_top(five):
    model, exact = five
    z = exact.sample(np.random.default_rng(0), 100)
    assert np.ptp(model.log_joint(z) - exact.log_prob(z)) < 1e-12


def test_eq_kl_mean_field(five):
    _, exact = five
    precision = np.linalg.inv(exact.cov)
    mean, sd = np.array([0.3, -0.2]), np.array([0.5, 1.5])
    shift = mean - exact.mean
    twice = shift @ precision @ shift - np.linalg.slogdet(precision)[1] - 2
    twice += np.sum(np.diag(precision) * sd**2 - np.log(sd**2))
    assert vt.Gaussian(mean, np.diag(sd**2)).kl(exact) == pytest.approx(twice / 2, abs=1e-12)


def test_eq_shortfall_and_eq_rho(five, penguins):
    for model, exact in (five, penguins):
        fit, rho = fitted(model, vt.MeanField, draws=10), correlation(exact)
        np.testing.assert_allclose(fit.q.sd, np.diag(np.linalg.inv(exact.cov)) ** -0.5, rtol=1e-5)
        np.testing.assert_allclose(fit.q.sd / exact.sd, np.sqrt(1 - rho**2), rtol=1e-5)
        np.testing.assert_allclose(fit.q.kl(exact), -np.log(1 - rho**2) / 2, rtol=1e-6)


def test_mean_field_knows_the_coefficients_about_twice_as_well_as_it_should(five):
    _, exact = five
    assert 1.8 < 1 / np.sqrt(1 - correlation(exact) ** 2) < 2.2


def test_mean_field_band_is_too_narrow_far_away_and_too_wide_in_the_middle(five):
    model, _ = five
    at = np.array([[1.0, model.X[:, 1].mean()], [1.0, 8.0]])
    full = model.predict(fitted(model, vt.FullRank).q, at).sd
    narrow = model.predict(fitted(model, vt.MeanField).q, at).sd
    assert narrow[0] > full[0] + 0.05
    assert narrow[1] < full[1] - 0.4


def test_penguins_arrive_from_millions_of_nats_away(penguins):
    model, exact = penguins
    assert model.X.shape == (342, 2)
    fit = fitted(model, vt.FullRank)
    assert fit.distribution(0).kl(exact) > 1e6
    assert fit.q.kl(exact) < 1e-11
    assert correlation(exact) < -0.997


def test_centring_repairs_mean_field(penguins):
    model, exact = penguins
    centred = vt.LinearRegression(model.X - [0, model.X[:, 1].mean()], model.y, 0.4, 10.0)
    assert fitted(model, vt.MeanField).q.kl(exact) > 2.5
    assert fitted(centred, vt.MeanField).q.kl(centred.posterior()) < 1e-8


def test_three_steps_are_called_too_few(penguins):
    model, _ = penguins
    with pytest.warns(vt.NotConvergedWarning, match="3 steps"):
        assert not fitted(model, vt.FullRank, steps=3).converged


def test_khat_tells_the_good_q_from_the_bad(penguins):
    model, _ = penguins
    centred = vt.LinearRegression(model.X - [0, model.X[:, 1].mean()], model.y, 0.4, 10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted(model, vt.FullRank).diagnose().trusted
        assert fitted(centred, vt.MeanField).diagnose().trusted
        assert not fitted(model, vt.MeanField).diagnose().trusted
