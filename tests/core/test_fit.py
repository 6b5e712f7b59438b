"""`fit` arrives wherever the posterior is, says when it has not, and refuses what it cannot fit."""

import warnings

import autograd.numpy as np
import numpy as onp
import pytest
from scipy import optimize, special

import vitutor as vt
from vitutor import diagnostics

SEEDS = range(10)


def standard(rows, dim, scales=1.0):
    rng = onp.random.default_rng(0)
    X = onp.column_stack([onp.ones(rows), rng.standard_normal((rows, dim - 1))])
    y = X @ rng.standard_normal(dim) + rng.standard_normal(rows)
    return vt.LinearRegression(X * scales, y, 1.0, 10.0)


def scales(dim):
    return 10.0 ** onp.random.default_rng(5).uniform(-3, 3, dim)


def penguins(centred=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", vt.MissingDataWarning)
        X, y = vt.load_penguins()
    return vt.LinearRegression(X - centred * onp.array([0, X[:, 1].mean()]), y, 0.4, 10.0)


def calendar():
    rng = onp.random.default_rng(1)
    year = rng.normal(2000, 5, 200)
    y = 0.3 * (year - 2000) + 1 + rng.standard_normal(200)
    return vt.LinearRegression(onp.column_stack([onp.ones(200), year]), y, 1.0, 10.0)


MODELS = {
    "five points": lambda: vt.LinearRegression(*vt.load_five_points(), 1.0, 10.0),
    "penguins": penguins,
    "centred penguins": lambda: penguins(centred=True),
    "calendar year": calendar,
    "2000 by 10": lambda: standard(2000, 10),
    "2000 by 10, scaled": lambda: standard(2000, 10, scales(10)),
    "100000 by 20": lambda: standard(100_000, 20),
    "100000 by 20, scaled": lambda: standard(100_000, 20, scales(20)),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]()


@pytest.mark.filterwarnings("error::vitutor.NotConvergedWarning")
@pytest.mark.parametrize("options", [{}, {"steps": 200, "draws": 10}])
def test_full_rank_lands_on_the_posterior(model, options):
    exact, family = model.posterior(), vt.FullRank(model.dim)
    for seed in SEEDS:
        fit = vt.fit(model.log_joint, family, seed=seed, **options)
        assert fit.q.kl(exact) < 1e-8
        assert len(fit.elbo) <= 200
        assert fit.converged


@pytest.mark.filterwarnings("error::vitutor.NotConvergedWarning")
def test_mean_field_lands_on_the_best_mean_field_q(model):
    exact, family = model.posterior(), vt.MeanField(model.dim)
    best = family.distribution(family.closest(exact))
    for seed in SEEDS:
        fit = vt.fit(model.log_joint, family, seed=seed)
        assert model.elbo(best) - model.elbo(fit.q) < 1e-3
        assert len(fit.elbo) * max(10, 2 * model.dim) <= 20_000


def test_the_identity_holds_at_every_size(model):
    q = vt.fit(model.log_joint, vt.MeanField(model.dim), seed=0).q
    assert model.elbo(q) + q.kl(model.posterior()) == pytest.approx(model.log_evidence(), abs=1e-9)


@pytest.mark.parametrize("draws", [1, 10])
def test_the_sd_of_a_mean_of_ten(draws):
    y = onp.random.default_rng(0).standard_normal(10)
    model = vt.LinearRegression(onp.ones((10, 1)), y, 1.0, 1.0)
    for seed in SEEDS:
        q = vt.fit(model.log_joint, vt.MeanField(1), draws=draws, seed=seed).q
        assert q.sd[0] == pytest.approx(1 / onp.sqrt(11), rel=0.01)


@pytest.mark.parametrize("sd", [1.0, 1e-6, 1e3])
def test_a_mean_eight_sds_away_and_farther(sd):
    target = vt.Gaussian([8.0], [[sd**2]])
    for seed in SEEDS:
        assert vt.fit(target.log_prob, vt.FullRank(1), seed=seed).q.kl(target) < 1e-6


def test_a_slope_whose_sign_is_wrong_when_stopped_early_is_right_or_warned_of():
    x = onp.array([10.0, 11, 12, 13, 14, 15, 16])
    y = onp.array([6.1, 5.8, 5.2, 5.1, 4.6, 4.1, 3.9])
    model = vt.LinearRegression(onp.column_stack([onp.ones(7), x]), y, 0.2, 10.0)
    exact = model.posterior()
    assert exact.mean[1] < 0
    for seed in SEEDS:
        assert vt.fit(model.log_joint, vt.MeanField(2), seed=seed).q.mean[1] < 0
        with pytest.warns(vt.NotConvergedWarning, match="1 step"):
            hasty = vt.fit(model.log_joint, vt.MeanField(2), steps=1, seed=seed)
        assert not hasty.converged


def test_units_do_not_matter():
    model, factors = MODELS["five points"](), onp.array([1e-3, 1e4])
    first = vt.fit(model.log_joint, vt.FullRank(2), steps=12, seed=0)
    second = vt.fit(
        lambda z: model.log_joint(z * factors),
        vt.FullRank(2),
        steps=12,
        seed=0,
        init=vt.FullRank(2).from_location_scale(onp.zeros(2), onp.diag(1 / factors)),
    )
    onp.testing.assert_allclose(first.elbo - onp.log(onp.prod(factors)), second.elbo, rtol=1e-8)


def best_gaussian(log_density, start=(0.0, 0.0)):
    """The mean and sd that maximise the ELBO in one dimension, by quadrature."""
    nodes, weights = onp.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def loss(phi):
        return -weights @ log_density(phi[0] + onp.exp(phi[1]) * nodes[:, None]) - phi[1]

    found = optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-9})
    return found.x, loss


@pytest.mark.parametrize(
    "log_density",
    [
        lambda z: -z[:, 0] - np.exp(-z[:, 0]),
        lambda z: 1000 * z[:, 0] - np.exp(z[:, 0]),
        lambda z: -2.5 * np.log1p((z[:, 0] - 5) ** 2 / 4),
        lambda z: -np.logaddexp(0, -4 * z[:, 0]) * 30 - np.logaddexp(0, 3 * z[:, 0]) * 10,
    ],
    ids=["gumbel", "log-gamma, far", "student-t", "logistic"],
)
def test_what_is_not_gaussian(log_density):
    start = (7.0, -3.0) if log_density(onp.array([[7.0]]))[0] > 5000 else (0.0, 0.0)
    best, loss = best_gaussian(log_density, start)
    for seed in range(4):
        fit = vt.fit(log_density, vt.FullRank(1), seed=seed)
        assert loss(fit.phi) - loss(best) < 0.01


def test_logistic_regression_in_any_units():
    rng = onp.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    sign = onp.where(rng.uniform(size=200) < 1 / (1 + onp.exp(-X @ [0.5, 2, -1])), 1.0, -1.0)
    units = onp.array([1.0, 1e-3, 1e3])

    def log_joint(z, X=X):
        return -np.sum(np.logaddexp(0, -sign[:, None] * (X @ z.T)), axis=0) - 1e-9 * np.sum(
            z**2, axis=-1
        )

    plain = vt.fit(log_joint, vt.FullRank(3), draws=100, seed=0)
    scaled = vt.fit(lambda z: log_joint(z, X * units), vt.FullRank(3), draws=100, seed=0)
    onp.testing.assert_allclose(scaled.q.mean * units, plain.q.mean, atol=0.1 * plain.q.sd.min())
    onp.testing.assert_allclose(scaled.q.sd * units, plain.q.sd, rtol=0.1)


def test_theta_is_the_maximum_of_the_evidence():
    model = penguins()
    X, y, (n, dim) = model.X, model.y, model.X.shape

    def log_joint(z, theta):
        square = np.sum((y[:, None] - X @ z.T) ** 2, axis=0)
        prior = -np.sum(z**2, axis=-1) / 200 - dim * np.log(10) - dim / 2 * np.log(2 * np.pi)
        return prior - square * np.exp(-2 * theta[0]) / 2 - n * theta[0] - n / 2 * np.log(2 * np.pi)

    def loss(t):
        return -vt.LinearRegression(X, y, onp.exp(t), 10.0).log_evidence()

    best = optimize.minimize_scalar(loss, (-2, 0), options={"xtol": 1e-10}).x
    fit = vt.fit(log_joint, vt.FullRank(dim), theta=[0.0], seed=0)
    assert fit.theta[0] == pytest.approx(best, abs=5e-3)
    assert fit.theta_trajectory.shape == (len(fit.elbo) + 1, 1)


def test_the_same_seed_gives_the_same_bits():
    model = MODELS["five points"]()
    first, again = (vt.fit(model.log_joint, vt.FullRank(2), seed=3) for _ in range(2))
    assert first.trajectory.tobytes() == again.trajectory.tobytes()
    assert first.phi.tobytes() == again.phi.tobytes()
    other = vt.fit(model.log_joint, vt.FullRank(2), seed=4)
    assert first.trajectory[1].tobytes() != other.trajectory[1].tobytes()


@pytest.mark.parametrize("estimator", [vt.pathwise, vt.sticking_the_landing])
@pytest.mark.parametrize("optimizer", [vt.adam(vt.decay(0.1, 200)), vt.sgd(vt.decay(0.02, 500))])
@pytest.mark.filterwarnings("ignore::vitutor.NotConvergedWarning")
def test_plain_ascent_by_estimator_and_optimizer(estimator, optimizer):
    model = MODELS["five points"]()
    fit = vt.fit(
        model.log_joint,
        vt.FullRank(2),
        steps=1500,
        draws=10,
        estimator=estimator,
        optimizer=optimizer,
    )
    assert fit.trajectory.shape == (1501, 5)
    assert len(fit.elbo) == 1500
    onp.testing.assert_array_equal(fit.trajectory[0], onp.zeros(5))
    assert fit.distribution(0).kl(model.posterior()) > 10
    assert fit.q.kl(model.posterior()) < 0.05
    onp.testing.assert_allclose(fit.phi, fit.trajectory[-300:].mean(axis=0))


def test_khat():
    model = MODELS["five points"]()
    exact = vt.fit(model.log_joint, vt.FullRank(2)).diagnose()
    assert exact.trusted
    assert "posterior" in str(exact)
    heavy = vt.Gaussian(onp.zeros(2), [[1, 0.995], [0.995, 1]])
    bad = vt.fit(heavy.log_prob, vt.MeanField(2)).diagnose()
    assert not bad.trusted
    assert bad.khat > 0.7


@pytest.mark.parametrize(("sd", "k"), [(0.4, 0.84), (0.6, 0.64), (0.8, 0.36), (1.5, -1.25)])
def test_khat_is_the_tail_index_of_the_ratios(sd, k):
    """For q = N(0, sd²) and p = N(0, 1) the ratios p/q have index 1 - sd², or a bound if sd > 1."""
    family, rng = vt.MeanField(1), onp.random.default_rng(0)
    phi = onp.array([0.0, onp.log(sd)])
    target = vt.Gaussian(onp.zeros(1), [[1.0]])
    found = diagnostics.diagnose(target.log_prob, family, phi, onp.zeros(0), rng, 100_000)
    assert found.khat < 0 if k < 0 else abs(found.khat - k) < 0.1
    assert found.trusted == (k < 0.7)


@pytest.mark.parametrize("k", [0.3, 0.7, 0.9])
def test_khat_of_ratios_whose_tail_is_a_power_law(k):
    """r = Φ(-ε)^-k exceeds t with probability t^(-1/k) exactly."""
    family, phi = vt.MeanField(1), onp.zeros(2)

    def log_joint(z):
        return family.log_prob(phi, z) - k * special.log_ndtr(-z[:, 0])

    found = [
        diagnostics.diagnose(
            log_joint, family, phi, onp.zeros(0), onp.random.default_rng(s), 10_000
        )
        for s in range(20)
    ]
    assert onp.mean([each.khat for each in found]) == pytest.approx(k, abs=0.06)


def test_progress_shows_the_elbo(capsys):
    model = MODELS["five points"]()
    vt.fit(model.log_joint, vt.FullRank(2), progress=True)
    assert "elbo=" in capsys.readouterr().err


def test_a_log_joint_that_turns_nan_half_way_loses_nothing():
    calls = []

    def log_joint(z):
        calls.append(1)
        return -np.sum((z - 5) ** 2, axis=-1) * (np.nan if len(calls) > 15 else 1.0)

    with pytest.raises(vt.DivergedError, match="stopped at step") as caught:
        vt.fit(log_joint, vt.FullRank(2), steps=100)
    error = caught.value
    assert 0 < error.step == len(error.fit.elbo) < 20
    assert onp.isfinite(error.fit.phi).all()
    assert not error.fit.converged


def half(z):
    return -np.sum(z**2, axis=-1) / 2


@pytest.mark.parametrize(
    ("log_joint", "error", "says"),
    [
        (lambda z: -np.sum(z**2, axis=-1, keepdims=True), ValueError, "shape"),
        (lambda z: -np.sum(z**2), ValueError, "last axis"),
        (lambda z: -onp.sum(onp.array(z, dtype=float) ** 2, axis=-1), TypeError, "autograd"),
        (lambda z: half(z - np.mean(z, axis=0)), ValueError, "mixes the draws"),
    ],
)
def test_a_log_joint_that_breaks_the_contract(log_joint, error, says):
    with pytest.raises(error, match=says):
        vt.fit(log_joint, vt.FullRank(2))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": 0}, "steps"),
        ({"draws": 0}, "draws"),
        ({"draws": 2.5}, "draws"),
        ({"init": onp.zeros(3)}, "init"),
        ({"init": onp.full(5, onp.nan)}, "finite"),
    ],
)
def test_an_option_that_does_not_fit(options, says):
    with pytest.raises((ValueError, TypeError), match=says):
        vt.fit(half, vt.FullRank(2), **options)


@pytest.mark.parametrize("dim", [0, -1, 1.5])
def test_a_family_needs_dimensions(dim):
    with pytest.raises((ValueError, TypeError), match="dim"):
        vt.FullRank(dim)
