"""The script time of a frame of each widget while it plays.

    make book && .venv/bin/python benchmarks/frame.py

Every callback of requestAnimationFrame is timed in Chromium; milliseconds of the median and of the
95th percentile. Sixty frames a second leave 16.7 ms to a frame, and eight are what we allow script.
Writes benchmarks/results/frame.md.
"""

import re
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
import browser  # noqa: E402

HEAD = """# The script of a frame

`python benchmarks/frame.py`: milliseconds that a frame's callbacks take while a widget plays for
five seconds, in Chromium. The target is a median below 8.

| widget | median | 95 % | frames |
| --- | ---: | ---: | ---: |
"""
TIMED = """() => {
    const next = window.requestAnimationFrame;
    window.frames_took = [];
    window.requestAnimationFrame = callback => next(now => {
        const start = performance.now();
        callback(now);
        window.frames_took.push(performance.now() - start);
    });
}"""


def measure(page, root):
    page.evaluate(TIMED)
    root.locator(".vt-play").click()
    page.wait_for_timeout(5000)
    took = sorted(page.evaluate("window.frames_took"))
    return took[len(took) // 2], took[int(0.95 * len(took))], len(took)


def main():
    html, path = ROOT / "_build" / "html", browser.find()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(browser.FLAGS))
        table = HEAD
        for file in sorted(html.glob("book/**/*.html")):
            if not re.search(r'"kind":\s*"\w+"', file.read_text(encoding="utf-8")):
                continue
            page = chromium.new_page()
            page.goto(file.as_uri())
            root = page.locator(".vitutor").first
            root.wait_for()
            median, most, frames = measure(page, root)
            name = f"{root.get_attribute('data-kind')} in {file.stem}"
            table += f"| {name} | {median:.1f} | {most:.1f} | {frames} |\n"
            page.close()
        chromium.close()
    (Path(__file__).parent / "results" / "frame.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
