"""Grade a folder of notebooks: black-box, in a sandbox, in parallel, to be resumed at any time.

SUBMISSIONS holds NAME.ipynb or NAME/….ipynb for each student. Beside it, SUBMISSIONS-graded gets
grades.csv, feedback/NAME.html, and results/, which remembers who is graded already. Marks given by
hand stand there in marks.csv, with the columns student, part and points; it is only ever read.
"""

import argparse
import builtins
import csv
import hashlib
import html
import io
import json
import math
import os
import queue
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import quote

import sandbox
import source
from build import SOURCES, read_seed
from tqdm import tqdm

LARGEST = 20 * sandbox.MIB
ENDED = {
    "well": "graded",
    "time": "stopped: took too long",
    "output": "stopped: wrote too much",
    "crash": "stopped: crashed, or ran out of memory",
}
FAULTS = {n for n, v in vars(builtins).items() if isinstance(v, type) and issubclass(v, Exception)}


class MarksError(ValueError):
    """What is wrong with the marks given by hand, and where."""


def read_marks(path, parts, students):
    """The points given by hand, by student and part; {} when there is no such file."""
    if not path.exists():
        return {}
    most, marks = {p.name: p.points for p in parts if p.written}, {}
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        if not {"student", "part", "points"} <= {*(rows.fieldnames or [])}:
            raise MarksError(f"{path} needs a first line with student,part,points.")
        for row in rows:
            where, student, part = f"{path}, line {rows.line_num}", row["student"], row["part"]
            if student not in students:
                raise MarksError(f"{where}: nobody named {student!r} has handed in.")
            if part not in most:
                raise MarksError(
                    f"{where}: marked by hand are {', '.join(most) or 'no parts'}; got {part!r}."
                )
            try:
                points = float(row["points"])
            except (TypeError, ValueError):
                points = math.nan
            if not 0 <= points <= most[part]:
                raise MarksError(
                    f"{where}: points are a number from 0 to {most[part]:g}; got {row['points']!r}."
                )
            if part in marks.setdefault(student, {}):
                raise MarksError(f"{where}: {student!r} has a mark for {part!r} already.")
            marks[student][part] = int(points) if points.is_integer() else points
    return marks


def points_of(part, result, by_hand):
    """The points of a part, or None while it is not marked."""
    return by_hand.get(part.name) if part.written else result["marks"][part.name][0]


def submissions(folder):
    """Of each student, by name: the path of a notebook, or None."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            books = [p for p in sorted(path.glob("*.ipynb")) if p.is_file() and not p.is_symlink()]
            found[path.name] = books[0] if len(books) == 1 else None
        elif path.suffix == ".ipynb":
            ordinary = path.is_file() and not path.is_symlink()
            found[path.stem] = path if ordinary else None
    return found


def key_of(path, plan):
    """What a result depends on; the same key means that it need not be found again."""
    content = b"none"
    if path:
        size = path.stat().st_size
        content = str(size).encode() if size > LARGEST else path.read_bytes()
    return hashlib.sha256(plan.encode() + content).hexdigest()


def parse(written):
    """What the worker wrote, by part: lists of values and of faults. It may be anything."""
    heard = {}
    for line in written.split(b"\n"):
        try:
            said = json.loads(line, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict) and isinstance(said.get("part"), str):
            heard.setdefault(said["part"], said)
        elif isinstance(said, dict) and said.get("readable") is False:
            heard[""] = said
    return heard


def judge(part, said):
    """The points that the answers earn, and a sentence for the student."""
    values, faults = said.get("values"), said.get("faults")
    if not isinstance(values, list):
        return 0, "No answer came back."
    if source.same(part.answers, values, part.rtol):
        return part.points, "All cases are right."
    fault = next((f for f in faults if f), None) if isinstance(faults, list) else None
    if fault == "NotImplementedError":
        return 0, f"{part.function} is not written yet."
    if fault == "TooLongError":
        return 0, f"{part.function} took longer than {sandbox.SHARE} seconds."
    if fault == "KeyError" and len(values) == 1:
        return 0, f"{part.function} raised KeyError, or the notebook does not define it."
    if fault in list(FAULTS):
        return 0, f"{part.function} raised {fault}."
    return 0, f"{part.function} returned a wrong value, or something that is not made of numbers."


def grade_one(bwrap, path, parts, slot=0):
    """The result of one submission: status, seconds, and points and a sentence by part."""
    started = time.monotonic()
    status, heard = "no notebook", {}
    if path and path.stat().st_size > LARGEST:
        status = f"notebook above {LARGEST // sandbox.MIB} MB: clear its outputs"
    elif path:
        job = [
            {"part": p.name, "function": p.function, "cases": p.cases}
            for p in parts
            if not p.written
        ]
        written, ended = sandbox.run(bwrap, job, path.read_bytes(), slot)
        heard = parse(written)
        status = "not a readable notebook" if "" in heard and ended == "well" else ENDED[ended]
    marks = {p.name: judge(p, heard.get(p.name, {})) for p in parts if not p.written}
    return {"status": status, "seconds": round(time.monotonic() - started, 2), "marks": marks}


def write(path, text):
    """Write a file so that it is there whole or not at all."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def feedback(assignment, parts, result, by_hand):
    """The page for one student; it tells no input and no right answer."""
    rows, total, most = [], 0, 0
    for part in parts:
        points = points_of(part, result, by_hand)
        why = "Marked by hand." if part.written else result["marks"][part.name][1]
        if points is None:
            rows.append((part.name, f"– / {part.points:g}", why))
            continue
        total, most = total + points, most + part.points
        rows.append((part.name, f"{points:g} / {part.points:g}", why))
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(each)}</td>" for each in row) + "</tr>" for row in rows
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{html.escape(assignment.title)}: feedback</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
body {{ max-width: 42rem; margin: 2rem auto; padding: 0 1rem }}
td, th {{ text-align: left; padding: .3rem 1rem .3rem 0; vertical-align: top }}
</style>
<h1>{html.escape(assignment.title)}</h1>
<p>Status: {html.escape(result["status"])}. Points of the parts marked so far: {total:g} of
{most:g}.</p>
<table>
<tr><th scope="col">Part</th><th scope="col">Points</th><th scope="col">Why</th></tr>
{body}
</table>
</html>
"""


def table(parts, results, marks):
    """grades.csv: one row a student, empty cells for parts that are not yet marked by hand."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["student", *(p.name for p in parts), "total", "status", "seconds"])
    for name, result in sorted(results.items()):
        given = [points_of(p, result, marks.get(name, {})) for p in parts]
        safe = f"'{name}" if name.startswith(("=", "+", "-", "@")) else name  # not a formula
        total = sum(mark for mark in given if mark is not None)
        out.writerow([safe, *given, total, result["status"], result["seconds"]])
    return text.getvalue()


def grade(path, folder, out, seed, bwrap, workers=None):
    """Grade every submission that has no result yet; return the results by student."""
    assignment = source.read(path)
    parts = source.parts(assignment, seed)
    code = (
        Path(sandbox.__file__).read_text("utf-8") + sandbox.HERE.joinpath("worker.py").read_text()
    )
    plan = repr(parts) + code
    for each in ("results", "feedback"):
        (out / each).mkdir(parents=True, exist_ok=True)
    workers = workers or len(os.sched_getaffinity(0))
    found = submissions(folder)
    marks = read_marks(out / "marks.csv", parts, found)
    slots = queue.SimpleQueue()
    for slot in range(workers):
        slots.put(slot)

    def work(name, book):
        memory = out / "results" / f"{quote(name, safe='')}.json"
        key = key_of(book, plan)
        try:
            known = json.loads(memory.read_text("utf-8"))
        except (OSError, ValueError):
            known = {}
        if known.get("key") != key:
            slot = slots.get()
            try:
                known = {"key": key, **grade_one(bwrap, book, parts, slot)}
            finally:
                slots.put(slot)
            write(memory, json.dumps(known))
        page = feedback(assignment, parts, known, marks.get(name, {}))
        write(out / "feedback" / f"{quote(name, safe='')}.html", page)
        return name, known

    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(work, *each) for each in found.items()]
        bar = tqdm(as_completed(jobs), total=len(jobs), unit="student", disable=None)
        results = dict(job.result() for job in bar)
    write(out / "grades.csv", table(parts, results, marks))
    return results


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("assignment", help="name of a file in classroom/assignments")
    ask.add_argument("submissions", type=Path)
    ask.add_argument("--seed", help="file of the secret seed")
    ask.add_argument("--out", type=Path)
    arguments = ask.parse_args()
    path = SOURCES / f"{arguments.assignment}.md"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in SOURCES.glob("*.md")))
        sys.exit(f"ASSIGNMENT is one of {names}; got {arguments.assignment!r}.")
    if not arguments.submissions.is_dir():
        sys.exit(f"SUBMISSIONS is a folder of notebooks; there is no {arguments.submissions}.")
    folder = arguments.submissions.resolve()
    out = arguments.out or folder.with_name(f"{folder.name}-graded")
    seed = read_seed(arguments.seed)
    try:
        grade(path, folder, out, seed, sandbox.find())
    except sandbox.NoSandboxError as fault:
        sys.exit(f"Nothing was graded, since students' code needs a sandbox: {fault}")
    except MarksError as fault:
        sys.exit(str(fault))
    print(out / "grades.csv")


if __name__ == "__main__":
    main()
