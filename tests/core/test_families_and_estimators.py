"""Families against their own Gaussian, estimators against the closed-form gradient of the ELBO."""

import autograd.numpy as np
import numpy as onp
import pytest
from autograd import grad
from autograd.test_util import check_grads
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

import vitutor as vt
from vitutor.natural import local_shape, paired_noise, steps_per_update

FAMILIES = [vt.MeanField(2), vt.FullRank(2)]
ESTIMATORS = [
    vt.pathwise,
    vt.sticking_the_landing,
    vt.score_function,
    vt.score_function_with_baseline,
]
fixed = settings(derandomize=True, deadline=None, max_examples=25)


def random_phi(family, rng):
    return 0.6 * rng.normal(size=family.size)


@fixed
@given(st.integers(0, 2**31), st.integers(1, 4), st.sampled_from([vt.MeanField, vt.FullRank]))
def test_a_family_agrees_with_its_distribution(seed, dim, kind):
    rng, family = onp.random.default_rng(seed), kind(dim)
    phi = random_phi(family, rng)
    q, z = family.distribution(phi), rng.normal(size=(6, dim))
    onp.testing.assert_allclose(family.log_prob(phi, z), q.log_prob(z), rtol=1e-9)
    assert family.entropy(phi) == pytest.approx(q.entropy(), abs=1e-9)
    eps = family.noise(rng, 5)
    mean, scale = family.location_scale(phi)
    onp.testing.assert_allclose(family.transform(phi, eps), mean + eps @ scale.T, rtol=1e-12)
    onp.testing.assert_allclose(family.from_location_scale(mean, scale), phi, atol=1e-12)
    check_grads(lambda phi: np.sum(family.transform(phi, eps) ** 2), order=2, modes=["rev"])(phi)
    check_grads(lambda phi, z: np.sum(family.log_prob(phi, z) ** 2), order=2, modes=["rev"])(phi, z)
    check_grads(family.entropy, order=1, modes=["rev"])(phi)


@pytest.mark.parametrize("family", FAMILIES)
def test_init_is_the_standard_normal(family):
    q = family.distribution(family.init())
    assert q.kl(vt.Gaussian([0, 0], onp.eye(2))) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_closest_is_the_minimum_of_the_kl(family):
    target = vt.Gaussian([1.0, -2.0], [[2.0, 0.9], [0.9, 0.7]])
    phi = family.closest(target)
    least = family.distribution(phi).kl(target)
    for direction in onp.random.default_rng(0).normal(size=(50, len(phi))):
        assert family.distribution(phi + 0.01 * direction).kl(target) > least


TARGET = vt.Gaussian([0.7, -0.4], [[1.5, 0.8], [0.8, 0.9]])
LINEAR = vt.LinearRegression(*vt.load_five_points(), 1.0, 10.0)


def exact_elbo(family, phi):
    """-KL(q_φ || TARGET), written with autograd from the textbook formula."""
    precision = onp.linalg.inv(TARGET.cov)
    if isinstance(family, vt.MeanField):
        mean, scale = phi[:2], np.diag(np.exp(phi[2:]))
    else:
        rows = [np.array([np.exp(phi[2]), 0.0]), np.array([phi[3], np.exp(phi[4])])]
        mean, scale = phi[:2], np.array(rows)
    shift = mean - TARGET.mean
    trace = np.trace(precision @ np.dot(scale, scale.T))
    logs = np.sum(np.log(np.diag(scale)))
    return -(trace + np.dot(shift, np.dot(precision, shift))) / 2 + logs


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_mean_of_v_is_the_gradient(family, estimator):
    rng = onp.random.default_rng(1)
    phi = random_phi(family, rng)
    exact = grad(lambda phi: exact_elbo(family, phi))(phi)
    samples = onp.array(
        [estimator(TARGET.log_prob, family, phi, family.noise(rng, 20))[1] for _ in range(2000)]
    )
    error = samples.std(axis=0) / onp.sqrt(len(samples))
    assert onp.all(onp.abs(samples.mean(axis=0) - exact) < 4.5 * error + 1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_gradient_in_theta(estimator):
    family, rng, theta = vt.MeanField(1), onp.random.default_rng(2), onp.array([0.3])
    phi = onp.array([0.5, -0.2])

    def log_joint(z, theta):
        return -((z[:, 0] - theta[0]) ** 2) * np.exp(theta[0]) / 2

    samples = onp.array(
        [estimator(log_joint, family, phi, family.noise(rng, 20), theta)[1] for _ in range(2000)]
    )
    shift, variance = 0.5 - 0.3, onp.exp(-0.4)
    exact = onp.exp(0.3) * (shift - (shift**2 + variance) / 2)
    assert samples.shape == (2000, 3)
    error = samples[:, 2].std() / onp.sqrt(len(samples))
    assert abs(samples[:, 2].mean() - exact) < 4.5 * error


def test_sticking_the_landing_has_no_noise_at_the_posterior():
    family, posterior = vt.FullRank(2), LINEAR.posterior()
    phi, rng = family.closest(posterior), onp.random.default_rng(3)
    samples = onp.array(
        [
            vt.sticking_the_landing(LINEAR.log_joint, family, phi, family.noise(rng, 1))[1]
            for _ in range(500)
        ]
    )
    assert samples.var(axis=0).sum() < 1e-20
    noisy = [
        vt.pathwise(LINEAR.log_joint, family, phi, family.noise(rng, 1))[1] for _ in range(500)
    ]
    assert onp.var(noisy, axis=0).sum() > 1


def test_the_variance_of_the_pathwise_gradient_at_its_optimum():
    sd = onp.array([0.5, 2.0, 1.3])
    target, family = vt.Gaussian(onp.zeros(3), onp.diag(sd**2)), vt.MeanField(3)
    phi, rng = family.closest(target), onp.random.default_rng(4)
    samples = onp.array(
        [vt.pathwise(target.log_prob, family, phi, family.noise(rng, 1))[1] for _ in range(20_000)]
    )
    exact = onp.sum(1 / sd**2) + 2 * 3
    assert samples.var(axis=0).sum() == pytest.approx(exact, rel=0.05)


def test_the_baseline_lowers_the_variance_and_needs_two_draws():
    family, rng = vt.FullRank(2), onp.random.default_rng(5)
    phi = family.closest(LINEAR.posterior()) + 0.1

    def variance(estimator):
        draws = [estimator(LINEAR.log_joint, family, phi, family.noise(rng, 10))[1]
                 for _ in range(400)]  # fmt: skip
        return onp.var(draws, axis=0).sum()

    assert variance(vt.score_function_with_baseline) < variance(vt.score_function) / 2
    with pytest.raises(ValueError, match="two draws"):
        vt.score_function_with_baseline(LINEAR.log_joint, family, phi, family.noise(rng, 1))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_monte_carlo_elbo(family):
    rng = onp.random.default_rng(6)
    phi = random_phi(family, rng)
    estimates = [vt.elbo(LINEAR.log_joint, family, phi, family.noise(rng, 50)) for _ in range(400)]
    error = onp.std(estimates) / 20
    assert abs(onp.mean(estimates) - LINEAR.elbo(family.distribution(phi))) < 4.5 * error


@pytest.mark.parametrize(("rows", "dim"), [(10, 2), (2, 1), (10, 1), (8, 4)])
def test_paired_noise_is_standard_normal_and_its_second_moment_a_multiple_of_one(rows, dim):
    rng = onp.random.default_rng(7)
    blocks = onp.array([paired_noise(rng, rows, dim) for _ in range(4000)])
    onp.testing.assert_allclose(blocks.sum(axis=1), 0, atol=1e-12)
    second = onp.einsum("bsi,bsj->bij", blocks, blocks)
    onp.testing.assert_allclose(second, second[:, :1, :1] * onp.eye(dim), atol=1e-10)
    assert kstest(blocks[:, 0, 0], "norm").pvalue > 1e-3
    assert kstest(blocks[:, 1, -1], "norm").pvalue > 1e-3
    assert kstest(blocks[:, 0] @ onp.ones(dim) / onp.sqrt(dim), "norm").pvalue > 1e-3


@pytest.mark.parametrize("draws", [1, 2, 3, 7, 10, 25])
@pytest.mark.parametrize("dim", [1, 2, 10, 20])
def test_steps_per_update_are_the_fewest_that_span_and_pair(draws, dim):
    def enough(steps):
        return steps * draws >= 2 * dim and steps * draws % 2 == 0

    steps = steps_per_update(draws, dim)
    assert enough(steps)
    assert not any(enough(fewer) for fewer in range(1, steps))


def test_local_shape_is_exact_for_a_parabola():
    rng = onp.random.default_rng(8)
    scale = onp.tril(rng.normal(size=(2, 2))) + 2 * onp.eye(2)
    mean, precision = rng.normal(size=2), onp.linalg.inv(TARGET.cov)
    eps = paired_noise(rng, 10, 2)
    slopes = (TARGET.mean - mean - eps @ scale.T) @ precision
    gradient, curvature, weight = local_shape(slopes, eps, scale)
    onp.testing.assert_allclose(gradient, scale.T @ precision @ (TARGET.mean - mean), atol=1e-12)
    onp.testing.assert_allclose(curvature, scale.T @ precision @ scale, atol=1e-12)
    assert weight == pytest.approx(onp.mean(eps**2))


def test_adam_sgd_and_decay():
    step, state = vt.sgd(0.5).update(onp.array([2.0]), vt.sgd(0.5).init(onp.zeros(1)))
    assert step == [1.0]
    assert state == 1
    optimizer = vt.adam(0.1)
    state = optimizer.init(onp.zeros(2))
    first, state = optimizer.update(onp.array([3.0, -200.0]), state)
    onp.testing.assert_allclose(first, [0.1, -0.1], rtol=1e-6)
    gradient, m, v = onp.array([1.0, 1.0]), [0.3, -20.0], [0.009, 40.0]
    second, _ = optimizer.update(gradient, state)
    m, v = 0.9 * onp.array(m) + 0.1, 0.999 * onp.array(v) + 0.001
    expected = 0.1 * (m / (1 - 0.81)) / (onp.sqrt(v / (1 - 0.999**2)) + 1e-8)
    onp.testing.assert_allclose(second, expected)
    assert [vt.decay(0.5, 100)(t) for t in (0, 100, 300)] == [0.5, 0.25, 0.125]
    with pytest.raises(ValueError, match="rate"):
        vt.adam(-1)
