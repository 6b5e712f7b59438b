"""The book's widgets: traits in, traits out. They live on a page without a kernel, too.

What they show is drawn by one JavaScript module, built from `widgets/` (`make widgets`).
"""

import base64
import io
import warnings
from pathlib import Path

import anywidget
import numpy as np
import traitlets as tr

from vitutor import estimators, families
from vitutor.diagnostics import NotConvergedWarning
from vitutor.fit import DivergedError, Fit, fit
from vitutor.models import LinearRegression
from vitutor.optimizers import adam

MOST_FRAMES = 400
DIGITS = 10


class Widget(anywidget.AnyWidget):
    """What all widgets of the book share: one module, a name for links, a picture without it.

    `name` is the widget's name in links that set its state, as in `#lab:family=mean-field`, so it
    must be the only one of its name in a page.
    """

    _esm = Path(__file__).parent / "static" / "widgets.js"
    kind = tr.Unicode().tag(sync=True)
    name = tr.Unicode().tag(sync=True)
    label = tr.Unicode().tag(sync=True)

    def __init__(self, name, **traits):
        if not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(f"name must be a word, to stand in a link; got {name!r}.")
        super().__init__(kind=type(self).__name__, name=name, **traits)

    def picture(self):
        """A matplotlib figure of the final frame, and the sentence that says what it shows."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs):
        """The live view, and its final frame for pages that run no script."""
        import matplotlib.pyplot as plt

        data, metadata = super()._repr_mimebundle_(**kwargs)
        figure, text = self.picture()
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=120)
        plt.close(figure)
        image = base64.b64encode(file.getvalue()).decode()
        return data | {"image/png": image, "text/plain": text}, metadata
