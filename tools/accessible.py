"""Sphinx extension: mends HTML that is not valid or accessible, and says what a page is about."""

import re
from html import escape
from itertools import takewhile
from pathlib import Path
from textwrap import shorten

from docutils import nodes

MENDED = {
    'role="doc-biblioentry"': 'role="listitem"',  # it stands in a list
    ' id="proof-content"': "",  # an id that every theorem and exercise repeats
    ' id="exercise-content"': "",
    ' id="proof"': "",
}
THEME = {
    '<div id="pst-primary-sidebar" ': '<div id="pst-primary-sidebar" role="complementary" ',
    # The button's name is all that it shows, the keys too.
    'search-button-field search-button__button pst-js-only" title="Search" aria-label="Search"': (
        'search-button-field search-button__button pst-js-only" title="Search"'
    ),
}
FORMULA = "\0"


def setup(app):
    app.connect("html-page-context", mend)
    app.connect("html-page-context", describe)
    app.connect("build-finished", mend_theme)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def mend(app, name, template, context, doctree):
    for written, right in MENDED.items():
        if "body" in context:
            context["body"] = context["body"].replace(written, right)


def describe(app, name, template, context, doctree):
    """What search engines show: the page's first paragraph, its sentences up to a formula."""
    if 'name="description"' in context.get("metatags", ""):
        return
    paragraphs = doctree.findall(nodes.paragraph) if doctree else ()
    texts = (text for text in map(plain, paragraphs) if len(text) > 30)
    text = next(texts, f"{context.get('title', name)}: {app.config.html_title}")
    content = escape(shorten(text, 160, placeholder=" …"))
    context["metatags"] = (
        f'{context.get("metatags", "")}\n<meta name="description" content="{content}">'
    )


def plain(paragraph):
    text = "".join(FORMULA if isinstance(n, nodes.math) else n.astext() for n in paragraph)
    sentences = re.split(r"(?<=[.?!])\s+", text)
    return " ".join(takewhile(lambda sentence: FORMULA not in sentence, sentences))


def mend_theme(app, exception):
    if exception is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            for written, right in THEME.items():
                text = text.replace(written, right)
            page.write_text(text, encoding="utf-8")
