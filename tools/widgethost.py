"""Sphinx extension: anywidgets live on a page without a kernel (`widgets/host.js`).

A page's widgets share one copy of their code with the whole site. Beside each, for readers without
scripts and for print, stands the picture that came with its output, or a sentence.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import WIDGET_STATE_MIMETYPE, WIDGET_VIEW_MIMETYPE
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.images import get_image_size

HOST = Path(__file__).parents[1] / "widgets" / "host.js"
ADDRESS = re.compile(r"https?://\S+")
REPR = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>")
NO_SCRIPT = "<noscript><p>An interactive widget stands here; it needs JavaScript.</p></noscript>"
NO_PAGE = "An interactive widget stands here on the website."
NO_WORDS = "The picture of an interactive widget"

logger = logging.getLogger(__name__)


def setup(app):
    app.config.nb_ipywidgets_js = {"widgets/host.js": {"defer": "defer"}}
    app.add_post_transform(Stills)
    app.connect("builder-inited", copy_host)
    app.connect("html-page-context", share_code, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def asset(app, name, text):
    """Write a file below _static/widgets, and give its name there."""
    file = Path(app.outdir, "_static", "widgets", name)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        draft = file.with_suffix(f".{os.getpid()}")  # pages may be written by several processes
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    return f"widgets/{name}"


def copy_host(app):
    if app.builder.format == "html":
        asset(app, "host.js", HOST.read_text(encoding="utf-8"))


def share_code(app, pagename, templatename, context, doctree):
    """Move code out of a page's widget state to a file, and name models by their order."""
    for script in [*context["script_files"]]:
        if script.attributes.get("type") != WIDGET_STATE_MIMETYPE:
            continue
        content = json.loads(script.attributes["body"])
        models = content["state"]
        codes = {}
        for model in models.values():
            for key in ("_esm", "_css"):
                if text := model["state"].get(key):
                    name = "c" + hashlib.sha256(text.encode()).hexdigest()[:16]
                    model["state"][key] = {"source": name}
                    codes[name] = text
        for name, text in codes.items():
            if ADDRESS.fullmatch(text):
                logger.warning("a widget's code is not here but at %s", text, location=pagename)
            register = f"(window.widgetSources ??= {{}}).{name} = {json.dumps(text)};\n"
            app.add_js_file(asset(app, f"{name}.js", register), priority=490, defer="defer")
        state = json.dumps(content).replace("<", r"\u003c")
        for order, model_id in enumerate(models):
            state = state.replace(model_id, f"widget-{order}")
            context["body"] = context["body"].replace(model_id, f"widget-{order}")
        script.attributes["body"] = state


class Stills(SphinxPostTransform):
    """A widget's output keeps its picture: beside the view in HTML, instead of it elsewhere."""

    default_priority = 3  # before myst-nb selects one of the output's kinds

    def run(self):
        for bundle in [*self.document.findall(is_bundle)]:
            kinds = {child["mime_type"]: child for child in bundle}
            if WIDGET_VIEW_MIMETYPE not in kinds:
                continue
            shown = [kind for kind in self.app.builder.supported_image_types if kind in kinds]
            picture = kinds[shown[0]] if shown else None
            if picture:
                words = kinds["text/plain"].astext().strip() if "text/plain" in kinds else ""
                for image in picture.findall(nodes.image):
                    image["alt"] = NO_WORDS if not words or REPR.fullmatch(words) else words
            if self.app.builder.format == "html":
                view = kinds[WIDGET_VIEW_MIMETYPE]
                view[:] = self.with_picture(view, picture) if picture else [*view, html(NO_SCRIPT)]
                bundle[:] = [view]
            else:
                bundle.replace_self([*picture] if picture else nodes.paragraph("", NO_PAGE))

    def with_picture(self, view, picture):
        image = next(picture.findall(nodes.image))
        width, height = get_image_size(self.app.srcdir / image["uri"].lstrip("/")) or (0, 0)
        return [
            html(f'<div class="widget-with-still" style="aspect-ratio: {width} / {height}">'),
            *view,
            html('<div class="widget-still"><noscript>'),
            *picture,
            html("</noscript></div></div>"),
        ]


def is_bundle(node):
    return isinstance(node, nodes.container) and node.get("nb_element") == "mime_bundle"


def html(text):
    return nodes.raw("", text, format="html")
