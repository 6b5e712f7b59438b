"""What the pages of the book transfer, beside a page of a default Jupyter Book with one slider.

    make book && .venv/bin/python benchmarks/page_weight.py            (about a minute)

Chromium opens each page with an empty cache, served compressed by tools/serve.py; bytes as they
come over the wire, headers included. Writes benchmarks/results/page_weight.md.
"""

import sys
from pathlib import Path

import default_book
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import browser  # noqa: E402
import serve  # noqa: E402
import weight  # noqa: E402

KINDS = "Document", "Stylesheet", "Script", "Font", "Image", "Other"
HEAD = f"""# Page weight

`python benchmarks/page_weight.py`: kB (1000 bytes) over the wire, gzipped, cache empty. First view
is a desktop's; *all* adds what scrolling to the end loads. The first row is a page of a default
Jupyter Book 1 with one formula and one slider; its CDNs' files come from npm and are served alike.
The target is 500 kB.

| page | first view | all | {" | ".join(KINDS).lower()} |
| --- | ---: | ---: | {" | ".join("---:" for _ in KINDS)} |
"""


def row(chromium, name, address):
    first = weight.weigh(chromium, address)
    whole = weight.weigh(chromium, address, scroll=True)
    cells = [sum(first.values()), sum(whole.values()), *(first.get(kind, 0) for kind in KINDS)]
    return f"| {name} | {' | '.join(f'{cell / 1000:.0f}' for cell in cells)} |\n"


def main():
    html = ROOT / "_build" / "html"
    pages = sorted(file.relative_to(html) for file in html.glob("book/**/*.html"))
    path = browser.find()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(browser.FLAGS))
        with default_book.running() as address:
            table = row(chromium, "*default Jupyter Book*", address)
        with serve.running(html) as site:
            for page in pages:
                table += row(chromium, page.with_suffix(""), f"{site}/{page}")
    result = Path(__file__).parent / "results" / "page_weight.md"
    result.write_text(HEAD + table, encoding="utf-8")
    print(HEAD + table)


if __name__ == "__main__":
    main()
