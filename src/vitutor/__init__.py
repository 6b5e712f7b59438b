"""vitutor: blackbox variational inference by the reparameterization gradient, small and tested."""

from vitutor.data import MissingDataWarning, load_five_points, load_penguins
from vitutor.diagnostics import Diagnosis, NotConvergedWarning
from vitutor.estimators import (
    elbo,
    pathwise,
    score_function,
    score_function_with_baseline,
    sticking_the_landing,
)
from vitutor.families import FullRank, MeanField
from vitutor.fit import DivergedError, Fit, fit
from vitutor.gaussian import Gaussian
from vitutor.models import LinearRegression, Prediction
from vitutor.optimizers import Optimizer, adam, decay, sgd

_FIGURES = (
    "DATA",
    "EXACT",
    "Q",
    "draw_gaussian",
    "glue",
    "plot_climb",
    "plot_lines",
    "plot_marginals",
    "plot_steps",
    "set_style",
)
_WIDGETS = ("ElboExplorer", "EstimatorRace", "RegressionLab", "ReparameterizationExplorer")


def __getattr__(name):
    if name in _FIGURES:  # matplotlib takes longer to import than a fit takes to run
        from vitutor import figures

        return getattr(figures, name)
    if name in _WIDGETS:  # nor is a fit in need of widgets
        from vitutor import widgets

        return getattr(widgets, name)
    raise AttributeError(f"module 'vitutor' has no attribute {name!r}")


__all__ = [
    *_FIGURES,
    *_WIDGETS,
    "Diagnosis",
    "DivergedError",
    "Fit",
    "FullRank",
    "Gaussian",
    "LinearRegression",
    "MeanField",
    "MissingDataWarning",
    "NotConvergedWarning",
    "Optimizer",
    "Prediction",
    "adam",
    "decay",
    "elbo",
    "fit",
    "load_five_points",
    "load_penguins",
    "pathwise",
    "score_function",
    "score_function_with_baseline",
    "sgd",
    "sticking_the_landing",
]
