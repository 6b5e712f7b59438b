"""Sphinx extension: the core's docstrings, numpydoc in shape and plain text in content, as reST.

`name : what it is` under an underlined heading becomes an entry of a list of definitions, q_φ a q
with the subscript φ.
"""

import re

HEADING = re.compile(r"(Attributes|Parameters|Raises|Returns|Warns)$")
CODE = re.compile(r"(`[^`]+`)")
SUBSCRIPT = re.compile(r"(?<![\w)])(\w)_([^\W_]|jj)(?![A-Za-z_])")


def as_rest(app, what, name, obj, options, lines):
    done, listing, underline = [], False, False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if underline:
            underline = False
        elif HEADING.match(line) and following == "-" * len(line):
            done += [f".. rubric:: {line}", ""]
            listing = underline = True
        elif listing and line and not line.startswith(" "):
            term, _, text = line.partition(" : ")
            done.append(f"``{term}``")
            if text:
                done.append(f"    {text}")
        else:
            done.append(line)
    lines[:] = ["".join(map(plain, CODE.split(line))) for line in done]


def plain(text):
    """What stands outside of code: a bar is a bar, and an underscore lowers the letter after it."""
    if text.startswith("`"):
        return text
    return SUBSCRIPT.sub(r"\1\\ :sub:`\2`\\ ", text.replace("|", r"\|"))


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", as_rest)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
