"""Marks given by hand join the others, and no new run loses them."""

import csv
import json
from pathlib import Path

import grade
import pytest
import sandbox

SMALL = Path(__file__).with_name("small.md")
SEED = "a secret of the teacher"
KL = "import numpy as np\ndef kl(mean, sd): return (sd**2 + mean**2 - 1) / 2 - np.log(sd)"


@pytest.fixture
def run(tmp_path):
    """Grade two students; their rows of grades.csv."""
    folder, out = tmp_path / "class", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for student in ("ann", "bob"):
        cells = [{"cell_type": "code", "source": KL if student == "ann" else ""}]
        (folder / f"{student}.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")

    def run(marks=None):
        if marks is not None:
            (out / "marks.csv").write_text(marks, encoding="utf-8")
        grade.grade(SMALL, folder, out, SEED, sandbox.find())
        with (out / "grades.csv").open(encoding="utf-8") as lines:
            return {row["student"]: row for row in csv.DictReader(lines)}, out

    return run


def test_marks_are_merged_and_survive_every_run(run):
    rows, out = run()
    assert [rows["ann"][each] for each in ("kl", "trust", "total")] == ["4", "", "4"]
    text = "student,part,points\nann,trust,4.5\nbob,trust,0\n"
    rows, _ = run(text)
    assert [rows["ann"][each] for each in ("trust", "total")] == ["4.5", "8.5"]
    assert [rows["bob"][each] for each in ("trust", "total")] == ["0", "0"]
    again, _ = run()
    assert again == rows
    assert (out / "marks.csv").read_text("utf-8") == text
    page = (out / "feedback" / "ann.html").read_text("utf-8")
    assert "4.5 / 6" in page
    assert "8.5 of\n20" in page


def test_a_spreadsheets_byte_order_mark_does_no_harm(run):
    rows, _ = run("\ufeffstudent,part,points\r\nann,trust,6\r\n")
    assert rows["ann"]["total"] == "10"
    assert rows["bob"]["trust"] == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ann,trust,4\n", "needs a first line"),
        ("student,part,points\ncy,trust,4\n", "line 2: nobody named 'cy'"),
        ("student,part,points\nann,kl,4\n", "line 2: marked by hand are trust; got 'kl'"),
        ("student,part,points\nann,trust,7\n", "line 2: points are a number from 0 to 6"),
        ("student,part,points\nann,trust,nan\n", "line 2: points are a number from 0 to 6"),
        ("student,part,points\nann,trust\n", "line 2: points are a number from 0 to 6"),
        ("student,part,points\nann,trust,1\nann,trust,2\n", "line 3: 'ann' has a mark"),
    ],
)
def test_faulty_marks_are_refused(run, text, message):
    with pytest.raises(grade.MarksError, match=message):
        run(text)
