"""Make everything that a class needs from the sources in classroom/assignments.

For students: a notebook, which is a page of the site too, and a zip that works offline. For
teachers: the solution, a source notebook for nbgrader, a zip for Gradescope; the last two hold
hidden tests, and so need the secret seed. Students' artefacts stand in the folder students, which
can be given away as it is; teachers' in the folder teachers.
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
PAGES = ROOT / "book" / "assignments"
WHAT_SEED = (
    "Hidden tests need a secret seed of at least 8 characters, which you keep: put one into a "
    "file, say by python -c 'import secrets; print(secrets.token_hex())' > seed, and name it by "
    "SEED=seed, or set VITUTOR_SEED."
)
EPOCH = (2000, 1, 1, 0, 0, 0)
HOW = """{title}

1. Python 3.11 or newer with JupyterLab, numpy, autograd, matplotlib, seaborn, tqdm, anywidget and
   arviz-stats is all it takes; vitutor itself lies in this folder, so nothing is fetched from a
   network.
2. In this folder: jupyter lab {name}.ipynb
3. Hand in {name}.ipynb.
"""
SETUP = """#!/usr/bin/env bash
set -e
apt-get update
apt-get install -y bubblewrap python3 python3-venv
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install myst-nb numpy autograd matplotlib seaborn tqdm anywidget \\
    arviz-stats
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
        metadata={
            "kernelspec": kernel,
            "language_info": {"name": "python"},
            "mystnb": {"execution_mode": "off"},  # a page of the site: its stubs fail
        },
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


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def build_for_students(assignment, folder):
    """Write what students get below the folder; return their notebook."""
    name, student = assignment.name, student_notebook(assignment)
    write(folder / f"{name}.ipynb", student)
    how = HOW.format(title=assignment.title, name=name)
    offline = package("") | {f"{name}.ipynb": student, "README.txt": how}
    pack(folder / f"{name}.zip", {f"{name}/{key}": text for key, text in offline.items()})
    return student


def build_for_teachers(assignment, folder, seed, original):
    """Write what holds solutions below the folder, and with a seed what holds hidden tests."""
    name = assignment.name
    write(folder / "solution" / f"{name}.ipynb", solution_notebook(assignment))
    if not seed:
        return
    parts = source.parts(assignment, seed)
    write(folder / "nbgrader" / f"{name}.ipynb", nbgrader_notebook(assignment, parts))
    grader = {
        f"classroom/{path.name}": path.read_bytes() for path in Path(__file__).parent.glob("*.py")
    }
    pack(
        folder / f"{name}-gradescope.zip",
        grader
        | package("src/")
        | {
            "setup.sh": SETUP,
            "run_autograder": RUN.format(name=name),
            "seed": seed,
            f"classroom/assignments/{name}.md": original,
        },
    )


def read_seed(path):
    """The teacher's secret, from a file or else from the variable VITUTOR_SEED."""
    try:
        seed = Path(path).read_text("utf-8") if path else os.environ.get("VITUTOR_SEED", "")
    except OSError as fault:
        raise SystemExit(f"SEED names a file that cannot be read: {fault}. {WHAT_SEED}") from None
    seed = seed.strip()
    if len(seed) < 8:
        raise SystemExit(f"{WHAT_SEED} Got {len(seed)} characters.")
    return seed


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seed", help="file of the secret seed")
    arguments = ask.parse_args()
    seed = read_seed(arguments.seed) if arguments.seed or "VITUTOR_SEED" in os.environ else ""
    made = ROOT / "_build" / "classroom"
    for path in sorted(SOURCES.glob("*.md")):
        try:
            assignment = source.read(path)
            student = build_for_students(assignment, made / "students")
            build_for_teachers(assignment, made / "teachers", seed, path.read_text("utf-8"))
        except SourceError as fault:
            sys.exit(f"{path.relative_to(ROOT)}: {fault}")
        write(PAGES / f"{path.stem}.ipynb", student)
        print(path.stem)
    print(f"For students: {made / 'students'}; for teachers: {made / 'teachers'}.")
    if not seed:
        print(f"Neither nbgrader's notebooks nor Gradescope's zips were made. {WHAT_SEED}")


if __name__ == "__main__":
    main()
