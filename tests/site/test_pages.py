"""Every page of the book, in a real browser."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


def test_opens_without_a_fault_or_a_request_to_others(visit, name):
    page = visit(name)
    assert page.title()
    assert page.faults == []


def test_is_served_compressed(chromium, site, name):
    with chromium.new_context() as context:
        answer = context.request.get(f"{site}/{name}.html")
    assert answer.headers["content-encoding"] == "gzip"


def test_formulas_are_set(visit, name):
    page = visit(name)
    page.evaluate("document.querySelectorAll('script, style, pre, code').forEach(e => e.remove())")
    text = page.locator("article").inner_text()
    assert [word for word in text.split() if "\\" in word or "$$" in word] == []
    # MathJax prints a command it does not know in red.
    wrong = 'mjx-merror, mjx-mtext[style*="red"], article .problematic'
    assert page.locator(wrong).all_inner_texts() == []
    assert page.locator("article .math:not(:has(mjx-container))").count() == 0


def test_images_load_and_say_what_they_show(visit, name):
    images = visit(name).eval_on_selector_all(
        "article img",
        """all => Promise.all(all.map(async image => {
            image.loading = "eager";
            await image.decode().catch(() => {});
            return { src: image.src, alt: image.alt, width: image.naturalWidth };
        }))""",
    )
    for image in images:
        assert image["width"] > 0, image
        # Docutils puts the file's name where an author gave no text.
        assert " " in image["alt"].strip(), f"no alternative text: {image}"


def test_fits_a_phone(visit, name):
    page = visit(name, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_fits_a_phone_before_its_scripts_have_come(chromium, site, name):
    """A phone zooms out to show a page whose room for a widget is too broad."""
    with chromium.new_context(viewport=PHONE, is_mobile=True) as context:
        context.route("**/*.js*", lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{site}/{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate("innerWidth") == PHONE["width"]


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_nothing_jumps_while_it_opens(visit, name, viewport):
    """Widgets, pictures and formulas find their room kept: 0.1 is what Lighthouse allows."""
    page = visit(name, viewport=viewport)
    page.wait_for_load_state("networkidle")
    shift = page.evaluate(
        """() => new Promise(done => {
            const shifts = [];
            new PerformanceObserver(list => shifts.push(...list.getEntries()))
                .observe({ type: "layout-shift", buffered: true });
            setTimeout(() => done(shifts.reduce((sum, { value }) => sum + value, 0)), 300);
        })"""
    )
    assert shift < 0.1


@pytest.mark.parametrize("place", [-6, -3, -2, -1])
def test_a_link_to_a_section_lands_there(visit, chapter, place):
    """Though what lies above it has not been laid out."""
    sections = visit(chapter, viewport=PHONE).locator("article > section > section")
    ids = sections.evaluate_all("all => all.map(each => each.id)")
    section = ids[max(place, -len(ids))]
    page = visit(chapter, hash=f"#{section}", viewport=PHONE)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    top, left = page.evaluate(
        """id => [
            document.getElementById(id).getBoundingClientRect().top,
            document.documentElement.scrollHeight - scrollY - innerHeight,
        ]""",
        section,
    )
    assert 0 <= top <= (100 if left > 2 else PHONE["height"] - 100)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_looks(visit, name, scheme, viewport):
    """Readers' colour scheme is followed; the pictures are kept to be looked at."""
    page = visit(name, color_scheme=scheme, viewport=viewport)
    picture = ROOT / "_build" / "pictures" / f"{name}-{scheme}-{viewport['width']}.png"
    page.screenshot(path=picture, full_page=True)
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert (red + green + blue > 3 * 128) == (scheme == "light")
    assert picture.stat().st_size > 10_000
