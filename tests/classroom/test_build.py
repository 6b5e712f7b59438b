"""Everything for students is made from the source, always the same, and tells no secret."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import build
import nbformat
import pytest
import source

SMALL = Path(__file__).with_name("small.md")
SEED = "a secret of the teacher"

SECRETS = [b"SECRET", b"part(", b"rng.normal"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classroom")
    small = source.read(SMALL)
    build_all(small, folder)
    return folder


def build_all(assignment, folder):
    build.build_for_students(assignment, folder / "students")
    build.build_for_teachers(assignment, folder / "teachers", SEED, SMALL.read_text("utf-8"))


def contents(folder):
    """Every file below the folder, those in zips too."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield path.name, path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from ((each, archive.read(each)) for each in archive.namelist())


def test_nothing_for_students_tells_a_solution_or_a_hidden_test(folder):
    found = [
        (name, secret)
        for name, text in contents(folder / "students")
        if "vitutor/" not in name
        for secret in [*SECRETS, SEED.encode()]
        if secret in text
    ]
    assert found == []
    teachers = b"".join(text for _, text in contents(folder / "teachers"))
    assert b"SECRET-SOLUTION" in teachers
    assert b"SECRET-RUBRIC" in teachers


def test_it_is_the_same_to_the_byte(folder, tmp_path):
    build_all(source.read(SMALL), tmp_path)
    for made in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert made.read_bytes() == (folder / made.relative_to(tmp_path)).read_bytes(), made


def test_notebooks_are_valid_and_without_outputs(folder):
    notebooks = list(folder.rglob("*.ipynb"))
    assert len(notebooks) == 3
    for path in notebooks:
        book = nbformat.read(path, 4)
        nbformat.validate(book)
        assert not any(cell.get("outputs") for cell in book.cells)
        assert len({cell.id for cell in book.cells}) == len(book.cells)


def code(path, *kinds):
    return [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]


def test_a_student_gets_signature_docstring_and_message(folder):
    text = "\n".join(code(folder / "students" / "small.ipynb"))
    assert 'def kl(mean, sd):\n    """KL(N(mean, sd²) || N(0, 1)) in nats."""\n    raise' in text
    assert 'NotImplementedError("return the KL divergence in nats")' in text
    assert "<details>" in (folder / "students" / "small.ipynb").read_text("utf-8")


def run(cells):
    return subprocess.run(
        [sys.executable, "-c", "\n".join(cells)], capture_output=True, text=True, timeout=60
    )


def test_visible_tests_fail_on_the_stub_and_pass_on_the_solution(folder):
    stubs = run(code(folder / "students" / "small.ipynb"))
    assert "NotImplementedError: return the KL divergence" in stubs.stderr
    assert run(code(folder / "teachers" / "solution" / "small.ipynb")).stderr == ""


def test_the_nbgrader_notebook_grades_its_own_solution(folder):
    path = folder / "teachers" / "nbgrader" / "small.ipynb"
    assert run(code(path)).stderr == ""
    points = [c.metadata.get("nbgrader", {}).get("points") for c in nbformat.read(path, 4).cells]
    assert sum(filter(None, points)) == 20
    wrong = [each.replace("np.log(sd)", "sd") for each in code(path)]
    assert "AssertionError: two equal" in run(wrong).stderr


def test_the_zip_works_without_a_network(folder, tmp_path):
    with zipfile.ZipFile(folder / "students" / "small.zip") as archive:
        archive.extractall(tmp_path)
    where = subprocess.run(
        [sys.executable, "-c", "import vitutor; print(vitutor.__file__)"],
        cwd=tmp_path / "small",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert where.stdout.startswith(str(tmp_path)), where.stderr


def test_the_gradescope_zip_grades_in_an_empty_folder(folder, tmp_path):
    """As Gradescope runs it, but for its folder's name and an environment that is there already."""
    home = tmp_path / "autograder"
    with zipfile.ZipFile(folder / "teachers" / "small-gradescope.zip") as archive:
        archive.extractall(home / "source")
    (home / "submission").mkdir()
    answers = (folder / "teachers" / "solution" / "small.ipynb").read_text("utf-8")
    half = answers.replace("(x - x.mean())", "(x + x.mean())")
    assert half != answers
    (home / "submission" / "mine.ipynb").write_text(half, encoding="utf-8")
    script = (home / "source" / "run_autograder").read_text("utf-8")
    assert "/autograder/venv/bin/python" in script
    script = script.replace("/autograder/venv/bin/python", sys.executable)
    script = script.replace("/autograder", str(home))
    subprocess.run(["bash", "-c", script], check=True, timeout=120)
    said = json.loads((home / "results" / "results.json").read_text("utf-8"))
    scores = {each["name"]: (each["score"], each["max_score"]) for each in said["tests"]}
    assert scores == {"kl": (4, 4), "standardize": (0, 10)}


def changed(tmp_path, old, new):
    text = SMALL.read_text("utf-8")
    assert old in text
    path = tmp_path / "small.md"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rng.normal(), rng.uniform(0.1, 3)", "0.0, 1.0", "all right answers are alike"),
        ("range(5)", "range(4)", "at least five"),
        ("rng.uniform(0.1, 3)", "0.0", "not made of finite numbers"),
        ('function="kl"', 'function="missing"', "which no solution cell defines"),
        ('part("trust"', 'part("kl"', "stands twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_faulty_hidden_tests_are_refused(tmp_path, old, new, message):
    with pytest.raises(source.SourceError, match=message):
        source.parts(source.read(changed(tmp_path, old, new)), SEED)


def test_a_solution_without_a_stub_is_refused(tmp_path):
    small = source.read(changed(tmp_path, "# stub: return the KL", "# return the KL"))
    with pytest.raises(source.SourceError, match="kl needs one line"):
        build.student_notebook(small)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Run `make classroom` on the small assignment, in a folder of its own."""

    def make(*arguments):
        (tmp_path / "sources").mkdir()
        (tmp_path / "sources" / "small.md").write_bytes(SMALL.read_bytes())
        monkeypatch.setattr(build, "SOURCES", tmp_path / "sources")
        monkeypatch.setattr(build, "PAGES", tmp_path / "pages")
        monkeypatch.setattr(build, "ROOT", tmp_path)
        monkeypatch.setattr(build, "package", lambda prefix: {})
        monkeypatch.setattr(sys, "argv", ["build.py", *arguments])
        monkeypatch.delenv("VITUTOR_SEED", raising=False)
        build.main()
        made = {path.name for path in tmp_path.rglob("small*") if path.suffix != ".md"}
        return made, tmp_path

    return make


def test_students_artefacts_need_no_seed(make, capsys):
    made, folder = make()
    assert made == {"small.ipynb", "small.zip"}
    assert not (folder / "_build" / "classroom" / "teachers" / "nbgrader").exists()
    page = (folder / "pages" / "small.ipynb").read_bytes()
    assert page == (folder / "_build" / "classroom" / "students" / "small.ipynb").read_bytes()
    assert "Neither nbgrader's notebooks nor Gradescope's zips were made" in capsys.readouterr().out


def test_teachers_artefacts_need_a_seed(make, tmp_path):
    seed = tmp_path / "seed.txt"
    with pytest.raises(SystemExit, match="SEED names a file that cannot be read"):
        build.read_seed(str(seed))
    seed.write_text("short")
    with pytest.raises(SystemExit, match="Got 5 characters"):
        build.read_seed(str(seed))
    seed.write_text(SEED)
    made, _ = make("--seed", str(seed))
    assert "small-gradescope.zip" in made


def test_the_seed_draws_the_cases(tmp_path):
    small = source.read(SMALL)
    assert json.dumps(source.parts(small, SEED)[0].cases) != json.dumps(
        source.parts(small, SEED + "!")[0].cases
    )
