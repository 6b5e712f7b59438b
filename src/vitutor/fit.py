"""`fit`: climb the ELBO, keep the whole trajectory, and say whether it arrived."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vitutor import diagnostics
from vitutor.diagnostics import Diagnosis, NotConvergedWarning, Shortfall
from vitutor.estimators import NO_PARAMETERS, evaluate, sticking_the_landing
from vitutor.gaussian import frozen
from vitutor.natural import natural_ascent
from vitutor.optimizers import Optimizer, adam

MOST_STEPS = 2000
CHECKPOINTS = (250, 500, 1000)
LANDED = 1e-11


class DivergedError(ArithmeticError):
    """The ELBO or its gradient turned non-finite. `.step` says when; `.fit` holds all before it."""

    def __init__(self, message: str, step: int, fit: "Fit"):
        super().__init__(message)
        self.step = step
        self.fit = fit


@dataclass(frozen=True, eq=False)
class Fit:
    """The whole course of a fit of T steps.

    Attributes
    ----------
    family, log_joint : what was fitted to what
    phi, theta : where it ended: the last iterate where the noise died, else the mean of the last
        fifth of the trajectory
    elbo : (T,) the Monte Carlo ELBO that each step saw, in nats
    trajectory : (T + 1, len(phi)) every φ, the first included
    theta_trajectory : (T + 1, len(theta)) every θ, the first included
    shortfall : estimate of the nats between the ELBO here and the best in the family, and its
        standard error
    """

    log_joint: Callable = field(repr=False)
    family: Any
    phi: np.ndarray = field(repr=False)
    theta: np.ndarray
    elbo: np.ndarray = field(repr=False)
    trajectory: np.ndarray = field(repr=False)
    theta_trajectory: np.ndarray = field(repr=False)
    shortfall: Shortfall

    @property
    def converged(self) -> bool:
        """Whether at most 1e-3 nats are missing, as far as the draws can tell."""
        return self.shortfall.arrived

    @property
    def q(self):
        """The family's distribution at the end."""
        return self.family.distribution(self.phi)

    def distribution(self, t: int):
        """The family's distribution after t steps; 0 is the start, -1 the last iterate."""
        return self.family.distribution(self.trajectory[t])

    def diagnose(self, draws: int = 10_000, seed: int = 0) -> Diagnosis:
        """Pareto k-hat of q against the log joint, and whether q can be trusted."""
        rng = np.random.default_rng(seed)
        return diagnostics.diagnose(self.log_joint, self.family, self.phi, self.theta, rng, draws)


def fit(
    log_joint,
    family,
    *,
    steps: int | None = None,
    draws: int | None = None,
    estimator: Callable | None = None,
    optimizer: Optimizer | None = None,
    theta=None,
    init=None,
    seed: int = 0,
    progress: bool = False,
) -> Fit:
    """Fit q_φ (and θ, if given) to a log joint by stochastic ascent of the ELBO.

    By default: natural-gradient ascent (`vitutor.natural`), which needs no step size, until it has
    arrived. With an `estimator` or an `optimizer`: plain ascent along V(φ), as the chapters teach
    it.

    Parameters
    ----------
    log_joint : function (S, D) -> (S,), or (z, theta) -> (S,), written with autograd.numpy
    family : `MeanField(dim)`, `FullRank(dim)`, or your own
    steps : how many; by default until arrived, at most 2000
    draws : draws of z a step; by default 10, or 2D if that is more
    estimator : `sticking_the_landing` unless given
    optimizer : `adam()` if an estimator is given without one
    theta : start of the model's parameters, fitted with φ by the same ascent
    init : start of φ; by default `family.init()`
    seed : of the one Generator that all randomness comes from
    progress : show a bar with the ELBO

    Raises
    ------
    DivergedError
        If the ELBO or its gradient turns non-finite; it carries the `Fit` up to there.
    ValueError, TypeError
        If an argument does not fit, or `log_joint` does not do as promised.

    Warns
    -----
    NotConvergedWarning
        If the fit ends more than 1e-3 nats short of the best q in its family.
    """
    _check_kinds(log_joint, family, estimator, optimizer)
    phi, theta = _start(family, init, theta)
    draws = _whole(draws, "draws") if draws is not None else max(10, 2 * family.dim)
    last = _whole(steps, "steps") if steps is not None else MOST_STEPS
    rng = np.random.default_rng(seed)
    _try_out(log_joint, family, phi, theta)

    natural = estimator is None and optimizer is None and hasattr(family, "from_location_scale")
    if natural:
        ascent = natural_ascent(log_joint, family, phi, theta, draws, rng)
    else:
        estimator, optimizer = estimator or sticking_the_landing, optimizer or adam()
        ascent = gradient_ascent(log_joint, family, phi, theta, draws, rng, estimator, optimizer)

    elbos, phis, thetas = [], [phi], [theta]

    def so_far(landed=False):
        keep = 1 if landed else max(1, len(elbos) // 5)
        return (
            np.mean(phis[-keep:], axis=0),
            np.mean(thetas[-keep:], axis=0),
            np.array(elbos),
            np.array(phis),
            np.array(thetas),
        )

    def finished():
        phi, theta, *course = so_far(landed=quiet >= 3)
        if hasattr(family, "from_location_scale"):
            unseen = rng.spawn(1)[0]
            missing = diagnostics.shortfall(log_joint, family, phi, theta, unseen)
        else:
            missing = diagnostics.still_rising(elbos)
        return Fit(log_joint, family, phi, theta, *course, missing)

    bar = _bar(last) if progress else None
    quiet = 0
    try:
        for step in range(last):
            elbo, phi, theta, gain = next(ascent)
            if not np.isfinite(elbo + phi.sum() + theta.sum()):
                raise FloatingPointError(f"the step took the ELBO to {elbo:.3g} and φ to {phi}")
            elbos.append(elbo)
            phis.append(phi)
            thetas.append(theta)
            if bar is not None:
                bar.set_postfix(elbo=f"{elbo:.4f}", refresh=False)
                bar.update()
            if gain is not None:
                quiet = quiet + 1 if gain < LANDED else 0
            if steps is None and natural and (quiet >= 3 or step + 1 in CHECKPOINTS):
                result = finished()
                if quiet >= 3 or result.converged:
                    break
        else:
            result = finished()
    except (FloatingPointError, np.linalg.LinAlgError) as error:
        raise DivergedError(
            f"The fit stopped at step {len(elbos)}: {error}. {_likely_cause(natural, elbos)} "
            "The Fit up to there is in this error's .fit.",
            len(elbos),
            Fit(log_joint, family, *so_far(), Shortfall(np.inf, np.inf)),
        ) from None
    finally:
        if bar is not None:
            bar.close()
    if not result.converged:
        warnings.warn(_advice(result, steps, natural), NotConvergedWarning, stacklevel=2)
    return result


def gradient_ascent(log_joint, family, phi, theta, draws, rng, estimator, optimizer):
    """Yield (elbo, phi, theta, gain) after each plain step along V(φ); gain None: not known."""
    size = len(phi)
    packed = np.concatenate([phi, theta])
    state = optimizer.init(packed)
    while True:
        eps = family.noise(rng, draws)
        elbo, gradient = estimator(log_joint, family, packed[:size], eps, packed[size:])
        step, state = optimizer.update(gradient, state)
        packed = packed + step
        yield elbo, packed[:size], packed[size:], None


def _check_kinds(log_joint, family, estimator, optimizer):
    if not callable(log_joint):
        raise TypeError(f"log_joint must be a function, as model.log_joint is; got {log_joint!r}.")
    if isinstance(family, type) or not hasattr(family, "transform"):
        raise TypeError(f"family must be one like vt.FullRank(dim=2); got {family!r}.")
    if not (estimator is None or callable(estimator)):
        raise TypeError(f"estimator must be a function like vt.pathwise; got {estimator!r}.")
    if not (optimizer is None or hasattr(optimizer, "update")):
        raise TypeError(f"optimizer must be made by a call, as vt.adam() is; got {optimizer!r}.")


def _start(family, init, theta):
    phi = np.array(family.init(), dtype=float)
    if init is not None:
        phi = frozen(init, "init", ndim=1)
        if len(phi) != len(family.init()):
            raise ValueError(
                f"init must be a φ of {family}, {len(family.init())} numbers; got {len(phi)}."
            )
    if theta is None:
        return phi, NO_PARAMETERS
    return phi, frozen(np.atleast_1d(theta), "theta", ndim=1)


def _whole(value, name):
    if not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1; got {value!r}.")
    return int(value)


def _try_out(log_joint, family, phi, theta):
    """Call log_joint once on a few draws, together and one by one, before the work starts."""
    z = family.transform(phi, family.noise(np.random.default_rng(0), family.dim + 2))
    try:
        together = evaluate(log_joint, z, theta)
    except IndexError as error:
        raise ValueError(
            f"log_joint asks for more of z than the shape {z.shape} that {family} makes: {error}. "
            "Give the family as many dimensions as z has."
        ) from error
    alone = np.concatenate([evaluate(log_joint, row[None], theta) for row in z])
    if not np.allclose(together, alone, rtol=1e-6, atol=1e-9, equal_nan=True):
        raise ValueError(
            "log_joint mixes the draws: row s of z must give number s, whatever the other rows "
            f"are. For {len(z)} rows together it gave {together}, one by one {alone}. Sum over "
            "the last axis only (axis=-1)."
        )


def _bar(steps):
    from tqdm.auto import tqdm

    return tqdm(total=steps, unit="step")


def _likely_cause(natural, elbos):
    if not elbos:
        return "log_joint must be finite wherever the starting q puts its draws; see `init`."
    if natural:
        return (
            "Likely log_joint is undefined there: give z no bounds (fit log σ, not σ) and use "
            "np.logaddexp or np.log1p where exp overflows."
        )
    return "Likely the optimiser's rate is too large, or log_joint is undefined there."


def _advice(fit, steps, natural):
    nats, error = fit.shortfall
    short = f"{nats:.2g} ± {error:.1g}" if np.isfinite(nats) else "an unknown number of"
    advice = f"The fit ended after {len(fit.elbo)} steps, {short} nats short of the best q"
    if not natural:
        return advice + ". Take more steps, let the rate decay, or leave the optimizer to fit()."
    if steps is not None:
        return advice + f". Take more steps than {steps}, or leave them to fit()."
    return advice + (
        ", as far as its noise lets it know. Take more draws a step (draws=100), or start nearer "
        "(init=...); then see fit.diagnose()."
    )
