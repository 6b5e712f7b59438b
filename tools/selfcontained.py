"""Sphinx extension: the site asks no other site for anything."""

# What surrounds a word is read from its page, which browsers refuse between files.
SEARCH = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'


def setup(app):
    app.add_js_file(None, body=SEARCH, priority=900)
    remove_thebe(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def remove_thebe(app):
    """Jupyter Book loads Thebe on every page, which names a CDN and declares a name twice."""
    for event, listeners in app.events.listeners.items():
        app.events.listeners[event] = [
            each for each in listeners if each.handler.__module__ != "sphinx_thebe"
        ]
    app.registry.css_files[:] = [
        (name, attributes) for name, attributes in app.registry.css_files if "thebe" not in name
    ]
