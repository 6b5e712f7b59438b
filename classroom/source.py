"""The source of an assignment: one MyST notebook, read into cells and parts."""

import ast
import contextlib
import hashlib
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from myst_nb.core.read import read_myst_markdown_notebook
from worker import encode, pack

KINDS = ("solution", "visible-test", "hidden-test", "rubric", "written")
ANSWER = "<!-- answer -->"
STUB = "# stub:"
LINE = 66  # letters of code that fit the page of a phone


class SourceError(ValueError):
    """What is wrong with the source of an assignment, and how to mend it."""


@dataclass(frozen=True)
class Cell:
    """kind is one of KINDS, or "code" or "markdown" for everybody."""

    kind: str
    text: str

    @property
    def is_code(self):
        return self.kind not in ("markdown", "rubric", "written")


@dataclass(frozen=True)
class Part:
    """A part of an assignment; `cases` are packed arguments, `answers` encoded values."""

    name: str
    points: float
    function: str = ""
    written: bool = False
    rtol: float = 1e-6
    cases: list = field(default_factory=list)
    answers: list = field(default_factory=list)


@dataclass(frozen=True)
class Assignment:
    name: str
    cells: tuple

    @property
    def title(self):
        first = next(cell.text for cell in self.cells if cell.kind == "markdown")
        return first.strip().splitlines()[0].removeprefix("# ")


def read(path):
    """The assignment in a file."""
    path = Path(path)
    notebook = read_myst_markdown_notebook(path.read_text(encoding="utf-8"))
    cells = []
    for cell in notebook.cells:
        kinds = [tag for tag in cell.metadata.get("tags", []) if tag in KINDS]
        if len(kinds) > 1:
            raise SourceError(f"{path}: a cell is tagged {kinds}; it can be one of them only.")
        cells.append(Cell(kinds[0] if kinds else cell.cell_type, cell.source))
    return Assignment(path.stem, tuple(cells))


def functions(text):
    """Of each top-level function: its node, the last line of its head, its stub's message."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if not isinstance(node, ast.FunctionDef):
            raise SourceError(
                f"line {node.lineno} of a solution cell is not a function: put it into an untagged "
                "cell."
            )
        if not ast.get_docstring(node) or len(node.body) < 2:
            raise SourceError(f"{node.name} needs a docstring and a body.")
        head = node.body[0].end_lineno
        stubs = [
            line.strip()
            for line in lines[head : node.body[1].lineno - 1]
            if line.strip().startswith(STUB)
        ]
        if len(stubs) != 1:
            raise SourceError(
                f"{node.name} needs one line '{STUB} what to do' between docstring and body."
            )
        yield node, head, stubs[0].removeprefix(STUB).strip()


def stub(text):
    """A solution cell as a student gets it."""
    lines, kept, at = text.splitlines(), [], 0
    for node, head, message in functions(text):
        text = json.dumps(message, ensure_ascii=False)
        whole = f"    raise NotImplementedError({text})"
        if len(whole) > LINE:
            whole = f"    raise NotImplementedError(\n        {text}\n    )"
        kept += [*lines[at:head], whole]
        at = node.end_lineno
    return "\n".join(kept)


def solved(text):
    """A solution cell without the lines that describe its stubs."""
    return "\n".join(x for x in text.splitlines() if not x.strip().startswith(STUB))


def generator(*words):
    """A generator that only who knows every word can draw from."""
    return np.random.default_rng([*hashlib.sha256("\0".join(words).encode()).digest()])


def parts(assignment, seed):
    """The parts with the cases that the seed draws and their right answers; runs the solution."""
    space, found = {"__name__": "__main__", "display": lambda *_, **__: None}, []
    with contextlib.redirect_stdout(io.StringIO()):
        for cell in assignment.cells:
            if cell.kind in ("code", "solution"):
                exec(compile(cell.text, f"{assignment.name}: {cell.kind}", "exec"), space)

    def part(name, *, points, function="", cases=None, rtol=1e-6, written=False):
        where = f"{assignment.name}: part {name!r}"
        if name in [each.name for each in found]:
            raise SourceError(f"{where} stands twice: give each part its own name.")
        if written:
            found.append(Part(name, points, written=True))
            return
        if function not in space:
            raise SourceError(f"{where} asks for {function!r}, which no solution cell defines.")
        drawn = [[pack(a) for a in case] for case in cases(generator(seed, assignment.name, name))]
        # Drawn again for the solution, so that what it does to its arguments reaches nobody.
        again = cases(generator(seed, assignment.name, name))
        answers = [encode(space[function](*case)) for case in again]
        refuse(where, answers, rtol)
        found.append(Part(name, points, function, False, rtol, drawn, answers))

    for cell in assignment.cells:
        if cell.kind == "hidden-test":
            exec(
                compile(cell.text, f"{assignment.name}: hidden test", "exec"),
                space | {"part": part},
            )
    if not found:
        raise SourceError(f"{assignment.name} has no part: add a cell tagged hidden-test.")
    return found


def refuse(where, answers, rtol):
    """Refuse cases that are too few, or whose answers a constant or a non-number could give."""
    if len(answers) < 5:
        raise SourceError(f"{where} draws {len(answers)} cases; at least five are needed.")
    if not all(same(answer, answer, rtol) for answer in answers):
        raise SourceError(f"{where}: an answer is not made of finite numbers.")
    if any(all(same(answer, guess, rtol) for answer in answers) for guess in answers):
        raise SourceError(
            f"{where}: all right answers are alike, so a constant would earn its points. "
            "Draw cases whose answers differ."
        )


def same(right, given, rtol):
    """Whether the parsed JSON `given` is the answer `right`, number by number."""
    if isinstance(right, dict):
        return (
            isinstance(given, dict)
            and right.keys() == given.keys()
            and all(same(right[key], given[key], rtol) for key in right)
        )
    if isinstance(right, list):
        return (
            isinstance(given, list)
            and len(right) == len(given)
            and all(same(r, g, rtol) for r, g in zip(right, given, strict=True))
        )
    if not all(type(x) in (int, float) and abs(x) < 1e300 for x in (right, given)):
        return False  # NaN fails the comparison too
    return math.isclose(right, given, rel_tol=rtol, abs_tol=1e-12)
