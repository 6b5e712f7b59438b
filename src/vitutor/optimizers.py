"""Stochastic ascent: an optimiser is a pair of pure functions, and its state is a value.

`init(params)` makes the state; `update(gradient, state)` returns the step to add to the parameters
(uphill) and the next state. A rate is a number, or a schedule: a function of the step 0, 1, 2, ...
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Optimizer(NamedTuple):
    """`init(params) -> state` and `update(gradient, state) -> (step, state)`."""

    init: Callable
    update: Callable


def decay(rate: float, time: float) -> Callable:
    """The schedule rate / (1 + t / time), which meets the conditions of Robbins & Monro (1951)."""
    return lambda t: rate / (1 + t / time)


def sgd(rate=0.01) -> Optimizer:
    """Plain stochastic gradient ascent: a step of rate(t) times the gradient."""
    rate = _schedule(rate)

    def update(gradient, t):
        return rate(t) * gradient, t + 1

    return Optimizer(lambda params: 0, update)


def adam(rate=0.05, b1=0.9, b2=0.999, eps=1e-8) -> Optimizer:
    """Adam (Kingma and Ba 2015, algorithm 1), uphill."""
    rate = _schedule(rate)

    def init(params):
        return 0, np.zeros_like(params), np.zeros_like(params)

    def update(gradient, state):
        t, first, second = state
        first = b1 * first + (1 - b1) * gradient
        second = b2 * second + (1 - b2) * gradient**2
        corrected = first / (1 - b1 ** (t + 1))
        spread = np.sqrt(second / (1 - b2 ** (t + 1)))
        return rate(t) * corrected / (spread + eps), (t + 1, first, second)

    return Optimizer(init, update)


def _schedule(rate):
    if callable(rate):
        return rate
    if not (isinstance(rate, int | float | np.number) and 0 < rate < np.inf):
        raise ValueError(f"rate must be a positive number or a schedule t -> rate; got {rate!r}.")
    return lambda t: rate
