"""Natural-gradient ascent for Gaussian q: no step size to guess, whatever the units of z.

The mean climbs by Newton-like steps and the precision Λ moves toward the curvature that q sees:

    Λ ← (1 - κ) Λ + κ Ĥ,    μ ← μ + ρ Λ⁻¹ ĝ

with ĝ and Ĥ pathwise estimates of E_q[∇ log p] and -E_q[∇² log p] (Price's theorem), each from
first derivatives alone. For a full-rank q this is the natural gradient of the ELBO in q's natural
parameters (Khan and Rue 2023, section 3; Salimans and Knowles 2013); a mean-field q reads its
variances off the diagonal of Λ, while its mean still uses all of it. A change of units changes
nothing.
"""

from typing import NamedTuple

import numpy as np
from autograd.core import make_vjp

from vitutor.estimators import evaluate
from vitutor.families import lower_root
from vitutor.gaussian import LOG_2PI
from vitutor.optimizers import decay

RATE = decay(0.5, 100)


def natural_ascent(log_joint, family, phi, theta, draws, rng):
    """Yield (elbo, phi, theta, gain) after each step of `draws` draws, without end.

    `gain` is what the step's gradient promises in nats, None where that is not known.
    One update needs 2D draws; with fewer a step, φ waits until its steps have gathered them.
    """
    gather = steps_per_update(draws, family.dim)
    rows = gather * draws
    mask, identity = family.mask, np.eye(family.dim)
    mean, scale = family.location_scale(phi)
    climb = Climb.start(np.linalg.inv(scale @ scale.T))
    theta_climb = Climb.start(np.eye(len(theta)))
    update = 0
    while True:
        eps = paired_noise(rng, rows, family.dim)
        slopes, theta_slopes = [], []
        for part in range(gather):
            own = eps[part * draws : (part + 1) * draws]
            z = mean + own @ scale.T
            values, slope, theta_slope = scores(log_joint, z, theta)
            slopes.append(slope)
            theta_slopes.append(theta_slope)
            log_volume = np.log(np.diag(scale)).sum() + family.dim * LOG_2PI / 2
            elbo = values.mean() + np.sum(own**2) / (2 * draws) + log_volume
            if part < gather - 1:
                yield float(elbo), phi, theta, None

        gradient, curvature, weight = local_shape(np.concatenate(slopes), eps, scale)
        misfit = np.sum(mask * (curvature - identity) ** 2) / 4
        inverse = np.linalg.inv(scale)
        rate = RATE(update)
        toward = min(rate * weight, 0.9)
        target = inverse.T @ positive_part(curvature) @ inverse
        climb = climb.onward(inverse.T @ gradient, target, toward, rate)
        gain = misfit + climb.gain
        mean = mean + climb.step
        scale = lower_root(climb.precision * mask)
        phi = family.from_location_scale(mean, scale)
        if len(theta):
            target = positive_part(theta_curvature(log_joint, z, theta))
            slope = np.mean(theta_slopes, axis=0)
            theta_climb = theta_climb.onward(slope, target, rate, rate)
            theta, gain = theta + theta_climb.step, gain + theta_climb.gain
        update += 1
        yield float(elbo), phi, theta, gain


class Climb(NamedTuple):
    """Damped Newton steps uphill on a surface known by noisy gradients and curvatures.

    `precision` is the running mean of the curvature, and `gain` the nats that a whole Newton step
    promises. A step longer than `radius` (in standard deviations) is cut; the radius doubles when
    the next gradient still points ahead, and shrinks when it points back.
    """

    precision: np.ndarray
    step: np.ndarray
    length: float = 0.0
    radius: float = 10.0
    gain: float = np.inf

    @classmethod
    def start(cls, precision):
        return cls(precision, np.zeros(len(precision)))

    def onward(self, gradient, curvature, toward, rate):
        radius = self.radius
        if self.length > radius:
            radius = 2 * radius if gradient @ self.step > 0 else radius / 4
        precision = (1 - toward) * self.precision + toward * curvature
        precision = (precision + precision.T) / 2
        newton = np.linalg.solve(precision, gradient)
        step = rate * newton
        length = np.sqrt(step @ self.precision @ step)
        step *= radius / max(length, radius)
        return Climb(precision, step, length, radius, gradient @ newton / 2)


def steps_per_update(draws, dim):
    """The fewest steps whose draws together can be paired and span all D dimensions."""
    gather = -(-2 * dim // draws)
    return gather + (gather * draws) % 2


def paired_noise(rng, rows, dim):
    """`rows` draws (rows, D), each exactly N(0, I), coupled so that their errors cancel.

    Draws come in pairs ε, -ε, and their second moment is exactly a multiple of the identity: the
    first D columns of a random rotation of R^(rows/2), times a χ radius. Any even number of at
    least 2D (after Wu, Goodman and Ermon 2019).
    """
    half = rows // 2
    rotation, upper = np.linalg.qr(rng.standard_normal((half, dim)))
    radius = np.sqrt(rng.chisquare(half))
    draws = radius * rotation * np.sign(np.diag(upper))
    return np.concatenate([draws, -draws])


def scores(log_joint, z, theta):
    """log p (S,), its gradient in z (S, D), and the mean of its gradient in θ."""
    if len(theta):
        vjp, values = make_vjp(lambda pair: evaluate(log_joint, pair[0], pair[1]), (z, theta))
        slope, theta_slope = vjp(np.ones(len(z)))
        theta_slope = theta_slope / len(z)
    else:
        vjp, values = make_vjp(lambda z: evaluate(log_joint, z), z)
        slope, theta_slope = vjp(np.ones(len(z))), theta
    if not np.isfinite(values.sum() + slope.sum()):
        worst = np.argmin(np.isfinite(values) & np.isfinite(slope).all(axis=1))
        raise FloatingPointError(
            f"log_joint is {values[worst]:.3g} with gradient {slope[worst]} at z = {z[worst]}"
            + (f", theta = {theta}" if len(theta) else "")
        )
    if len(theta) and not np.isfinite(theta_slope).all():
        raise FloatingPointError(f"the gradient in theta is {theta_slope} at theta = {theta}")
    return values, slope, theta_slope


def local_shape(slopes, eps, scale):
    """Estimates of E_q[∇ log p] and -E_q[∇² log p] in the coordinates of the noise.

    slopes (S, D) are the gradients of log p at z = μ + L ε, eps (S, D) comes from `paired_noise`.
    Returns Lᵀ ĝ (D,), Lᵀ Ĥ L (D, D) and the weight c = |ε|²/(S D), whose mean is 1: the first and
    the product of the other two are unbiased, and the first two are exact where log p is quadratic.
    """
    local = slopes @ scale
    square = np.sum(eps**2)
    moment = local.T @ eps * (-scale.shape[0] / square)
    return local.mean(axis=0), (moment + moment.T) / 2, square / eps.size


def theta_curvature(log_joint, z, theta):
    """Minus the Hessian of the mean of log p in θ, by central differences of its gradient."""

    def slope(theta):
        return scores(log_joint, z, theta)[2]

    steps = 1e-4 * np.maximum(1, np.abs(theta)) * np.eye(len(theta))
    rows = np.array([(slope(theta - h) - slope(theta + h)) / (2 * np.sum(h)) for h in steps])
    return (rows + rows.T) / 2


def positive_part(symmetric):
    """The matrix with its negative eigenvalues set to zero."""
    values, vectors = np.linalg.eigh(symmetric)
    return symmetric if values[0] >= 0 else (vectors * np.maximum(values, 0)) @ vectors.T
