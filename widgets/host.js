// A host of anywidgets on a page without a kernel: it mounts each widget view of the page from the
// widget state that the page carries, after the specification of anywidget's front-end modules
// (https://anywidget.dev/en/afm). A classic script, for a page opened as a file may not load modules.

(() => {
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const LAUNCH = '.dropdown-launch-buttons a[href*="/v2/"]';
  const sources = (window.widgetSources ??= {});

  const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const isPlain = (value) => Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;

  /** Whether setting b in the place of a changes nothing: JSON and bytes are compared by content. */
  function equal(a, b) {
    if (a === b || Object.is(a, b)) return true;
    if (!a || !b || typeof a !== "object" || typeof b !== "object") return false;
    if (ArrayBuffer.isView(a) && ArrayBuffer.isView(b)) {
      const [x, y] = [bytes(a), bytes(b)];
      return a.constructor === b.constructor && x.length === y.length && x.every((byte, i) => byte === y[i]);
    }
    if (!isPlain(a) || !isPlain(b) || Array.isArray(a) !== Array.isArray(b)) return false;
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
  }

  /** The values of a model's state, its bytes put back as DataViews. */
  function decode({ state, buffers = [] }) {
    for (const { path, data } of buffers) {
      const owner = path.slice(0, -1).reduce((at, key) => at[key], state);
      owner[path.at(-1)] = new DataView(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
    }
    return state;
  }

  /**
   * A function that gives one model's interface to each who asks for it: the values are shared, and
   * `off` takes away only the listeners that were added through the same interface.
   */
  function sharedModel(values) {
    let listeners = [];
    const fire = (event, ...args) => {
      for (const { name, listener } of [...listeners]) {
        if (name !== event) continue;
        try {
          listener(...args);
        } catch (error) {
          console.error(error);
        }
      }
    };
    return () => {
      const owner = Symbol("owner");
      const model = {
        get: (name) => values[name],
        set(name, value) {
          const given = typeof name === "object" ? name : { [name]: value };
          const changed = Object.keys(given).filter((key) => !equal(values[key], given[key]));
          Object.assign(values, given);
          for (const key of changed) fire(`change:${key}`, model, values[key]);
          if (changed.length) fire("change", model);
        },
        save_changes() {},
        send() {},
        on(names, listener) {
          for (const name of names.split(/\s+/)) listeners.push({ owner, name, listener });
        },
        off(names, listener) {
          const leaves = (each) =>
            each.owner === owner &&
            (names == null || names.split(/\s+/).includes(each.name)) &&
            (listener == null || each.listener === listener);
          listeners = listeners.filter((each) => !leaves(each));
        },
        widget_manager: {
          get_model: async (id) => (await anywidget(id)).model(),
          create_view: async () => {
            throw new Error("a page without a kernel has no widget manager; use host.getWidget");
          },
        },
      };
      return model;
    };
  }

  const experimental = {
    invoke: async () => {
      throw new Error("there is no kernel behind this page");
    },
  };

  const textOf = (code) => (typeof code === "object" ? sources[code?.source] : code);

  /** Each call has its own instance of the module, as each widget has in Jupyter. */
  async function load(text) {
    if (!text) throw new Error("its code did not arrive");
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    try {
      const module = await import(url);
      const given = module.default ?? module;
      return typeof given === "function" ? await given() : given;
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  const dressed = new Set();
  function dress(css) {
    if (!css || dressed.has(css)) return;
    dressed.add(css);
    document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  }

  let carried = null;
  function states() {
    carried ??= Object.assign({}, ...[...document.querySelectorAll(STATE)].map((e) => JSON.parse(e.textContent).state));
    return carried;
  }

  /** An anywidget with its module loaded and initialised, once; null for any other widget. */
  const opened = new Map();
  function open(id) {
    if (!opened.has(id)) opened.set(id, start(id));
    return opened.get(id);
  }

  async function start(id) {
    const entry = states()[id];
    if (!entry) throw new Error("the page carries no state of it");
    const { _esm, _css } = entry.state;
    if (_esm === undefined) return null;
    const { initialize, render } = await load(textOf(_esm));
    const model = sharedModel(decode(entry));
    dress(textOf(_css));
    const { signal } = new AbortController(); // a page's widgets end with it
    const exports = await initialize?.({ model: model(), signal, experimental });
    return { model, render, exports: typeof exports === "function" ? undefined : exports };
  }

  async function anywidget(id) {
    const widget = await open(id);
    if (!widget) throw new Error("a widget inside it needs a running kernel");
    return widget;
  }

  function referred(ref) {
    const id = /^anywidget:(.+)/.exec(ref)?.[1];
    if (!id) throw new Error(`no reference to a widget: ${JSON.stringify(ref)}`);
    return anywidget(id);
  }

  /** Draw a view into el. It ends when it fails or `until`, a signal, is aborted. */
  async function show(widget, el, until) {
    if (!widget.render) throw new Error("its module exports no render");
    const end = new AbortController();
    const { signal } = end;
    const model = widget.model();
    const host = {
      getModel: async (ref) => (await referred(ref)).model(),
      getWidget: async (ref) => {
        const child = await referred(ref);
        return { exports: child.exports, render: (options) => show(child, options.el, options.signal ?? signal) };
      },
    };
    let cleanup;
    signal.addEventListener("abort", () => {
      model.off();
      cleanup?.();
    });
    until?.addEventListener("abort", () => end.abort());
    try {
      const result = await widget.render({ model, el, host, signal, experimental });
      if (typeof result === "function") cleanup = result;
    } catch (error) {
      end.abort();
      throw error;
    }
    if (until?.aborted) end.abort();
    if (signal.aborted) cleanup?.();
  }

  function say(place, role, ...parts) {
    const note = document.createElement("p");
    note.className = "widget-note";
    note.setAttribute("role", role);
    note.append(...parts);
    place.replaceChildren(note);
  }

  function needsKernel(place) {
    const sentence = "This control needs a running kernel";
    const launch = document.querySelector(LAUNCH);
    if (!launch) return say(place, "note", `${sentence}.`);
    const link = Object.assign(document.createElement("a"), { href: launch.href, textContent: "open this page with one" });
    say(place, "note", `${sentence}: `, link, ".");
  }

  /** The picture is markup inside <noscript>, not loaded where the widget takes its place. */
  function reveal(still) {
    const hidden = still?.querySelector("noscript");
    if (hidden) hidden.outerHTML = hidden.textContent;
  }

  async function mount(script) {
    const place = document.createElement("div");
    place.className = "widget-place";
    script.after(place);
    const frame = script.closest(".widget-with-still");
    const still = frame?.querySelector(".widget-still");
    try {
      const widget = await open(JSON.parse(script.textContent).model_id);
      if (widget) {
        await show(widget, place);
        still?.remove();
      } else {
        needsKernel(place);
        reveal(still);
      }
    } catch (error) {
      console.error(error);
      say(place, "alert", `This widget failed to start: ${error?.message ?? error}`);
      reveal(still);
    }
    frame?.style.removeProperty("aspect-ratio");
  }

  const mountAll = () => document.querySelectorAll(VIEW).forEach(mount);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mountAll);
  else mountAll();
})();
