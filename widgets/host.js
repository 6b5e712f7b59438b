// A host for anywidgets on a page without a kernel, after the AFM specification
// (https://anywidget.dev/en/afm). It mounts each widget view of the page from the widget state that
// the page carries. A classic script, for a page opened as a file may not load modules.

(() => {
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const sources = (window.widgetSources ??= {});
  const modules = new Map();
  const models = new Map();

  /** The module of a source text, loaded once. */
  function load(source) {
    if (!modules.has(source)) {
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      modules.set(source, import(url).finally(() => URL.revokeObjectURL(url)));
    }
    return modules.get(source);
  }

  const text = (value) => (typeof value === "string" ? value : sources[value.source]);

  /** The definition { initialize, render } of a module: its default export, or its named ones. */
  async function definition(module) {
    const given = module.default ?? module;
    return typeof given === "function" ? await given() : given;
  }

  function decode(state, buffers = []) {
    for (const { path, data } of buffers) {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const owner = path.slice(0, -1).reduce((at, key) => at[key], state);
      owner[path.at(-1)] = new DataView(bytes.buffer);
    }
    return state;
  }

  /** The model of an id: the part of ipywidgets' model that the specification names. */
  function modelOf(id, { state, buffers }) {
    const values = decode(structuredClone(state), buffers);
    const listeners = new Map();
    const fire = (name, ...args) => [...(listeners.get(name) ?? [])].forEach((listener) => listener(...args));
    let unsaved = new Set();
    const model = {
      get: (name) => values[name],
      set(name, value) {
        const changes = typeof name === "object" ? Object.entries(name) : [[name, value]];
        const changed = changes.filter(([key, to]) => values[key] !== to);
        for (const [key, to] of changed) {
          values[key] = to;
          unsaved.add(key);
        }
        for (const [key, to] of changed) fire(`change:${key}`, model, to);
        if (changed.length) fire("change", model);
      },
      save_changes() {
        unsaved = new Set();
      },
      on(names, listener) {
        for (const name of names.split(/\s+/)) listeners.set(name, [...(listeners.get(name) ?? []), listener]);
      },
      off(names, listener) {
        if (names == null) return listeners.clear();
        for (const name of names.split(/\s+/)) {
          listeners.set(name, listener ? (listeners.get(name) ?? []).filter((each) => each !== listener) : []);
        }
      },
      send() {},
      widget_manager: {
        get_model: async (other) => (await opened(other)).model,
      },
    };
    return model;
  }

  const experimental = {
    invoke: () => Promise.reject(new Error("there is no kernel behind this page")),
  };

  let page = null;
  const states = () => (page ??= Object.assign({}, ...[...document.querySelectorAll(STATE)].map((e) => JSON.parse(e.textContent).state)));

  /** { model, render } of an id, its module loaded and initialised once. */
  function opened(id) {
    if (!models.has(id)) models.set(id, open(id));
    return models.get(id);
  }

  async function open(id) {
    const entry = states()[id];
    if (!entry) throw new Error("the page carries no state of this widget");
    if (entry.state._esm === undefined) return null;
    const model = modelOf(id, entry);
    const { initialize, render } = await definition(await load(text(entry.state._esm)));
    const signal = new AbortController().signal;
    await initialize?.({ model, experimental, signal });
    return { model, render, css: entry.state._css };
  }

  const dressed = new Set();
  function dress(css) {
    const rules = css && text(css);
    if (!rules || dressed.has(rules)) return;
    dressed.add(rules);
    document.head.append(Object.assign(document.createElement("style"), { textContent: rules }));
  }

  function say(place, role, ...parts) {
    const note = document.createElement("p");
    note.className = "widget-note";
    note.setAttribute("role", role);
    note.append(...parts);
    place.replaceChildren(note);
  }

  function needsKernel(place) {
    const launch = document.querySelector('a[href*="/v2/"][href*="urlpath"], a.btn-launch-thebe, a[href*="mybinder.org"]');
    if (!launch) return say(place, "note", "This control needs a running kernel.");
    const link = Object.assign(document.createElement("a"), { href: launch.href, textContent: "start one" });
    say(place, "note", "This control needs a running kernel: ", link, ".");
  }

  async function mount(script) {
    const place = document.createElement("div");
    place.className = "widget-place";
    script.after(place);
    const still = script.closest(".widget-with-still")?.querySelector(".widget-still");
    try {
      const widget = await opened(JSON.parse(script.textContent).model_id);
      if (!widget) return needsKernel(place);
      dress(widget.css);
      const signal = new AbortController().signal;
      await widget.render?.({ model: widget.model, el: place, experimental, signal });
      still?.remove();
    } catch (error) {
      console.error(error);
      say(place, "alert", `This widget failed to start: ${error?.message ?? error}`);
      if (still) reveal(still);
    }
  }

  /** The picture inside <noscript>, for who has scripts but not this widget. */
  function reveal(still) {
    const inside = still.querySelector("noscript");
    if (inside) inside.outerHTML = inside.textContent;
  }

  const start = () => Promise.all([...document.querySelectorAll(VIEW)].map(mount));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
