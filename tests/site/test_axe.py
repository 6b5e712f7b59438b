"""axe, the checker of accessibility, finds nothing on any page that a reader can open."""

import pytest
from axe_playwright_python.sync_playwright import Axe

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
# Rule and selector of what the theme itself does wrong, and why it stays.
ALLOWED = {}


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_finds_nothing(visit, anything, scheme, viewport):
    page = visit(anything, color_scheme=scheme, viewport=viewport)
    page.add_style_tag(content=":not(:root) { content-visibility: visible !important }")
    page.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    page.wait_for_load_state("networkidle")
    page.evaluate("Promise.allSettled(document.getAnimations().map(each => each.finished))")
    found = {
        (rule["id"], node["target"][0]): node["html"]
        for rule in Axe().run(page).response["violations"]
        for node in rule["nodes"]
    }
    assert {k: v for k, v in found.items() if k not in ALLOWED} == {}
