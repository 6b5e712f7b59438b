"""RegressionLab as Python sees it: what it sends, what it does when the page asks for a fit."""

import gzip
import json

import numpy as np
import pytest

import vitutor as vt

LIVE = {
    "family": "full-rank",
    "estimator": "sticking-the-landing",
    "rate": "0.1",
    "draws": 10,
    "seed": 0,
}
START = [0.0, 0.0, 1.0, 0.0, 1.0]


@pytest.fixture
def model():
    return vt.LinearRegression(*vt.load_five_points(), noise_sd=1.0, prior_sd=10.0)


@pytest.fixture
def lab(model):
    lab = vt.RegressionLab(model)
    lab.sent = []
    lab.send = lambda message, buffers=None: lab.sent.append(message)
    return lab


def asks(lab, message):
    """The page's message, as the kernel hands it over; JSON, as on the wire."""
    lab._handle_custom_msg(json.loads(json.dumps(message)), [])


def q_of(row):
    L = np.array([[row[2], 0.0], [row[3], row[4]]])
    return vt.Gaussian(row[:2], L @ L.T)


def test_a_kernel_says_that_it_is_there(lab):
    asks(lab, {"type": "hello"})
    assert lab.sent == [{"type": "here"}]


def test_a_recording_is_the_fit(model):
    fit = vt.fit(model.log_joint, vt.MeanField(2), seed=4)
    lab = vt.RegressionLab(model, fit)
    assert lab.fit is fit
    assert lab.settings["family"] == "mean-field"
    assert lab.settings["draws"] is None, "a Fit does not say how many draws made it"
    assert vt.RegressionLab(model, fit, draws=10, rate="natural").settings["draws"] == 10
    assert len(lab.recording["qs"]) == len(fit.trajectory)
    for t, row in zip(lab.recording["steps"], lab.recording["qs"], strict=True):
        expected = fit.distribution(t)
        np.testing.assert_allclose(q_of(row).mean, expected.mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(q_of(row).cov, expected.cov, rtol=1e-8)


def test_a_long_recording_is_thinned_and_light(model):
    with pytest.warns(vt.NotConvergedWarning):
        fit = vt.fit(model.log_joint, vt.FullRank(2), steps=2000, draws=4, optimizer=vt.adam(1e-4))
    recording = vt.RegressionLab(model, fit).recording
    assert len(recording["qs"]) == 400
    assert (recording["steps"][0], recording["steps"][-1]) == (0, 2000)
    assert len(gzip.compress(json.dumps(recording).encode())) < 60_000


@pytest.mark.parametrize(
    ("family", "rate"), [("full-rank", "natural"), ("full-rank", "0.1"), ("mean-field", "natural")]
)
def test_a_change_of_settings_fits_anew(lab, model, family, rate):
    settings = LIVE | {"family": family, "rate": rate, "seed": 3}
    points = np.column_stack([model.X[:, 1], model.y]).tolist()
    asks(lab, {"type": "fit", "id": 7, "settings": settings, "points": points, "start": START})
    (answer,) = lab.sent
    assert (answer["type"], answer["id"]) == ("fit", 7)
    exact = model.posterior()
    best = vt.MeanField(2) if family == "mean-field" else vt.FullRank(2)
    floor = best.distribution(best.closest(exact)).kl(exact)
    assert q_of(answer["recording"]["qs"][-1]).kl(exact) == pytest.approx(floor, abs=1e-7)
    assert lab.fit.distribution(-1).kl(exact) == pytest.approx(floor, abs=1e-7)
    assert lab.fit.family == best
    np.testing.assert_allclose(lab.fit.distribution(0).cov, np.eye(2))


def test_the_fit_starts_where_the_page_says_and_takes_its_data(lab):
    points = [[0.0, 1.0], [2.0, -1.0], [3.0, 4.0]]
    start = [0.5, -0.5, 0.3, -0.2, 0.1]
    asks(lab, {"type": "fit", "id": 1, "settings": LIVE, "points": points, "start": start})
    expected = vt.LinearRegression([[1, 0], [1, 2], [1, 3]], [1, -1, 4], 1.0, 10.0)
    np.testing.assert_allclose(lab.model.posterior().mean, expected.posterior().mean)
    assert lab.fit.distribution(-1).kl(expected.posterior()) < 1e-6
    np.testing.assert_allclose(q_of(start).cov, lab.fit.distribution(0).cov)


def test_the_same_settings_give_the_same_fit(lab, model):
    points = np.column_stack([model.X[:, 1], model.y]).tolist()
    for _ in range(2):
        asks(lab, {"type": "fit", "id": 1, "settings": LIVE, "points": points, "start": START})
    first, second = lab.sent
    assert first == second


def test_a_fit_that_diverges_is_told_up_to_there(lab, model):
    points = np.column_stack([model.X[:, 1], model.y]).tolist()
    wild = LIVE | {"estimator": "score-function", "rate": "300"}
    asks(lab, {"type": "fit", "id": 1, "settings": wild, "points": points, "start": START})
    (answer,) = lab.sent
    assert answer["recording"]["diverged"]
    assert np.all(np.isfinite(answer["recording"]["qs"]))


def test_its_picture_says_how_near_it_came(model):
    data, _ = vt.RegressionLab(model)._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR")
    assert "nats from the exact posterior" in data["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in data


class TestErrors:
    def test_a_model_that_is_no_line(self, model):
        with pytest.raises(TypeError, match=r"must be a vt.LinearRegression; got function"):
            vt.RegressionLab(lambda z: z)
        wide = vt.LinearRegression(np.ones((3, 3)), [1, 2, 3], 1.0, 1.0)
        with pytest.raises(ValueError, match=r"two columns, ones and one predictor; got shape"):
            vt.RegressionLab(wide)

    def test_a_fit_of_something_else(self, model):
        with pytest.raises(TypeError, match=r"what vt.fit returns; got str"):
            vt.RegressionLab(model, "fit")
        other = vt.fit(lambda z: -(z**2).sum(axis=1) / 2, vt.FullRank(3))
        with pytest.raises(ValueError, match=r"vt.FullRank\(2\) or vt.MeanField\(2\)"):
            vt.RegressionLab(model, other)

    def test_an_unknown_setting(self, model):
        with pytest.raises(TypeError, match=r"the settings are family, .*seed; got step"):
            vt.RegressionLab(model, step=0.1)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"family": "full"}, "family must be one of full-rank, mean-field; got 'full'"),
            ({"estimator": "stl"}, "estimator must be one of sticking-the-landing"),
            ({"rate": -1}, "a positive step size for Adam; got '-1'"),
            ({"draws": 0}, "draws must be a whole number of at least 1; got 0"),
            ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
            ({"name": "my lab"}, "name must be a word"),
            ({"rate": "natural", "draws": 2.5}, "draws must be a whole number"),
        ],
    )
    def test_settings(self, model, setting, message):
        with pytest.raises(ValueError, match=message):
            vt.RegressionLab(model, **setting)
