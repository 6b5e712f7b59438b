"""Links within the site lead somewhere."""

from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key in ("href", "src") and value:
                self.links.add(value)
            elif key in ("id", "name"):
                self.anchors.add(value)


def test_internal_links_resolve(html):
    pages = {path: Page(path) for path in html.rglob("*.html") if "_static" not in path.parts}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc or ":" in url.fragment:  # #name:state sets a widget
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            anchors = pages[target].anchors if target in pages else None
            if not target.exists() or (url.fragment and anchors and url.fragment not in anchors):
                broken.append(f"{path.relative_to(html)}: {link}")
    assert broken == []
