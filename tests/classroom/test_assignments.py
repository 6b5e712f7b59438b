"""The four assignments: right answers earn every point, and wrong ones are told why."""

import contextlib
import csv
import io
import json
import re
import zipfile
from functools import cache

import build
import grade
import nbformat
import numpy as np
import pytest
import sandbox
import source
from worker import encode, unpack

NAMES = ["elbo", "gradient", "regression", "blackbox"]
SEED = "a secret of the teacher"
# Of each part: what a student may well write (old text of the solution, new text), and a piece of
# the message that names the mistake.
WRONG = [
    ("elbo", "kl_diagonal", "- np.log(ratio)", "+ np.log(ratio)", "sign of the log-determinant"),
    ("elbo", "kl_diagonal", " - 1 - ", " - ", "the term -1 of each dimension"),
    ("elbo", "kl_diagonal", "(sd_q / sd_p) ** 2", "sd_q / sd_p", "used them as variances"),
    ("elbo", "kl_diagonal", "ratio + shift", "ratio**0.5 + shift", "you took sd_q / sd_p"),
    ("elbo", "kl_diagonal", " / sd_p) ** 2\n    return", ") ** 2\n    return", "units of sd_p"),
    ("elbo", "kl_diagonal", "np.sum", "np.asarray", "Give back one number"),
    ("elbo", "kl_full", "log_det_p - log_det_q", "log_det_q - log_det_p", "sign of the log-det"),
    ("elbo", "kl_full", "- len(shift)", "", "dimension term -D is missing"),
    ("elbo", "kl_full", "- len(shift)", "- 1", "not -1"),
    ("elbo", "kl_full", "0.5 * (", "(", "to be halved"),
    ("elbo", "kl_full", "+ distance", "", "shift between the means"),
    ("elbo", "kl_full", "np.linalg.slogdet(cov_q)[1]", "np.log(np.linalg.det(cov_q))", "slogdet"),
    ("elbo", "elbo", "return fit - ", "return fit + ", "a cost: subtract it"),
    ("elbo", "elbo", " + sd**2)", ")", "Its spread costs too"),
    ("elbo", "elbo", "(x - mean) ** 2 + sd**2)", "(x - mean) ** 2) + sd**2", "once for every"),
    ("elbo", "elbo", "len(x) * np.log(2 * np.pi)", "0", "likelihood is missing"),
    ("elbo", "log_evidence", "n * np.log(2 * np.pi) + log_det", "log_det", "is missing"),
    ("elbo", "log_evidence", "+ log_det +", "- log_det +", "sign of the log-determinant"),
    ("elbo", "log_evidence", "np.ones((n, n))", "np.eye(n)", "readings as independent"),
    ("elbo", "log_evidence", "prior_sd**2", "prior_sd", "prior_sd is a standard deviation"),
    ("elbo", "gap", "return 0.5", "return -0.5", "minus ELBO, not the reverse"),
    ("elbo", "gap", "1 / prior_sd**2", "1 / prior_sd", "the gap is|Expected"),
    ("gradient", "transform", "np.exp(phi[1])", "phi[1]", "phi[1] is log s"),
    ("gradient", "transform", "np.exp(phi[1])", "np.exp(2 * phi[1])", "you took s²"),
    ("gradient", "pathwise", " + 1]", "]", "entropy log s is missing"),
    ("gradient", "pathwise", " + 1]", " - 1]", "you subtracted it"),
    ("gradient", "pathwise", "slope * s * eps + 1", "slope * eps + 1 / s", "derivative in s"),
    ("gradient", "pathwise", " - z\n", "\n", "prior's slope"),
    ("gradient", "pathwise", "eps + 1])", "eps + 1]).mean(axis=0)", "averaged over the draws"),
    ("gradient", "score_function", "(z, x) - log_q", "(z, x)", "log q is missing"),
    ("gradient", "score_function", "(z, x) - log_q", "(z, x) + log_q", "you added them"),
    ("gradient", "score_function", "eps / s,", "eps,", "ε / s and not ε"),
    ("gradient", "score_function", "(eps**2 - 1)", "eps**2", "Widening q"),
    ("gradient", "score_function", " - phi[1] -", " -", "has the term -log s"),
    ("gradient", "score_function", "1)]\n    )", "1)]\n    ).mean(axis=0)", "averaged over"),
    ("gradient", "estimate", " / np.sqrt(len(rows))", "", "divide by sqrt(S)"),
    ("gradient", "estimate", "np.std(rows, axis=0, ddof=1)", "np.std(rows, axis=0)", "ddof=1"),
    ("gradient", "estimate", "np.mean(rows, axis=0)", "np.mean(rows)", "average over axis 0"),
    ("gradient", "variance_ratio", "score / path", "path / score", "upside down"),
    ("gradient", "variance_ratio", "np.var(", "np.std(", "bought by the variance"),
    ("regression", "log_joint", "- scales", "", "-N log σ - D log t are missing"),
    ("regression", "log_joint", " - constant", "", "log 2π is missing"),
    ("regression", "log_joint", "- scales - constant", "", "constants are missing, all"),
    ("regression", "log_joint", "axis=1", "axis=0", "Two rows of z|broadcast"),
    ("regression", "log_joint", "/ noise_sd**2\n", "/ noise_sd\n", "Expected"),
    ("regression", "posterior", "np.linalg.inv(precision)", "precision", "This is the precision"),
    ("regression", "posterior", " + eye / prior_sd**2", "", "prior is missing"),
    ("regression", "posterior", "eye / prior_sd**2", "eye * prior_sd**2", "not I t²"),
    ("regression", "posterior", "sd**2", "sd", "standard deviations: a precision"),
    ("regression", "posterior", "(X.T @ y) / noise_sd**2", "(X.T @ y)", "the 1 / σ² is missing"),
    (
        "regression",
        "mean_field_sd",
        "1 / np.sqrt(np.diag(np.linalg.inv(cov)))",
        "np.sqrt(np.diag(cov))",
        "own marginal sds",
    ),
    ("regression", "mean_field_sd", "np.sqrt(np.diag", "(np.diag", "These are variances"),
    ("regression", "mean_field_sd", "1 / np.sqrt", "np.sqrt", "one over the sd"),
    ("regression", "mean_field_sd", "np.linalg.inv(cov)", "cov", "invert the matrix first"),
    ("regression", "shortfall", "return 0.5", "return -0.5", "shortfall is negative"),
    ("regression", "shortfall", "return 0.5 *", "return 1.0 *", "count half"),
    ("regression", "shortfall", " + log_det)", " + log_det + 2)", "trace - D is 0"),
    ("blackbox", "constrain", "np.exp(z[:, 1])", "z[:, 1]", "is positive"),
    ("blackbox", "constrain", "np.exp(z[:, 1])", "np.exp(2 * z[:, 1])", "This is σ²"),
    ("blackbox", "constrain", "[z[:, 0],", "[np.exp(z[:, 0]),", "m may be negative"),
    ("blackbox", "log_joint", "- sd + log_sd", "- sd", "Jacobian is missing"),
    ("blackbox", "log_joint", "- sd + log_sd", "- sd - log_sd", "sign of the Jacobian"),
    ("blackbox", "log_joint", "- n * log_sd ", "", "once a bird"),
    ("blackbox", "log_joint", "- n * log_sd ", "- log_sd ", "once for every bird"),
    ("blackbox", "log_joint", "squares / sd**2", "squares / sd", "you took σ"),
    ("blackbox", "log_joint", "- sd + log_sd", "+ log_sd", "prior of σ is missing"),
    ("blackbox", "log_joint", "- sd + log_sd", "", "and its Jacobian, are missing"),
    ("blackbox", "log_weights", "log_p - log_q", "log_p + log_q", "Subtract log q"),
    ("blackbox", "log_weights", "- np.log(sd) ", "", "-log s for every"),
    ("blackbox", "log_weights", "- np.log(sd)", "+ np.log(sd)", "sign of log s"),
    ("blackbox", "log_weights", "- constant", "", "constant of log q"),
    ("blackbox", "reweighted_mean", "log_w - np.max(log_w)", "log_w", "exp(-1000) rounds to 0"),
    ("blackbox", "reweighted_mean", " / np.sum(w)", "", "Divide by the sum of the weights"),
    ("blackbox", "reweighted_mean", "np.sum(w * f) / np.sum(w)", "np.mean(f)", "the plain mean"),
]
# The same answers, by other means.
OTHERWISE = {
    "elbo": """
import math
import numpy as np

def normal(x, variance):
    return -x**2 / (2 * variance) - math.log(variance) / 2 - math.log(2 * math.pi) / 2

def kl_diagonal(mean_q, sd_q, mean_p, sd_p):
    total = 0
    for m, s, n, t in zip(mean_q, sd_q, mean_p, sd_p):
        total += math.log(t / s) + (s * s + (m - n) ** 2) / (2 * t * t) - 0.5
    return total

def kl_full(mean_q, cov_q, mean_p, cov_p):
    values, vectors = np.linalg.eigh(cov_p)
    white = vectors / np.sqrt(values)
    inner = np.linalg.eigvalsh(white.T @ cov_q @ white)
    shift = white.T @ (mean_q - mean_p)
    return float((inner - 1 - np.log(inner)).sum() + shift @ shift) / 2

def log_evidence(x, prior_sd):
    total, mean, variance = 0, 0, prior_sd**2
    for each in x:
        total += normal(each - mean, variance + 1)
        gain = variance / (variance + 1)
        mean, variance = mean + gain * (each - mean), variance * (1 - gain)
    return total

def gap(x, prior_sd, mean, sd):
    variance = 1 / (1 / prior_sd**2 + len(x))
    return kl_diagonal([mean], [sd], [variance * sum(x)], [math.sqrt(variance)])

def elbo(x, prior_sd, mean, sd):
    return log_evidence(x, prior_sd) - gap(x, prior_sd, mean, sd)
""",
    "gradient": """
from autograd import grad
import autograd.numpy as np

def log_joint(z, x):
    return x * z - np.exp(z) - z**2 / 2 - np.log(2 * np.pi) / 2

def log_q(phi, z):
    return -(((z - phi[0]) / np.exp(phi[1])) ** 2 + np.log(2 * np.pi)) / 2 - phi[1]

def transform(phi, eps):
    return [phi[0] + np.exp(phi[1]) * e for e in eps]

def pathwise(phi, eps, x):
    def one(phi, e):
        return log_joint(phi[0] + np.exp(phi[1]) * e, x) + phi[1]
    return [grad(one)(phi, e).tolist() for e in eps]

def score_function(phi, eps, x):
    return [((log_joint(z, x) - log_q(phi, z)) * grad(log_q)(phi, z)).tolist()
            for z in transform(phi, eps)]

def estimate(rows):
    n = len(rows)
    mean = sum(rows) / n
    return mean.tolist(), np.sqrt(sum((row - mean) ** 2 for row in rows) / (n * (n - 1)))

def variance_ratio(phi, eps, x):
    spread = [sum((np.array(f(phi, eps, x)) - np.mean(f(phi, eps, x), axis=0)) ** 2)
              for f in (score_function, pathwise)]
    return spread[0] / spread[1]
""",
    "regression": """
import numpy as np
import vitutor as vt

def log_joint(z, X, y, noise_sd, prior_sd):
    return vt.LinearRegression(X, y, noise_sd, prior_sd).log_joint(z)

def posterior(X, y, noise_sd, prior_sd):
    exact = vt.LinearRegression(X, y, noise_sd, prior_sd).posterior()
    return [exact.mean.tolist(), exact.cov]

def mean_field_sd(cov):
    sds = []
    for j in range(len(cov)):
        rest = [i for i in range(len(cov)) if i != j]
        fixed = np.linalg.solve(cov[np.ix_(rest, rest)], cov[rest, j])
        sds.append(float(np.sqrt(cov[j, j] - cov[j, rest] @ fixed)))
    return sds

def shortfall(cov):
    zero = np.zeros(len(cov))
    q = vt.Gaussian(zero, np.diag(np.square(mean_field_sd(cov))))
    return q.kl(vt.Gaussian(zero, cov))
""",
    "blackbox": """
import math
import numpy as np
import vitutor as vt

def constrain(z):
    return [[m, math.exp(l)] for m, l in z]

def log_joint(z, y):
    def normal(x, sd):
        return -0.5 * (x / sd) ** 2 - math.log(sd) - 0.5 * math.log(2 * math.pi)
    return [sum(normal(each - m, math.exp(l)) for each in y) + normal(m, 10) - math.exp(l) + l
            for m, l in z]

def log_weights(log_p, z, mean, sd):
    return log_p - vt.Gaussian(mean, np.diag(sd**2)).log_prob(z)

def reweighted_mean(f, log_w):
    return sum(a / sum(math.exp(min(w - v, 700)) for w in log_w) for a, v in zip(f, log_w))
""",
}


@cache
def assignment(task):
    return source.read(build.SOURCES / f"{task}.md")


@cache
def parts(task):
    with contextlib.redirect_stdout(io.StringIO()):
        return source.parts(assignment(task), SEED)


def cells(task, *kinds):
    return [cell.text for cell in assignment(task).cells if cell.kind in kinds]


@cache
def solved(task):
    """The names that a notebook with every answer defines; its visible tests have passed."""
    space = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()):
        for text in cells(task, "code", "solution", "visible-test"):
            exec(text, space)
    return space


def solution(task, function):
    for text in cells(task, "solution"):
        if text.startswith(f"def {function}("):
            return source.solved(text)
    raise LookupError(function)


def visible_test(task, function):
    kinds = [(c.kind, c.text) for c in assignment(task).cells if c.is_code]
    at = kinds.index(next(k for k in kinds if k[1].startswith(f"def {function}(")))
    kind, text = kinds[at + 1]
    assert kind == "visible-test"
    return text


FUNCTIONS = [
    (task, re.match(r"def (\w+)", text)[1]) for task in NAMES for text in cells(task, "solution")
]


def test_there_are_four():
    assert {path.stem for path in build.SOURCES.glob("*.md")} == {*NAMES}


@pytest.mark.parametrize("task", NAMES)
def test_says_what_it_is_for(task):
    text = assignment(task).cells[0].text
    assert text.startswith("# ")
    assert text.count("\n- ") >= 3
    assert re.search(r"It takes about \d+ minutes\.", text)
    told = dict(re.findall(r"^\| \d \| `?(\w+)`? \| (\d+) \|$", text, re.MULTILINE))
    earned = {p.function or "written": f"{p.points:g}" for p in parts(task)}
    assert told == earned
    assert sum(part.points for part in parts(task)) == 20
    hints = sum(c.text.count("<summary>Hint") for c in assignment(task).cells)
    assert hints == len(cells(task, "solution"))


@pytest.mark.parametrize("task", NAMES)
def test_solutions_pass_the_visible_tests(task):
    assert solved(task)


@pytest.mark.parametrize("task", NAMES)
def test_code_fits_the_page(task):
    book = nbformat.reads(build.student_notebook(assignment(task)), 4)
    lines = [line for c in book.cells if c.cell_type == "code" for line in c.source.splitlines()]
    assert [line for line in lines if len(line) > source.LINE] == []


@pytest.mark.parametrize(("task", "function"), FUNCTIONS)
def test_a_stub_fails_with_a_helpful_error(task, function):
    space = dict(solved(task))
    exec(source.stub(unsolved(task, function)), space)
    with pytest.raises(NotImplementedError, match=r"\w+ \w+ \w+"):
        exec(visible_test(task, function), space)


def unsolved(task, function):
    return next(t for t in cells(task, "solution") if t.startswith(f"def {function}("))


@pytest.mark.parametrize(("task", "function"), FUNCTIONS)
def test_each_part_knows_a_mistake(task, function):
    assert (task, function) in [wrong[:2] for wrong in WRONG]


def wrong_space(task, function, old, new):
    text = solution(task, function)
    assert old in text, f"{old!r} is not in the solution of {function}"
    space = dict(solved(task))
    exec(text.replace(old, new), space)
    return space


@pytest.mark.parametrize(("task", "function", "old", "new", "message"), WRONG)
def test_a_wrong_answer_is_told_why(task, function, old, new, message):
    space = wrong_space(task, function, old, new)
    with np.errstate(all="ignore"), pytest.raises((AssertionError, ValueError)) as fault:
        exec(visible_test(task, function), space)
    assert any(each in str(fault.value) for each in message.split("|")), fault.value


@pytest.mark.parametrize(("task", "function", "old", "new"), [wrong[:4] for wrong in WRONG])
def test_a_wrong_answer_earns_nothing(task, function, old, new):
    space = wrong_space(task, function, old, new)
    (part,) = (part for part in parts(task) if part.function == function)
    assert not all(
        agrees(space[function], case, right, part.rtol)
        for case, right in zip(part.cases, part.answers, strict=True)
    )


def agrees(function, case, right, rtol):
    with np.errstate(all="ignore"):
        try:
            return source.same(right, encode(function(*map(unpack, case))), rtol)
        except (ValueError, TypeError):
            return False


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("students")
    for task in NAMES:
        build.build_for_students(assignment(task), folder)
    return folder


def contents(folder):
    for path in sorted(folder.iterdir()):
        yield path.name, path.read_text("utf-8") if path.suffix == ".ipynb" else ""
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from ((n, archive.read(n).decode()) for n in archive.namelist())


@pytest.mark.parametrize("task", NAMES)
def test_students_get_no_solution_and_no_hidden_test(made, task):
    given = {n: t for n, t in contents(made) if n.split("/")[0].startswith(task)}
    theirs = "".join(text for n, text in given.items() if "vitutor/" not in n)
    theirs += (build.PAGES / f"{task}.ipynb").read_text("utf-8")
    assert "NotImplementedError" in theirs
    shown = "".join(cells(task, "code", "visible-test", "markdown"))
    secret = {
        line.strip()
        for kind in ("solution", "hidden-test", "rubric", "written")
        for text in cells(task, kind)
        for line in hidden_lines(kind, text)
        if len(line.strip()) > 12 and line.strip() not in shown
    }
    assert len(secret) > 15
    found = [line for line in secret if json.dumps(line, ensure_ascii=False)[1:-1] in theirs]
    assert found == []


def hidden_lines(kind, text):
    if kind == "written":
        return text.split(source.ANSWER)[1].splitlines()
    if kind != "solution":
        return text.splitlines()
    kept = source.stub(text).splitlines()
    return [line for line in source.solved(text).splitlines() if line not in kept]


def test_students_artefacts_are_the_same_to_the_byte(made, tmp_path):
    for task in NAMES:
        build.build_for_students(assignment(task), tmp_path)
    for path in made.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


@pytest.mark.parametrize("task", NAMES)
def test_the_committed_page_is_the_built_one(task):
    page = (build.PAGES / f"{task}.ipynb").read_text("utf-8")
    assert page == build.student_notebook(assignment(task)), "run make classroom"


@pytest.mark.parametrize("task", NAMES)
def test_teachers_artefacts_build(task, tmp_path):
    with contextlib.redirect_stdout(io.StringIO()):
        build.build_for_teachers(assignment(task), tmp_path, SEED, "the source")
    book = nbformat.read(tmp_path / "nbgrader" / f"{task}.ipynb", 4)
    points = [c.metadata.get("nbgrader", {}).get("points", 0) for c in book.cells]
    assert sum(points) == 20


def as_notebook(texts):
    made = [{"cell_type": "code", "source": text} for text in texts]
    return json.dumps({"cells": made, "nbformat": 4})


@pytest.mark.parametrize("task", NAMES)
def test_a_class_of_three_gets_exactly_its_marks(task, tmp_path):
    folder, out = tmp_path / "class", tmp_path / "out"
    folder.mkdir()
    book = nbformat.reads(build.solution_notebook(assignment(task)), 4)
    correct = [c.source for c in book.cells if c.cell_type == "code"]
    functions = [function for each, function in FUNCTIONS if each == task]
    left = functions[len(functions) // 2 :]
    half = [
        source.stub(text) if text.startswith(tuple(f"def {f}(" for f in left)) else text
        for text in cells(task, "code", "solution", "visible-test")
    ]
    for student, texts in (("ann", correct), ("bob", half), ("cy", [OTHERWISE[task]])):
        (folder / f"{student}.ipynb").write_text(as_notebook(texts), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        grade.grade(build.SOURCES / f"{task}.md", folder, out, SEED, sandbox.find())
    with (out / "grades.csv").open(encoding="utf-8") as lines:
        rows = {row["student"]: row for row in csv.DictReader(lines)}
    for part in parts(task):
        marks = [rows[student][part.name] for student in ("ann", "bob", "cy")]
        if part.written:
            assert marks == ["", "", ""]
        else:
            earned = 0 if part.function in left else part.points
            assert [float(mark) for mark in marks] == [part.points, earned, part.points], part.name
    assert [row["status"] for row in rows.values()] == ["graded"] * 3
