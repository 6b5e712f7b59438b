"""The book's widgets: traits in, traits out. They live on a page without a kernel, too.

What they show is drawn by one JavaScript module, built from `widgets/` (`make widgets`).
"""

import base64
import warnings
from pathlib import Path

import anywidget
import numpy as np
import traitlets as tr

from vitutor import estimators, families
from vitutor.data import load_five_points
from vitutor.diagnostics import NotConvergedWarning
from vitutor.fit import DivergedError, Fit, fit
from vitutor.models import LinearRegression
from vitutor.optimizers import adam

MOST_FRAMES = 400
DIGITS = 10


class Widget(anywidget.AnyWidget):
    """What all widgets of the book share: one module, a name for links, a picture without it.

    `name` is the widget's name in links that set its state, as in `#lab:family=mean-field`, so it
    must be the only one of its name in a page.
    """

    _esm = Path(__file__).parent / "static" / "widgets.js"
    kind = tr.Unicode().tag(sync=True)
    name = tr.Unicode().tag(sync=True)
    label = tr.Unicode().tag(sync=True)

    def __init__(self, name, **traits):
        if not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(f"name must be a word, to stand in a link; got {name!r}.")
        super().__init__(kind=type(self).__name__, name=name, **traits)

    def picture(self):
        """The final frame: (function that draws it, its arguments, the sentence that says it)."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs):
        """The live view, and its final frame for pages that run no script."""
        from vitutor.figures import still

        data, metadata = super()._repr_mimebundle_(**kwargs)
        draw, arguments, text = self.picture()
        image = base64.b64encode(still(draw, *arguments)).decode()
        return data | {"image/png": image, "text/plain": text}, metadata


class RegressionLab(Widget):
    """q_φ on its way to the exact posterior of a line, in three linked panes.

    Without a `fit` the page's own engine makes one. The reader may change the settings, drag the
    data, or take q by the hand; with a kernel running, every change of a setting or of the data
    makes a new `fit` here.

    Parameters
    ----------
    model : `LinearRegression` with two coefficients: a column of ones, then one predictor
    fit : any `Fit` of a Gaussian q in two dimensions to that model's log joint, to be played
    name : the widget's name in links, as in `#lab:family=mean-field&seed=2`
    weights, axes : labels of the coefficients, and of predictor and observation
    **settings : family ("full-rank" or "mean-field"), estimator, rate ("natural", or Adam's), draws
        and seed of the engine's fit; or those that made `fit`, to be shown with it

    Attributes
    ----------
    model, fit : of what is on show; `fit` is None while the page's engine plays
    settings : family, estimator, rate ("natural" or Adam's), draws and seed of the last fit

    Raises
    ------
    TypeError, ValueError
        If the model is not a line, or the fit is not of two dimensions.
    """

    points = tr.List().tag(sync=True)
    noise_sd = tr.Float().tag(sync=True)
    prior_sd = tr.Float().tag(sync=True)
    weights = tr.List(tr.Unicode()).tag(sync=True)
    axes = tr.List(tr.Unicode()).tag(sync=True)
    settings = tr.Dict().tag(sync=True)
    recording = tr.Dict(allow_none=True).tag(sync=True)
    fit = tr.Instance(Fit, allow_none=True)

    def __init__(
        self,
        model,
        fit=None,
        *,
        name="lab",
        weights=("intercept", "slope"),
        axes=("x", "y"),
        **settings,
    ):
        _check_line(model)
        if unknown := settings.keys() - LIVE.keys():
            raise TypeError(f"the settings are {', '.join(LIVE)}; got {', '.join(unknown)}.")
        base = LIVE if fit is None else dict.fromkeys(LIVE) | {"family": _family_name(fit)}
        settings = base | settings
        settings["rate"] = settings["rate"] and str(settings["rate"])
        _arguments(LIVE | {name: value for name, value in settings.items() if value is not None})
        self.model = model
        super().__init__(
            name,
            label="RegressionLab: q converging to the exact posterior of a line",
            points=[[float(x), float(y)] for x, y in zip(model.X[:, 1], model.y, strict=True)],
            noise_sd=model.noise_sd,
            prior_sd=model.prior_sd,
            weights=list(weights),
            axes=list(axes),
            settings=settings,
            recording=None if fit is None else _recording(fit),
            fit=fit,
        )
        self.on_msg(self._heard)

    def _heard(self, _, message, buffers):
        if message["type"] == "hello":
            self.send({"type": "here"})
        if message["type"] == "fit":
            points = np.array(message["points"], dtype=float)
            X = np.column_stack([np.ones(len(points)), points[:, 0]])
            model = LinearRegression(X, points[:, 1], self.noise_sd, self.prior_sd)
            recording = self._refit(model, message["settings"], message["start"])
            self.send({"type": "fit", "id": message["id"], "recording": recording})

    def _refit(self, model, settings, start):
        mean, (l11, l21, l22) = np.array(start[:2]), start[2:]
        arguments = _arguments(settings)
        init = arguments["family"].from_location_scale(mean, np.array([[l11, 0.0], [l21, l22]]))
        diverged = False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the page shows how far it came, and what diverged
            try:
                result = fit(model.log_joint, init=init, **arguments)
            except DivergedError as error:
                result, diverged = error.fit, True
        self.model, self.fit, self.settings = model, result, settings
        return _recording(result, diverged)

    def picture(self):
        from vitutor import figures

        shown = self.fit
        if shown is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotConvergedWarning)
                shown = fit(self.model.log_joint, **_arguments(self.settings))
        last, exact = shown.distribution(-1), self.model.posterior()
        sentence = (
            f"After {len(shown.elbo)} steps q is {last.kl(exact):.1e} nats from the exact "
            f"posterior: mean {_words(self.weights, last.mean)}, standard deviations "
            f"{_words(self.weights, last.sd)}. Left, q over the exact posterior; in the middle, "
            "lines drawn from q and the data; right, the gap that is left after each step."
        )
        return figures.plot_lab, (self.model, shown, self.weights, self.axes), sentence


class EstimatorRace(Widget):
    """The same ascent under four estimators of its gradient, side by side.

    The score function, with and without the leave-one-out baseline, the pathwise and the
    sticking-the-landing estimator start from N(0, I) and see the same noise. Three panes: each q
    over the exact posterior, its KL to the posterior in nats, and the standard deviation of its
    V(φ), the root of the total variance, which is known exactly here. The page's own engine runs
    the race.

    Parameters
    ----------
    model : `LinearRegression` with two coefficients: a column of ones, then one predictor; by
        default the five points of `load_five_points` with noise sd 1 and prior sd 10
    family : "full-rank" or "mean-field"
    draws : draws of z a step, at least two
    rate : step size of Adam; the reader may turn to plain stochastic gradient ascent
    seed : of the page's noise, the same for all four
    name : the widget's name in links, as in `#race:rate=0.03&run=pathwise`

    Raises
    ------
    TypeError, ValueError
        If the model is not a line, or a setting is out of its range.
    """

    points = tr.List().tag(sync=True)
    noise_sd = tr.Float().tag(sync=True)
    prior_sd = tr.Float().tag(sync=True)
    weights = tr.List(tr.Unicode()).tag(sync=True)
    settings = tr.Dict().tag(sync=True)

    def __init__(self, model=None, *, family="full-rank", draws=10, rate=0.1, seed=0, name="race"):
        if model is None:
            model = LinearRegression(*load_five_points(), noise_sd=1.0, prior_sd=10.0)
        _check_line(model)
        if not isinstance(rate, int | float | np.number) or not 0 < rate < np.inf:
            raise ValueError(f"rate must be a positive number; got {rate!r}.")
        settings = {"family": family, "rate": str(float(rate)), "draws": draws, "seed": seed}
        arguments = _arguments(settings | {"estimator": "pathwise"})
        if draws < 2:
            raise ValueError(
                "a race needs at least 2 draws, since each draw's baseline is the mean of the "
                f"others; got draws={draws}."
            )
        self.model = model
        self._arguments = arguments | {"steps": RACE_STEPS}
        super().__init__(
            name,
            label="EstimatorRace: four estimators of the gradient on the same ascent",
            points=[[float(x), float(y)] for x, y in zip(model.X[:, 1], model.y, strict=True)],
            noise_sd=model.noise_sd,
            prior_sd=model.prior_sd,
            weights=["intercept", "slope"],
            settings=settings | {"optimizer": "adam"},
        )

    def picture(self):
        from vitutor import figures

        exact = self.model.posterior()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the picture shows how far each came
            courses = {name: self._course(each, exact) for name, each in ESTIMATORS.items()}
        gaps = [
            f"{name.replace('-', ' ')}: {course[-1][1]:.1e}"
            + (f", diverged at step {len(course)}" if len(course) <= RACE_STEPS else "")
            for name, course in courses.items()
        ]
        return (
            figures.plot_race,
            (exact, courses, self.weights),
            (
                f"Four ascents of {RACE_STEPS} steps from the same start. KL from q to the exact "
                f"posterior at the end, in nats: {'; '.join(gaps)}. Left, each q over the exact "
                "posterior, at one standard deviation; right, the KL after each step."
            ),
        )

    def _course(self, estimator, exact):
        """The q after each step and its KL to the posterior, as long as both are finite."""
        try:
            ascent = fit(self.model.log_joint, **self._arguments | {"estimator": estimator})
        except DivergedError as error:
            ascent = error.fit
        course = []
        for t in range(len(ascent.trajectory)):
            try:
                q = ascent.distribution(t)
            except ValueError:  # as flat as a line, as far as numbers can tell
                break
            if not np.isfinite(gap := q.kl(exact)):
                break
            course.append((q, gap))
        return course


class ReparameterizationExplorer(Widget):
    """Noise drawn once and frozen, a map z = g_φ(ε) that moves, and what the moving tells.

    Each draw gives an estimate of the ELBO's gradient by the path that its z takes, and one by the
    score function; both stand beside the exact value.

    Parameters
    ----------
    map : "location-scale" (z = μ + s ε), "log-normal" (z = exp(μ + s ε)) or "ring"
        (z = r ε / |ε| + w ε in the plane)
    mu, sigma : where the two parameters start: μ and s, or r and w
    draws, seed : of the noise
    name : the widget's name in links, as in `#reparam:map=ring`

    Raises
    ------
    ValueError
        If the map is unknown, or a number is not in the range of its slider.
    """

    map = tr.Unicode().tag(sync=True)
    mu = tr.Float().tag(sync=True)
    sigma = tr.Float().tag(sync=True)
    draws = tr.Int().tag(sync=True)
    seed = tr.Int().tag(sync=True)

    def __init__(
        self, map="location-scale", *, mu=None, sigma=None, draws=30, seed=0, name="reparam"
    ):
        start, low, high = _one_of(MAPS, map, "map")
        given = [
            at if value is None else value for at, value in zip(start, (mu, sigma), strict=True)
        ]
        bounds = [*zip(("mu", "sigma"), given, low, high, strict=True)]
        for what, value, least, most in [*bounds, ("draws", draws, 5, 100), ("seed", seed, 0, 20)]:
            if not least <= value <= most:
                raise ValueError(f"{what} must be between {least} and {most}; got {value!r}.")
        super().__init__(
            name,
            label="ReparameterizationExplorer: noise, a map, and the gradient through it",
            map=map,
            mu=given[0],
            sigma=given[1],
            draws=draws,
            seed=seed,
        )

    def picture(self):
        from vitutor import figures

        a, b = self.mu, self.sigma
        noise = np.random.default_rng(self.seed).standard_normal((self.draws, 2))
        if self.map == "ring":
            z = a * noise / np.linalg.norm(noise, axis=1, keepdims=True) + b * noise
        else:
            z = a + b * noise[:, 0]
            z = np.column_stack([noise[:, 0], np.exp(z) if self.map == "log-normal" else z])
        sentence = (
            f"{self.draws} draws of noise, and where the map {self.map} sends them with the "
            f"parameters {a:.2f} and {b:.2f}."
        )
        return figures.plot_map, (noise, z, self.map == "ring"), sentence


class ElboExplorer(Widget):
    """A posterior on a line, and a normal q under the reader's hands.

    Three panes: the densities; log p(x) split into the ELBO and KL(q‖p), with KL(p‖q) beside it;
    and the ELBO over μ and log σ, up which the optimiser climbs from where the reader is.

    Parameters
    ----------
    target : "gaussian", "skewed" or "two-humps"
    mu, sigma : where q starts; with a kernel running they follow the reader
    name : the widget's name in links, as in `#elbo:target=skewed&mu=1&sigma=0.5`

    Raises
    ------
    ValueError
        If the target is unknown, or q is outside the surface: μ from -4 to 4, σ from 0.1 to 3.
    """

    target = tr.Unicode().tag(sync=True)
    mu = tr.Float().tag(sync=True)
    sigma = tr.Float().tag(sync=True)

    def __init__(self, target="two-humps", mu=0.0, sigma=1.0, *, name="elbo"):
        _one_of(TARGETS, target, "target")
        for what, value, least, most in (("mu", mu, -4, 4), ("sigma", sigma, 0.1, 3)):
            if not least <= value <= most:
                raise ValueError(f"{what} must be between {least} and {most}; got {value!r}.")
        super().__init__(
            name,
            label="ElboExplorer: log p(x) split into ELBO and KL",
            target=target,
            mu=mu,
            sigma=sigma,
        )

    def picture(self):
        from vitutor import figures

        z = np.linspace(-5, 5, 400)
        sentence = (
            f"A posterior of the shape {self.target}, grey and dashed, and q, a normal with mean "
            f"{self.mu:.2f} and standard deviation {self.sigma:.2f}, orange."
        )
        return figures.plot_densities, (z, TARGETS[self.target](z), self.mu, self.sigma), sentence


FAMILIES = {"full-rank": families.FullRank(2), "mean-field": families.MeanField(2)}


def _normal(z, mean, sd):
    return np.exp(-(((z - mean) / sd) ** 2) / 2) / sd / np.sqrt(2 * np.pi)


def _gumbel(u):
    return np.exp(-u - np.exp(-u))


TARGETS = {
    "gaussian": lambda z: _normal(z, 0.7, 0.6),
    "skewed": lambda z: _gumbel((z + 0.6) / 0.8) / 0.8,
    "two-humps": lambda z: 0.55 * _normal(z, -2, 0.45) + 0.45 * _normal(z, 1.9, 0.55),
}
MAPS = {  # where the parameters start, and the ends of their sliders
    "location-scale": ((-1.0, 1.0), (-3.0, 0.1), (3.0, 2.0)),
    "log-normal": ((-0.5, 0.8), (-1.5, 0.1), (1.5, 1.2)),
    "ring": ((0.3, 0.8), (0.0, 0.05), (3.0, 1.2)),
}
ESTIMATORS = {
    "sticking-the-landing": estimators.sticking_the_landing,
    "pathwise": estimators.pathwise,
    "score-function": estimators.score_function,
    "score-function-with-baseline": estimators.score_function_with_baseline,
}
STEPS = 300
RACE_STEPS = 400
LIVE = {
    "family": "full-rank",
    "estimator": "sticking-the-landing",
    "rate": "0.1",
    "draws": 10,
    "seed": 0,
}


def _arguments(settings):
    """What the settings of a widget mean to `fit`."""
    family = _one_of(FAMILIES, settings["family"], "family")
    estimator = _one_of(ESTIMATORS, settings["estimator"], "estimator")
    for name, least in (("draws", 1), ("seed", 0)):
        if not isinstance(settings[name], int) or settings[name] < least:
            raise ValueError(
                f"{name} must be a whole number of at least {least}; got {settings[name]!r}."
            )
    common = {"family": family, "draws": settings["draws"], "seed": settings["seed"]}
    if settings["rate"] == "natural":
        return common
    try:
        rate = float(settings["rate"])
    except ValueError:
        rate = 0.0
    if not rate > 0:
        raise ValueError(
            f'rate must be "natural" or a positive step size for Adam; got {settings["rate"]!r}.'
        )
    return common | {"steps": STEPS, "estimator": estimator, "optimizer": adam(rate)}


def _one_of(choices, value, name):
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}.")
    return choices[value]


def _check_line(model):
    if not isinstance(model, LinearRegression):
        raise TypeError(f"model must be a vt.LinearRegression; got {type(model).__name__}.")
    if model.dim != 2 or not np.all(model.X[:, 0] == 1):
        raise ValueError(
            "this widget shows a line: model.X must have two columns, ones and one predictor; got "
            f"shape {model.X.shape}."
        )


def _family_name(fit):
    if not isinstance(fit, Fit):
        raise TypeError(f"fit must be what vt.fit returns; got {type(fit).__name__}.")
    names = {family: name for name, family in FAMILIES.items()}
    if fit.family not in names:
        raise ValueError(
            f"fit must be of vt.FullRank(2) or vt.MeanField(2) to be shown here; got {fit.family}."
        )
    return names[fit.family]


def _recording(fit, diverged=False):
    """At most 400 frames of a fit: rows of (μ1, μ2, L11, L21, L22), to ten digits."""
    last = len(fit.trajectory) - 1
    steps = np.unique(np.linspace(0, last, min(last + 1, MOST_FRAMES)).round().astype(int))
    rows = []
    for t in steps:
        mean, chol = fit.family.location_scale(fit.trajectory[t])
        rows.append([*mean, chol[0, 0], chol[1, 0], chol[1, 1]])
    qs = [[float(f"{value:.{DIGITS}g}") for value in row] for row in rows]
    return {"steps": steps.tolist(), "qs": qs, "diverged": diverged}


def _words(names, values):
    return " and ".join(f"{name} {value:.2f}" for name, value in zip(names, values, strict=True))
