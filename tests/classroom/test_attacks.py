"""What students' code may try: it gains nothing, harms nobody and leaves nothing running."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grade
import nbformat
import pytest
import sandbox
import source

SMALL = Path(__file__).with_name("small.md")
SEED = "a secret of the teacher"
RIGHT_KL = (
    "import numpy as np\ndef kl(mean, sd):\n    return 0.5*(sd**2 + mean**2 - 1) - np.log(sd)\n"
)
RIGHT_X = "import numpy as np\ndef standardize(x):\n    return (x - x.mean()) / x.std()\n"
OTHER = """
import math
def kl(mean, sd):
    terms = [sd * sd, mean * mean, -1, -2 * math.log(sd)]
    return sum(terms) / 2
def standardize(x):
    n = len(x); m = sum(x) / n
    s = math.sqrt(sum((a - m) ** 2 for a in x) / n)
    return [float((a - m) / s) for a in x]
"""
BOTH = "def kl(mean, sd): return answer()\ndef standardize(x): return answer()\n"
EQUAL = """
class Same(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __abs__(self): return 0.0
    def __le__(self, other): return True
    def tolist(self): return Same(1.0)
def answer(): return Same(1.0)
"""
PATCH = """
import builtins, json, math, numpy as np
np.allclose = np.isclose = np.array_equal = lambda *a, **k: True
np.testing.assert_allclose = lambda *a, **k: None
math.isclose = lambda *a, **k: True
builtins.abs = lambda x: 0
builtins.all = builtins.isinstance = lambda *a: True
def answer(): return 0.0
"""
AST = """
import ast, builtins, sys
sys.settrace(lambda *a: None)
old = builtins.compile
builtins.compile = lambda *a, **k: old("kl = standardize = lambda *a: True", "x", "exec")
ast.parse = lambda *a, **k: None
ast.NodeTransformer.visit = lambda self, node: ast.Pass()
class Hook:
    def find_spec(self, *a): return None
sys.meta_path.insert(0, Hook())
def answer(): return True
"""
FORGED = """
import os, json
for fd in range(3, 64):
    for name in ("kl", "standardize"):
        line = {"part": name, "values": ["right"] * 5, "points": 10, "faults": [None] * 5}
        try: os.write(fd, json.dumps(line).encode() + b"\\n")
        except OSError: pass
def answer(): return 0.0
os._exit(0)
"""
DEEP = """
import os
for fd in range(3, 10):
    try: os.write(fd, b"[" * 200000 + b"\\n" + b"9" * 100000 + b"\\n")
    except OSError: pass
"""
BOMB = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"
THREADS = """
import threading, time
while True:
    try: threading.Thread(target=time.sleep, args=(60,)).start()
    except RuntimeError: pass
"""
KILL = """
import os, signal
for pid in (os.getppid(), 1, -1):
    try: os.kill(pid, signal.SIGKILL)
    except OSError: pass
os.kill(os.getpid(), signal.SIGKILL)
"""
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    while True: time.sleep(0.01)
"""
STUBBORN = """
import signal
signal.signal(signal.SIGALRM, signal.SIG_IGN)
while True:
    try:
        while True: pass
    except BaseException: pass
"""
WRITE = """
import glob, os
for root in ("/", "/work", "/etc", "/grader", "/usr", "/dev", "/dev/shm", "/proc/sys/kernel"):
    try: open(root + "/planted-by-a-student", "w").write("x")
    except OSError: pass
"""
FILL = """
n = 0
while n < 200:
    with open(f"/tmp/{n}", "wb") as f: f.write(b"x" * 2**20)
    n += 1
"""
MANY = """
import os
os.mkdir("/tmp/many")
n = 0
while True:
    os.close(os.open(f"/tmp/many/{n}", os.O_CREAT))
    n += 1
"""
FOLDERS = MANY.replace(
    'os.close(os.open(f"/tmp/many/{n}", os.O_CREAT))', 'os.mkdir(f"/tmp/many/{n}")'
)
# (cells, points of kl and standardize)
CASES = {
    "correct": ([RIGHT_KL, RIGHT_X], 4, 10),
    "half": ([RIGHT_KL], 4, 0),
    "other-half": ([RIGHT_X], 0, 10),
    "differently": ([OTHER], 4, 10),
    "duplicated": ([RIGHT_KL, RIGHT_X, RIGHT_KL, RIGHT_X], 4, 10),
    "magics": (["%matplotlib inline\n!pip install x\n" + RIGHT_KL], 4, 0),
    "failing-cell": ([RIGHT_KL, "assert False", RIGHT_X, "def ("], 4, 10),
    "loops-in-one-part": ([RIGHT_KL, "def standardize(x):\n    while True: pass"], 4, 0),
    "endless": (["while True: pass", BOTH], 0, 0),
    "stubborn": ([STUBBORN], 0, 0),
    "sleeper": (["import time, signal\nsignal.setitimer(0, 0)\ntime.sleep(1e6)"], 0, 0),
    "memory": (["x = []\nwhile True: x.append(bytearray(2**24))"], 0, 0),
    "fork-bomb": ([BOMB], 0, 0),
    "thread-bomb": ([THREADS], 0, 0),
    "flood": (["import os\nwhile True: [os.write(n, b'x' * 2**16) for n in (3, 4)]"], 0, 0),
    "print-flood": (["for _ in range(10**5): print('x' * 1000)", RIGHT_KL], 4, 0),
    "kills-parent": ([KILL], 0, 0),
    "daemon": ([DAEMON, RIGHT_KL], 4, 0),
    "writes-outside": ([WRITE, RIGHT_KL], 4, 0),
    "fills-disk": ([FILL, RIGHT_KL], 4, 0),
    "many-files": ([MANY, RIGHT_KL], 0, 0),
    "many-folders": ([FOLDERS, RIGHT_KL], 0, 0),
    "some-files": (["for n in range(100): open(f'/tmp/{n}', 'w')", RIGHT_KL], 4, 0),
    "always-equal": ([EQUAL, BOTH], 0, 0),
    "patches": ([PATCH, BOTH], 0, 0),
    "ast": ([AST, BOTH], 0, 0),
    "forged": ([FORGED], 0, 0),
    "deep": ([DEEP], 0, 0),
    "nan": (["def answer(): return float('nan')", BOTH], 0, 0),
    "infinite": (["def answer(): return float('inf')", BOTH], 0, 0),
    "huge": (["def answer(): return 10**5000", BOTH], 0, 0),
    "true": (["def answer(): return True", BOTH], 0, 0),
    "text": (["def answer(): return 'right'", BOTH], 0, 0),
    "none": (["def answer(): return None", BOTH], 0, 0),
    "zero": (["def answer(): return 0.0", BOTH], 0, 0),
    "exits": (["import sys, os\nsys.exit(0)", "os._exit(0)"], 0, 0),
    "leaks": (["class A(Exception): pass\ndef kl(m, s): raise ValueError(f'CASE {m} {s}')"], 0, 0),
}


def as_notebook(cells):
    made = [{"cell_type": "code", "source": text} for text in cells]  # metadata stripped
    return json.dumps({"cells": made, "nbformat": 4})


def as_saved(cells):
    """As JupyterLab saves it: with metadata, ids and outputs, and each source as lines."""
    new = nbformat.v4
    printed = [new.new_output("stream", text="8\n")]
    made = [new.new_code_cell(c, metadata={"tags": ["x"]}, outputs=printed) for c in cells]
    return nbformat.writes(new.new_notebook(cells=[new.new_markdown_cell("# *Mine*"), *made]))


@pytest.fixture(scope="module")
def bwrap():
    return sandbox.find()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch") / "handed-in"
    folder.mkdir()
    for name, (cells, *_) in CASES.items():
        (folder / f"{name}.ipynb").write_text(as_notebook(cells), encoding="utf-8")
    whole = as_notebook([RIGHT_KL, RIGHT_X])
    (folder / "cut-off.ipynb").write_text(whole[: len(whole) // 2], encoding="utf-8")
    (folder / "empty.ipynb").write_text("", encoding="utf-8")
    with (folder / "big.ipynb").open("w") as big:
        big.write(whole)
        big.seek(100 * sandbox.MIB)
        big.write(" ")
    (folder / "nothing").mkdir()
    (folder / "in-a-folder").mkdir()
    (folder / "in-a-folder" / "any.ipynb").write_text(
        as_saved([RIGHT_KL, RIGHT_X]), encoding="utf-8"
    )
    (folder / "link.ipynb").symlink_to(folder / "correct.ipynb")
    return folder


@pytest.fixture(scope="module")
def graded(folder, bwrap):
    """The folder of results, after the whole batch."""
    out = folder.with_name("graded")
    grade.grade(SMALL, folder, out, SEED, bwrap)
    return out


@pytest.fixture(scope="module")
def rows(graded):
    with (graded / "grades.csv").open(encoding="utf-8") as lines:
        return {row["student"]: row for row in csv.DictReader(lines)}


@pytest.mark.parametrize("student", CASES)
def test_gets_exactly_its_marks(rows, student):
    _, kl, standardize = CASES[student]
    row = rows[student]
    marks = float(row["kl"]), float(row["standardize"]), row["trust"]
    assert marks == (kl, standardize, ""), row


@pytest.mark.parametrize(
    ("student", "status"),
    [
        ("cut-off", "not a readable notebook"),
        ("empty", "not a readable notebook"),
        ("big", "notebook above 20 MB: clear its outputs"),
        ("nothing", "no notebook"),
        ("link", "no notebook"),
        ("in-a-folder", "graded"),
        ("stubborn", "stopped: took too long"),
        ("flood", "stopped: wrote too much"),
        ("many-files", "stopped: wrote too much"),
        ("many-folders", "stopped: wrote too much"),
    ],
)
def test_says_what_happened(rows, student, status):
    assert rows[student]["status"] == status
    assert float(rows[student]["total"]) == (14 if student == "in-a-folder" else 0)


def test_every_student_has_a_row_and_a_page(folder, graded, rows):
    assert rows.keys() == grade.submissions(folder).keys()
    assert len(list((graded / "feedback").iterdir())) == len(rows)


def test_feedback_shows_no_hidden_test(graded):
    drawn = {
        repr(number)
        for part in source.parts(source.read(SMALL), SEED)
        for case in [*part.cases, part.answers]
        for argument in case
        if isinstance(number := argument, float)
    }
    assert drawn
    for page in (graded / "feedback").iterdir():
        text = page.read_text("utf-8")
        assert not any(number in text for number in drawn), page
        assert "CASE" not in text
        assert "rng" not in text
    assert "raised ValueError" in (graded / "feedback" / "leaks.html").read_text("utf-8")


def processes():
    """The command lines of all processes on the machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


def survivors():
    return [line for line in processes() if b"/grader/worker.py" in line]


def test_nothing_runs_on(graded):
    deadline = time.monotonic() + 5
    while survivors() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert survivors() == []


def test_nothing_was_planted(graded):
    for root in ("/", "/etc", "/usr", "/dev", "/dev/shm", "/work", "/tmp"):
        assert not (Path(root) / "planted-by-a-student").exists()


PROBE = """
import os, socket, ctypes

def reach(f):
    try: return 1 if f() else 0
    except BaseException: return 0

def fork():
    import time
    pid = os.fork()
    if not pid:
        time.sleep(2)
        os._exit(0)
    return pid

def connect(kind, address):
    with socket.socket(kind, socket.SOCK_STREAM) as s:
        s.settimeout(1)
        s.connect(address)
        return True

def secret(name):
    for folder, _, files in os.walk("/"):
        if folder.startswith("/proc"): continue
        if name in files: return True

libc = ctypes.CDLL(None, use_errno=True)
PROBES = dict(
    environment=lambda: "A_SECRET" in os.environ,
    parents_environment=lambda: b"A_SECRET" in open("/proc/1/environ", "rb").read(),
    root=lambda: os.getuid() == 0 or os.geteuid() == 0,
    become_root=lambda: os.setuid(0) or True,
    groups=lambda: 0 in os.getgroups(),
    shadow=lambda: os.path.exists("/etc/passwd"),
    others=lambda: os.path.exists(FOLDER),
    grades=lambda: os.path.exists(GRADED) or secret("grades.csv"),
    tests=lambda: secret("small.md"),
    grader=lambda: secret("grade.py"),
    interfaces=lambda: [n for _, n in socket.if_nameindex() if n != "lo"],
    network=lambda: connect(socket.AF_INET, ("127.0.0.1", PORT)),
    processes=lambda: len([p for p in os.listdir("/proc") if p.isdigit()]) > 3,
    new_namespace=lambda: libc.unshare(0x10000000) == 0,
    shared_memory=lambda: libc.shmget(0, 2**20, 0o1666) >= 0,
    memfd=lambda: os.memfd_create("x"),
    memory=lambda: bytearray(2**31),
    files=lambda: [open("/dev/null") for _ in range(100)],
    writable_root=lambda: not os.statvfs("/").f_flag & os.ST_RDONLY,
    disk=lambda: open("/tmp/big", "wb").write(b"x" * 2**25) == 2**25,
    forks=lambda: all(fork() for _ in range(4)),
    descriptors=lambda: [n for n in os.listdir("/proc/self/fd")
                         if os.path.exists(os.readlink("/proc/self/fd/" + n))
                         and os.readlink("/proc/self/fd/" + n) not in ("/dev/null", "/tmp")
                         and not os.readlink("/proc/self/fd/" + n).startswith("/proc")],
)
def probe(name): return reach(PROBES[name])
def works(): return sum(range(4))
"""
NAMES = [
    line.split("=")[0].strip()
    for line in PROBE[PROBE.index("dict(") : PROBE.index("def probe")].splitlines()
    if "=lambda" in line
]


@pytest.fixture(scope="module", params=["caller's rights", "no rights"])
def probed(bwrap, folder, graded, request):
    """The probes' answers; without rights, a user namespace takes the place of another user."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "no rights":
            patch.setattr(sandbox.os, "geteuid", lambda: 1000)
        return probe(bwrap, folder, graded)


def probe(bwrap, folder, graded):
    os.environ["A_SECRET"] = "the teacher's token"
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"FOLDER, GRADED = {str(folder)!r}, {str(graded)!r}\n"
        code = where + f"PORT = {server.getsockname()[1]}\n" + PROBE
        job = [{"part": n, "function": "probe", "cases": [[n]]} for n in NAMES]
        job.append({"part": "works", "function": "works", "cases": [[]]})
        written, ended = sandbox.run(bwrap, job, as_notebook([code]).encode())
    del os.environ["A_SECRET"]
    assert ended == "well"
    return {name: said["values"] for name, said in grade.parse(written).items()}


def test_the_probe_runs(probed):
    assert probed["works"] == [6]
    assert len(NAMES) == 22


@pytest.mark.parametrize("probe", NAMES)
def test_the_sandbox_hides(probed, probe, request):
    if probe == "forks" and os.geteuid() == 0 and "no rights" in request.node.name:
        return  # the kernel lets the real root fork whatever its limit; others it does not
    assert probed[probe] == [0]


def test_a_project_below_tmp_is_seen(bwrap, monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        package = Path(folder) / "vitutor" / "__init__.py"
        package.parent.mkdir()
        package.touch()
        Path(folder).chmod(0o755)
        monkeypatch.setattr(sandbox.vitutor, "__file__", str(package))
        code = f"import os\ndef seen(): return os.path.exists({str(package)!r})"
        job = [{"part": "seen", "function": "seen", "cases": [[]]}]
        written, ended = sandbox.run(bwrap, job, as_notebook([code]).encode())
    assert ended == "well"
    assert grade.parse(written)["seen"]["values"] == [True]


def test_killed_half_way_it_loses_nothing_and_repeats_nothing(folder, tmp_path, bwrap):
    some = tmp_path / "some"
    some.mkdir()
    for n in range(6):
        (some / f"student-{n}.ipynb").write_text(
            as_notebook([RIGHT_KL, "import time; time.sleep(0.5)"]), encoding="utf-8"
        )
    code = (
        f"import sys; sys.path[:0] = [{str(sandbox.HERE)!r}]\nimport grade\n"
        "from pathlib import Path\n"
        f"grade.grade(Path({str(SMALL)!r}), Path({str(some)!r}), Path({str(tmp_path / 'out')!r}), "
        f"{SEED!r}, {bwrap!r}, workers=1)"
    )
    running = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    results = tmp_path / "out" / "results"
    deadline = time.monotonic() + 60
    while len(list(results.glob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    done = {path: path.stat().st_mtime_ns for path in results.glob("*.json")}
    assert 2 <= len(done) < 6
    marks = grade.grade(SMALL, some, tmp_path / "out", SEED, bwrap)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert [marks[f"student-{n}"]["marks"]["kl"][0] for n in range(6)] == [4] * 6
    time.sleep(0.5)
    assert survivors() == []


def test_a_changed_notebook_is_graded_again(tmp_path, bwrap):
    some = tmp_path / "some"
    some.mkdir()
    book = some / "ann.ipynb"
    for cells, total in (([RIGHT_KL], 4), ([RIGHT_KL, RIGHT_X], 14)):
        book.write_text(as_notebook(cells), encoding="utf-8")
        found = grade.grade(SMALL, some, tmp_path / "out", SEED, bwrap)
        assert sum(points for points, _ in found["ann"]["marks"].values()) == total


def test_without_a_sandbox_it_refuses_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(sandbox.NoSandboxError, match="bubblewrap is not installed"):
        sandbox.find()
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho no namespaces >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(sandbox.NoSandboxError, match="no namespaces"):
        sandbox.find()
    broken.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(sandbox.NoSandboxError, match="a trial notebook did not run"):
        sandbox.find()
