"""What the repository promises besides its code."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def test_the_repository_is_named_in_one_place():
    url = yaml.safe_load(read("_config.yml"))["repository"]["url"]
    slug = url.removeprefix("https://github.com/")
    made = {".git", ".venv", "_build", "node_modules"}
    texts = (path for path in ROOT.rglob("*") if path.is_file() and not made & {*path.parts})
    named = [path for path in texts if slug.encode() in path.read_bytes()]
    assert named == [ROOT / "_config.yml"]


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.txt", ("book", "test")), ("binder/requirements.txt", ("binder",))],
)
def test_what_is_asked_for_is_pinned(lock, extras):
    project = tomllib.loads(read("pyproject.toml"))["project"]
    optional = project["optional-dependencies"]
    asked = (
        project["dependencies"] + optional["diagnostics"] + [r for e in extras for r in optional[e]]
    )
    names = {re.match(r"[\w.-]+", requirement).group() for requirement in asked} - {"vitutor"}
    pinned = re.findall(r"^([\w.-]+)==", read(lock), re.MULTILINE)
    assert names <= {*pinned}
    assert "make lock" in read(lock).splitlines()[1]


def test_the_two_locks_agree():
    def pins(lock):
        return set(re.findall(r"^([\w.-]+==[^\s;]+)", read(lock), re.MULTILINE))

    book, binder = pins("requirements.txt"), pins("binder/requirements.txt")
    names = {pin.split("==")[0] for pin in book}
    assert {pin for pin in binder if pin.split("==")[0] in names} <= book


def test_the_readme_example_runs():
    (example,) = re.findall(r"```python\n(.*?)```", read("README.md"), re.DOTALL)
    answer = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=True, timeout=60
    )
    nats = re.search(r"(\S+) nats from the truth", answer.stdout).group(1)
    assert abs(float(nats)) < 1e-8
