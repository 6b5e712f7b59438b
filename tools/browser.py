"""Find a Chromium for the browser tests, or install one; run as a program, print its path."""

import os
import shutil
import subprocess
import sys

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def run(*command):
    """Whether the command succeeds; what it says goes to stderr."""
    return subprocess.run(command, stdout=sys.stderr, check=False).returncode == 0


def find():
    """The path of a browser that starts, or None."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        candidates = [*map(shutil.which, NAMES), playwright.chromium.executable_path]
    return next((path for path in candidates if path and starts(path)), None)


def starts(path):
    try:
        answer = subprocess.run([path, *FLAGS, "--version"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def install():
    """Try Debian's Chromium, then Playwright's own."""
    root = getattr(os, "geteuid", lambda: 1)() == 0
    if root and shutil.which("apt-get"):
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        run("apt-get", "update", "-q")
        if run("apt-get", "install", "-q", "-y", "chromium") and find():
            return
        run(sys.executable, "-m", "playwright", "install-deps", "chromium")
    run(sys.executable, "-m", "playwright", "install", "chromium")


if __name__ == "__main__":
    path = find() or install() or find()
    print(path or "The browser tests need Chromium or Google Chrome: install either and try again.")
    sys.exit(not path)
