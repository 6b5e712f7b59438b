"""Draw the picture at the top of the README: picture.py FILE."""

import sys

import vitutor as vt

if __name__ == "__main__":
    vt.set_style()
    X, y = vt.load_five_points()
    model = vt.LinearRegression(X, y, noise_sd=1.0, prior_sd=10.0)
    fit = vt.fit(model.log_joint, vt.FullRank(dim=2), draws=10, seed=0)
    figure = vt.plot_steps(fit, model.posterior(), at=[0, 1, 2, 3, 4, 8])
    figure.savefig(sys.argv[1], dpi=200, facecolor="white", transparent=False)
