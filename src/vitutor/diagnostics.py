"""Has the fit arrived, and can q be trusted?"""

from typing import NamedTuple

import numpy as np

from vitutor.estimators import evaluate
from vitutor.natural import local_shape, paired_noise, scores

TOLERANCE = 1e-3
BATCHES = (20, 60, 200)
PART = 500


class NotConvergedWarning(UserWarning):
    """A fit ended short of the best q that its family holds."""


class Shortfall(NamedTuple):
    """Nats between the ELBO and the best in the family: an estimate and its standard error."""

    nats: float
    error: float

    @property
    def arrived(self) -> bool:
        """Whether at most 1e-3 nats are missing, as far as two standard errors of 0.01 can tell."""
        return self.nats <= TOLERANCE + 2 * self.error and self.error <= 0.01


def shortfall(log_joint, family, phi, theta, rng) -> Shortfall:
    """Estimate how many nats the ELBO at (φ, θ) lies below the best in a Gaussian family.

    The nats that a Newton step would still gain: ½ ĝᵀ Ĥ⁻¹ ĝ for the mean, ¼ |LᵀĤL - I|² for the
    scale, and the same as for the mean for θ, with what φ gains by following it. Batches of fresh
    draws are multiplied by each other and never by themselves, so that noise adds nothing on
    average; more are drawn while the answer is open. Exact to leading order near the top of a
    Gaussian target; far from the top it is a rough figure, but not a small one.
    """
    mean, scale = family.location_scale(phi)

    def uphill(eps, theta):
        _, slopes, theta_gradient = scores(log_joint, mean + eps @ scale.T, theta)
        gradient, local, weight = local_shape(slopes, eps, scale)
        misfit = (family.mask * (np.eye(family.dim) - local)).ravel() / np.sqrt(2)
        return gradient, misfit, theta_gradient, local, weight

    gradients, misfits, theta_gradients, curvature, total = [], [], [], 0.0, 0.0
    for batches in BATCHES:
        while len(gradients) < batches:
            eps = paired_noise(rng, max(10, 2 * family.dim), family.dim)
            gradient, misfit, theta_gradient, local, weight = uphill(eps, theta)
            gradients.append(gradient)
            misfits.append(weight * misfit)
            theta_gradients.append(theta_gradient)
            curvature, total = curvature + weight * local, total + weight
        root = _inverse_root(curvature / total)
        rows = np.hstack([gradients @ root, misfits])
        if len(theta):
            eps = paired_noise(rng, max(200, 2 * family.dim), family.dim)
            to_mean, to_scale, bend = _bends(uphill, eps, theta)
            follow = np.hstack([to_mean @ root, to_scale])
            alone = np.array(theta_gradients) - rows @ follow.T
            rows = np.hstack([rows, alone @ _inverse_root(bend - follow @ follow.T)])
        products = (rows @ rows.T)[np.triu_indices(batches, 1)] / 2
        error = np.sqrt(np.mean(products**2) / len(products))
        found = Shortfall(float(max(products.mean(), 0)), float(error))
        if found.arrived or found.nats > TOLERANCE + 4 * found.error:
            break
    return found


def _inverse_root(curvature):
    values, vectors = np.linalg.eigh(curvature)
    return vectors / np.sqrt(np.maximum(values, 1e-10))


def _bends(uphill, eps, theta):
    """Minus the derivatives in θ of the mean's, scale's and θ's gradients, one row a θ."""
    steps = 1e-4 * np.maximum(1, np.abs(theta)) * np.eye(len(theta))
    pairs = [(uphill(eps, theta - h), uphill(eps, theta + h), 2 * np.sum(h)) for h in steps]
    return [np.array([(low[i] - high[i]) / h for low, high, h in pairs]) for i in range(3)]


def still_rising(elbo) -> Shortfall:
    """How far the last tenth of an ELBO trace lies above the tenth before it, in nats.

    All that can be said of a family of which no more is known.
    """
    tenth = len(elbo) // 10
    if tenth < 10:
        return Shortfall(np.inf, np.inf)
    earlier, later = elbo[-2 * tenth : -tenth], elbo[-tenth:]
    error = np.sqrt((np.var(earlier) + np.var(later)) / tenth)
    return Shortfall(float(abs(np.mean(later) - np.mean(earlier))), float(error))


class Diagnosis(NamedTuple):
    """Pareto k-hat of log p - log q, and what it means in a sentence."""

    khat: float
    trusted: bool
    sentence: str

    def __str__(self):
        return self.sentence


def diagnose(log_joint, family, phi, theta, rng, draws: int) -> Diagnosis:
    """Pareto k-hat of the importance ratios p(x, z) / q(z) (Yao et al. 2018; Vehtari et al. 2024).

    Below 0.7 importance weighting can repair q and its answers are usable; above, they are not.
    Needs the extra `vitutor[diagnostics]`, which brings ArviZ's implementation.
    """
    try:
        from arviz_stats.base import array_stats
    except ImportError:
        raise ImportError(
            "diagnose() uses ArviZ's Pareto smoothing: pip install 'vitutor[diagnostics]'."
        ) from None
    parts = []
    for start in range(0, draws, PART):
        z = family.transform(phi, family.noise(rng, min(PART, draws - start)))
        parts.append(evaluate(log_joint, z, theta) - family.log_prob(phi, z))
    ratios = np.concatenate(parts)
    if not np.isfinite(ratios).all():
        bad = draws - np.isfinite(ratios).sum()
        return Diagnosis(
            np.inf, False, f"q is not to be trusted: log p is not finite at {bad} draws."
        )
    if np.ptp(ratios) < 1e-4:
        return Diagnosis(
            -np.inf,
            True,
            "q is the posterior, as far as importance ratios tell: they agree to 1e-4.",
        )
    _, khat = array_stats.psislw(-ratios)  # it takes log likelihoods, as for leave-one-out
    return Diagnosis(float(khat), bool(khat < 0.7), _verdict(float(khat)))


def _verdict(khat):
    if khat < 0.5:
        return (
            f"k-hat = {khat:.2f}: q can be trusted; importance weights would correct it reliably."
        )
    if khat < 0.7:
        return f"k-hat = {khat:.2f}: q is usable; correct its means by importance weights."
    return (
        f"k-hat = {khat:.2f}: q is not to be trusted, it misses part of the posterior. Try a "
        "richer family, or other coordinates for z."
    )
