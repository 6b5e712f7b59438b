"""What runs inside the sandbox: a notebook's cells, then its functions on given inputs.

Standard input holds one line of JSON, the job, and then the notebook. A line of JSON is written for
each part. Nothing here decides about points, so nothing here is worth forging.
"""

import json
import os
import resource
import signal
import sys


class TooLongError(BaseException):
    """A cell or a part took longer than its share of the time."""


def encode(value):
    """A value as what JSON can hold: numbers, lists and dicts of them."""
    if hasattr(value, "tolist"):  # a numpy array or number
        return encode(value.tolist())
    if isinstance(value, dict):
        return {str(key): encode(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [encode(each) for each in value]
    if isinstance(value, bool | int | float):
        return value
    raise TypeError(f"expected numbers, arrays, lists or dicts of them, got {type(value).__name__}")


def pack(argument):
    """An argument of a case as JSON; `unpack` gives back the same, an array as an array."""
    if hasattr(argument, "tolist") and getattr(argument, "ndim", 0):
        return {"array": argument.ravel().tolist(), "shape": list(argument.shape)}
    if isinstance(argument, list | tuple):
        return [pack(each) for each in argument]
    return argument.item() if hasattr(argument, "item") else argument


def unpack(argument):
    if isinstance(argument, dict):
        import numpy as np

        return np.array(argument["array"], float).reshape(argument["shape"])
    return [unpack(each) for each in argument] if isinstance(argument, list) else argument


def confine(limits):
    """Become an ordinary user, and take on the limits: neither can be undone."""
    if limits["uid"]:
        os.setgroups([])
        os.setgid(limits["uid"])
        os.setuid(limits["uid"])
    for name, value in limits["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))


def attempt(seconds, function, *arguments):
    """What the function returns and None, or None and the name of what it raised."""
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return function(*arguments), None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except BaseException as fault:
        return None, type(fault).__name__


def too_long(*_):
    raise TooLongError


def code_of(notebook):
    cells = json.loads(notebook)["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    magics = ("%", "!")
    return [
        "\n".join("" if x.lstrip().startswith(magics) else x for x in source.split("\n"))
        for source in sources
    ]


def main():
    limits = json.loads(sys.argv[1])
    sys.path.append(limits["path"])
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    confine(limits)
    signal.signal(signal.SIGALRM, too_long)

    def say(**line):
        os.write(answers, json.dumps(line).encode() + b"\n")

    job, _, notebook = sys.stdin.buffer.read().partition(b"\n")
    job = json.loads(job)
    cells, fault = attempt(limits["seconds"], code_of, notebook)
    say(readable=fault is None)
    space = {"__name__": "__main__", "display": lambda *_, **__: None}
    for source in cells or []:
        attempt(limits["seconds"], lambda s=source: exec(compile(s, "cell", "exec"), space))
    for part in job:
        values, faults = [], []
        for arguments in part["cases"]:
            value, fault = attempt(
                limits["seconds"],
                lambda a=arguments, f=part["function"]: encode(space[f](*map(unpack, a))),
            )
            values.append(value)
            faults.append(fault)
            if fault:  # one wrong case costs the part
                break
        attempt(
            limits["seconds"],
            lambda v=values, f=faults, n=part["part"]: say(part=n, values=v, faults=f),
        )
    os._exit(0)


if __name__ == "__main__":
    main()
