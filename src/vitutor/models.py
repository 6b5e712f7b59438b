"""Models: log joints log p(x, z), and what is known about them exactly."""

from dataclasses import dataclass
from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
from autograd.extend import defvjp, primitive

from vitutor.gaussian import LOG_2PI, Gaussian, frozen, positive


class Prediction(NamedTuple):
    """Mean and standard deviation of each predicted observation, each (M,), in the units of y."""

    mean: onp.ndarray
    sd: onp.ndarray


@dataclass(frozen=True, eq=False)
class LinearRegression:
    """Bayesian linear regression with known noise, and everything about it in closed form.

    y = X z + noise_sd * N(0, I), with independent N(0, prior_sd²) priors on the D coefficients z
    (Bishop 2006, section 3.3). An intercept is a column of ones in X.

    The rows of (X, y) and of the prior enter once, through a QR decomposition: up to a constant,
    log p(y, z) = -|C z - d|² / 2 with C upper triangular (D, D). A log joint then costs the same
    at a million rows as at ten.

    Parameters
    ----------
    X : array (N, D)
    y : array (N,)
    noise_sd : standard deviation of the noise, in the units of y
    prior_sd : prior standard deviation of every coefficient, in the units of z

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, or a standard deviation is not positive.
    """

    X: onp.ndarray
    y: onp.ndarray
    noise_sd: float
    prior_sd: float

    def __post_init__(self):
        X, y = frozen(self.X, "X", ndim=2), frozen(self.y, "y", ndim=1)
        if len(X) != len(y) or X.size == 0:
            raise ValueError(
                "X must have shape (N, D) and y shape (N,), with the same N of at least 1; got "
                f"{X.shape} and {y.shape}."
            )
        noise_sd = positive(self.noise_sd, "noise_sd")
        prior_sd = positive(self.prior_sd, "prior_sd")
        n, dim = X.shape
        data = onp.linalg.qr(onp.column_stack([X, y]), mode="r") / noise_sd
        prior = onp.eye(dim, dim + 1) / prior_sd
        rows = onp.linalg.qr(onp.vstack([data, prior]), mode="r")
        signs = onp.where(onp.diag(rows)[:dim] < 0, -1.0, 1.0)
        rows[:dim] *= signs[:, None]
        values = {
            "X": X,
            "y": y,
            "noise_sd": noise_sd,
            "prior_sd": prior_sd,
            "_C": rows[:dim, :dim],
            "_d": rows[:dim, dim],
            "_top": -n * (LOG_2PI / 2 + onp.log(noise_sd))
            - dim * (LOG_2PI / 2 + onp.log(prior_sd))
            - rows[dim, dim] ** 2 / 2,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def dim(self) -> int:
        """D, the number of coefficients."""
        return self.X.shape[1]

    def log_joint(self, z):
        """log p(y, z) in nats at each row of z (S, D); returns (S,). Differentiable in z."""
        if np.ndim(z) != 2 or np.shape(z)[1] != self.dim:
            raise ValueError(
                f"z must have shape (S, {self.dim}), one set of coefficients a row; "
                f"got {np.shape(z)}."
            )
        return _quadratic(z, self._C, self._d, self._top)

    def posterior(self) -> Gaussian:
        """The exact posterior p(z | y), by conjugacy (Bishop 2006, equations 3.50 and 3.51)."""
        inverse = onp.linalg.inv(self._C)
        return Gaussian(onp.linalg.solve(self._C, self._d), inverse @ inverse.T)

    def log_evidence(self) -> float:
        """log p(y) = log of the integral of p(y, z) over z, in nats."""
        log_volume = self.dim * LOG_2PI / 2 - onp.log(onp.diag(self._C)).sum()
        return float(self._top + log_volume)

    def elbo(self, q: Gaussian) -> float:
        """ELBO(q) = E_q[log p(y, z)] + H[q] in nats, in closed form."""
        self._check(q)
        misfit = self._C @ q.mean - self._d
        spread = onp.sum((self._C @ q.cov) * self._C)
        return float(self._top - (misfit @ misfit + spread) / 2 + q.entropy())

    def _check(self, q):
        if q.dim != self.dim:
            raise ValueError(
                f"q must be a Gaussian over the {self.dim} coefficients; got one of {q.dim}."
            )

    def predict(self, q: Gaussian, X_new) -> Prediction:
        """Predictive mean and sd of new observations, X_new (M, D), when z ~ q; noise included."""
        self._check(q)
        X_new = frozen(X_new, "X_new", ndim=2)
        if X_new.shape[1] != self.dim:
            raise ValueError(f"X_new must have shape (M, {self.dim}), as X has; got {X_new.shape}.")
        variance = onp.sum((X_new @ q.cov) * X_new, axis=1) + self.noise_sd**2
        return Prediction(X_new @ q.mean, onp.sqrt(variance))


@primitive
def _quadratic(z, C, d, top):
    residual = z @ C.T - d
    return top - np.sum(residual**2, axis=1) / 2


defvjp(_quadratic, lambda _, z, C, d, top: lambda g: -g[:, None] * ((z @ C.T - d) @ C), argnums=[0])
