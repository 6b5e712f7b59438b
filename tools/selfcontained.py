"""Sphinx extension: the site asks no other site for anything."""


def setup(app):
    """Jupyter Book loads Thebe on every page, which names a CDN and declares a name twice."""
    for event, listeners in app.events.listeners.items():
        app.events.listeners[event] = [
            each for each in listeners if each.handler.__module__ != "sphinx_thebe"
        ]
    app.registry.css_files[:] = [
        (name, attributes) for name, attributes in app.registry.css_files if "thebe" not in name
    ]
    return {"parallel_read_safe": True, "parallel_write_safe": True}
