"""The reference part of the book is complete."""

import inspect
import re
from pathlib import Path

import pytest
from pybtex.database import parse_file

import vitutor

BOOK = Path(__file__).parents[2] / "book"
BIBLIOGRAPHY = parse_file(BOOK / "references.bib").entries


@pytest.mark.parametrize("public", vitutor.__all__)
def test_a_public_name_is_on_the_api_page(html, public):
    page = (html / "book" / "api.html").read_text(encoding="utf-8")
    assert f'id="vitutor.{public}"' in page


CALLABLE = [name for name in vitutor.__all__ if callable(getattr(vitutor, name))]


@pytest.mark.parametrize("public", CALLABLE)
def test_a_public_name_is_documented(public):
    thing = getattr(vitutor, public)
    assert thing.__doc__
    assert "Alias for field" not in thing.__doc__
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{public}.{member}"


@pytest.mark.parametrize("key", BIBLIOGRAPHY)
def test_a_source_can_be_found(key):
    entry = BIBLIOGRAPHY[key]
    assert re.fullmatch(r"10\.\d{4,}/\S+", entry.fields.get("doi", "")) or re.fullmatch(
        r"https?://\S+", entry.fields.get("url", "")
    )
    assert key == key.lower()
    assert key.endswith(entry.fields["year"])


def test_only_the_bibliography_lists_sources():
    pages = [p.name for p in BOOK.glob("*.md") if "{bibliography}" in p.read_text("utf-8")]
    assert pages == ["bibliography.md"]
