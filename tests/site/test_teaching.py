"""The instructor's guide and the slides open widgets in the states that they name."""

import html as entities
import re
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "teaching": ROOT / "book" / "teaching.md",
    **{f"slides/{path.stem}": path for path in (ROOT / "book" / "slides").glob("*.md")},
}


@cache
def links():
    """(page, widget's name, state) of every link or piece that names a state."""
    found = set()
    for source, path in SOURCES.items():
        text = path.read_text(encoding="utf-8")
        if source == "teaching":
            named = re.findall(r'href="(\w+)\.html#(\w+):([^"]+)"', text)
        else:
            named = [(path.stem, *each) for each in re.findall(r"\{widget #(\w+):(.*)\}", text)]
        found |= {(page, name, entities.unescape(state)) for page, name, state in named}
    return sorted(found)


def test_there_are_links_to_every_kind():
    assert {name for _, name, _ in links()} == {"elbo", "lab", "race", "reparam"}
    assert len(links()) >= 15


@pytest.mark.parametrize(("page", "widget", "state"), links())
def test_the_state_is_applied(visit, html, page, widget, state):
    assert f'"name": "{widget}"' in (html / "book" / f"{page}.html").read_text("utf-8")
    opened = visit(f"book/{page}", hash=f"#{widget}:{state}")
    link = opened.locator(f'a.vt-link[href^="#{widget}:"]')
    link.wait_for()
    opened.wait_for_timeout(500)  # the link follows the state after 200 ms
    shown = dict(parse_qsl(link.get_attribute("href").split(":", 1)[1]))
    for key, value in parse_qsl(state):
        assert shown[key] == value, (key, shown)
    assert opened.faults == []
    assert opened.context.cookies() == []


@pytest.mark.parametrize(
    ("draws", "arrive"),
    [
        (2, {"sticking the landing"}),
        (10, {"sticking the landing", "score function with baseline"}),
        (100, {"sticking the landing", "score function with baseline"}),
    ],
)
def test_who_arrives_in_the_race(visit, draws, arrive):
    page = visit("book/gradients", hash=f"#race:draws={draws}&step=0&play=1")
    page.wait_for_function("document.querySelector('.vitutor')?.dataset.step === '400'")
    text = page.locator(".vitutor").first.inner_text()
    found = dict(re.findall(r"^([a-z ]+)\s+KL (\S+(?: × 10\S+)?) nats", text, re.M))
    assert len(found) == 4
    # Tiny numbers stand as powers of ten.
    assert {name for name, kl in found.items() if "10⁻" in kl} == arrive, found


def test_a_climb_stays_on_its_hump(visit):
    """As the guide says of the left hump."""
    page = visit("book/inference", hash="#elbo:target=two-humps&mu=-2&sigma=0.5&step=0")
    root = page.locator(".vitutor").first
    root.locator(".vt-play").click()
    page.wait_for_function("!document.querySelector('.vt-playing')", timeout=60_000)
    assert float(root.get_attribute("data-step")) > 10
    assert float(root.get_attribute("data-mu")) < -1
