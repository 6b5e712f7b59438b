"""Pyro: AutoMultivariateNormal and SVI, one Python step at a time."""

import pyro
import pyro.distributions as dist
import torch
from problem import NOISE_SD, PRIOR_SD, STEPS, Tuned, contender, quadratic
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoMultivariateNormal


def by_rows(X, y):
    w = pyro.sample("w", dist.Normal(X.new_zeros(X.shape[1]), PRIOR_SD).to_event(1))
    with pyro.plate("rows", X.shape[0]):
        pyro.sample("y", dist.Normal(X @ w, NOISE_SD), obs=y)


def by_quadratic(A, b):
    prior = dist.Normal(torch.zeros_like(b), PRIOR_SD).to_event(1)
    w = pyro.sample("w", prior)  # (particles, d)
    A = A - torch.eye(len(b), dtype=A.dtype) / PRIOR_SD**2  # the prior has said its part
    pyro.factor("log_likelihood", w @ b - 0.5 * ((w @ A) * w).sum(-1))


def fit(X, y, best, cache):
    pyro.set_rng_seed(0)
    if best:
        tuned = Tuned(X.shape, autoguide=True)
        torch.set_default_dtype(torch.float64)
        torch.set_num_threads(1)
        pyro.enable_validation(False)
        model, data = by_quadratic, quadratic(X, y)
        guide = AutoMultivariateNormal(model, init_scale=tuned.sd)
        adam = {"optimizer": torch.optim.Adam, "optim_args": {"lr": 1.0, "fused": True}}
        optimizer = pyro.optim.LambdaLR(adam | {"lr_lambda": tuned.rate})
        loss = Trace_ELBO(tuned.draws, vectorize_particles=True, max_plate_nesting=0)
    else:
        model, data = by_rows, (X, y)
        guide = AutoMultivariateNormal(model)
        optimizer, loss = pyro.optim.Adam({"lr": 0.01}), Trace_ELBO()
    data = [torch.as_tensor(a, dtype=torch.get_default_dtype()) for a in data]
    svi = SVI(model, guide, optimizer, loss)
    for _ in range(STEPS):
        svi.step(*data)
        if best:
            optimizer.step()
    q = guide.get_posterior()
    L = q.scale_tril.detach().double().numpy()
    return q.loc.detach().double().numpy(), L @ L.T


contender(fit)
