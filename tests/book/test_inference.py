"""Every claim of the chapter on inference as optimisation, derived again by adaptive quadrature."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import minimize

import vitutor as vt

PRIOR, NOISE = stats.norm(1, 2), 0.5
SIDES = [(-12, 0), (0, 12)]


def joint(z, x=2.0, noise=NOISE):
    return stats.norm.pdf(x, abs(z), noise) * PRIOR.pdf(z)


def integral(f, pieces=SIDES):
    return sum(quad(f, a, b, epsabs=1e-12, epsrel=1e-11, limit=200)[0] for a, b in pieces)


@pytest.fixture(scope="module")
def corridor():
    """The posterior density of the corridor, and its evidence."""
    evidence = integral(joint)
    return lambda z: joint(z) / evidence, evidence


@pytest.fixture(scope="module")
def kl(corridor):
    """Both divergences on nodes that are not the chapter's, as functions of (μ, log σ)."""
    nodes, weights = np.polynomial.legendre.leggauss(600)
    z = np.concatenate([(nodes - 1) * 6, (nodes + 1) * 6])
    weights = np.tile(6 * weights, 2)
    log_p = np.log(corridor[0](z))

    def reverse(phi):
        log_q = stats.norm.logpdf(z, phi[0], np.exp(phi[1]))
        return weights @ (np.exp(log_q) * (log_q - log_p))

    def forward(phi):
        log_q = stats.norm.logpdf(z, phi[0], np.exp(phi[1]))
        return weights @ (np.exp(log_p) * (log_p - log_q))

    return reverse, forward


@pytest.fixture(scope="module")
def best(kl):
    reverse, forward = kl
    options = {"method": "Nelder-Mead", "options": {"xatol": 1e-7, "fatol": 1e-12}}
    return {
        "right": minimize(reverse, [2, 0], **options),
        "left": minimize(reverse, [-2, 0], **options),
        "forward": minimize(forward, [-2, 0], **options),
    }


def test_the_numbers_on_the_page(number, corridor, best):
    density, evidence = corridor
    left = quad(density, -12, 0)[0]
    assert number("inference", "left") == pytest.approx(100 * left, abs=1e-4)
    assert number("inference", "log_evidence") == pytest.approx(np.log(evidence), abs=1e-7)
    assert number("inference", "seek_mu") == pytest.approx(best["right"].x[0], abs=1e-4)
    assert number("inference", "seek_sigma") == pytest.approx(np.exp(best["right"].x[1]), abs=1e-4)
    assert number("inference", "seek_kl") == pytest.approx(best["right"].fun, abs=1e-6)
    assert number("inference", "other_kl") == pytest.approx(best["left"].fun, abs=1e-6)
    assert number("inference", "cover_mu") == pytest.approx(best["forward"].x[0], abs=1e-4)
    assert number("inference", "cover_sigma") == pytest.approx(
        np.exp(best["forward"].x[1]), abs=1e-4
    )


def test_the_two_answers_differ_by_more_than_a_metre(best):
    assert best["right"].x[0] - best["forward"].x[0] > 1


def test_the_posterior_has_two_humps_and_nothing_between(corridor):
    density, _ = corridor
    assert 0.25 < quad(density, -12, 0)[0] < 0.3
    assert density(-1.82) > 0.2 > 0.05 > density(0) * 50
    assert 2 < density(1.94) / density(-1.82) < 3


def test_the_error_of_the_grid_is_small_and_its_count_is_not():
    for dim in (1, 2, 3):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(20, dim))
        model = vt.LinearRegression(X, X @ np.full(dim, 0.5) + rng.normal(size=20), 1.0, 1.0)
        axis = np.linspace(-4, 4, 25)
        z = np.stack(np.meshgrid(*[axis] * dim), -1).reshape(-1, dim)
        assert len(z) == 25**dim
        total = np.exp(model.log_joint(z)).sum() * (axis[1] - axis[0]) ** dim
        assert abs(np.log(total) - model.log_evidence()) < 3e-3


def test_the_grid_takes_months_and_then_ages(number):
    days, trillion_years = number("inference", "days_ten"), number("inference", "years_twenty")
    speed = 25.0**10 / 86400 / days
    assert np.log10(speed) == pytest.approx(round(np.log10(speed)))
    assert trillion_years == pytest.approx(25.0**20 / speed / 86400 / 365 / 1e12)


def test_thm_gibbs():
    rng = np.random.default_rng(0)
    for _ in range(20):
        q, p = (stats.norm(rng.normal(), rng.uniform(0.3, 3)) for _ in range(2))
        divergence = quad(lambda z, q=q, p=p: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -20, 20)[0]
        assert divergence > 0
        exact = vt.Gaussian([q.mean()], [[q.var()]]).kl(vt.Gaussian([p.mean()], [[p.var()]]))
        assert divergence == pytest.approx(exact, abs=1e-7)


def test_wide_to_narrow_is_dear():
    narrow, wide = vt.Gaussian([0.0], [[1.0]]), vt.Gaussian([0.0], [[9.0]])
    assert wide.kl(narrow) > 4 * narrow.kl(wide)


def test_thm_moments(corridor, best):
    density, _ = corridor
    mean = integral(lambda z: z * density(z))
    variance = integral(lambda z: (z - mean) ** 2 * density(z))
    assert best["forward"].x == pytest.approx([mean, np.log(variance) / 2], abs=1e-5)


def test_reverse_has_exactly_two_minima_and_forward_one(kl):
    mu, log_sigma = np.linspace(-4, 4, 65), np.linspace(-2, 1.6, 49)
    for divergence, minima in zip(kl, (2, 1), strict=True):
        values = np.array([[divergence((m, s)) for m in mu] for s in log_sigma])
        least = np.lib.stride_tricks.sliding_window_view(values, (3, 3)).min(axis=(2, 3))
        assert np.sum(values[1:-1, 1:-1] == least) == minima


def test_what_each_direction_gets_wrong(best):
    def left_and_middle(found):
        q = stats.norm(found.x[0], np.exp(found.x[1]))
        return q.cdf(0), q.cdf(1) - q.cdf(-1)

    left, middle = left_and_middle(best["right"])
    assert left < 1e-4
    assert middle < 0.03
    left, middle = left_and_middle(best["forward"])
    assert 0.28 < left < 0.32
    assert middle > 0.35


def test_the_price_of_a_hump(corridor, best):
    left = quad(corridor[0], -12, 0)[0]
    assert best["left"].fun == pytest.approx(-np.log(left), abs=5e-4)
    assert best["right"].fun == pytest.approx(-np.log(1 - left), abs=5e-4)


def test_eq_gradient():
    def functional(q):
        return quad(lambda z: q(z) * np.log(joint(z) / q(z)), -9, 11, points=[0], limit=200)[0]

    q, up, down = stats.norm(0, 2), stats.norm(2, 1), stats.norm(-1, 0.5)

    def moved(t):
        return functional(lambda z: q.pdf(z) + t * (up.pdf(z) - down.pdf(z)))

    slope = quad(
        lambda z: (np.log(joint(z)) - q.logpdf(z) - 1) * (up.pdf(z) - down.pdf(z)),
        -9,
        11,
        points=[0],
        limit=200,
    )[0]
    assert (moved(1e-3) - moved(-1e-3)) / 2e-3 == pytest.approx(slope, abs=1e-4)


def test_thm_unrestricted(corridor):
    density, evidence = corridor

    def functional(q):
        return integral(lambda z: q(z) * np.log(joint(z) / q(z)), [(-9, 0), (0, 11)])

    top = functional(density)
    assert top == pytest.approx(np.log(evidence), abs=1e-7)
    rng = np.random.default_rng(0)
    for _ in range(5):
        other = stats.norm(rng.normal(), rng.uniform(0.8, 2))
        for t in (0.01, 0.3, 1.0):
            between = functional(lambda z, t=t, o=other: (1 - t) * density(z) + t * o.pdf(z))
            assert between < top


def test_the_evidence_in_closed_form(corridor):
    v = 1 / (1 / 4 + 4)
    total = 0
    for x in (2.0, -2.0):
        m = v * (1 / 4 + 4 * x)
        total += stats.norm.pdf(x, 1, np.sqrt(4.25)) * stats.norm.cdf(np.sign(x) * m / np.sqrt(v))
    assert total == pytest.approx(corridor[1], rel=1e-9)


def test_a_better_sensor_leaves_the_forward_width():
    def moments(noise):
        near = [(-2 - 5 * noise, -2 + 5 * noise), (2 - 5 * noise, 2 + 5 * noise)]
        mass, first, second = (
            integral(lambda z, k=k: z**k * joint(z, noise=noise), near) for k in range(3)
        )
        return np.sqrt(second / mass - (first / mass) ** 2)

    assert moments(0.1) == pytest.approx(moments(0.5), rel=0.02)
