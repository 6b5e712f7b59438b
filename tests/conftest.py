from pathlib import Path

import browser
import pytest
import serve
import yaml

ROOT = Path(__file__).parents[1]
DESKTOP = {"width": 1280, "height": 900}
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = [TOC["root"], *(page["file"] for part in TOC["parts"] for page in part["chapters"])]
SOURCES = {page: ROOT / f"{page}.md" for page in PAGES if (ROOT / f"{page}.md").exists()}
CHAPTERS = [p for p, path in SOURCES.items() if "{code-cell}" in path.read_text("utf-8")]


def pytest_generate_tests(metafunc):
    """A test of `chapter` runs on pages with code, `name` on the book's, `anything` on all."""
    every = [*PAGES, "search", "genindex"]
    for argument, values in {"chapter": CHAPTERS, "name": PAGES, "anything": every}.items():
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, values)


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    path = browser.find()
    assert path, "no browser: make test installs one, or says what to install"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(browser.FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def html():
    folder = ROOT / "_build" / "html"
    assert (folder / "index.html").exists(), "the site is not built: run make book first"
    return folder


@pytest.fixture(scope="session")
def site(html):
    """The address of the built site, served as `make serve` does."""
    with serve.running(html) as address:
        yield address


@pytest.fixture
def visit(chromium, site):
    """Open a page; `page.faults` lists what went wrong on the way."""
    contexts = []

    def visit(name, hash="", root=site, **options):
        context = chromium.new_context(**{"viewport": DESKTOP} | options)
        contexts.append(context)
        context.route(lambda url: not url.startswith(root), lambda route: route.abort())
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("requestfailed", lambda request: page.faults.append(request.url))
        page.on(
            "response",
            lambda answer: answer.ok or page.faults.append(f"{answer.status} {answer.url}"),
        )
        page.on(
            "console",
            lambda line: line.type in ("error", "warning") and page.faults.append(line.text),
        )
        page.goto(f"{root}/{name}.html{hash}", wait_until="load")
        return page

    yield visit
    for context in contexts:
        context.close()
