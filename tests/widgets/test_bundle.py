"""The widgets' bundle is what its sources make, and light."""

import gzip

import npm
import pytest

BUNDLE = npm.WIDGETS.parent / "src" / "vitutor" / "static" / "widgets.js"
MOST = 60_000


def test_the_bundle_is_what_its_sources_make(tmp_path):
    assert (npm.WIDGETS / "node_modules").exists(), "make test installs what builds the bundle"
    built = tmp_path / "widgets.js"
    answer = npm.npm("run", "build", "--", f"--outfile={built}", capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    if built.read_bytes() != BUNDLE.read_bytes():
        pytest.fail("src/vitutor/static/widgets.js is not what widgets/ makes: run make widgets")


def test_the_bundle_is_light():
    assert len(gzip.compress(BUNDLE.read_bytes(), 9)) <= MOST


def test_the_lock_pins_versions_and_names_no_registry():
    lock = (npm.WIDGETS / "package-lock.json").read_text(encoding="utf-8")
    assert '"integrity": "sha512-' in lock
    assert "://" not in lock
    assert "resolved" not in lock
