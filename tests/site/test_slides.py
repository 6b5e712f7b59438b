"""The lecture slides, each of them looked at in a real browser, served and from a disk."""

import base64
import re
from pathlib import Path

import pytest
import slides
from axe_playwright_python.sync_playwright import Axe
from weight import weigh

ROOT = Path(__file__).parents[2]
DECKS = ("regression", "elbo", "reparameterization")
PAGE = {"width": 1280, "height": 720}
# What of a slide reaches beyond its page; what only screen readers hear has no place on it.
BEYOND = """() => [...Reveal.getCurrentSlide().querySelectorAll("*")].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width && box.height && !e.closest("mjx-assistive-mml")
        && (box.left < 0 || box.top < 0 || box.right > 1280 || box.bottom > 720);
}).map(e => e.outerHTML.slice(0, 200))"""
WORDS = """() => {
    const slide = Reveal.getCurrentSlide().cloneNode(true);
    slide.querySelectorAll("pre, mjx-assistive-mml").forEach(e => e.remove());
    return slide.textContent;
}"""


@pytest.fixture(params=DECKS)
def deck(request):
    return request.param


@pytest.fixture
def show(visit):
    def show(deck, **options):
        page = visit(f"book/slides/{deck}", viewport=PAGE, **options)
        page.wait_for_function("window.Reveal?.isReady()")
        return page

    return show


def turn(page):
    """Every slide in its turn, with all that a key press would show."""
    for number in range(page.evaluate("Reveal.getTotalSlides()")):
        page.evaluate(f"Reveal.slide({number}, 0, 99)")
        yield number + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("served", [True, False], ids=["http", "file"])
def test_every_slide_fits_and_asks_nobody(show, site, html, deck, scheme, served):
    page = show(deck, root=site if served else html.as_uri(), color_scheme=scheme)
    for number in turn(page):
        assert page.evaluate(BEYOND) == [], number
        picture = ROOT / "_build" / "pictures" / "slides" / f"{deck}-{scheme}-{number:02d}.png"
        page.screenshot(path=picture)
    assert number >= 15
    assert page.faults == []
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
    assert (sum(map(int, colour[:3])) > 3 * 128) == (scheme == "light")


def test_no_source_shows(show, deck):
    page = show(deck)
    assert page.locator(".math:not(:has(mjx-container))").count() == 0
    assert page.locator("mjx-container").count() > 10
    for number in turn(page):
        text = page.evaluate(WORDS)
        assert re.findall(r"[$\\{}]|:::|`", text) == [], number


def test_pictures_load_and_say_what_they_show(show, deck):
    images = show(deck).eval_on_selector_all(
        "img",
        """all => Promise.all(all.map(async image => {
            await image.decode();
            return [image.naturalWidth, image.alt];
        }))""",
    )
    assert len(images) >= 5
    assert all(width > 0 and " " in alt for width, alt in images)


def test_axe_finds_nothing(show, deck):
    page = show(deck)
    for number in turn(page):
        found = Axe().run(page).response["violations"]
        nodes = [(rule["id"], node["html"][:200]) for rule in found for node in rule["nodes"]]
        assert nodes == [], number


def test_an_answer_shows_after_the_question(show):
    page = show("elbo")
    page.evaluate("Reveal.slide(3)")
    assert page.locator("blockquote", has_text="Which is larger").is_visible()
    answer = page.locator(".fragment", has=page.get_by_text("log of the mean weight"))
    opacity = "e => getComputedStyle(e).opacity"
    assert answer.evaluate(opacity) == "0"
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"e => ({opacity})(e) === '1'", arg=answer.element_handle())
    assert page.evaluate("Reveal.getIndices().h") == 3


def test_figures_code_and_prints_are_the_chapters_own(html, deck):
    text = (html / "book" / "slides" / f"{deck}.html").read_text("utf-8")
    chapter = (html / "book" / f"{deck}.html").read_text("utf-8")
    figures = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)
    shown = {(html / "book" / n).read_text("utf-8") for n in re.findall(r'"([^"]+\.svg)"', chapter)}
    assert len(figures) >= 4
    assert all(base64.b64decode(each).decode().strip() in shown for each in figures)
    printed = re.findall(r'data-mime-type="text/plain">\n<pre>\n?(.*?)</pre>', text, re.DOTALL)
    assert printed
    assert all(each.strip() in chapter for each in printed)


def test_a_deck_is_light(chromium, site, deck):
    assert sum(weigh(chromium, f"{site}/book/slides/{deck}.html").values()) <= 500_000


class Chapter(slides.Chapter):
    def __init__(self):
        self.name, self.text, self.cells = "small", "$$\na = b .\n$$ (eq-small)", []


def test_a_piece_that_is_not_there_is_named():
    assert (
        slides.as_notebook("# Title\n\n{eq-small}\n", Chapter()).cells[1].source == "$$\na = b\n$$"
    )
    for piece in ("eq-none", "fig-none", "code none", "output none", "widget #a:b=c"):
        with pytest.raises(LookupError, match="small has"):
            slides.as_notebook(f"# Title\n\n{{{piece}}}\n", Chapter())
