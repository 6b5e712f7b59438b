"""Variational families: noise, the map z = g_φ(ε), and the density of what comes out.

A family is stateless: its parameters φ are one flat array that is passed to every method. To write
your own, give a class `dim`, `init`, `noise`, `transform`, `log_prob` and, if known, `entropy`,
with `autograd.numpy`.
"""

from dataclasses import dataclass
from functools import cache

import autograd.numpy as np
import numpy as onp
from autograd.extend import defvjp, primitive

from vitutor.gaussian import LOG_2PI, Gaussian, log_normal


@dataclass(frozen=True)
class _GaussianFamily:
    """What the two Gaussian families share: q_φ = N(μ, L Lᵀ) and z = μ + L ε."""

    dim: int

    def __post_init__(self):
        if not isinstance(self.dim, int | onp.integer) or self.dim < 1:
            raise ValueError(
                f"dim must be a whole number of at least 1, the length of z; got {self.dim!r}."
            )

    def init(self) -> onp.ndarray:
        """The φ of a standard normal."""
        return onp.zeros(self.size)

    def noise(self, rng, n: int) -> onp.ndarray:
        """n independent draws of ε ~ N(0, I) from the numpy Generator `rng`; (n, D)."""
        return rng.standard_normal((n, self.dim))

    def entropy(self, phi):
        """H[q_φ] in nats, in closed form. Differentiable in φ."""
        return np.sum(self._log_scale(phi)) + self.dim / 2 * (1 + LOG_2PI)

    def distribution(self, phi) -> Gaussian:
        """q_φ as a `Gaussian`."""
        mean, chol = self.location_scale(phi)
        return Gaussian(mean, chol @ chol.T)

    def closest(self, target: Gaussian) -> onp.ndarray:
        """The φ that minimises KL(q_φ || target): the mean, and the precision where we have one.

        For a mean-field q that is sd_j = 1/sqrt(precision_jj) (Bishop 2006, section 10.1.2).
        """
        if target.dim != self.dim:
            raise ValueError(f"{self} has no q of {target.dim} dimensions, as the target has.")
        precision = onp.linalg.inv(target.cov) * self.mask
        return self.from_location_scale(target.mean, lower_root(precision))

    def _check(self, phi, rows=None):
        if np.shape(phi) != (self.size,):
            raise ValueError(
                f"phi must have shape ({self.size},) to be a φ of {self}; got {np.shape(phi)}."
            )
        if rows is not None and (np.ndim(rows) != 2 or np.shape(rows)[1] != self.dim):
            raise ValueError(
                f"z and eps must have shape (S, {self.dim}), one draw a row; got {np.shape(rows)}."
            )


@dataclass(frozen=True)
class MeanField(_GaussianFamily):
    """Independent normals, q_φ(z) = Π_j N(z_j | μ_j, s_j²), with φ = (μ, log s) of length 2D."""

    @property
    def size(self) -> int:
        """The length of φ."""
        return 2 * self.dim

    @property
    def mask(self) -> onp.ndarray:
        """The entries of a precision matrix (D, D) that this family can have: its diagonal."""
        return onp.eye(self.dim)

    def location_scale(self, phi):
        """μ (D,) and the scale L = diag(s) (D, D) of q_φ."""
        self._check(phi)
        return phi[: self.dim], onp.diag(onp.exp(phi[self.dim :]))

    def from_location_scale(self, mean, chol) -> onp.ndarray:
        """The φ of N(mean, chol cholᵀ), chol a diagonal matrix with positive entries."""
        return onp.concatenate([mean, onp.log(onp.diag(chol))])

    def transform(self, phi, eps):
        """z = μ + s ε for each row of eps (S, D). Differentiable in φ and ε."""
        self._check(phi, eps)
        return _scale_and_shift(phi, eps)

    def log_prob(self, phi, z):
        """log q_φ(z) in nats at each row of z (S, D); returns (S,). Differentiable in φ and z."""
        self._check(phi, z)
        return _log_independent(phi, z)

    def _log_scale(self, phi):
        return phi[self.dim :]


@dataclass(frozen=True)
class FullRank(_GaussianFamily):
    """Any normal, q_φ(z) = N(z | μ, L Lᵀ), L lower triangular with a positive diagonal.

    φ holds μ, then the rows of L's lower triangle, its diagonal as logarithms: D + D(D + 1)/2.
    """

    @property
    def size(self) -> int:
        """The length of φ."""
        return self.dim + self.dim * (self.dim + 1) // 2

    @property
    def mask(self) -> onp.ndarray:
        """The entries of a precision matrix (D, D) that this family can have: all."""
        return onp.ones((self.dim, self.dim))

    def location_scale(self, phi):
        """μ (D,) and the Cholesky factor L (D, D) of q_φ."""
        self._check(phi)
        return phi[: self.dim], _unpack(phi, self.dim)

    def from_location_scale(self, mean, chol) -> onp.ndarray:
        """The φ of N(mean, chol cholᵀ), chol lower triangular with a positive diagonal."""
        packed = chol.copy()
        onp.fill_diagonal(packed, onp.log(onp.diag(chol)))
        return onp.concatenate([mean, packed[_lower(self.dim)]])

    def transform(self, phi, eps):
        """z = μ + L ε for each row of eps (S, D). Differentiable in φ and ε."""
        self._check(phi, eps)
        return eps @ _unpack(phi, self.dim).T + phi[: self.dim]

    def log_prob(self, phi, z):
        """log q_φ(z) in nats at each row of z (S, D); returns (S,). Differentiable in φ and z."""
        self._check(phi, z)
        return log_normal(z, phi[: self.dim], _unpack(phi, self.dim))

    def _log_scale(self, phi):
        diagonal = onp.arange(self.dim)
        return phi[self.dim + diagonal * (diagonal + 3) // 2]


def lower_root(precision):
    """The lower triangular L with L Lᵀ = inverse of `precision` (D, D), its diagonal positive."""
    return onp.linalg.cholesky(onp.linalg.inv(precision))


@primitive
def _scale_and_shift(phi, eps):
    dim = eps.shape[1]
    return phi[:dim] + np.exp(phi[dim:]) * eps


defvjp(
    _scale_and_shift,
    lambda _, phi, eps: (
        lambda g: np.concatenate(
            [np.sum(g, axis=0), np.exp(phi[eps.shape[1] :]) * np.sum(g * eps, axis=0)]
        )
    ),
    lambda _, phi, eps: lambda g: g * np.exp(phi[eps.shape[1] :]),
)


@primitive
def _log_independent(phi, z):
    dim = z.shape[1]
    white = (z - phi[:dim]) * np.exp(-phi[dim:])
    return -(np.sum(white**2, axis=1) + dim * LOG_2PI) / 2 - np.sum(phi[dim:])


def _log_independent_vjp(_, phi, z):
    def vjp(g):
        dim = z.shape[1]
        white = (z - phi[:dim]) * np.exp(-phi[dim:])
        return np.concatenate([g @ white * np.exp(-phi[dim:]), g @ (white**2 - 1)])

    return vjp


defvjp(
    _log_independent,
    _log_independent_vjp,
    lambda _, phi, z: (
        lambda g: -g[:, None] * (z - phi[: z.shape[1]]) * np.exp(-2 * phi[z.shape[1] :])
    ),
)


@cache
def _lower(dim):
    return onp.tril_indices(dim)


@primitive
def _unpack(phi, dim):
    chol = onp.zeros((dim, dim))
    chol[_lower(dim)] = phi[dim:]
    onp.fill_diagonal(chol, onp.exp(onp.diag(chol)))
    return chol


def _unpack_vjp(chol, phi, dim):
    def vjp(g):
        diagonal = np.eye(dim)
        packed = g * (1 - diagonal) + g * chol * diagonal
        return np.concatenate([np.zeros(dim), packed[_lower(dim)]])

    return vjp


defvjp(_unpack, _unpack_vjp, argnums=[0])
