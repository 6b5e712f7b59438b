"""Every chapter has its parts, in the form that CONTRIBUTING.md asks for."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def text(chapter):
    if chapter in ("book/index", "book/teaching"):
        pytest.skip("no chapter, though it computes something")
    return (ROOT / f"{chapter}.md").read_text(encoding="utf-8")


def test_begins_with_what_it_is_for(text):
    (box,) = re.findall(r":class: objectives\n(.*?)\n:::", text, re.DOTALL)
    assert box.count("\n- ") >= 3
    assert re.search(r"\n\nYou need .*Reading\s+takes\s+about\s+\d+\s+minutes\.", box, re.DOTALL)


def test_ends_with_the_same_parts(text):
    parts = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert parts[-5:] == [
        "Common misconceptions",
        "Check yourself",
        "Exercises",
        "Summary",
        "Further reading",
    ]
    assert "Try it" in parts
    assert text.count(":class: misconceptions") >= 3
    assert 2 <= text.count(":::{quiz}") <= 4


def test_has_a_widget_and_links_that_set_it(text):
    part = text.split("## Try it")[1].split("## Common")[0]
    question, widget = part.split("{code-cell}", 1)
    assert "?" in question
    assert re.search(r"vt\.(\w+(Lab|Explorer|Race))\(", widget)
    assert re.search(r'<a href="#\w+:\w+=', part)


def test_each_exercise_has_hint_and_solution(text):
    part = text.split("## Exercises")[1].split("## Summary")[0]
    exercises = part.split(":::{exercise}")[1:]
    assert 4 <= len(exercises) <= 6
    for each in exercises:
        assert re.findall(r"<summary>(.*)</summary>", each) == ["Hint", "Solution"]
    cells = re.findall(r"```\{code-cell\} python\n(.*)", part)
    assert {*cells} == {":jupyter: {source_hidden: true, outputs_hidden: true}"}


def test_each_figure_says_what_it_shows(text):
    figures = re.findall(r"\nmystnb:\n(.*?)\n---", text, re.DOTALL)
    assert figures
    for each in figures:
        assert all(word in each for word in ("name: fig-", "caption: ", "alt: "))
