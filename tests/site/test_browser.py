"""A machine on which no browser can be had is told so: its tests are not skipped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "tools" / "browser.py"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS keeps browsers outside the PATH")
def test_says_what_to_install(tmp_path):
    nothing = {
        "PATH": str(tmp_path),
        "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "browsers"),
        "PLAYWRIGHT_DOWNLOAD_HOST": "http://127.0.0.1:9",
    }
    answer = subprocess.run(
        [sys.executable, PROGRAM], env=os.environ | nothing, capture_output=True, text=True
    )
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.splitlines()[-1].endswith("please install one.")
