"""Sphinx extension: anywidgets live on a page without a kernel (`widgets/host.js`).

A page's widgets share one copy of their code with the whole site, and each has, for readers without
scripts, the picture that came with its output.
"""

import hashlib
import json
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import WIDGET_STATE_MIMETYPE, WIDGET_VIEW_MIMETYPE
from sphinx.builders.html._assets import _JavaScript
from sphinx.transforms.post_transforms import SphinxPostTransform

HOST = Path(__file__).parents[1] / "widgets" / "host.js"
PICTURES = ("image/svg+xml", "image/png")


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
        file.write_text(text, encoding="utf-8")
    return f"widgets/{name}"


def copy_host(app):
    if app.builder.format == "html":
        asset(app, "host.js", HOST.read_text(encoding="utf-8"))


def share_code(app, pagename, templatename, context, doctree):
    """Move code out of a page's widget state to a file, and name models by their order."""
    scripts = context["script_files"]
    for n, script in enumerate(scripts):
        if script.attributes.get("type") != WIDGET_STATE_MIMETYPE:
            continue
        body = script.attributes["body"]
        content = json.loads(body)
        for model in content["state"].values():
            for key in ("_esm", "_css"):
                if isinstance(text := model["state"].get(key), str) and text:
                    name, file = shared(app, text)
                    model["state"][key] = {"source": name}
                    sources = _JavaScript(f"_static/{file}", priority=490, defer="defer")
                    if sources not in scripts:
                        scripts.append(sources)
        renamed = json.dumps(content).replace("</", r"<\/")
        for order, identity in enumerate(content["state"]):
            renamed = renamed.replace(identity, f"widget-{order}")
            context["body"] = context["body"].replace(identity, f"widget-{order}")
        attributes = script.attributes | {"body": renamed}
        scripts[n] = _JavaScript(script.filename, priority=script.priority, **attributes)


def shared(app, text):
    """The name of a source text, and the script that registers it under that name."""
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    script = f"(window.widgetSources ??= {{}})[{json.dumps(name)}] = {json.dumps(text)};\n"
    return name, asset(app, f"{name}.js", script)


class Stills(SphinxPostTransform):
    """A widget's output keeps its picture: beside the view in HTML, instead of it elsewhere."""

    default_priority = 3  # before myst-nb selects one of the output's kinds

    def run(self):
        for bundle in [*self.document.findall(is_bundle)]:
            kinds = {child["mime_type"]: child for child in bundle}
            picture = next((kinds[kind] for kind in PICTURES if kind in kinds), None)
            if WIDGET_VIEW_MIMETYPE not in kinds or picture is None:
                continue
            for image in picture.findall(nodes.image):
                image["alt"] = kinds["text/plain"].astext().strip() if "text/plain" in kinds else ""
            if self.app.builder.format != "html":
                bundle[:] = [picture]
                continue
            view = kinds[WIDGET_VIEW_MIMETYPE]
            still = [
                html("<div class='widget-still'><noscript>"),
                *picture,
                html("</noscript></div>"),
            ]
            view[:] = [html("<div class='widget-with-still'>"), *view, *still, html("</div>")]
            bundle[:] = [view]


def is_bundle(node):
    return isinstance(node, nodes.container) and node.get("nb_element") == "mime_bundle"


def html(text):
    return nodes.raw("", text, format="html")
