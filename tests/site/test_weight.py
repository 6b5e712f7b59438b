"""No page is heavy: all that it transfers, compressed, to its last picture."""

from weight import weigh


def test_a_page_is_at_most_500_kB(chromium, site, name):
    sizes = weigh(chromium, f"{site}/{name}.html", scroll=True)
    assert sizes["Document"] > 0
    assert sum(sizes.values()) <= 500_000, sizes
