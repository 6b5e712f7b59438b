"""The site asks nobody for anything: served, or opened as files from a disk."""

import pytest


@pytest.fixture(params=["http", "file"])
def root(request, site, html):
    return {"http": site, "file": html.as_uri()}[request.param]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_without_a_fault(visit, root, anything, scheme):
    page = visit(anything, root=root, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    page.wait_for_load_state("networkidle")
    assert page.title()
    assert page.faults == []


def test_search_finds_and_leads_there(visit, root):
    page = visit("book/index", root=root)
    page.keyboard.press("Control+k")
    page.keyboard.type("penguins")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Enter")
    found = page.locator("#search-results a", has_text="linear regression").first
    found.wait_for()
    page.wait_for_load_state("networkidle")
    found.click()
    page.wait_for_url("**/book/regression.html**")
    assert page.faults == []


def test_formulas_and_icons_need_no_script(chromium, html, chapter):
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto((html / f"{chapter}.html").as_uri())
        assert page.locator("article .math:not(:has(mjx-container))").count() == 0
        assert page.locator("article mjx-container").first.bounding_box()["width"] > 5
