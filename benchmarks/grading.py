"""How long grading a class takes: make grade's engine beside nbgrader's autograde.

.venv/bin/python benchmarks/grading.py [STUDENTS] grades that many copies of the tests' small
assignment by both, on the same notebooks. nbgrader gets an environment of its own, below _build.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "classroom"))

import build  # noqa: E402
import grade  # noqa: E402
import sandbox  # noqa: E402
import source  # noqa: E402

SMALL = ROOT / "tests" / "classroom" / "small.md"
SEED = "a secret of the benchmark"
NEEDS = ["nbgrader==0.9.6", "ipykernel", "numpy", "autograd", "matplotlib", "setuptools<81"]
CONFIG = "c = get_config()\nc.CourseDirectory.course_id = 'course'\n"


def ours(book, folder, students):
    handed = folder / "handed-in"
    handed.mkdir()
    for n in range(students):
        (handed / f"student-{n:03d}.ipynb").write_text(book, encoding="utf-8")
    bwrap = sandbox.find()
    started = time.perf_counter()
    results = grade.grade(SMALL, handed, folder / "graded", SEED, bwrap)
    seconds = time.perf_counter() - started
    right = sum(sum(p for p, _ in each["marks"].values()) == 14 for each in results.values())
    return seconds, right


def theirs(assignment, parts, folder, students):
    place = ROOT / "_build" / "nbgrader-venv"
    python = place / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
        subprocess.run(
            [uv, "pip", "install", "-q", "--python", str(python), *NEEDS, str(ROOT)], check=True
        )
    notebook = build.nbgrader_notebook(assignment, parts)
    course = folder / "course"
    for n in [None, *range(students)]:
        where = course / ("source" if n is None else f"submitted/student-{n:03d}") / "small"
        where.mkdir(parents=True)
        (where / "small.ipynb").write_text(notebook, encoding="utf-8")
    (course / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")

    def nbgrader(*words):
        said = subprocess.run(
            [python, "-m", "nbgrader", *words],
            cwd=course,
            env=os.environ | {"PATH": f"{place / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        if said.returncode:
            sys.exit(f"nbgrader {words[0]}: {said.stderr[-2000:]}")

    nbgrader("generate_assignment", "small", "--create")
    started = time.perf_counter()
    nbgrader("autograde", "small", "--create")
    return time.perf_counter() - started, len(list((course / "autograded").iterdir()))


def main():
    students = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    assignment = source.read(SMALL)
    parts = source.parts(assignment, SEED)
    with tempfile.TemporaryDirectory() as folder:
        seconds, right = ours(build.solution_notebook(assignment), Path(folder), students)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"vitutor   {seconds:7.1f} s, {right} of {students} with all marks, {peak:.0f} MiB")
        seconds, done = theirs(assignment, parts, Path(folder), students)
        print(f"nbgrader  {seconds:7.1f} s, {done} of {students} autograded")


if __name__ == "__main__":
    main()
