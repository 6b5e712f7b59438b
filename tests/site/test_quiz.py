"""The quiz directive, on a page of its own, in a real browser: by keyboard, without scripts."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CONF = f"""
import sys
sys.path.insert(0, {str(ROOT / "tools")!r})
extensions = ["myst_parser", "quiz", "formulas"]
myst_enable_extensions = ["colon_fence", "dollarmath", "tasklist"]
html_theme = "sphinx_book_theme"
html_static_path = [{str(ROOT / "book" / "_static")!r}]
html_css_files = ["vitutor.css"]
"""

PAGE = r"""
# Quizzes

:::{quiz}
Take this call:

```python
vt.fit(model.log_joint, vt.MeanField(dim=2))
```

How wide is $q_\phi$ when $\rho = 0.9$?

- [ ] As the posterior, $s_j = \mathrm{sd}_j$.

  See `fit.q.sd`.
- [x] Narrower, by $\sqrt{1 - \rho^2}$.

  It takes the *conditional* variance:

  $$
  s_j^2 = 1 / \Lambda_{jj}.
  $$
- [ ] `Wider`.

  Nothing widens it.
:::

:::{quiz}
Is KL symmetric?

- [x] No.

  Swap two normals of different widths.
- [ ] Yes.

  A distance would be.
:::
"""


def build(folder, page, builder="html"):
    folder.mkdir(exist_ok=True)
    (folder / "conf.py").write_text(CONF, encoding="utf-8")
    (folder / "index.md").write_text(page, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", builder]
    return subprocess.run(
        [*command, folder, folder / builder], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def quizzes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quizzes")
    built = build(folder, PAGE)
    assert built.returncode == 0, built.stderr
    return (folder / "html" / "index.html").as_uri()


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def page(chromium, quizzes, request):
    with chromium.new_context(java_script_enabled=request.param) as context:
        page = context.new_page()
        page.goto(quizzes)
        yield page


def shown(page):
    """The verdicts that can be seen, in the order of the page."""
    verdicts = page.locator(".quiz-why > p:first-child > strong")
    return [each.inner_text() for each in verdicts.all() if each.is_visible()]


def test_shows_nothing_before_a_choice(page):
    assert page.get_by_role("radio").count() == 5
    assert shown(page) == []


def test_a_press_shows_one_explanation(page):
    page.get_by_text("Narrower, by").click()
    assert shown(page) == ["Right."]
    page.get_by_role("radio", name="Yes.").click()
    assert shown(page) == ["Right.", "No."]
    page.get_by_text("As the posterior").click()
    assert shown(page) == ["No.", "No."]


def test_is_answered_by_keyboard_alone(page):
    group = page.get_by_role("group", name="Is KL symmetric?")
    page.get_by_text("Narrower, by").click()
    for _ in range(20):
        page.keyboard.press("Tab")
        if group.get_by_role("radio").first.evaluate("e => e === document.activeElement"):
            break
    focus = group.get_by_role("radio").first
    assert focus.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    page.keyboard.press("Space")
    assert shown(page) == ["Right.", "Right."]
    page.keyboard.press("ArrowDown")
    assert shown(page) == ["Right.", "No."]


def test_the_explanation_appears_in_a_live_region(page):
    regions = page.locator('.quiz-answer [aria-live="polite"]')
    assert regions.count() == 5
    page.get_by_text("Narrower, by").click()
    assert regions.nth(1).get_by_text("Right.").is_visible()


def test_a_formula_has_the_size_of_the_text(chromium, quizzes):
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(quizzes)
        page.get_by_text("Narrower, by").click()
        sizes = page.eval_on_selector_all(
            "legend mjx-container, label mjx-container, .quiz-why mjx-container",
            "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))",
        )
    assert len(sizes) == 5
    assert max(sizes) - min(sizes) < 1


def test_print_shows_every_explanation(page):
    page.emulate_media(media="print")
    assert shown(page) == ["No.", "Right.", "No.", "Right.", "No."]


def test_fits_a_phone(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_text("Narrower, by").click()
    inner = page.locator("div.quiz").first.bounding_box()
    assert inner["x"] + inner["width"] <= 390


@pytest.mark.parametrize("builder", ["text", "latex"])
def test_elsewhere_the_right_answer_follows(tmp_path, builder):
    built = build(tmp_path, PAGE, builder)
    assert built.returncode == 0, built.stderr
    (file,) = [*(tmp_path / builder).glob("index.txt"), *(tmp_path / builder).glob("*.tex")]
    text = file.read_text(encoding="utf-8")
    assert "Narrower, by" in text
    assert "conditional" in text
    assert "Nothing widens it" not in text


@pytest.mark.parametrize(
    ("body", "message", "line"),
    [
        ("Which?\n\n- [ ] A.\n\n  No.\n- [ ] B.\n\n  No.", "exactly one of them ticked", 3),
        ("Which?\n\n- [x] A.\n\n  Yes.\n- [x] B.\n\n  Yes.", "got 2, 2 of them ticked", 3),
        ("Which?\n\n- [x] A.\n\n  Yes.\n- [ ] B.", "no explanation of the answer 'B.'", 9),
        ("Which?\n\n- [x] A.\n\n  Yes.\n- B.\n\n  No.", "begins with [ ]", 9),
        ("Which?\n\n-\n- [x] B.\n\n  No.", "begins with [ ]", 6),
        ("Which?", "ends with the question", 3),
        ("- [x] A.\n\n  Yes.\n- [ ] B.\n\n  No.", "ends with the question", 3),
        ("", "ends with the question", 3),
    ],
)
def test_a_faulty_quiz_stops_the_build(tmp_path, body, message, line):
    built = build(tmp_path, f"# Title\n\n:::{{quiz}}\n{body}\n:::\n")
    assert built.returncode != 0
    assert message in built.stderr
    assert f"index.md:{line}:" in built.stderr
