"""The host of widgets on pages without a kernel, with anywidgets that are not the book's own.

A small book is built as this one is; its pages are opened from a server and as files.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NO_SCRIPT = "An interactive widget stands here; it needs JavaScript."
HEAD = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
---
"""

# What the pages share: `Widget(esm, …)` with a picture, in words, on request.
CELL = """
```{code-cell} python
:tags: [remove-input]

import base64, struct, zlib
import anywidget, ipywidgets, traitlets as tr

def png(side=20):
    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = (b"\\0" + b"\\x80" * side) * side
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\\x89PNG\\r\\n\\x1a\\n" + data).decode()

class Base(anywidget.AnyWidget):
    picture = {}
    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | self.picture, metadata

def still(words):
    return {"image/png": png(), "text/plain": words}
```
"""


def cell(code):
    return f"\n```{{code-cell}} python\n:tags: [remove-input]\n\n{code.strip()}\n```\n"


ALIVE = [
    '''
class Counter(Base):
    """Two views of one, beside another of its kind."""
    _esm = """
    // A comment that would end a script: </script> <!-- <script>
    function render({ model, el }) {
      const button = document.createElement("button");
      const draw = () => { button.textContent = `${model.get("name")}: ${model.get("value")}`; };
      button.className = "counter";
      button.dataset.begun = model.get("begun");
      button.onclick = () => { model.set("value", model.get("value") + 1); model.save_changes(); };
      model.on("change:value", draw);
      draw();
      el.append(button);
      return () => button.remove();
    }
    const initialize = ({ model }) => model.set("begun", model.get("begun") + 1);
    export default { initialize, render };
    """
    _css = ".counter { color: rgb(1, 2, 3); }"
    name = tr.Unicode().tag(sync=True)
    value = tr.Int(3).tag(sync=True)
    begun = tr.Int(0).tag(sync=True)
    hostile = tr.Unicode("</script> <!-- <script>").tag(sync=True)
    picture = still("A counter that stands at three.")

first, second = Counter(name="first"), Counter(name="second")
first
''',
    "first",
    "second",
    '''
class Bytes(Base):
    _esm = """
    const sum = (view) => {
      let total = 0;
      for (let i = 0; i < view.byteLength; i++) total += view.getUint8(i);
      return total;
    };
    export function initialize({ model }) { model.set("ready", true); }
    export function render({ model, el }) {
      const deep = model.get("deep");
      const shown = [sum(model.get("data")), sum(deep.list[1]), deep.word, model.get("ready")];
      el.innerHTML = `<output class="bytes">${shown.join(" ")}</output>`;
    }
    """
    data = tr.Bytes(b"\\x01\\x02\\x03").tag(sync=True)
    deep = tr.Dict({"list": [0, memoryview(b"\\xff\\x01")], "word": "ok"}).tag(sync=True)
    ready = tr.Bool(False).tag(sync=True)

Bytes()
''',
    '''
class Slow(Base):
    _esm = """
    const word = await Promise.resolve("late");
    export default async () => {
      await new Promise(done => setTimeout(done, 20));
      return {
        async render({ el }) {
          await new Promise(done => setTimeout(done, 20));
          el.innerHTML = `<output class="slow">${word}</output>`;
        },
      };
    };
    """
    picture = {"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg' width='30' height='20'/>"}

Slow()
''',
    '''
class Model(Base):
    """Asks of its model what Backbone promises."""
    _esm = """
    async function refused(promise) {
      try { await promise; return "kept"; } catch (error) { return error.message; }
    }
    export default { async render({ model, el, experimental }) {
      const heard = [];
      const any = () => heard.push("any");
      model.on("change:list change:word", any);
      model.on("change:list", (_, value) => heard.push(value.length));
      model.on("change:word", () => { throw new Error("on purpose") });
      model.on("change", () => heard.push("change"));
      model.set("list", [1, { two: 2 }]);
      model.set({ list: [1, { two: 3 }], word: "b" });
      model.off("change:list", any);
      model.set("list", []);
      model.off();
      model.set("list", [9]);
      model.send({ type: "nothing" });
      const layout = model.get("layout").replace("IPY_MODEL_", "");
      const answers = [
        await refused(experimental.invoke("command")),
        await refused(model.widget_manager.create_view()),
        await refused(model.widget_manager.get_model(layout)),
      ];
      el.innerHTML = `<output class="model">${heard.join(" ")} | ${answers.join(" | ")}</output>`;
    } };
    """
    list = tr.List([1, {"two": 2}]).tag(sync=True)
    word = tr.Unicode("a").tag(sync=True)

Model()
''',
    '''
class Parent(Base):
    """Shows another widget within itself, by both kinds of reference."""
    _esm = """
    export default { async render({ model, el, host }) {
      const child = await host.getWidget(model.get("child"));
      await child.render({ el });
      const old = model.get("old").replace("IPY_MODEL_", "");
      const same = await model.widget_manager.get_model(old);
      const brief = new AbortController();
      const gone = document.createElement("div");
      await child.render({ el: gone, signal: brief.signal });
      brief.abort();
      same.set("value", 40);
      const left = gone.childElementCount;
      el.insertAdjacentHTML("beforeend", `<output class="parent">${left}</output>`);
    } };
    """
    child = tr.Unicode().tag(sync=True)
    old = tr.Unicode().tag(sync=True)

child = Counter(name="child")
Parent(child=f"anywidget:{child.model_id}", old=f"IPY_MODEL_{child.model_id}")
''',
]

BROKEN = {
    "import": "throw new Error('at import');",
    "syntax": "export default {{;",
    "factory": "export default () => { throw new Error('in its factory'); };",
    "initialize": """export default {
        initialize() { throw new Error('in initialize'); },
        render() {},
    };""",
    "render": """export default {
        render({ el }) { el.append('half done'); throw new Error('in render'); },
    };""",
    "later": "export default { async render() { await null; throw 'in an async render'; } };",
    "empty": "export const nothing = 1;",
}

PAGES = {
    "alive": HEAD + "# Alive\n" + CELL + "".join(map(cell, ALIVE)),
    "broken": HEAD
    + "# Broken\n"
    + CELL
    + "".join(
        cell(
            f"class {name.title()}(Base):\n    _esm = {esm!r}\n"
            f"    picture = still('The picture of {name}.')\n{name.title()}()"
        )
        for name, esm in BROKEN.items()
    )
    + cell(
        "class Good(Base):\n"
        "    _esm = 'export default { render({ el }) { el.append(\"unharmed\"); } };'\n"
        "Good()"
    )
    + cell("ipywidgets.IntSlider(description='dead')"),
    "plain": "# Plain\n\nNo widgets here.\n",
}

CONF = """
import sys
from jupyter_book.config import get_final_config
sys.path.insert(0, {tools!r})
config, _ = get_final_config(user_yaml={user!r}, cli_config={{"latex_individualpages": False}})
globals().update(config)
"""


BUILD = """
import sys
from sphinx.cmd.build import main
options = "-q -n -W --keep-going -d _build/trees".split()
builds = ("html", "html"), ("latex", "latex"), ("html", "again")
sys.exit(max([main([*options, "-b", kind, ".", f"_build/{target}"]) for kind, target in builds]))
"""


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """A book of the pages above, built with this book's settings to html, latex and html again."""
    folder = tmp_path_factory.mktemp("book")
    user = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    del user["bibtex_bibfiles"], user["html"]["favicon"]
    user["sphinx"]["config"]["html_static_path"] = [str(ROOT / "book" / "_static")]
    for name, text in PAGES.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    toc = {"root": "plain", "chapters": [{"file": "alive"}, {"file": "broken"}]}
    (folder / "_toc.yml").write_text(yaml.safe_dump({"format": "jb-book"} | toc), encoding="utf-8")
    conf = CONF.format(tools=str(ROOT / "tools"), user=user)
    (folder / "conf.py").write_text(conf, encoding="utf-8")
    subprocess.run([sys.executable, "-c", BUILD], cwd=folder, check=True)
    return folder / "_build"


@pytest.fixture(scope="session")
def address(book):
    command = [sys.executable, ROOT / "tools" / "serve.py", book / "html", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield re.search(r"http://[^/]+", server.stdout.readline()).group()
        server.terminate()


@pytest.fixture(scope="session", params=["http", "file"])
def opened(request, chromium, book, address):
    """Open a page and let its widgets come; `page.faults` and `page.requests` tell how it went."""
    root = address if request.param == "http" else (book / "html").as_uri()
    contexts = []

    def opened(name, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.faults, page.requests = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: page.faults.append(request.url))
        page.on("console", lambda line: line.type == "error" and page.faults.append(line.text))
        context.route(
            lambda url: not url.startswith((root, "blob:", "data:")), lambda route: route.abort()
        )
        page.goto(f"{root}/{name}.html", wait_until="load")
        if options.get("java_script_enabled", True):
            page.wait_for_function(
                "[...document.querySelectorAll('.widget-place')].every(e => e.hasChildNodes())"
            )
        page.here = root
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def alive(opened):
    return opened("alive")


@pytest.fixture(scope="session")
def broken(opened):
    return opened("broken")


def test_every_widget_is_alive(alive):
    assert alive.locator(".widget-place").count() == 7
    assert alive.locator("output").count() == 4
    assert alive.locator("[role=alert], [role=note]").count() == 0


def test_asks_no_other_site_and_nothing_fails(alive):
    assert [
        url for url in alive.requests if not url.startswith((alive.here, "blob:", "data:"))
    ] == []
    # One listener throws on purpose: it is told of, and stops no other.
    assert len(alive.faults) == 1
    assert alive.faults[0].startswith("Error: on purpose")


def test_two_views_share_a_model_and_two_widgets_do_not(alive):
    first, again, second = alive.locator(".counter").all()[:3]
    start = int(first.inner_text().removeprefix("first: "))
    first.click()
    again.click()
    assert first.inner_text() == again.inner_text() == f"first: {start + 2}"
    assert second.inner_text() == "second: 3"


def test_a_view_is_styled_once(alive):
    assert (
        alive.locator(".counter").first.evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    )
    styles = alive.locator("style").evaluate_all("all => all.map(e => e.textContent)")
    assert sum(".counter" in text for text in styles) == 1


def test_bytes_arrive(alive):
    assert alive.locator(".bytes").inner_text().split() == ["6", "256", "ok", "true"]


def test_what_takes_its_time_comes(alive):
    assert alive.locator(".slow").inner_text() == "late"


def test_a_model_keeps_the_promises_of_the_specification(alive):
    heard, *answers = alive.locator(".model").inner_text().split(" | ")
    # Setting what is there already is no change; the second set changes both; then one has left.
    assert heard == "any 2 any change 0 change"
    assert "no kernel" in answers[0]
    assert "without a kernel" in answers[1]
    assert "running kernel" in answers[2]


def test_a_widget_shows_another(alive):
    child = alive.locator(".widget-place", has=alive.locator(".parent")).locator(".counter")
    assert child.inner_text() == "child: 40"
    assert alive.locator(".parent").inner_text() == "0", "a view that ended has cleaned up"


def test_initialize_runs_once_a_model(alive):
    begun = alive.locator(".counter").evaluate_all("all => all.map(e => e.dataset.begun)")
    assert begun == ["1"] * 4


def test_no_picture_is_loaded_that_a_widget_replaces(alive):
    assert [url for url in alive.requests if "_images" in url] == []
    assert alive.locator(".widget-still").count() == 0


@pytest.mark.parametrize("where", BROKEN)
def test_a_broken_widget_says_so_beside_its_picture(broken, where):
    picture = broken.get_by_alt_text(f"The picture of {where}.")
    assert picture.is_visible()
    decode = "e => { e.loading = 'eager'; return e.decode().then(() => e.naturalWidth); }"
    assert picture.evaluate(decode) == 20
    alert = broken.locator(".widget-with-still", has=picture).get_by_role("alert")
    assert alert.inner_text().startswith("This widget failed to start: ")
    assert "half done" not in alert.locator("..").inner_text()
    if thrown := re.search("'((?:at|in) .*?)'", BROKEN[where]):
        assert thrown.group(1) in alert.inner_text()


def test_a_broken_widget_stops_no_other_and_is_no_uncaught_error(broken):
    assert broken.get_by_text("unharmed").is_visible()
    assert len(broken.faults) == len(BROKEN), broken.faults
    assert [fault for fault in broken.faults if fault.startswith("uncaught")] == []


def test_a_control_that_needs_a_kernel_says_so(broken):
    note = broken.get_by_role("note").filter(has_text="running kernel")
    assert note.inner_text().startswith("This control needs a running kernel: ")
    launch = urlsplit(note.get_by_role("link").get_attribute("href"))
    assert launch.netloc == "mybinder.org"
    assert launch.query.endswith("broken.md")
    assert broken.locator("input[type=range]").count() == 0


def test_without_scripts_pictures_show(opened):
    page = opened("alive", java_script_enabled=False)
    pictures = page.get_by_alt_text("A counter that stands at three.").all()
    assert len(pictures) == 3
    assert all(picture.is_visible() for picture in pictures)
    assert page.get_by_alt_text("picture of an interactive widget").is_visible(), "no words came"
    sentences = page.locator("noscript p").all()
    assert [s.inner_html() for s in sentences if s.is_visible()] == [NO_SCRIPT] * 3


def test_a_picture_keeps_the_place_until_the_widget_comes(opened, alive):
    still = opened("alive", java_script_enabled=False).locator(".widget-with-still").all()
    assert [e.evaluate("e => e.style.aspectRatio") for e in still] == ["20 / 20"] * 3 + ["30 / 20"]
    live = alive.locator(".widget-with-still").all()
    assert [e.evaluate("e => e.style.aspectRatio") for e in live] == [""] * 4


def test_code_is_on_the_site_once(book):
    html = book / "html"
    files = [*html.rglob("*.html"), *html.glob("_static/**/*.js")]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    (shared,) = (file for file, text in texts.items() if "A comment that would end" in text)
    assert shared.parent == html / "_static" / "widgets"
    assert [file.name for file, text in texts.items() if "const host = {" in text] == ["host.js"]


def test_a_page_loads_the_code_of_its_own_widgets(opened, alive, broken):
    def code(page):
        return [url for url in page.requests if "_static/widgets/" in url]

    assert code(opened("plain")) == []
    (host,) = {*code(alive)} & {*code(broken)}
    assert "/host.js" in host
    # The modules of Counter, Bytes, Slow, Model and Parent, the sheet of Counter, the host.
    assert len(code(alive)) == len({*code(alive)}) == 7


def test_pages_name_models_by_their_order(book):
    """Their own names are random, and two builds would differ."""
    text = (book / "html" / "alive.html").read_text(encoding="utf-8")
    state = re.search(r'widget-state\+json">(.*?)</script>', text, re.DOTALL).group(1)
    models = json.loads(state)["state"]
    assert [*models] == [f"widget-{n}" for n in range(len(models))]
    notebook = json.loads((book / "jupyter_execute" / "alive.ipynb").read_text(encoding="utf-8"))
    random = notebook["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert len(random) == len(models)
    assert [name for name in random if name in text] == []


def test_a_rebuild_from_the_cache_is_whole(book):
    for name in PAGES:
        old, new = (book / folder / f"{name}.html" for folder in ("html", "again"))
        assert old.read_text(encoding="utf-8") == new.read_text(encoding="utf-8")
    old, new = (book / folder / "_static" / "widgets" for folder in ("html", "again"))
    assert {file.name for file in old.iterdir()} == {file.name for file in new.iterdir()}


def test_print_has_the_picture(book):
    (tex,) = (book / "latex").glob("*.tex")
    text = tex.read_text(encoding="utf-8")
    pictures = re.findall(r"\\sphinxincludegraphics.*?\{\{(\w+)\}\.png\}", text)
    assert len(pictures) == 3 + len(BROKEN)
    assert all((tex.parent / f"{name}.png").exists() for name in pictures)
    assert "An interactive widget stands here on the website." in text
    assert "object at 0x" not in text
