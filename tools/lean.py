"""Sphinx extension: a page carries what it shows, and not the rest of the theme.

The theme ships 1.5 MB of icon script and 1 MB of icon fonts, of which the fonts alone draw the same
icons; here they keep the glyphs in use. The style sheets become one, without the rules whose
classes no page and no script names. A search index is loaded where one searches, a picture when it
comes near, scripts wait for the page, and what is out of sight is not measured.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

import pydata_sphinx_theme
import tinycss2
from fontTools import subset
from PIL import Image

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
ICONS = Path("vendor", "fontawesome", "webfonts")
UNUSED = "scripts/*.map", "scripts/fontawesome*", f"{ICONS}/*.ttf"
ICON_SCRIPT = re.compile(r"<script[^>]*scripts/fontawesome\.js[^>]*></script>\s*")
SHEET = "book.css"
LINK = re.compile(
    r"""<link (?=[^>]*rel="stylesheet")[^>]*href="([^"']*_static/)(?!book\.css)([^"'?]+)[^>]*>\s*"""
)
SEARCH = re.compile(r"<script[^>]*(?:searchtools|language_data|searchindex)\.js[^>]*></script>\s*")
# The options are set by scripts in the page, so they cannot wait, and are too few for a request.
OPTIONS = re.compile(r'<script [^>]*src="[^"]*/documentation_options\.js[^>]*></script>')
SCRIPT = re.compile(r'<script (?!defer)((?:[^>]* )?src="[^>]*>)')
MAP = re.compile(r"\n?(//# sourceMappingURL=.*|/\*# sourceMappingURL=.*?\*/)\s*$")
# Whether a box scrolls, so that the keyboard must reach it. The theme asks every box while the page
# opens, and each answer costs a layout; asked is now who comes into view.
SCROLLS = "e.scrollWidth>e.clientWidth||e.scrollHeight>e.clientHeight"
ASK_ALL = f".forEach(e=>{{e.tabIndex={SCROLLS}?0:-1}})"
ASK_SEEN = f""".forEach(e=>{{
  if (!e.hasAttribute("tabindex")) e.tabIndex = 0;
  window.asked ??= new IntersectionObserver(boxes => boxes
    .filter(box => box.isIntersecting)
    .map(({{target: e}}) => [e, {SCROLLS}])
    .forEach(([e, scrolls]) => {{ e.tabIndex = scrolls ? 0 : -1 }}));
  window.asked.unobserve(e);
  window.asked.observe(e);
}})"""
IMAGE = re.compile(r'<img ([^>]*src="([^"]*_images/[^"]*)"[^>]*?)\s*/?>')
PIXELS = {"pt": 4 / 3, "px": 1, "": 1}


def setup(app):
    app.connect("build-finished", make_lean, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make_lean(app, exception):
    if exception is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    static = out / "_static"
    for pattern in UNUSED:
        for file in static.glob(pattern):
            file.unlink()
    options = (static / "documentation_options.js").read_text(encoding="utf-8")
    sheets = {}
    for page in out.rglob("*.html"):
        rewrite(page, lambda text, page=page: lean_page(page, text, sheets, options))
    for script in static.glob("scripts/*.js"):
        rewrite(script, lambda text: MAP.sub("", text).replace(ASK_ALL, ASK_SEEN))
    if sheets:
        words = words_in([*out.rglob("*.html"), *static.rglob("*.js")])
        text = "".join(read_sheet(static / name) for name in sheets)
        (static / SHEET).write_text(lean_sheet(text, words), encoding="utf-8")
    shrink_icons(static)


def rewrite(file, change):
    before = file.read_text(encoding="utf-8")
    after = change(before)
    if after != before:
        file.write_text(after, encoding="utf-8")


def lean_page(page, text, sheets, options):
    """The page's text; the sheets that it had are added to those of the others."""
    text = ICON_SCRIPT.sub("", text)
    text = OPTIONS.sub(lambda _: f"<script>{options}</script>", text)
    if links := list(LINK.finditer(text)):
        sheets |= dict.fromkeys(link[2] for link in links)
        one = f'<link rel="stylesheet" href="{links[0][1]}{SHEET}">\n'
        text = LINK.sub("", text.replace(links[0][0], one))
    if page.name != "search.html":
        text = SCRIPT.sub(r"<script defer \1", SEARCH.sub("", text))
    return IMAGE.sub(lambda tag: sized(page, *tag.groups()), text)


def sized(page, attributes, source):
    """An image that loads when it comes near, and keeps its place until then."""
    if "loading=" not in attributes:
        width, height = size(page.parent / source)
        attributes += f' loading="lazy" width="{width:.0f}" height="{height:.0f}"'
    return f"<img {attributes}>"


def size(picture):
    if picture.suffix != ".svg":
        with Image.open(picture) as image:
            return image.size
    root = ElementTree.parse(picture).getroot()
    lengths = (re.fullmatch(r"([\d.]+)(\w*)", root.get(side)) for side in ("width", "height"))
    return [float(length[1]) * PIXELS[length[2]] for length in lengths]


def read_sheet(file):
    """A style sheet with those that it imports, as if it stood beside SHEET."""
    text = file.read_text(encoding="utf-8")
    text = re.sub('@import "(.*?)";', lambda name: read_sheet(file.parent / name[1]), text)
    return text.replace("url(../", "url(") + "\n"


def words_in(files):
    return {w for f in files for w in re.findall(r"[\w-]+", f.read_text(encoding="utf-8"))}


def lean_sheet(text, words):
    """The sheet without rules that no element can meet: one of their classes has no such word."""
    rules = tinycss2.parse_stylesheet(text, skip_whitespace=True)
    return tinycss2.serialize(prune(rules, words))


def prune(rules, words):
    kept = []
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = tinycss2.serialize(rule.prelude).split(",")
            # A comma inside :is(…) or :not(…) makes pieces that say less: those are kept.
            if not any(classes(selector) <= words for selector in selectors):
                continue
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            rule.content = prune(tinycss2.parse_rule_list(rule.content, True, True), words)
            if not rule.content:
                continue
        elif rule.type == "comment" and not rule.value.startswith("!"):  # ! marks a licence
            continue
        kept.append(rule)
    return kept


def classes(selector):
    plain = re.sub(r":not\([^)]*\)?", "", selector)
    return set(re.findall(r"\.(-?[_a-zA-Z][\w-]*)", plain))


def shrink_icons(static):
    sheet = (static / SHEET).read_text(encoding="utf-8")
    glyphs = {ord(letter) for letter in sheet if 0xE000 <= ord(letter) <= 0xF8FF}
    glyphs |= {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})\b", sheet)}
    options = subset.Options(flavor="woff2", layout_features=[], notdef_outline=False)
    for source in (THEME / ICONS).glob("*.woff2"):
        font = subset.load_font(str(source), options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=glyphs)
        subsetter.subset(font)
        subset.save_font(font, str(static / ICONS / source.name), options)
