"""Sphinx extension: lecture slides, made of the chapters' own cells, figures and equations.

A deck in book/slides/ has the name of its chapter. It is Markdown, a slide from one line `---` to
the next, and a line in braces stands for a piece of the chapter:

    {eq-label}  {fig-label}     the equation, the figure of that label
    {code TEXT}  {output TEXT}  the code cell that holds the text; what it printed
    {widget #name:state}        the picture of the widget, which opens it in that state

What follows a question, a block that begins with `>`, shows one key press later. nbconvert makes
reveal.js slides of it; `formulas.py` sets the formulas.
"""

import ast
import base64
import re
import shutil
import warnings
from html import escape
from importlib.util import find_spec
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from myst_nb.core.read import read_myst_markdown_notebook
from nbconvert import SlidesExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.errors import ExtensionError

REVEAL = Path(find_spec("sphinx_revealjs").origin).parent / "_static" / "revealjs"
TEMPLATE = Path(__file__).with_name("deck")
PIECE = re.compile(r"\{(eq-[\w-]+|fig-[\w-]+|code|output|widget) ?(.*)\}")
BLOCK = re.compile(r"^(\{.*\}$|(?:> .*\n)+)", re.M)
GLUED = re.compile(r"\{glue:text\}`(\w+):([^`]+)`")
STOP = re.compile(r"\s*[.,](\s*\\end\{\w+\})?\s*$")  # an equation on a slide ends no sentence
WIDGET = "application/vnd.jupyter.widget-view+json"
HIDDEN = {"transient": {"remove_source": True}}


def setup(app):
    app.connect("build-finished", make_decks, priority=400)  # before formulas are set
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make_decks(app, exception):
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir) / "book" / "slides"
    out.mkdir(parents=True, exist_ok=True)
    for file in (REVEAL / "dist/reveal.js", REVEAL / "dist/reveal.css", TEMPLATE / "deck.css"):
        shutil.copy(file, out)
    shutil.copy(REVEAL / "LICENSE", out / "reveal.LICENSE")
    cache = get_cache(Path(app.outdir).parent / ".jupyter_cache")
    for deck in sorted(Path(app.srcdir, "book", "slides").glob("*.md")):
        chapter = Chapter(deck.parents[1] / deck.name, cache)
        try:
            slides = as_notebook(deck.read_text(encoding="utf-8"), chapter)
        except LookupError as fault:
            raise ExtensionError(f"{deck}: {fault.args[0]}") from None
        (out / f"{deck.stem}.html").write_text(as_html(slides), encoding="utf-8")


class Chapter:
    """An executed chapter, and its pieces."""

    def __init__(self, path, cache):
        self.name, self.text = path.stem, path.read_text(encoding="utf-8")
        with warnings.catch_warnings(action="ignore"):
            notebook = read_myst_markdown_notebook(self.text)
            self.cells = cache.merge_match_into_notebook(notebook)[1].cells
        self.cells = [cell for cell in self.cells if cell.cell_type == "code"]
        self.glued = {
            output.metadata.scrapbook.name: ast.literal_eval(*output.data.values())
            for cell in self.cells
            for output in cell.outputs
            if "scrapbook" in output.get("metadata", ())
        }

    def glue(self, place):
        name, form = place.groups()
        return format(self.glued[name], form).replace("-", "−")

    def find(self, what, holds):
        found = [cell for cell in self.cells if holds(cell)]
        if len(found) != 1:
            raise LookupError(f"{self.name} has {len(found)} cells with {what!r}, one is needed.")
        return found[0]

    def with_text(self, text):
        return self.find(text, lambda cell: text in cell.source)

    def equation(self, label):
        found = re.search(rf"^\$\$\n((?:(?!\$\$).)*)\n\$\$ \({label}\)$", self.text, re.M | re.S)
        if not found:
            raise LookupError(f"{self.name} has no equation {label!r}.")
        return f"$$\n{STOP.sub(lambda stop: stop[1] or '', found[1])}\n$$"

    def figure(self, label):
        about = "mystnb", "figure", "name"
        cell = self.find(label, lambda cell: deep(cell.metadata, *about) == label)
        (picture,) = (o.data["image/svg+xml"] for o in cell.outputs if "data" in o)
        words = deep(cell.metadata, "mystnb", "image", "alt")
        return in_figure(image("svg+xml", base64.b64encode(picture.encode()).decode(), words))

    def widget(self, link):
        cell = self.find(
            WIDGET, lambda cell: any(WIDGET in o.get("data", ()) for o in cell.outputs)
        )
        (data,) = (o.data for o in cell.outputs if "data" in o)
        picture = image("png", data["image/png"].replace("\n", ""), data["text/plain"])
        return in_figure(f'<a href="../{self.name}.html{escape(link)}">{picture}</a>')

    def piece(self, kind, text):
        """The cell of a slide for one line in braces."""
        if kind == "code":
            return new_code_cell(self.with_text(text).source)
        if kind == "output":
            return new_code_cell("", outputs=self.with_text(text).outputs, metadata=HIDDEN)
        if kind == "widget":
            return new_markdown_cell(self.widget(text))
        made = self.equation(kind) if kind.startswith("eq-") else self.figure(kind)
        return new_markdown_cell(made)


def deep(tree, *keys):
    for key in keys:
        tree = tree.get(key, {})
    return tree


def image(kind, data, words):
    return f'<img src="data:image/{kind};base64,{data}" alt="{escape(" ".join(words.split()))}">'


def in_figure(made):
    return f"<figure>\n{made}\n</figure>"


def as_notebook(deck, chapter):
    """The deck as a notebook with nbconvert's metadata of slides."""
    slides = []
    for slide in re.split(r"^---$", deck, flags=re.M):
        begins = "slide"
        for cell in cells_of(slide, chapter):
            cell.id = f"cell-{len(slides)}"
            if begins:
                cell.metadata["slideshow"] = {"slide_type": begins}
            begins = "fragment" if cell.source.startswith("> ") else None
            slides.append(cell)
    return new_notebook(cells=slides, metadata={"title": re.search("^# (.*)$", deck, re.M)[1]})


def cells_of(slide, chapter):
    for block in BLOCK.split(slide):
        if piece := PIECE.fullmatch(block):
            yield chapter.piece(*piece.groups())
        elif words := block.strip():
            yield new_markdown_cell(GLUED.sub(chapter.glue, words))


def as_html(slides):
    exporter = SlidesExporter(
        template_name=TEMPLATE.name,
        extra_template_basedirs=[str(TEMPLATE.parent)],
        filters={"markdown2html": markdown().render},
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    return exporter.from_notebook_node(nbformat.from_dict(slides))[0]


def markdown():
    """Markdown, with formulas in the form that Sphinx gives them."""
    made = MarkdownIt("commonmark", {"html": True, "typographer": True})
    made.enable("smartquotes")
    made.use(dollarmath_plugin)
    kinds = {"math_inline": ("span", r"\({}\)"), "math_block": ("div", r"\[{}\]")}
    for kind, (tag, form) in kinds.items():

        def rule(self, tokens, at, options, env, tag=tag, form=form):
            tex = form.format(escape(tokens[at].content.strip()))
            return f'<{tag} class="math notranslate nohighlight">{tex}</{tag}>'

        made.add_render_rule(kind, rule)
    return made
