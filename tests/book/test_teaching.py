"""The plans of the instructor's guide add up, and its numbers are those of chapters and results."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")


def table(heading):
    """The rows of the table below a heading, as lists of cells."""
    part = TEXT.split(f"### {heading}\n")[1].split("\n#")[0]
    lines = re.findall(r"^\| (.*) \|$", part, re.M)
    return [re.split(r"\s*\|\s*", line) for line in lines[2:]]


def numbers(row):
    return [int(cell) for cell in row if cell.isdigit()]


def reading(cell):
    """The minutes that the chapters named in a cell say their reading takes."""
    texts = [(ROOT / f"book/{name}.md").read_text("utf-8") for name in re.findall("`(.*?)`", cell)]
    return sum(int(re.search(r"Reading\s+takes\s+about\s+(\d+)", text)[1]) for text in texts)


def doing(cell):
    """The minutes that the assignment named in a cell says it takes."""
    (name,) = re.findall(r"`assignments/(\w+)`", cell)
    text = (ROOT / f"classroom/assignments/{name}.md").read_text("utf-8")
    return int(re.search(r"It takes about (\d+) minutes", text)[1])


def test_one_lecture_adds_up():
    *rows, last = [int(row[0].split()[0]) for row in table("One lecture")]
    assert len(rows) == 6
    assert sum(rows) == last


def test_one_week_adds_up():
    *rows, last = table("One week")
    for session, *row in rows:
        read, in_class, widgets, total = numbers(row)
        assert widgets < in_class
        assert read + in_class == total
        if "assignments/" in session:
            assert in_class == doing(session)
        else:
            assert read == reading(session)
    assert [sum(column) for column in zip(*map(numbers, rows), strict=True)] == numbers(last)


def test_four_weeks_add_up():
    *rows, last = table("Four weeks")
    assert len(rows) == 4
    for week, chapters, read, in_class, assignment, minutes, total in rows:
        assert int(read) == reading(chapters), week
        assert int(minutes) == doing(assignment), week
        assert int(read) + int(in_class) + int(minutes) == int(total), week
    columns = zip(*(numbers(row[1:]) for row in rows), strict=True)
    assert [sum(column) for column in columns] == numbers(last)


@pytest.mark.parametrize(
    ("glued", "row", "unit"),
    [
        ("grade_fifty", "make grade | 50 |", 1),
        ("grade_class", "make grade | 500 |", 60),
        ("grade_nbgrader", "nbgrader autograde | 50 |", 1),
    ],
)
def test_times_are_the_measured_ones(number, glued, row, unit):
    text = (ROOT / "benchmarks/results/grading.md").read_text("utf-8")
    (seconds,) = re.findall(rf"^\| {re.escape(row)} \d+ \| ([\d.]+) \|", text, re.M)
    assert number("teaching", glued) == float(seconds) / unit


def test_slides_that_it_names_exist():
    named = re.findall(r"slides?</a> \d+ to (\d+)|slides? (\d+)(?: and (\d+))?", TEXT)
    decks = [deck.read_text("utf-8") for deck in (ROOT / "book/slides").glob("*.md")]
    least = min(len(re.findall("^---$", deck, re.M)) + 1 for deck in decks)
    assert named
    assert all(int(n) <= least for each in named for n in each if n)
