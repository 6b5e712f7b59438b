"""What a page transfers: weight.py [ADDRESS …] prints kilobytes by kind."""

import sys
from collections import Counter

import browser

# Down the page a screen at a time, so that what waits to come near is loaded.
SCROLL = """async () => {
    for (let y = 0; y < document.body.scrollHeight; y += innerHeight) {
        scrollTo(0, y);
        await new Promise(done => setTimeout(done, 50));
    }
}"""


def weigh(chromium, address, scroll=False):
    """Bytes on the wire by kind of resource, on first view or with all that scrolling loads."""
    with chromium.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        session = context.new_cdp_session(page)
        kinds, bytes_of = {}, Counter()
        session.send("Network.enable")
        session.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["type"]}))
        session.on(
            "Network.loadingFinished",
            lambda e: bytes_of.update({kinds.get(e["requestId"], "Other"): e["encodedDataLength"]}),
        )
        page.goto(address, wait_until="networkidle")
        if scroll:
            page.evaluate(SCROLL)
            page.wait_for_load_state("networkidle")
        page.evaluate("document.fonts.ready.then(() => true)")
    return {kind: int(size) for kind, size in bytes_of.items()}


def main(*addresses):
    from playwright.sync_api import sync_playwright

    path = browser.find()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(browser.FLAGS))
        for address in addresses:
            sizes = weigh(chromium, address)
            parts = ", ".join(f"{kind} {size / 1000:.0f}" for kind, size in sorted(sizes.items()))
            print(f"{sum(sizes.values()) / 1000:.0f} kB {address}: {parts}")


if __name__ == "__main__":
    main(*sys.argv[1:])
