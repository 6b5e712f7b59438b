"""PyTorch: a full-rank Gaussian written by hand, pathwise gradient, torch.optim.Adam.

By default the entropy is the closed form; at its best the gradient is sticking-the-landing.
"""

import math

import torch
from problem import DRAWS, NOISE_SD, PRIOR_SD, STEPS, Tuned, contender, quadratic


def fit(X, y, best, cache):
    tuned, d = Tuned(X.shape, can_land=True), X.shape[1]
    torch.manual_seed(0)
    if best:
        torch.set_num_threads(1)
    dtype = torch.float64 if best else torch.get_default_dtype()
    data = [torch.as_tensor(a, dtype=dtype) for a in (quadratic(X, y) if best else (X, y))]

    def log_joint(z):
        if best:
            A, b = data
            return z @ b - 0.5 * ((z @ A) * z).sum(1)
        X, y = data
        residual = y - z @ X.T
        return -0.5 * (residual / NOISE_SD).square().sum(1) - 0.5 * (z / PRIOR_SD).square().sum(1)

    mean = torch.zeros(d, dtype=dtype, requires_grad=True)
    start = math.log(tuned.sd) if best else 0.0
    log_sd = torch.full((d,), start, dtype=dtype, requires_grad=True)
    lower = torch.zeros(d, d, dtype=dtype, requires_grad=True)
    optimizer = torch.optim.Adam([mean, log_sd, lower], lr=0.01, fused=best or None)
    for t in range(STEPS):
        if best:
            optimizer.param_groups[0]["lr"] = tuned.rate(t)
        L = lower.tril(-1) + log_sd.exp().diag()
        eps = torch.randn(tuned.draws if best else DRAWS, d, dtype=dtype)
        z = mean + eps @ L.T
        if best and tuned.landing:
            white = torch.linalg.solve_triangular(
                L.detach().T, z - mean.detach(), upper=True, left=False
            )
            loss = (-0.5 * white.square().sum(1) - log_joint(z)).mean()
        else:
            loss = -log_joint(z).mean() - log_sd.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        L = (lower.tril(-1) + log_sd.exp().diag()).double().numpy()
        return mean.detach().double().numpy(), L @ L.T


contender(fit)
