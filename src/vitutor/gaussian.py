"""The Gaussian: what posteriors and fitted q's are, and are compared as."""

from dataclasses import dataclass

import autograd.numpy as np
import numpy as onp
from autograd.extend import defvjp, primitive

LOG_2PI = onp.log(2 * onp.pi)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A normal distribution N(mean, cov) on R^D.

    Parameters
    ----------
    mean : array (D,)
    cov : array (D, D), symmetric and positive definite

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, or `cov` is not a covariance.
    """

    mean: onp.ndarray
    cov: onp.ndarray

    def __post_init__(self):
        mean, cov = frozen(self.mean, "mean", ndim=1), frozen(self.cov, "cov", ndim=2)
        dim = len(mean)
        if cov.shape != (dim, dim) or dim == 0:
            raise ValueError(
                f"cov must have shape ({dim}, {dim}) to go with a mean of {dim} numbers (at least "
                f"one); got {cov.shape}."
            )
        variances = onp.diag(cov)
        if not onp.all(variances > 0):
            raise ValueError(f"cov must have positive variances on its diagonal; got {variances}.")
        sd = onp.sqrt(variances)
        correlation = cov / onp.outer(sd, sd)
        asymmetry = onp.abs(correlation - correlation.T).max()
        if asymmetry > 1e-8:
            raise ValueError(
                f"cov must be symmetric; it differs from its transpose by {asymmetry:.2g} on the "
                "scale of a correlation. Pass (cov + cov.T) / 2 if that is what you mean."
            )
        try:
            chol = sd[:, None] * onp.linalg.cholesky(correlation)
        except onp.linalg.LinAlgError:
            raise ValueError(
                "cov must be positive definite; the smallest eigenvalue of its correlation matrix "
                f"is {onp.linalg.eigvalsh(correlation)[0]:.3g}."
            ) from None
        for name, value in (("mean", mean), ("cov", cov), ("_chol", chol)):
            object.__setattr__(self, name, value)

    @property
    def dim(self) -> int:
        """D, the number of dimensions."""
        return len(self.mean)

    @property
    def sd(self) -> onp.ndarray:
        """The D marginal standard deviations, in the units of z."""
        return onp.sqrt(onp.diag(self.cov))

    def log_prob(self, z):
        """Log density in nats at each row of z (S, D); returns (S,). Differentiable in z."""
        if np.ndim(z) != 2 or np.shape(z)[1] != self.dim:
            raise ValueError(
                f"z must have shape (S, {self.dim}), one point a row; got {np.shape(z)}. "
                "A single point is z[None, :]."
            )
        return log_normal(z, self.mean, self._chol)

    def sample(self, rng, n: int) -> onp.ndarray:
        """Draw n points with the numpy Generator `rng`; returns (n, D)."""
        return self.mean + rng.standard_normal((n, self.dim)) @ self._chol.T

    def entropy(self) -> float:
        """H = -E[log N(z)] in nats."""
        return float(onp.log(onp.diag(self._chol)).sum() + self.dim / 2 * (1 + LOG_2PI))

    def kl(self, other: "Gaussian") -> float:
        """KL(self || other) = E_self[log self - log other] in nats.

        Summed from terms that are each at least zero, so that it stays accurate near zero.
        """
        if self.dim != other.dim:
            raise ValueError(f"KL needs equal dimensions; got {self.dim} and {other.dim}.")
        ratio = onp.linalg.solve(other._chol, self._chol)
        shift = onp.linalg.solve(other._chol, self.mean - other.mean)
        scale = onp.diag(ratio) ** 2 - 1
        off_diagonal = onp.sum(onp.tril(ratio, -1) ** 2)
        return float((onp.sum(scale - onp.log1p(scale)) + off_diagonal + shift @ shift) / 2)


@primitive
def log_normal(z, mean, chol):
    """Log density of N(mean, chol cholᵀ) at the rows of z (S, D), as one entry of the tape."""
    white = np.linalg.solve(chol, (z - mean).T)
    half_log_det = np.sum(np.log(np.diag(chol)))
    return -(np.sum(white**2, axis=0) + len(mean) * LOG_2PI) / 2 - half_log_det


def _score(z, mean, chol):
    return np.linalg.solve(chol.T, np.linalg.solve(chol, (z - mean).T)).T


def _chol_vjp(_, z, mean, chol):
    def vjp(g):
        white = np.linalg.solve(chol, (z - mean).T)
        outer = np.linalg.solve(chol.T, white * g) @ white.T
        return np.tril(outer) - np.sum(g) * np.diag(1 / np.diag(chol))

    return vjp


defvjp(
    log_normal,
    lambda _, z, mean, chol: lambda g: -g[:, None] * _score(z, mean, chol),
    lambda _, z, mean, chol: lambda g: g @ _score(z, mean, chol),
    _chol_vjp,
)


def frozen(value, name: str, ndim: int) -> onp.ndarray:
    """A read-only float copy of `value`, or a ValueError that says what is wrong with it."""
    try:
        array = onp.array(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of numbers; got {value!r}.") from None
    if array.ndim != ndim:
        raise ValueError(
            f"{name} must have {ndim} dimension{'s' * (ndim != 1)}; got shape {array.shape}."
        )
    bad = onp.argwhere(~onp.isfinite(array))
    if len(bad):
        where = ", ".join(map(str, bad[0]))
        raise ValueError(
            f"{name} must be finite; {len(bad)} of its {array.size} entries are NaN or infinite, "
            f"the first is {name}[{where}] = {array[tuple(bad[0])]}. Drop or repair those rows."
        )
    array.flags.writeable = False
    return array


def positive(value, name: str) -> float:
    """`value` as a float, or a ValueError when it is not a finite number above zero."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = onp.nan
    if not (onp.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be one positive finite number; got {value!r}.")
    return number
