"""EstimatorRace in a real browser, mounted as a host without a kernel does."""

import json
import re

import pytest

import vitutor as vt

ADDRESS = "http://race.test/"
NAMES = ("sticking the landing", "pathwise", "score function with baseline", "score function")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>race</title>
<main id="place"></main>
<script type="module">
  import widget from "./widgets.js";
  const state = STATE;
  const model = {
    get: (name) => state[name], set() {}, save_changes() {}, on() {}, off() {}, send() {},
  };
  widget.render({ model, el: document.getElementById("place") });
</script>"""


@pytest.fixture
def race(chromium):
    contexts = []

    def race(state="", **settings):
        context = chromium.new_context(viewport={"width": 800, "height": 900})
        contexts.append(context)
        traits = vt.EstimatorRace(**settings).get_state()
        shown = {name: traits[name] for name in traits if not name.startswith("_")}
        shown = {name: value for name, value in shown.items() if name != "layout"}
        body = PAGE.replace("STATE", json.dumps(shown))
        code = traits["_esm"]
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.route(
            "**/*",
            lambda route: (
                route.fulfill(body=code, content_type="text/javascript; charset=utf-8")
                if route.request.url.endswith("widgets.js")
                else route.fulfill(body=body, content_type="text/html")
            ),
        )
        page.goto(ADDRESS + (f"#race:{state}" if state else ""))
        root = page.locator(".vitutor")
        root.wait_for()
        return root

    yield race
    for context in contexts:
        context.close()


def computed(root):
    """Wait until all four have run: their names stand at the ends of their lines."""
    root.page.wait_for_function(
        "() => [...document.querySelectorAll('.vt-runner-name')].some(e => e.textContent)"
        "&& !document.body.innerText.includes('computed')"
    )
    assert root.page.faults == []
    assert not re.search("NaN|Infinity|undefined", root.inner_html())


def said(root, name):
    """What the legend says of an estimator."""
    return root.locator(".vt-runner", has=root.page.get_by_label(name, exact=True)).inner_text()


def kl(root, name):
    digits, _, exponent = re.search(
        r"KL ([\d.]+)( × 10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))? nats", said(root, name)
    ).groups()
    power = (exponent or "⁰").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return float(digits) * 10 ** int(power)


def test_the_noise_of_one_dies_and_of_another_does_not(race):
    root = race("step=400")
    computed(root)
    assert kl(root, "sticking the landing") < 1e-9
    assert kl(root, "pathwise") > 1e-4
    assert kl(root, "score function") > 1e-3
    assert float(root.get_attribute("data-kl")) == pytest.approx(
        kl(root, "sticking the landing"), rel=0.05
    )


def test_all_start_alike(race):
    root = race("step=0")
    computed(root)
    start = vt.Gaussian([0, 0], [[1, 0], [0, 1]]).kl(vt.EstimatorRace().model.posterior())
    assert [kl(root, name) for name in NAMES] == [pytest.approx(start, rel=0.01)] * 4


def test_a_diverged_run_is_said_in_words(race):
    root = race("optimizer=sgd&rate=0.03&step=0")
    computed(root)
    step = re.search(r"diverges at (\d+)", said(root, "score function")).group(1)
    root.get_by_label("step", exact=True).press("End")
    assert f"diverged at step {step}" in said(root, "score function")
    assert "diverged" not in said(root, "sticking the landing")
    computed(root)


def test_all_may_diverge(race):
    root = race("optimizer=sgd&rate=0.3&step=400")
    computed(root)
    for name in NAMES:
        assert "diverged at step" in said(root, name)


def test_an_estimator_can_be_left_out_and_the_link_says_so(race):
    root = race("step=100")
    computed(root)
    before = said(root, "pathwise")
    for name in ("sticking the landing", "score function"):
        root.get_by_label(name, exact=True).press("Space")
        assert "left out" in said(root, name)
    assert said(root, "pathwise") == before
    root.page.wait_for_timeout(400)
    link = root.locator(".vt-foot a").get_attribute("href")
    again = race(link.removeprefix("#race:"))
    computed(again)
    assert [again.get_by_label(name, exact=True).is_checked() for name in NAMES] == [
        False,
        True,
        True,
        False,
    ]
    assert said(again, "pathwise") == before
    for name in ("pathwise", "score function with baseline"):
        again.get_by_label(name, exact=True).press("Space")
    computed(again)


@pytest.mark.parametrize("junk", ["run=nobody&rate=-1&draws=1&seed=x", "rate=1e999&step=-5&run="])
def test_a_broken_link_does_no_harm(race, junk):
    root = race(junk)
    computed(root)
    assert all(root.get_by_label(name, exact=True).is_checked() for name in NAMES)
    assert root.get_by_label("step size").input_value() == "0.1"


def test_reset_brings_back_the_settings_of_python(race):
    root = race("family=full-rank&seed=5", family="mean-field", rate=0.07)
    computed(root)
    assert root.get_by_label("family").input_value() == "full-rank"
    root.get_by_role("button", name="Reset").click()
    assert root.get_by_label("family").input_value() == "mean-field"
    assert root.get_by_label("step size").input_value() == "0.07"
    computed(root)
