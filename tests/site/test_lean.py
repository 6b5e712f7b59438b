"""What is left of the theme's icons and of MathJax is all that the pages use."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from lean import ASK_ALL, THEME

ROOT = Path(__file__).parents[2]
ICONS = """all => all.map(icon => {
    const style = getComputedStyle(icon, "::before");
    return [icon.className, style.content, style.fontFamily, style.fontWeight];
})"""


@pytest.fixture(scope="module")
def glyphs(html):
    """The letters of each icon font, as the style sheet calls it."""
    folder = html / "_static" / "vendor" / "fontawesome" / "webfonts"
    files = {"Brands": "fa-brands-400", "400": "fa-regular-400", "900": "fa-solid-900"}
    return {name: TTFont(folder / f"{file}.woff2").getBestCmap() for name, file in files.items()}


def test_every_icon_has_a_glyph(visit, glyphs, anything):
    icons = visit(anything).eval_on_selector_all("[class*='fa-'], .fas, .fab, .far, .fa", ICONS)
    assert icons
    for name, content, family, weight in icons:
        letter = re.fullmatch('"(.)"', content)
        assert letter, f"no rule for {name}"
        assert ord(letter[1]) in glyphs["Brands" if "Brands" in family else weight], name


def test_icons_that_scripts_add_have_a_rule(html):
    static = html / "_static"
    scripts = "".join(file.read_text("utf-8") for file in static.rglob("scripts/*.js"))
    sheet = (static / "book.css").read_text("utf-8")
    names = set(re.findall(r"\bfa-[a-z][a-z-]+", scripts)) - {"fa-solid", "fa-brands", "fa-regular"}
    assert names
    assert {name for name in names if f".{name}" not in sheet} == set()


def test_the_theme_still_asks_every_box_whether_it_scrolls():
    assert (THEME / "scripts" / "pydata-sphinx-theme.js").read_text("utf-8").count(ASK_ALL) == 1


@pytest.mark.parametrize("place", ["book/elbo", "book/blackbox"])
def test_the_keyboard_reaches_the_code_that_scrolls_and_no_other(visit, place):
    page = visit(place, viewport={"width": 390, "height": 844})
    boxes = page.locator("article pre:visible").element_handles()[:12]
    assert boxes
    for box in boxes:
        box.scroll_into_view_if_needed()
        tab = 0 if box.evaluate("e => e.scrollWidth > e.clientWidth") else -1
        page.wait_for_function("([e, tab]) => e.tabIndex === tab", arg=[box, tab])


@pytest.mark.parametrize(("tex", "good"), [(r"\log p(x) < \tfrac12", True), (r"\logg p", False)])
def test_a_formula_that_cannot_be_set_fails_the_build(tmp_path, tex, good):
    (tmp_path / "conf.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r})\n"
        "extensions = ['formulas']; html_theme = 'sphinx_book_theme'"
    )
    (tmp_path / "index.rst").write_text(f"Title\n=====\n\nThe formula :math:`{tex}`.\n")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", tmp_path, tmp_path / "o"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert (built.returncode == 0) == good, built.stderr
    assert ("MathJax cannot set" in built.stderr) != good
