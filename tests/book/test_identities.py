"""Each equation of book/identities.md, by quadrature, automatic differentiation or scipy.

The test of the equation labelled eq-id-some-name is test_some_name.
"""

import re
from pathlib import Path

import autograd.numpy as np
import pytest
from autograd import elementwise_grad, grad, hessian, jacobian
from numpy.polynomial.hermite_e import hermegauss
from numpy.testing import assert_allclose
from scipy import integrate, optimize, stats

PAGE = Path(__file__).parents[2] / "book" / "identities.md"

MEAN = np.array([0.7, -1.2])
COV = np.array([[1.5, -0.6], [-0.6, 0.8]])
CHOL = np.linalg.cholesky(COV)
PRECISION = np.linalg.inv(COV)
OTHER_MEAN = np.array([-0.3, 0.4])
OTHER_COV = np.array([[0.9, 0.4], [0.4, 2.0]])
POINTS = np.array([[0.0, 0.0], [1.0, -2.0], [-0.4, 3.0]])

NODES, WEIGHTS = hermegauss(60)
EPS = np.stack(np.meshgrid(NODES, NODES), axis=-1).reshape(-1, 2)
EPS_WEIGHTS = np.outer(WEIGHTS, WEIGHTS).ravel() / (2 * np.pi)


def expect(f, mean=MEAN, chol=CHOL):
    """E[f(z)], z ~ N(mean, chol cholᵀ), by Gauss-Hermite quadrature; f takes rows."""
    return np.tensordot(EPS_WEIGHTS, f(mean + np.dot(EPS, chol.T)), axes=1)


def log_density(z, mean=MEAN, cov=COV):
    return stats.multivariate_normal(mean, cov).logpdf(z)


def wavy(z):
    """A smooth function of the rows of z that is no polynomial."""
    return np.sin(z[..., 0]) + np.exp(-z[..., 0] * z[..., 1] / 8) + z[..., 1] ** 3


def kl(mean, cov, m, s):
    inverse = np.linalg.inv(s)
    distance = (mean - m) @ inverse @ (mean - m)
    log_dets = np.linalg.slogdet(s)[1] - np.linalg.slogdet(cov)[1]
    return (distance + np.trace(inverse @ cov) - len(m) + log_dets) / 2


def same(value, expected, rtol=1e-9):
    assert_allclose(value, expected, rtol=rtol, atol=1e-10)


def test_each_equation_has_its_test():
    labels = re.findall(r"\(eq-id-([\w-]+)\)", PAGE.read_text(encoding="utf-8"))
    tests = [name for name in globals() if name.startswith("test_")]
    assert {f"test_{label.replace('-', '_')}" for label in labels} == {
        *tests,
    } - {"test_each_equation_has_its_test"}


def test_density():
    white = np.linalg.solve(CHOL, (POINTS - MEAN).T)
    value = -np.sum(white**2, axis=0) / 2 - np.log(np.diag(CHOL)).sum() - np.log(2 * np.pi)
    same(value, log_density(POINTS))


def test_affine():
    A, b = np.array([[2.0, 0.5], [-1.0, 1.5]]), np.array([0.3, 2.0])
    mapped = log_density(POINTS @ A.T + b, A @ MEAN + b, A @ COV @ A.T)
    same(mapped + np.log(abs(np.linalg.det(A))), log_density(POINTS))


def test_moments():
    same(expect(lambda z: z), MEAN)
    same(expect(lambda z: z[:, :, None] * z[:, None, :]), COV + np.outer(MEAN, MEAN))


def test_quadratic_form():
    A, a = np.array([[1.0, 2.0], [-0.5, 3.0]]), np.array([0.2, 0.9])
    value = expect(lambda z: np.sum((z - a) @ A * (z - a), axis=1))
    same(value, (MEAN - a) @ A @ (MEAN - a) + np.trace(A @ COV))


def test_log_normal():
    a = np.array([0.5, -0.8])
    same(expect(lambda z: np.exp(z @ a)), np.exp(a @ MEAN + a @ COV @ a / 2))


def test_entropy():
    value = np.log(np.diag(CHOL)).sum() + 1 + np.log(2 * np.pi)
    same(value, -expect(log_density))


def test_expected_log_density():
    value = log_density(MEAN, OTHER_MEAN, OTHER_COV) - np.trace(np.linalg.inv(OTHER_COV) @ COV) / 2
    same(value, expect(lambda z: log_density(z, OTHER_MEAN, OTHER_COV)))


def test_kl():
    def ratio(z):
        return log_density(z) - log_density(z, OTHER_MEAN, OTHER_COV)

    there = kl(MEAN, COV, OTHER_MEAN, OTHER_COV)
    back = kl(OTHER_MEAN, OTHER_COV, MEAN, COV)
    same(there, expect(ratio))
    same(back, -expect(ratio, OTHER_MEAN, np.linalg.cholesky(OTHER_COV)))
    assert abs(there - back) > 0.1


def test_marginal():
    for a in (-0.5, 1.3):
        value, _ = integrate.quad(lambda b, a=a: np.exp(log_density([a, b])), -15, 15)
        same(value, stats.norm(MEAN[0], np.sqrt(COV[0, 0])).pdf(a))


def joint_less_marginal(z):
    return log_density(z) - stats.norm(MEAN[1], np.sqrt(COV[1, 1])).logpdf(z[:, 1])


def test_conditional():
    mean = MEAN[0] + COV[0, 1] / COV[1, 1] * (POINTS[:, 1] - MEAN[1])
    variance = COV[0, 0] - COV[0, 1] ** 2 / COV[1, 1]
    same(stats.norm(mean, np.sqrt(variance)).logpdf(POINTS[:, 0]), joint_less_marginal(POINTS))


def test_schur():
    mean = MEAN[0] - PRECISION[0, 1] / PRECISION[0, 0] * (POINTS[:, 1] - MEAN[1])
    sd = 1 / np.sqrt(PRECISION[0, 0])
    same(stats.norm(mean, sd).logpdf(POINTS[:, 0]), joint_less_marginal(POINTS))


H = np.array([0.4, -1.1])


def quadratic(z):
    return -np.sum(z @ PRECISION * z, axis=-1) / 2 + z @ H


def test_square():
    m = COV @ H
    away = POINTS - m
    same(quadratic(POINTS), -np.sum(away @ PRECISION * away, axis=1) / 2 + H @ m / 2)


def test_integral():
    value, _ = integrate.dblquad(
        lambda b, a: np.exp(quadratic(np.array([a, b]))), -15, 15, -12, 12, epsabs=1e-10
    )
    same(2 * np.pi / np.sqrt(np.linalg.det(PRECISION)) * np.exp(H @ COV @ H / 2), value, rtol=1e-8)


def test_product():
    precisions = PRECISION, np.linalg.inv(OTHER_COV)
    C = np.linalg.inv(sum(precisions))
    c = C @ (precisions[0] @ MEAN + precisions[1] @ OTHER_MEAN)
    number = log_density(MEAN, OTHER_MEAN, COV + OTHER_COV)
    factors = log_density(POINTS) + log_density(POINTS, OTHER_MEAN, OTHER_COV)
    same(number + log_density(POINTS, c, C), factors)


def test_regression():
    X, y = np.array([[1.0, 0.6], [1.0, 2.0], [1.0, 3.8]]), np.array([-0.3, 1.9, 2.4])
    sigma, tau = 0.7, 3.0
    precision = X.T @ X / sigma**2 + np.eye(2) / tau**2
    m = np.linalg.solve(precision, X.T @ y) / sigma**2
    evidence = log_density(y, np.zeros(3), sigma**2 * np.eye(3) + tau**2 * X @ X.T)
    for z in POINTS:
        joint = log_density(y, X @ z, sigma**2 * np.eye(3)) + log_density(
            z, np.zeros(2), tau**2 * np.eye(2)
        )
        same(joint, evidence + log_density(z, m, np.linalg.inv(precision)))


def best_diagonal(divergence):
    """Mean, variances and least divergence of the best diagonal normal, by a numerical search."""

    def objective(phi):
        return divergence(phi[:2], np.diag(np.exp(2 * phi[2:])))

    found = optimize.minimize(objective, np.zeros(4), jac=grad(objective), tol=1e-12)
    return found.x[:2], np.exp(2 * found.x[2:]), found.fun


def test_mean_field():
    mean, variances, least = best_diagonal(lambda m, s: kl(m, s, MEAN, COV))
    same(mean, MEAN, rtol=1e-5)
    same(variances, 1 / np.diag(PRECISION), rtol=1e-5)
    log_det = np.linalg.slogdet(PRECISION)[1]
    same(least, (np.log(np.diag(PRECISION)).sum() - log_det) / 2)


def test_moment_matching():
    mean, variances, least = best_diagonal(lambda m, s: kl(MEAN, COV, m, s))
    same(mean, MEAN, rtol=1e-5)
    same(variances, np.diag(COV), rtol=1e-5)
    same(least, (np.log(np.diag(COV)).sum() - np.linalg.slogdet(COV)[1]) / 2)


def slope(z):
    return elementwise_grad(lambda z: wavy(z))(z)


def test_stein():
    same(expect(lambda z: (z - MEAN) * wavy(z)[:, None]), COV @ expect(slope))


def test_bonnet():
    same(grad(lambda mean: expect(wavy, mean))(MEAN), expect(slope))


def test_price():
    step = 1e-4
    curvature = expect(lambda z: np.array([hessian(wavy)(row) for row in z]))
    for direction in (np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), np.array([[0.0, 1.0], [1.0, 0.0]])):
        up, down = (np.linalg.cholesky(COV + h * direction) for h in (step, -step))
        change = (expect(wavy, chol=up) - expect(wavy, chol=down)) / (2 * step)
        same(change, np.sum(curvature * direction) / 2, rtol=1e-6)


def test_pathwise():
    gradient = grad(lambda chol: expect(wavy, chol=chol))(CHOL)
    outer = np.einsum("n,ni,nj", EPS_WEIGHTS, slope(MEAN + EPS @ CHOL.T), EPS)
    same(np.tril(gradient), np.tril(outer))


def one_dimensional(phi, z):
    """log N(z | μ, s²), φ = (μ, log s)."""
    return -(((z - phi[0]) / np.exp(phi[1])) ** 2) / 2 - phi[1] - np.log(2 * np.pi) / 2


PHI = np.array([0.3, -0.4])
NORMALISED = WEIGHTS / np.sqrt(2 * np.pi)
Z = PHI[0] + np.exp(PHI[1]) * NODES
SCORES = jacobian(one_dimensional)(PHI, Z)


def test_score():
    same(NORMALISED @ SCORES, np.zeros(2))
    moved = grad(lambda phi: NORMALISED @ np.sin(phi[0] + np.exp(phi[1]) * NODES))(PHI)
    same((NORMALISED * np.sin(Z)) @ SCORES, moved)


def test_fisher():
    s = np.exp(PHI[1])
    same(SCORES, np.column_stack([NODES / s, NODES**2 - 1]))
    same((SCORES.T * NORMALISED) @ SCORES, np.diag([1 / s**2, 2.0]))


def test_matrix_derivatives():
    A, dA = np.array([[2.0, 0.3], [-0.7, 1.1]]), np.array([[0.2, -1.0], [0.5, 0.4]])
    inverse = np.linalg.inv(A)
    same(grad(lambda A: np.linalg.slogdet(A)[1])(A), inverse.T)
    same(np.tensordot(jacobian(np.linalg.inv)(A), dA), -inverse @ dA @ inverse)


def test_precision_root():
    C = np.linalg.cholesky(PRECISION).T
    root = np.linalg.inv(C)
    assert np.array_equal(C, np.triu(C))
    same(expect(lambda z: z[:, :, None] * z[:, None, :], np.zeros(2), root), COV)
    same(2 * np.log(np.diag(C)).sum(), np.linalg.slogdet(PRECISION)[1])


@pytest.mark.parametrize("z", [-1.0, 0.2, 4.0])
def test_student(z):
    alpha, beta, m, v = 2.5, 1.7, 0.4, 3.0
    value, _ = integrate.quad(
        lambda variance: (
            stats.norm(m, np.sqrt(variance * v)).pdf(z)
            * stats.invgamma(alpha, scale=beta).pdf(variance)
        ),
        0,
        np.inf,
        epsabs=1e-13,
    )
    same(value, stats.t(2 * alpha, m, np.sqrt(beta * v / alpha)).pdf(z), rtol=1e-7)
