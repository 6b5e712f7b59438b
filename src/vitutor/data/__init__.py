"""Small real data sets, and the loaders that turn them into (X, y)."""

import csv
import warnings
from importlib.resources import files

import numpy as np


class MissingDataWarning(UserWarning):
    """Rows of a data set were left out because a value in them is missing."""


def load_five_points():
    """Five points about the line y = -1 + x, noise sd 1: X (5, 2) = [1, x] and y (5,).

    Drawn once, with `rng = numpy.random.default_rng(10)`: x sorted from rng.uniform(0, 4, 5), then
    y = -1 + x + rng.standard_normal(5); both rounded to two digits and kept as numbers.
    """
    x = np.array([0.60, 0.83, 2.05, 3.31, 3.82])
    y = np.array([-0.28, 0.67, 1.91, 2.79, 2.37])
    return np.column_stack([np.ones(5), x]), y


def load_penguins():
    """Body mass from flipper length: X (342, 2) = [1, flipper length in mm], y (342,) in kg.

    The Palmer penguins (Gorman, Williams and Fraser 2014; CC0), see data/README.md. Two of the 344
    birds were not measured; a `MissingDataWarning` names the rows.
    """
    with (files("vitutor.data") / "penguins.csv").open(encoding="utf-8") as file:
        birds = list(csv.DictReader(file))
    columns = "flipper_length_mm", "body_mass_g"
    missing = [i for i, bird in enumerate(birds) if any(bird[name] == "NA" for name in columns)]
    warnings.warn(
        f"{len(missing)} of {len(birds)} penguins have no flipper length or body mass and are left "
        f"out: rows {', '.join(map(str, missing))}.",
        MissingDataWarning,
        stacklevel=2,
    )
    measured = [bird for i, bird in enumerate(birds) if i not in missing]
    flipper, mass = np.array([[float(bird[name]) for name in columns] for bird in measured]).T
    return np.column_stack([np.ones(len(flipper)), flipper]), mass / 1000
