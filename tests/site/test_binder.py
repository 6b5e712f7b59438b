"""What the launch button promises: the page opens on Binder as a notebook, and every cell runs."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
MINUTE = 60_000


@pytest.fixture(scope="module")
def binder(tmp_path_factory):
    """The address of a JupyterLab installed and started as Binder does it."""
    home = tmp_path_factory.mktemp("binder")
    repository = home / "repository"
    shutil.copytree(ROOT, repository, ignore=shutil.ignore_patterns(".*", "_build", "node_modules"))
    environment = os.environ | {"HOME": str(home), "PATH": f"{home}/bin:{os.environ['PATH']}"}

    def run(*command):
        subprocess.run(command, cwd=repository, env=environment, check=True, timeout=600)

    run(sys.executable, "-m", "venv", home)
    run("pip", "install", "-q", "-r", "binder/requirements.txt")
    run("binder/postBuild")
    run("jupyter", "labextension", "disable", "@jupyterlab/apputils-extension:announcements")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            *("jupyter", "lab", "--ip=127.0.0.1", f"--port={port}", "--no-browser"),
            *("--allow-root", "--IdentityProvider.token=", "--expose-app-in-browser"),
        ],
        cwd=repository,
        env=environment,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api/status", server)
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_for(address, server, seconds=60):
    for _ in range(seconds):
        assert server.poll() is None, "JupyterLab stopped"
        try:
            with urllib.request.urlopen(address):
                return
        except OSError:
            time.sleep(1)
    raise TimeoutError(f"no answer from {address}")


@pytest.fixture
def notebook(chromium, site, binder):
    """Open the notebook that a page's launch button names, its kernel idle."""
    contexts = []

    def notebook(name):
        contexts.append(chromium.new_context())
        page = contexts[-1].new_page()
        page.goto(f"{site}/{name}.html")
        launch = page.locator('a[href*="mybinder.org"]').first.get_attribute("href")
        (path,) = parse_qs(urlsplit(launch).query)["urlpath"]
        page.set_default_timeout(10 * MINUTE)
        # A workspace of its own: the last test's notebook would open again beside this one.
        page.goto(f"{binder}/{path}?reset")
        page.wait_for_function(
            """file => {
                const { context, sessionContext } = window.jupyterapp?.shell.currentWidget ?? {};
                return context?.path === file && sessionContext?.session?.kernel?.status === "idle";
            }""",
            arg=path.removeprefix("lab/tree/"),
            timeout=2 * MINUTE,
        )
        return page

    yield notebook
    for context in contexts:
        context.close()


def run_all(page):
    """Run every cell; the cells as they are then."""
    cells = "jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"
    page.wait_for_function(f"{cells}.length > 1")
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(f"{cells}.every(c => c.cell_type !== 'code' || c.execution_count)")
    return page.evaluate(cells)


def faults(cells):
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output for output in outputs if output["output_type"] == "error"]


def test_the_launch_button_opens_a_notebook_that_runs(notebook, chapter):
    cells = run_all(notebook(chapter))
    assert faults(cells) == []
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert kinds & {"image/png", "image/svg+xml"} or chapter == "book/teaching"  # draws nothing


def ask(page, code):
    """What the notebook's kernel prints."""
    return page.evaluate(
        """async code => {
            const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
            let text = "";
            const future = kernel.requestExecute({ code });
            future.onIOPub = ({ content }) => (text += content.text ?? content.evalue ?? "");
            await future.done;
            return text;
        }""",
        code,
    ).strip()


def test_the_lab_plays_a_fit_and_its_settings_fit_anew(notebook):
    page = notebook("book/index")
    assert faults(run_all(page)) == []
    lab = page.locator(".vitutor").first
    steps = ask(page, "print(len(lab.fit.elbo))")
    assert f"of {steps}" in lab.locator(".vt-scrub output").inner_text()
    lab.locator(".vt-play").click()
    page.wait_for_function(f"document.querySelector('.vitutor').dataset.step === '{steps}'")
    left = float(ask(page, "print(lab.fit.q.kl(model.posterior()))"))
    assert float(lab.get_attribute("data-kl")) == pytest.approx(left, abs=1e-12)

    lab.get_by_label("family").select_option("mean-field")
    lab.get_by_label("step size").select_option("natural")
    page.wait_for_function("document.querySelector('.vitutor').dataset.step === '0'")
    page.wait_for_timeout(1000)
    assert ask(page, "print(type(lab.fit.family).__name__)") == "MeanField"
    lab.locator(".vt-play").click()
    page.wait_for_function("!document.querySelector('.vitutor .vt-playing')")
    kl = float(ask(page, "print(lab.fit.distribution(-1).kl(lab.model.posterior()))"))
    assert float(lab.get_attribute("data-kl")) == pytest.approx(kl, rel=1e-6)

    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_timeout(1000)
    lab.get_by_label("family").select_option("full-rank")
    page.wait_for_timeout(4000)
    lab.locator(".vt-play").click()
    page.wait_for_function("!document.querySelector('.vitutor .vt-playing')")
    assert float(lab.get_attribute("data-kl")) < 1e-6, "without a kernel the page's engine fits"
    assert faults(run_all(page)) == []
    assert page.locator(".vitutor").count() == 1
    assert ask(page, "print(lab.fit is fit)") == "True"
