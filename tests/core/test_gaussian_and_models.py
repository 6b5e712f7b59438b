"""Gaussian and LinearRegression against scipy and against plain numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import vitutor as vt

seeds = st.integers(0, 2**31)
fixed = settings(derandomize=True, deadline=None, max_examples=40)


def random_gaussian(rng, dim):
    root = rng.normal(size=(dim, dim))
    return vt.Gaussian(rng.normal(size=dim) * 3, root @ root.T + 0.05 * np.eye(dim))


@fixed
@given(seeds, st.integers(1, 5))
def test_log_prob_and_entropy_are_scipys(seed, dim):
    rng = np.random.default_rng(seed)
    g, z = random_gaussian(rng, dim), rng.normal(size=(7, dim))
    reference = multivariate_normal(g.mean, g.cov)
    np.testing.assert_allclose(g.log_prob(z), np.atleast_1d(reference.logpdf(z)), rtol=1e-8)
    assert g.entropy() == pytest.approx(reference.entropy(), abs=1e-9)


@fixed
@given(seeds, st.integers(1, 5))
def test_kl_is_the_textbook_formula_and_never_negative(seed, dim):
    rng = np.random.default_rng(seed)
    p, q = random_gaussian(rng, dim), random_gaussian(rng, dim)
    inverse = np.linalg.inv(p.cov)
    shift = p.mean - q.mean
    formula = np.trace(inverse @ q.cov) + shift @ inverse @ shift - dim
    formula += np.linalg.slogdet(p.cov)[1] - np.linalg.slogdet(q.cov)[1]
    assert q.kl(p) == pytest.approx(formula / 2, rel=1e-7, abs=1e-9)
    assert q.kl(p) >= 0
    assert q.kl(q) == pytest.approx(0, abs=1e-25)


def test_kl_is_accurate_near_zero():
    q, p = vt.Gaussian([0.0], [[1.0]]), vt.Gaussian([1e-9], [[1.0]])
    assert q.kl(p) == pytest.approx(5e-19, rel=1e-6)


def test_samples_have_the_moments():
    g = random_gaussian(np.random.default_rng(1), 3)
    z = g.sample(np.random.default_rng(2), 200_000)
    error = np.sqrt(np.diag(g.cov) / len(z))
    assert np.all(np.abs(z.mean(axis=0) - g.mean) < 5 * error)
    np.testing.assert_allclose(np.cov(z.T), g.cov, atol=0.03 * g.cov.max())


@pytest.mark.parametrize(
    ("mean", "cov", "says"),
    [
        ([0, 0], [[1.0]], "shape"),
        ([0, np.nan], np.eye(2), "finite"),
        ([0, 0], [[1, 0.5], [0.2, 1]], "symmetric"),
        ([0, 0], [[1, 2], [2, 1]], "positive definite"),
        ([0, 0], [[1, 0], [0, -1]], "positive variances"),
        (0.0, [[1.0]], "dimension"),
    ],
)
def test_what_is_no_gaussian_is_refused(mean, cov, says):
    with pytest.raises(ValueError, match=says):
        vt.Gaussian(mean, cov)


def random_regression(rng, rows, dim):
    X = rng.normal(size=(rows, dim))
    y = X @ rng.normal(size=dim) + rng.normal(size=rows)
    return vt.LinearRegression(X, y, noise_sd=rng.uniform(0.3, 2), prior_sd=rng.uniform(0.5, 10))


@fixed
@given(seeds, st.integers(1, 12), st.integers(1, 4))
def test_log_joint_posterior_and_evidence(seed, rows, dim):
    rng = np.random.default_rng(seed)
    model = random_regression(rng, rows, dim)
    noise, prior = model.noise_sd**2, model.prior_sd**2
    z = rng.normal(size=(4, dim))
    naive = [
        multivariate_normal(model.X @ row, noise * np.eye(rows)).logpdf(model.y)
        + multivariate_normal(np.zeros(dim), prior * np.eye(dim)).logpdf(row)
        for row in z
    ]
    np.testing.assert_allclose(model.log_joint(z), naive, rtol=1e-9, atol=1e-9)
    precision = model.X.T @ model.X / noise + np.eye(dim) / prior
    exact = model.posterior()
    np.testing.assert_allclose(np.linalg.inv(exact.cov), precision, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(precision @ exact.mean, model.X.T @ model.y / noise, atol=1e-7)
    marginal = noise * np.eye(rows) + prior * model.X @ model.X.T
    evidence = multivariate_normal(np.zeros(rows), marginal).logpdf(model.y)
    assert model.log_evidence() == pytest.approx(evidence, abs=1e-7)


@fixed
@given(seeds, st.integers(1, 4))
def test_elbo_plus_kl_is_the_evidence(seed, dim):
    rng = np.random.default_rng(seed)
    model, q = random_regression(rng, 20, dim), random_gaussian(rng, dim)
    total = model.elbo(q) + q.kl(model.posterior())
    assert total == pytest.approx(model.log_evidence(), abs=1e-9)


def test_a_prediction_is_the_spread_of_simulated_observations():
    rng = np.random.default_rng(3)
    model, q = random_regression(rng, 10, 2), random_gaussian(rng, 2)
    at = np.array([[1.0, 2.0], [1.0, -1.0]])
    y = q.sample(rng, 200_000) @ at.T + model.noise_sd * rng.normal(size=(200_000, 2))
    mean, sd = model.predict(q, at)
    np.testing.assert_allclose(y.mean(axis=0), mean, atol=5 * sd.max() / 447)
    np.testing.assert_allclose(y.std(axis=0), sd, rtol=0.02)


@pytest.mark.parametrize(
    ("X", "y", "noise_sd", "prior_sd", "says"),
    [
        (np.ones((3, 2)), np.ones(4), 1, 1, "same N"),
        (np.ones(3), np.ones(3), 1, 1, "dimension"),
        ([[1, np.inf]], [1.0], 1, 1, "finite"),
        ([[1, 2]], [np.nan], 1, 1, "finite"),
        ([[1, 2]], [1.0], 0, 1, "noise_sd"),
        ([[1, 2]], [1.0], 1, -2, "prior_sd"),
    ],
)
def test_what_is_no_regression_is_refused(X, y, noise_sd, prior_sd, says):
    with pytest.raises(ValueError, match=says):
        vt.LinearRegression(X, y, noise_sd, prior_sd)


def test_five_points_are_those_of_the_stated_seed():
    X, y = vt.load_five_points()
    rng = np.random.default_rng(10)
    x = np.sort(rng.uniform(0, 4, 5))
    np.testing.assert_array_equal(X[:, 1], np.round(x, 2))
    np.testing.assert_array_equal(y, np.round(-1 + x + rng.standard_normal(5), 2))


def test_penguins_report_what_is_missing():
    with pytest.warns(vt.MissingDataWarning, match="2 of 344.*rows 3, 271"):
        X, y = vt.load_penguins()
    assert X.shape == (342, 2)
    assert 172 <= X[:, 1].min() < X[:, 1].max() <= 231
    assert 2.7 <= y.min() < y.max() <= 6.3
