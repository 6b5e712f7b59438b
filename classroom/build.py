"""Make everything that a class needs from the sources in classroom/assignments.

For students: a notebook, a page of the site, a zip that works offline. For teachers: the solution,
a source notebook for nbgrader, a zip for Gradescope. Students' artefacts stand in the folder
students, which can be given away as it is; teachers' in the folder teachers.
"""

import argparse
import json
import os
import sys
import zipfile
from pathlib import Path

import nbformat
import source
from source import ANSWER, SourceError

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "classroom" / "assignments"
EPOCH = (2000, 1, 1, 0, 0, 0)
HOW = """{title}

1. Python 3.11 or newer with JupyterLab, numpy, autograd, matplotlib, seaborn, tqdm and anywidget is
   all it takes; vitutor itself lies in this folder, so nothing is fetched from a network.
2. In this folder: jupyter lab {name}.ipynb
3. Hand in {name}.ipynb.
"""
SETUP = """#!/usr/bin/env bash
set -e
apt-get update
apt-get install -y bubblewrap python3 python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install myst-nb numpy autograd matplotlib seaborn tqdm anywidget
"""
RUN = """#!/usr/bin/env bash
cd /autograder/source
PYTHONPATH=src exec /autograder/venv/bin/python classroom/gradescope.py {name}
"""


def cell(kind, text, ident, **metadata):
    make = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
        "raw": nbformat.v4.new_raw_cell,
    }[kind]
    return make(text, id=ident, metadata=metadata)


def notebook(name, cells):
    """The bytes of a notebook of (kind, text, metadata), always the same for the same cells."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(
        cells=[cell(k, t, f"{name}-{n:02d}", **m) for n, (k, t, m) in enumerate(cells, 1)],
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}},
    )
    made.nbformat_minor = 5
    nbformat.validate(made)
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def for_students(assignment):
    """What a student sees of each cell, as (kind, text)."""
    for each in assignment.cells:
        if each.kind == "solution":
            yield "code", source.stub(each.text)
        elif each.kind in ("code", "visible-test"):
            yield "code", each.text
        elif each.kind == "markdown":
            yield "markdown", each.text
        elif each.kind == "written":
            yield "markdown", each.text.split(ANSWER)[0].rstrip()


def student_notebook(assignment):
    return notebook(assignment.name, [(k, t, {}) for k, t in for_students(assignment)])


def page(assignment):
    """The page of the site: nothing on it is executed, since stubs fail."""
    texts = [t if k == "markdown" else f"```python\n{t}\n```" for k, t in for_students(assignment)]
    note = f"% Made by make classroom from classroom/assignments/{assignment.name}.md\n"
    return "\n\n".join([note, *texts]) + "\n"


def solution_notebook(assignment):
    cells = []
    for each in assignment.cells:
        if each.kind == "hidden-test":
            cells.append(("raw", each.text, {"tags": [each.kind]}))
        elif each.is_code:
            cells.append(("code", source.solved(each.text), {}))
        else:
            cells.append(("markdown", each.text, {}))
    return notebook(assignment.name, cells)


def nbgrader(ident, points=None, *, grade=False, solution=False, locked=False):
    mark = {"schema_version": 3, "grade_id": ident, "task": False}
    mark |= {"grade": grade, "solution": solution, "locked": locked}
    return {"nbgrader": mark | ({"points": points} if grade else {})}


def nbgrader_notebook(assignment, parts):
    """A source notebook for nbgrader, whose tests run beside the student's code."""
    cells = []
    written = [part for part in parts if part.written]
    for n, each in enumerate(assignment.cells):
        ident = f"cell-{n}"
        if each.kind == "solution":
            cells.append(("code", between_marks(each.text), nbgrader(ident, solution=True)))
        elif each.kind == "visible-test":
            cells.append(("code", each.text, nbgrader(ident, locked=True)))
        elif each.kind == "written":
            part = written.pop(0) if written else None
            if part is None:
                raise SourceError(f"{assignment.name}: a written cell has no part(written=True).")
            mark = nbgrader(part.name, part.points, grade=True, solution=True)
            cells.append(("markdown", each.text.split(ANSWER)[0].rstrip(), mark))
        elif each.kind in ("code", "markdown"):
            cells.append((each.kind, each.text, {}))
    if written:
        raise SourceError(f"{assignment.name}: part {written[0].name!r} has no written cell.")
    for part in parts:
        if not part.written:
            mark = nbgrader(f"test-{part.name}", part.points, grade=True, locked=True)
            cells.append(("code", nbgrader_test(part), mark))
    return notebook(assignment.name, cells)


def between_marks(text):
    lines, made, at = text.splitlines(), [], 0
    for node, head, _ in source.functions(text):
        body = [x for x in lines[head : node.end_lineno] if not x.strip().startswith(source.STUB)]
        made += [*lines[at:head], "    ### BEGIN SOLUTION", *body, "    ### END SOLUTION"]
        at = node.end_lineno
    return "\n".join(made)


def nbgrader_test(part):
    cases = json.dumps([part.cases, part.answers])
    return f"""# Tests of {part.name}
### BEGIN HIDDEN TESTS
import json
import numpy as np

def _array(a):
    if isinstance(a, dict):
        return np.array(a["array"], float).reshape(a["shape"])
    return [_array(x) for x in a] if isinstance(a, list) else a

def _close(right, given):
    if isinstance(right, dict):
        return right.keys() == given.keys() and all(_close(right[k], given[k]) for k in right)
    if isinstance(right, list):
        return len(right) == len(given) and all(map(_close, right, given))
    return abs(float(given) - right) <= {part.rtol} * abs(right) + 1e-12

for _case, _right in zip(*json.loads({cases!r})):
    assert _close(_right, {part.function}(*map(_array, _case))), "{part.name} is not right yet"
### END HIDDEN TESTS"""


def pack(path, files):
    """A zip of {name: text or bytes}, the same bytes for the same files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o755 if name in ("setup.sh", "run_autograder") else 0o644) << 16
            archive.writestr(info, content)


def package(prefix):
    """vitutor itself, as files of a zip."""
    folder = ROOT / "src" / "vitutor"
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {f"{prefix}{path.relative_to(folder.parent)}": path.read_bytes() for path in files}


def build(assignment, folder, seed, original):
    """Write all artefacts of one assignment below the folder; return the page for the site."""
    name = assignment.name
    parts = source.parts(assignment, seed)
    students, teachers = folder / "students", folder / "teachers"
    for each in (students, teachers / "solution", teachers / "nbgrader"):
        each.mkdir(parents=True, exist_ok=True)
    student = student_notebook(assignment)
    (students / f"{name}.ipynb").write_text(student, encoding="utf-8")
    how = HOW.format(title=assignment.title, name=name)
    offline = package("") | {f"{name}.ipynb": student, "README.txt": how}
    pack(students / f"{name}.zip", {f"{name}/{key}": text for key, text in offline.items()})
    (teachers / "solution" / f"{name}.ipynb").write_text(
        solution_notebook(assignment), encoding="utf-8"
    )
    (teachers / "nbgrader" / f"{name}.ipynb").write_text(
        nbgrader_notebook(assignment, parts), encoding="utf-8"
    )
    grader = {
        f"classroom/{path.name}": path.read_bytes() for path in Path(__file__).parent.glob("*.py")
    }
    pack(
        teachers / f"{name}-gradescope.zip",
        grader
        | package("src/")
        | {
            "setup.sh": SETUP,
            "run_autograder": RUN.format(name=name),
            "seed": seed,
            f"classroom/assignments/{name}.md": original,
        },
    )
    return page(assignment)


def read_seed(path):
    """The teacher's secret, from a file or else from the variable VITUTOR_SEED."""
    seed = Path(path).read_text("utf-8").strip() if path else os.environ.get("VITUTOR_SEED", "")
    if len(seed) < 8:
        raise SystemExit(
            "The hidden tests need a secret seed of at least 8 characters, which you keep: put one "
            "into a file, say by python -c 'import secrets; print(secrets.token_hex())' > seed, "
            f"and name it by SEED=seed, or set VITUTOR_SEED. Got {len(seed)} characters."
        )
    return seed


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seed", help="file of the secret seed")
    arguments = ask.parse_args()
    seed = read_seed(arguments.seed)
    pages = ROOT / "book" / "assignments"
    for path in sorted(SOURCES.glob("*.md")):
        try:
            made = build(
                source.read(path), ROOT / "_build" / "classroom", seed, path.read_text("utf-8")
            )
        except SourceError as fault:
            sys.exit(f"{path.relative_to(ROOT)}: {fault}")
        pages.mkdir(exist_ok=True)
        (pages / path.name).write_text(made, encoding="utf-8")
        print(path.stem)


if __name__ == "__main__":
    main()
