"""Every widget of the book, in a real browser on the built site, with no kernel and no network."""

import json
import math
import re

import numpy as np
import pytest

import vitutor as vt

KINDS = ("RegressionLab", "ElboExplorer", "ReparameterizationExplorer", "EstimatorRace")
PHONE = {"width": 390, "height": 844}
CONTROLS = "button, select, input, a, [tabindex]"


@pytest.fixture(scope="session")
def pages(html):
    """The pages that show widgets: kind -> name of the first page that has one."""
    found = {}
    for file in sorted(html.glob("book/*.html")):
        for kind in re.findall(r'"kind":\s*"(\w+)"', file.read_text(encoding="utf-8")):
            found.setdefault(kind, f"book/{file.stem}")
    return found


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def widget(visit, pages):
    """Open the page of a kind and give its root; `root.page.faults` lists what went wrong."""

    def widget(kind, hash="", **options):
        page = visit(pages[kind], hash=hash, **options)
        root = page.locator(f'.vitutor[data-kind="{kind}"]').first
        root.wait_for()
        root.scroll_into_view_if_needed()
        return root

    return widget


def check(root):
    """Nothing that is not a number is on show, and nothing was thrown."""
    assert root.page.faults == []
    assert "NaN" not in root.inner_text()
    assert "Infinity" not in root.inner_text()
    broken = root.evaluate(
        "root => [...root.querySelectorAll('svg *')].map(e => e.outerHTML)"
        ".filter(text => /NaN|Infinity|undefined/.test(text))[0]"
    )
    assert broken is None


def number(root, name):
    return float(root.get_attribute(f"data-{name}"))


def settle(root, timeout=30_000):
    """Wait until nothing plays."""
    root.page.wait_for_function(
        "root => !root.querySelector('.vt-playing')", arg=root.element_handle(), timeout=timeout
    )


def play(root):
    root.locator(".vt-play").click()
    settle(root)


def controls(root):
    return [each for each in root.locator(CONTROLS).all() if each.is_visible()]


def test_says_where_it_is(widget, kind):
    root = widget(kind)
    for name in ("step", "elbo", "kl"):
        assert math.isfinite(number(root, name)), name
    assert number(root, "kl") >= 0
    check(root)


def test_play_step_reset(widget, kind):
    root = widget(kind)
    before = number(root, "kl")
    root.get_by_role("button", name="Step", exact=True).click()
    assert number(root, "step") == 1
    play(root)
    last = number(root, "step")
    assert last > 1
    assert number(root, "kl") < before
    root.get_by_role("button", name="Reset").click()
    assert number(root, "step") == 0
    assert number(root, "kl") == pytest.approx(before)
    check(root)


def test_every_option_and_both_ends_of_every_slider(widget, kind):
    root = widget(kind)
    for field in root.locator("select").all():
        options = field.locator("option").evaluate_all("all => all.map(o => o.value)")
        for option in options:
            if field.is_enabled():
                field.select_option(option)
                check(root)
    for slider in root.locator("input[type=range]").all():
        for end in ("Home", "End"):
            slider.press(end)
            check(root)
    for box in root.locator("input[type=checkbox]").all():
        box.click()
        check(root)
        box.click()
        check(root)
    root.get_by_role("button", name="Reset").click()
    play(root)
    check(root)


def test_two_hundred_random_actions(widget, kind):
    root = widget(kind)
    rng = np.random.default_rng(2026)
    keys = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "Delete", "Enter"]
    for _ in range(200):
        shown = root.locator(CONTROLS).filter(visible=True)
        target = shown.nth(int(rng.integers(shown.count())))
        tag = target.evaluate("e => e.tagName")
        if tag == "SELECT":
            if target.is_enabled():
                values = target.locator("option").evaluate_all("all => all.map(o => o.value)")
                target.select_option(values[rng.integers(len(values))])
        elif rng.random() < 0.3 and (box := target.bounding_box()):
            mouse = root.page.mouse
            mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            mouse.down()
            mouse.move(box["x"] + rng.uniform(-300, 300), box["y"] + rng.uniform(-200, 200))
            mouse.up()
        else:
            target.focus()
            target.press(keys[rng.integers(len(keys))])
    check(root)
    for name in ("elbo", "kl"):
        assert math.isfinite(number(root, name))
    root.get_by_role("button", name="Reset").click()
    play(root)
    check(root)


def test_keys_move_what_a_mouse_drags(widget, kind):
    root = widget(kind)
    if kind == "RegressionLab":
        root.get_by_role("button", name="You drive").press("Enter")
    marks = [m for m in root.locator("svg [tabindex='0']").all() if m.is_visible()]
    assert marks or kind == "EstimatorRace", "nothing in the picture can be reached by Tab"
    for mark in marks:
        before = mark.get_attribute("aria-label"), mark.get_attribute("transform")
        for key in ("ArrowUp", "ArrowRight"):
            mark.focus()
            mark.press(key)
        after = mark.get_attribute("aria-label"), mark.get_attribute("transform")
        assert after != before, before
    check(root)


def test_tab_reaches_every_control(widget, kind):
    root = widget(kind)
    expected = len([c for c in controls(root) if c.is_enabled()])
    controls(root)[0].focus()
    reached = set()
    for _ in range(expected + 5):
        inside = root.evaluate(
            "root => [...root.querySelectorAll('*')].indexOf(document.activeElement)"
        )
        if inside >= 0:
            reached.add(inside)
        root.page.keyboard.press("Tab")
    back = len(reached)
    assert back >= expected, f"Tab reaches {back} of {expected} controls"


def test_the_live_region_keeps_calm(widget, kind):
    root = widget(kind)
    said = root.evaluate(
        """root => new Promise(done => {
            let changes = 0;
            const region = root.querySelector('[aria-live]');
            new MutationObserver(() => changes++)
                .observe(region, { childList: true, subtree: true });
            root.querySelector('.vt-play').click();
            setTimeout(() => done(changes), 3000);
        })"""
    )
    assert said <= 2
    settle(root)
    root.page.wait_for_timeout(1300)
    assert root.locator("[aria-live]").inner_text().strip()


def test_without_motion_it_goes_in_steps(widget, kind):
    root = widget(kind, reduced_motion="reduce")
    frames = root.evaluate(
        """root => new Promise(done => {
            const seen = new Set();
            const watch = new MutationObserver(() => seen.add(root.querySelector('svg').innerHTML));
            watch.observe(root, { attributes: true, childList: true, subtree: true });
            root.querySelector('.vt-play').click();
            setTimeout(() => done(seen.size), 2100);
        })"""
    )
    assert 2 <= frames <= 8
    check(root)


def test_on_a_phone(widget, kind):
    root = widget(kind, viewport=PHONE, has_touch=True)
    page = root.page
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    lefts = [pane.bounding_box()["x"] for pane in root.locator(".vt-pane > svg:visible").all()]
    assert max(lefts) - min(lefts) < 2, "the panes stack"
    for control in controls(root):
        box = control.bounding_box()
        assert min(box["width"], box["height"]) >= 24, control.evaluate("e => e.outerHTML")[:200]


def test_its_link_reproduces_its_state(widget, kind):
    root = widget(kind)
    for field in root.locator("select").all()[:3]:
        if field.is_enabled():
            field.select_option(index=1)
    root.get_by_role("button", name="Step", exact=True).click()
    root.page.wait_for_timeout(500)
    link = root.locator(".vt-foot a").get_attribute("href")
    before = {n: number(root, n) for n in ("step", "elbo", "kl")}
    chosen = root.locator("select").evaluate_all("all => all.map(s => s.value)")
    again = widget(kind, hash=link)
    assert again.locator("select").evaluate_all("all => all.map(s => s.value)") == chosen
    for name, value in before.items():
        assert number(again, name) == pytest.approx(value, rel=1e-4, abs=1e-4), name
    check(again)


def test_its_link_leads_to_it(visit, widget, pages, kind):
    link = widget(kind).locator(".vt-foot a").get_attribute("href")
    page = visit(pages[kind], hash=link, viewport=PHONE)
    root = page.locator(f'.vitutor[data-kind="{kind}"]').first
    root.wait_for()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(300)
    assert -5 < root.bounding_box()["y"] < PHONE["height"] / 2


@pytest.mark.parametrize("junk", ["step=x&draws=-3&seed=1e99", "points=1;2;a&start=,,&mu=NaN"])
def test_a_broken_link_does_no_harm(widget, pages, kind, junk):
    name = widget(kind).locator(".vt-foot a").get_attribute("href").split(":")[0]
    root = widget(kind, hash=f"{name}:{junk}")
    check(root)
    assert math.isfinite(number(root, "kl"))


def test_works_from_a_file(chromium, html, pages, kind):
    with chromium.new_context() as context:
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("requestfailed", lambda request: page.faults.append(request.url))
        page.on(
            "console",
            lambda line: line.type in ("error", "warning") and page.faults.append(line.text),
        )
        page.goto((html / f"{pages[kind]}.html").as_uri())
        root = page.locator(f'.vitutor[data-kind="{kind}"]').first
        root.wait_for()
        before = number(root, "kl")
        play(root)
        assert number(root, "kl") < before
        check(root)


class TestRegressionLab:
    @pytest.fixture
    def lab(self, widget):
        def lab(state=""):
            root = widget("RegressionLab")
            name = root.locator(".vt-foot a").get_attribute("href").split(":")[0]
            return widget("RegressionLab", hash=f"{name}:{state}") if state else root

        return lab

    @staticmethod
    def model(root):
        points = np.array(json.loads(root.get_attribute("data-points")))
        X = np.column_stack([np.ones(len(points)), points[:, 0]])
        return vt.LinearRegression(X, points[:, 1], noise_sd=1.0, prior_sd=10.0)

    def test_full_rank_lands_on_the_exact_posterior(self, lab):
        root = lab("family=full-rank&estimator=sticking-the-landing&rate=0.1&step=0")
        play(root)
        assert number(root, "kl") < 1e-6
        q, exact = json.loads(root.get_attribute("data-q")), self.model(root).posterior()
        np.testing.assert_allclose(q["mean"], exact.mean, atol=1e-2)
        assert "× 10" in root.locator(".vt-readout").inner_text()

    def test_mean_field_stops_at_its_exact_gap(self, lab):
        root = lab("family=mean-field&rate=natural&step=0")
        play(root)
        exact, family = self.model(root).posterior(), vt.MeanField(2)
        floor = family.distribution(family.closest(exact)).kl(exact)
        assert number(root, "kl") == pytest.approx(floor, abs=1e-9)

    @pytest.mark.parametrize("how", ["drag", "key", "click", "add", "remove", "delete"])
    def test_new_data_have_their_own_exact_posterior(self, lab, how):
        root = lab("rate=natural&step=0")
        before = self.model(root).posterior()
        count = root.locator(".vt-point").count()
        point = root.locator(".vt-point").first
        box = point.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = root.page.mouse
        if how == "drag":
            mouse.move(x, y)
            mouse.down()
            for step in range(1, 6):
                mouse.move(x + 6 * step, y - 8 * step)
            mouse.up()
        elif how == "key":
            point.focus()
            point.press("ArrowDown")
        elif how == "click":
            mouse.click(x + 40, y - 40)
            count += 1
        elif how == "add":
            root.get_by_role("button", name="Add point").press("Enter")
            count += 1
        else:
            point.focus()
            if how == "delete":
                point.press("Delete")
            else:
                root.get_by_role("button", name="Remove point").click()
            count -= 1
        settle(root)
        assert root.locator(".vt-point").count() == count
        model = self.model(root)
        exact, shown = model.posterior(), json.loads(root.get_attribute("data-posterior"))
        L = np.array(shown["chol"])
        np.testing.assert_allclose(shown["mean"], exact.mean, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(L @ L.T, exact.cov, rtol=1e-10, atol=1e-10)
        assert number(root, "elbo") + number(root, "kl") == pytest.approx(model.log_evidence())
        assert not np.allclose(exact.mean, before.mean, atol=1e-6)
        assert number(root, "kl") < 1e-9, "q caught up"
        check(root)

    def test_you_drive(self, lab):
        root = lab("step=0")
        root.get_by_role("button", name="You drive").click()
        handle = root.locator(".vt-handle").first
        box = handle.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        mouse = root.page.mouse
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + 20, y + 10)
        mouse.up()
        q, model = json.loads(root.get_attribute("data-q")), self.model(root)
        L = np.array(q["chol"])
        mine = vt.Gaussian(q["mean"], L @ L.T)
        assert number(root, "kl") == pytest.approx(mine.kl(model.posterior()), rel=1e-9)
        assert number(root, "elbo") == pytest.approx(model.elbo(mine), rel=1e-9)
        assert not np.allclose(q["mean"], 0)
        play(root)
        assert root.get_by_role("button", name="You drive").get_attribute("aria-pressed") == "false"
        assert number(root, "kl") < 1e-6, "the optimiser takes over from the reader's q"
        check(root)

    def test_a_link_brings_its_data(self, lab):
        root = lab("points=0,1;1,2;2,-1&family=mean-field&rate=natural&step=2")
        assert json.loads(root.get_attribute("data-points")) == [[0, 1], [1, 2], [2, -1]]
        assert number(root, "step") == 2

    def test_a_link_in_the_text_sets_its_state(self, lab):
        root = lab()
        name = root.locator(".vt-foot a").get_attribute("href").split(":")[0]
        root.page.evaluate(
            """href => {
                const link = document.createElement('a');
                link.href = href; link.textContent = 'set'; link.id = 'set';
                document.querySelector('article').prepend(link);
            }""",
            f"{name}:family=mean-field&rate=natural&step=3",
        )
        for _ in range(2):
            root.page.locator("#set").click()
            assert number(root, "step") == 3
            assert root.get_by_label("family").input_value() == "mean-field"
            root.get_by_role("button", name="Reset").click()

    def test_the_elbo_is_a_switch_away(self, lab):
        root = lab("step=0")
        root.get_by_role("button", name="Show the ELBO").click()
        assert root.locator("svg[aria-label^='The ELBO']").is_visible()
        assert not root.locator("svg[aria-label^='The gap']").is_visible()
        check(root)
