import ast
import json
import re
import warnings
from functools import cache
from pathlib import Path

import nbformat
import pytest
from jupyter_cache import get_cache

BUILD = Path(__file__).parents[2] / "_build"
EXECUTED, CACHE = BUILD / "jupyter_execute" / "book", BUILD / ".jupyter_cache"


@cache
def read(name):
    path = EXECUTED / name
    assert path.exists(), "the book is not built: run make book first"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def number():
    """number(chapter, name): what the executed chapter glued under that name."""

    def number(chapter, name):
        return ast.literal_eval(read(f"{chapter}.glue.json")[name]["data"]["text/plain"])

    return number


@pytest.fixture(scope="session")
def printed():
    """printed(chapter): all that the executed chapter printed, cell after cell."""

    @cache
    def printed(chapter):
        # A page made from the cache is written without its outputs, so they are read from there.
        with warnings.catch_warnings(action="ignore"):
            notebook = nbformat.reads(json.dumps(read(f"{chapter}.ipynb")), as_version=4)
            _, executed = get_cache(CACHE).merge_match_into_notebook(notebook)
        outputs = (o for cell in executed.cells for o in cell.get("outputs", ()))
        return "".join(o.text for o in outputs if o.get("name") == "stdout")

    return printed


@pytest.fixture(scope="session")
def told(printed):
    """told(chapter, label): the numbers on the printed line that begins with the label."""

    def told(chapter, label):
        lines = [line.strip() for line in printed(chapter).splitlines()]
        (line,) = {line for line in lines if line.startswith(label)}
        return [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[-+]\d+)?", line[len(label) :])]

    return told
