"""Pictures in the book's one style: grey is exact, orange is q_φ, blue is data.

Figures are drawn five inches wide, so that their letters can still be read on a phone, and with no
background, so that a dark page can show them.
"""

import io

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from vitutor.gaussian import Gaussian

EXACT, Q, DATA = "#5f6b76", "#c2410c", "#0b5fa5"
WIDTH = 5.0


def set_style():
    """Set the book's style for matplotlib, and vector pictures for notebooks. Call it once."""
    _set_theme()
    try:
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    set_matplotlib_formats("svg", metadata={"Date": None})


def _set_theme():
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        rc={
            "figure.figsize": (WIDTH, 3.2),
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "axes.facecolor": "none",
            "axes.edgecolor": "#c4ccd4",
            "axes.labelcolor": EXACT,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.8,
            "grid.color": "#dfe3e8",
            "grid.linewidth": 0.6,
            "xtick.color": EXACT,
            "ytick.color": EXACT,
            "font.size": 10,
            "axes.labelsize": 10,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "savefig.transparent": True,
            "svg.hashsalt": "vitutor",
        },
    )


def still(draw, *arguments):
    """The picture that draw(*arguments) makes, in the book's style, as a PNG."""
    file = io.BytesIO()
    with plt.rc_context():
        _set_theme()
        figure = draw(*arguments)
        figure.savefig(file, dpi=100)
    plt.close(figure)
    return file.getvalue()


def glue(**numbers):
    """Keep numbers for the text of a chapter, which shows them by {glue:text}`name:format`."""
    from IPython.display import display

    prefix = "application/papermill.record/"
    for name, number in numbers.items():
        number = number if isinstance(number, int) else float(number)
        metadata = {"scrapbook": {"name": name, "mime_prefix": prefix}}
        display({prefix + "text/plain": repr(number)}, metadata=metadata, raw=True)


def draw_gaussian(ax, gaussian: Gaussian, exact=False):
    """Draw the ellipses at 1 and 2 standard deviations of a two-dimensional Gaussian."""
    _two_dimensional(gaussian)
    style = (
        {"edgecolor": EXACT, "ls": (0, (4, 2)), "lw": 1.4} if exact else {"edgecolor": Q, "lw": 1.6}
    )
    for sds in (1, 2):
        ax.add_patch(_ellipse(gaussian, sds, fill=False, **style))
        if not exact:
            ax.add_patch(_ellipse(gaussian, sds, fc=Q, alpha=0.08, lw=0))
    ax.plot(
        *gaussian.mean, marker="+" if exact else "o", ms=7 if exact else 4, color=style["edgecolor"]
    )


def _ellipse(gaussian, sds, **style):
    values, vectors = np.linalg.eigh(gaussian.cov)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    height, width = 2 * sds * np.sqrt(values)
    return Ellipse(gaussian.mean, width, height, angle=angle, **style)


def plot_steps(fit, exact: Gaussian, at, labels=("intercept", "slope")):
    """q_φ after each of the steps `at`, over the exact posterior, one small panel each."""
    _two_dimensional(exact)
    columns = min(3, len(at))
    rows = -(-len(at) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 1.75 * rows + 0.3), sharex=True, sharey=True, squeeze=False
    )
    means = np.array([fit.distribution(t).mean for t in range(len(fit.trajectory))])
    shown = [exact] + [fit.distribution(t) for t in at]
    low = np.min([g.mean - 2.4 * g.sd for g in shown], axis=0)
    high = np.max([g.mean + 2.4 * g.sd for g in shown], axis=0)
    for ax, t in zip(axes.flat, at, strict=False):
        ax.plot(*means[: t + 1].T, color=Q, lw=0.8, alpha=0.6)
        draw_gaussian(ax, exact, exact=True)
        draw_gaussian(ax, fit.distribution(t))
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        ax.text(
            0.96, 0.95, f"step {t}", transform=ax.transAxes, ha="right", va="top", color=Q, size=9
        )
        ax.locator_params(nbins=4)
    for ax in axes.flat[len(at) :]:
        ax.set_visible(False)
    figure.supxlabel(labels[0], size=10, color=EXACT)
    figure.supylabel(labels[1], size=10, color=EXACT)
    return figure


def plot_climb(fits: dict, model):
    """The exact ELBO of each fit's q_φ as it climbs to log p(x), and the gap that is left, in nats.

    `fits` maps a label to a `Fit`; the gap is KL(q_φ || posterior), on a log axis.
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=(WIDTH, 4.6), sharex=True)
    exact, evidence = model.posterior(), model.log_evidence()
    lowest = []
    for (label, fit), style in zip(fits.items(), ("-", "--", ":"), strict=False):
        qs = [fit.distribution(t) for t in range(len(fit.trajectory))]
        elbos, gaps = [model.elbo(q) for q in qs], np.array([q.kl(exact) for q in qs])
        above.plot(elbos, color=Q, ls=style, label=label)
        below.semilogy(np.maximum(gaps, 1e-15), color=Q, ls=style)
        lowest.append(elbos[min(4, len(elbos) - 1)])
    above.axhline(evidence, color=EXACT, lw=1.2, ls=(0, (4, 2)))
    above.text(
        0.99,
        evidence,
        "log p(x)",
        color=EXACT,
        size=9,
        ha="right",
        va="bottom",
        transform=above.get_yaxis_transform(),
    )
    room = max(evidence - min(lowest), 1.0)
    above.set(ylabel="ELBO (nats)", ylim=(evidence - 1.1 * room, evidence + 0.25 * room))
    above.legend(loc="lower right")
    below.set(xlabel="step", ylabel="log p(x) $-$ ELBO (nats)")
    return figure


def plot_lines(model, q, rng, lines=20, labels=("x", "y")):
    """The data, regression lines drawn from q, and the band that holds 95 % of new observations."""
    x = model.X[:, 1]
    grid = np.linspace(x.min() - 0.1 * np.ptp(x), x.max() + 0.1 * np.ptp(x), 80)
    design = np.column_stack([np.ones(len(grid)), grid])
    mean, sd = model.predict(q, design)
    figure, ax = plt.subplots()
    ax.fill_between(grid, mean - 1.96 * sd, mean + 1.96 * sd, color=EXACT, alpha=0.14, lw=0)
    ax.plot(grid, design @ q.sample(rng, lines).T, color=Q, lw=0.8, alpha=0.45)
    few = len(x) < 50
    ax.plot(x, model.y, "o", color=DATA, ms=6 if few else 3, alpha=1 if few else 0.45, mec="none")
    ax.set(xlabel=labels[0], ylabel=labels[1], xlim=(grid[0], grid[-1]))
    return figure


def plot_densities(z, density, mu, sigma):
    """A posterior density on a line and a normal q: the last frame of an `ElboExplorer`."""
    figure, ax = plt.subplots()
    ax.fill_between(z, density, color=EXACT, alpha=0.14, lw=0)
    ax.plot(z, density, color=EXACT, ls=(0, (4, 2)))
    ax.plot(z, np.exp(-(((z - mu) / sigma) ** 2) / 2) / sigma / np.sqrt(2 * np.pi), color=Q)
    ax.set(xlabel="z", ylabel="density", ylim=(0, 0.9))
    return figure


def plot_map(noise, z, plane):
    """Draws of noise, and where a map sends them."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(1.2 * WIDTH, 0.6 * WIDTH))
    left.plot(*noise.T, ".", color=EXACT)
    left.set(xlabel="ε₁" if plane else "ε", ylabel="ε₂" if plane else "", aspect="equal")
    right.plot(*z.T, ".", color=Q)
    right.set(xlabel="z₁" if plane else "ε", ylabel="z₂" if plane else "z")
    return figure


def plot_lab(model, fit, weights, axes, lines=16):
    """The last frame of a `RegressionLab`: q over the exact posterior, lines, and the gap."""
    exact, q = model.posterior(), fit.distribution(-1)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(1.6 * WIDTH, 2.8))
    draw_gaussian(left, q)
    draw_gaussian(left, exact, exact=True)
    left.set(xlabel=weights[0], ylabel=weights[1])
    left.autoscale_view()
    x = model.X[:, 1]
    grid = np.linspace(x.min() - 0.15 * np.ptp(x), x.max() + 0.15 * np.ptp(x), 50)
    design = np.column_stack([np.ones(len(grid)), grid])
    mean, sd = model.predict(exact, design)
    middle.fill_between(grid, mean - 1.96 * sd, mean + 1.96 * sd, color=EXACT, alpha=0.14, lw=0)
    draws = q.sample(np.random.default_rng(0), lines)
    middle.plot(grid, design @ draws.T, color=Q, lw=0.8, alpha=0.45)
    middle.plot(x, model.y, "o", color=DATA, ms=6 if len(x) < 50 else 3, mec="none")
    middle.set(xlabel=axes[0], ylabel=axes[1])
    gaps = [fit.distribution(t).kl(exact) for t in range(len(fit.trajectory))]
    right.semilogy(np.maximum(gaps, 1e-15), color=Q)
    right.set(xlabel="step", ylabel="log p(x) $-$ ELBO (nats)")
    return figure


def plot_race(exact, courses, weights, floor=1e-12, ceiling=1e6):
    """The last frame of an `EstimatorRace`: each q over the exact posterior, and each KL to it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(1.6 * WIDTH, 3.2))
    draw_gaussian(left, exact, exact=True)
    marks = zip(("-", (0, (4, 2)), ":", (0, (4, 2, 1, 2))), "osd^", strict=True)
    for (name, course), (dash, mark) in zip(courses.items(), marks, strict=True):
        qs, gaps = zip(*course, strict=True)
        if np.all(qs[-1].sd < 100 * exact.sd):  # beyond, it has more dashes than can be drawn
            left.add_patch(_ellipse(qs[-1], 1, fill=False, edgecolor=Q, ls=dash, lw=1.4))
        left.plot(*qs[-1].mean, mark, color=Q, ms=5)
        style = {"color": Q, "ls": dash, "lw": 1.2, "marker": mark, "markevery": [-1]}
        right.semilogy(np.maximum(gaps, floor), label=name.replace("-", " "), **style)
    room = 3.2 * exact.sd
    left.set(xlabel=weights[0], ylabel=weights[1])
    left.set(xlim=(exact.mean[0] - room[0], exact.mean[0] + room[0]))
    left.set(ylim=(exact.mean[1] - room[1], exact.mean[1] + room[1]))
    right.set(xlabel="step", ylabel="KL(q || posterior) (nats)")
    right.set_ylim(floor / 3, min(right.get_ylim()[1], ceiling))
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    return figure


def plot_marginals(exact: Gaussian, qs: dict, labels=("intercept", "slope")):
    """The marginal density of each coefficient: exact, and under each q of `qs` (label -> q)."""
    figure, axes = plt.subplots(1, exact.dim, figsize=(WIDTH, 2.5))
    for j, (ax, label) in enumerate(zip(np.atleast_1d(axes), labels, strict=True)):
        grid = np.linspace(-4, 4, 400) * exact.sd[j] + exact.mean[j]

        def density(g, grid=grid, j=j):
            return np.exp(-(((grid - g.mean[j]) / g.sd[j]) ** 2) / 2) / g.sd[j] / np.sqrt(2 * np.pi)

        ax.fill_between(grid, density(exact), color=EXACT, alpha=0.25, lw=0)
        for q, style in zip(qs.values(), ("-", "--", ":"), strict=False):
            ax.plot(grid, density(q), color=Q, ls=style)
        ax.set(xlabel=label, yticks=[], ylim=(0, None))
        ax.spines["left"].set_visible(False)
        ax.locator_params(axis="x", nbins=4)
    handles = [plt.Rectangle((0, 0), 1, 1, color=EXACT, alpha=0.25, lw=0)]
    handles += [Line2D([], [], color=Q, ls=s) for s in ("-", "--", ":")[: len(qs)]]
    figure.legend(handles, ["exact", *qs], loc="outside upper center", ncols=1 + len(qs))
    return figure


def _two_dimensional(gaussian):
    if gaussian.dim != 2:
        raise ValueError(f"this picture needs a Gaussian of 2 dimensions; got {gaussian.dim}.")
