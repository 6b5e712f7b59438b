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


def test_the_launch_button_opens_a_notebook_that_runs(chromium, site, binder, chapter):
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{site}/{chapter}.html")
        launch = page.locator('a[href*="mybinder.org"]').first.get_attribute("href")
        (path,) = parse_qs(urlsplit(launch).query)["urlpath"]

        page.goto(f"{binder}/{path}")
        page.wait_for_function(
            """() => window.jupyterapp?.shell.currentWidget
                ?.sessionContext?.session?.kernel?.status === "idle" """,
            timeout=2 * MINUTE,
        )
        page.set_default_timeout(10 * MINUTE)
        page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function(
            """() => jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells
                .every(cell => cell.cell_type !== "code" || cell.execution_count)"""
        )
        cells = page.evaluate(
            "jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"
        )
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert kinds & {"image/png", "image/svg+xml"}
