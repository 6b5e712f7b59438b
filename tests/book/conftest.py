import ast
import json
from functools import cache
from pathlib import Path

import pytest

EXECUTED = Path(__file__).parents[2] / "_build" / "jupyter_execute" / "book"


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

    def printed(chapter):
        texts = []
        for cell in read(f"{chapter}.ipynb")["cells"]:
            streams = (o for o in cell.get("outputs", ()) if o.get("name") == "stdout")
            # The build merges a cell's streams into the first, and leaves the others there.
            texts += next(streams, {"text": []})["text"]
        return "".join(texts)

    return printed
