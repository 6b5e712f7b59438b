"""How long does grading a class take: make grade's engine beside nbgrader's autograde.

    python benchmarks/grading.py         (about 7 minutes)

Copies of the tests' small assignment with every answer right: fifty by both, five hundred by ours,
each in a process of its own, so that its peak of memory can be told. nbgrader gets an environment
of its own below _build, from nbgrader-requirements.txt. Writes benchmarks/results/grading.md.
"""

import json
import os
import platform
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
NEEDS = Path(__file__).with_name("nbgrader-requirements.txt")
HEAD = """# Grading a class

`python benchmarks/grading.py`, Python {python}, {cores} cores, a load of {load:.1f} before it
began. The tests' small assignment, every answer right; *done* counts all marks for make grade, and
finished notebooks for nbgrader. Peaks of memory in MiB: of the grading process, and of the largest
below it.
The target is 50 in 30 s and 500 in 360 s on two cores, with memory that does not grow.

| | submissions | done | seconds | grader, MiB | below it, MiB |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
CONFIG = "c = get_config()\nc.CourseDirectory.course_id = 'course'\n"


def ours(students):
    """Seconds, how many got all marks, and the peak MiB of the grader and of a process under it."""
    assignment = source.read(SMALL)
    with tempfile.TemporaryDirectory() as folder:
        handed = Path(folder, "handed-in")
        handed.mkdir()
        for n in range(students):
            book = handed / f"student-{n:03d}.ipynb"
            book.write_text(build.solution_notebook(assignment), encoding="utf-8")
        bwrap = sandbox.find()
        started = time.perf_counter()
        results = grade.grade(SMALL, handed, Path(folder, "graded"), SEED, bwrap)
        seconds = time.perf_counter() - started
    right = sum(sum(p for p, _ in each["marks"].values()) == 14 for each in results.values())
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return seconds, right, *(resource.getrusage(each).ru_maxrss / 1024 for each in who)


def apart(students):
    """`ours` in a process of its own."""
    line = [sys.executable, __file__, str(students)]
    return json.loads(subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout)


def theirs(assignment, parts, folder, students):
    place = ROOT / "_build" / "nbgrader-venv"
    python = place / "bin" / "python"
    if not python.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(place)], check=True)
        install = [uv, "pip", "install", "-q", "--python", str(python)]
        subprocess.run([*install, "-r", str(NEEDS), str(ROOT)], check=True)
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
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    assignment = source.read(SMALL)
    rows = []
    for students in (50, 500):
        seconds, right, *peaks = apart(students)
        rows.append(("make grade", students, right, f"{seconds:.1f}", *(f"{p:.0f}" for p in peaks)))
    with tempfile.TemporaryDirectory() as folder:
        seconds, done = theirs(assignment, source.parts(assignment, SEED), Path(folder), 50)
    rows.append(("nbgrader autograde", 50, done, f"{seconds:.1f}", "", ""))
    text = HEAD.format(python=platform.python_version(), cores=cores, load=load)
    text += "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)
    (Path(__file__).parent / "results" / "grading.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(ours(int(sys.argv[1]))))
    else:
        main()
