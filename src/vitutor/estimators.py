"""The ELBO by Monte Carlo, and unbiased estimators V(φ) of its gradient.

An estimator takes (log_joint, family, phi, eps, theta) and returns the ELBO's estimate and its
gradient, one flat array: V(φ), followed by the gradient in θ when the model has parameters. The
rows of `eps` (S, D) are draws from `family.noise`; more draws, less variance.
"""

import autograd.numpy as np
import numpy as onp
from autograd import value_and_grad
from autograd.tracer import isbox

NO_PARAMETERS = onp.zeros(0)
NO_PARAMETERS.flags.writeable = False


def elbo(log_joint, family, phi, eps, theta=NO_PARAMETERS) -> float:
    """Monte Carlo estimate of ELBO(q_φ) = E[log p(x, z) - log q_φ(z)] in nats, z = g_φ(ε)."""
    z = family.transform(phi, eps)
    return float(np.mean(evaluate(log_joint, z, theta) - family.log_prob(phi, z)))


def pathwise(log_joint, family, phi, eps, theta=NO_PARAMETERS):
    """The reparameterization gradient with closed-form entropy.

    ∇ of mean log p(x, g_φ(ε)) + H[q_φ] (Kingma and Welling 2014; Kucukelbir et al. 2017).
    """

    def objective(phi, theta):
        z = family.transform(phi, eps)
        return np.mean(evaluate(log_joint, z, theta)) + family.entropy(phi)

    return _value_and_gradient(objective, phi, theta)


def sticking_the_landing(log_joint, family, phi, eps, theta=NO_PARAMETERS):
    """The path derivative: log q_φ(z) moves with z only, its φ is held still.

    Its noise vanishes where q_φ is the posterior (Roeder, Wu and Duvenaud 2017).
    """
    stopped = onp.array(phi)

    def objective(phi, theta):
        z = family.transform(phi, eps)
        return np.mean(evaluate(log_joint, z, theta) - family.log_prob(stopped, z))

    return _value_and_gradient(objective, phi, theta)


def score_function(log_joint, family, phi, eps, theta=NO_PARAMETERS):
    """Mean of (log p(x, z) - log q_φ(z)) ∇_φ log q_φ(z); asks for no gradient in z.

    Also called REINFORCE or black box VI (Ranganath, Gerrish and Blei 2014).
    """
    return _score_function(log_joint, family, phi, eps, theta, lambda f: f)


def score_function_with_baseline(log_joint, family, phi, eps, theta=NO_PARAMETERS):
    """The score function, each draw's weight less the mean weight of the others.

    The leave-one-out baseline costs no bias (Kool, van Hoof and Welling 2019). Needs two draws.
    """
    draws = len(eps)
    if draws < 2:
        raise ValueError("The leave-one-out baseline needs at least two draws; got eps with one.")
    return _score_function(
        log_joint, family, phi, eps, theta, lambda f: (f - f.mean()) * (draws / (draws - 1))
    )


def _score_function(log_joint, family, phi, eps, theta, weigh):
    z = family.transform(phi, eps)
    f = evaluate(log_joint, z, theta) - family.log_prob(phi, z)
    weights = weigh(f)

    def objective(phi, theta):
        surrogate = np.mean(weights * family.log_prob(phi, z))
        return surrogate + np.mean(evaluate(log_joint, z, theta)) if len(theta) else surrogate

    _, gradient = _value_and_gradient(objective, phi, theta)
    return float(onp.mean(f)), gradient


def _value_and_gradient(objective, phi, theta):
    if not len(theta):
        return value_and_grad(lambda phi: objective(phi, theta))(phi)
    value, gradients = value_and_grad(objective, argnum=(0, 1))(phi, theta)
    return value, onp.concatenate(gradients)


def evaluate(log_joint, z, theta=NO_PARAMETERS):
    """log p(x, z) at each row of z (S, D), checked: shape (S,), and traced where z is traced.

    Raises
    ------
    TypeError
        If `log_joint` leaves autograd's tape, so that its gradient would be lost.
    ValueError
        If it does not return one number a row.
    """
    try:
        values = log_joint(z, theta) if len(theta) else log_joint(z)
    except (TypeError, AttributeError) as error:
        if "ArrayBox" in str(error) or isbox(z):
            raise TypeError(OFF_THE_TAPE) from error
        raise
    except ValueError as error:
        if "setting an array element" in str(error) and isbox(z):
            raise TypeError(OFF_THE_TAPE) from error
        raise
    draws = np.shape(z)[0]
    if np.shape(values) != (draws,):
        raise ValueError(
            f"log_joint must return one number for each of the {draws} rows of z, shape "
            f"({draws},); for z of shape {np.shape(z)} it returned shape {np.shape(values)}. "
            "Row s of z is one draw: sum over the last axis only, as in "
            "`-0.5 * np.sum(z**2, axis=-1)`, and write z @ w, not w @ z."
        )
    if isbox(z) and not isbox(values):
        raise TypeError(OFF_THE_TAPE)
    return values


OFF_THE_TAPE = (
    "log_joint could not be differentiated: it must be written with autograd's numpy. Use "
    "`import autograd.numpy as np` in place of `import numpy as np`, and do not call float(), "
    "np.array() or assign into arrays on the way from z to the result."
)
