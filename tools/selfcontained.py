"""Sphinx extension: the site ships what it shows and asks no other site for anything."""

from importlib.util import find_spec
from pathlib import Path

from fontTools.ttLib import TTFont
from sphinx.util.fileutil import copy_asset

MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
# Without its menu, which weighs as much as the rest.
MATHJAX_LOADED = "core", "input/tex", "output/chtml", "a11y/assistive-mml"
MATHJAX_PARTS = (
    "startup.js",
    *(f"{part}.js" for part in MATHJAX_LOADED),
    "input/tex/extensions",
    "output/chtml/fonts/tex.js",
)


def setup(app):
    app.config.mathjax_path = "mathjax/startup.js"
    app.connect("config-inited", configure_mathjax, priority=900)
    app.connect("build-finished", copy_mathjax)
    remove_thebe(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def configure_mathjax(app, config):
    config.mathjax3_config = (config.mathjax3_config or {}) | {"loader": {"load": MATHJAX_LOADED}}


def copy_mathjax(app, exception):
    if exception is None:
        for part in MATHJAX_PARTS:
            target = Path(app.outdir, "_static", "mathjax", part).parent
            if (MATHJAX / part).is_dir():
                target /= Path(part).name
            target.mkdir(parents=True, exist_ok=True)
            copy_asset(MATHJAX / part, target)
        lighten_fonts(Path(app.outdir, "_static", "mathjax", "output", "chtml"))


def lighten_fonts(chtml):
    """MathJax's fonts in the newer format, a quarter lighter, and the scripts that name them."""
    (chtml / "fonts" / "woff2").mkdir(exist_ok=True)
    for source in (MATHJAX / "output" / "chtml" / "fonts" / "woff-v2").glob("*.woff"):
        target = chtml / "fonts" / "woff2" / f"{source.stem}.woff2"
        if not target.exists():
            font = TTFont(source)
            font.flavor = "woff2"
            font.save(target)
    for script in (chtml.with_suffix(".js"), chtml / "fonts" / "tex.js"):
        text = script.read_text(encoding="utf-8")
        text = text.replace('.woff") format("woff")', '.woff2") format("woff2")')
        script.write_text(text.replace("fonts/woff-v2", "fonts/woff2"), encoding="utf-8")


def remove_thebe(app):
    """Jupyter Book loads Thebe on every page, which names a CDN and declares a name twice."""
    for event, listeners in app.events.listeners.items():
        app.events.listeners[event] = [
            each for each in listeners if each.handler.__module__ != "sphinx_thebe"
        ]
    app.registry.css_files[:] = [
        (name, attributes) for name, attributes in app.registry.css_files if "thebe" not in name
    ]
