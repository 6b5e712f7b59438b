"""Sphinx extension: the site ships what it shows and asks no other site for anything."""

from importlib.util import find_spec
from pathlib import Path

from sphinx.util.fileutil import copy_asset

MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
MATHJAX_PARTS = "tex-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2"


def setup(app):
    app.config.mathjax_path = "mathjax/tex-chtml.js"
    app.connect("build-finished", copy_mathjax)
    remove_thebe(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def copy_mathjax(app, exception):
    if exception is None:
        for part in MATHJAX_PARTS:
            target = Path(app.outdir, "_static", "mathjax", part).parent
            if (MATHJAX / part).is_dir():
                target /= Path(part).name
            target.mkdir(parents=True, exist_ok=True)
            copy_asset(MATHJAX / part, target)


def remove_thebe(app):
    """Jupyter Book loads Thebe on every page, which names a CDN and declares a name twice."""
    for event, listeners in app.events.listeners.items():
        app.events.listeners[event] = [
            each for each in listeners if each.handler.__module__ != "sphinx_thebe"
        ]
    app.registry.css_files[:] = [
        (name, attributes) for name, attributes in app.registry.css_files if "thebe" not in name
    ]
