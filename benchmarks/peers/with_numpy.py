"""numpy alone: the data, the exact posterior by linear algebra, the ruler. Nobody is quicker."""

import numpy as np
from problem import contender, quadratic


def fit(X, y, best, cache):
    A, b = quadratic(X, y)
    return np.linalg.solve(A, b), np.linalg.inv(A)


contender(fit)
