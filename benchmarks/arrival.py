"""How long does a fresh process take to arrive at the posterior, and who arrives at all?

Bayesian linear regression with N rows and D weights (peers/problem.py), a full-rank Gaussian
q, four sizes. Each contender is one script in peers/; each run of it is a new process, timed
from its start to its end: imports, data, compilation, fit, and printing KL(q ‖ exact
posterior) in nats, computed by the same lines for all. vitutor is run as it comes; the peers
take 2,000 Adam steps, once as they come and once at their best: the log joint reduced by hand
to a quadratic, float64, q started at the posterior's scale, a hand-tuned falling step size, and
for JAX compiled code cached on disk. One run of everything comes first and is thrown away, so
that byte code and these caches are warm; the rounds then go through all contenders in turn.

    python benchmarks/arrival.py --peers-python peers-venv/bin/python
    python benchmarks/arrival.py --only vitutor blackjax --sizes 2000,10 --out /tmp/look

where peers-venv is a virtual environment with benchmarks/peers-requirements.txt (about 2 GB;
none of it is needed by vitutor). A contender that is not installed gets a row that says so.
Takes 15 minutes on two idle cores. They should be idle: PyTorch's threads wait for each other
in a busy loop, and another busy process can make its small steps ten times slower.

Writes results/arrival.json and results/arrival.md beside this file.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers.problem import SIZES

HERE = Path(__file__).parent
NEAR = 1e-6  # nats: this near, q has arrived
SHARE = 0.2  # of the fastest peer's time: vitutor's target
PACKAGES = "vitutor numpy autograd blackjax optax jax jaxlib numpyro torch pyro-ppl pymc pytensor"

BEST = "start at posterior's scale, tuned falling rate, quadratic log joint, float64"
CONTENDERS = {  # (script, way): (name, how it is run)
    ("numpy", "default"): ("numpy (floor)", "exact answer by linear algebra: no inference"),
    ("vitutor", "default"): ("vitutor", "as it comes; 10 draws"),
    ("blackjax", "default"): (
        "BlackJAX",
        "own start N(0, I); Adam 0.01; 10 draws (its own default of 100 is slower); path "
        "derivative; float32; whole run compiled",
    ),
    ("blackjax", "best"): (
        "BlackJAX at its best",
        f"{BEST}; 10 draws, 100 at (2000, 10); path derivative, closed-form entropy at "
        "(100000, 20); compiled code from disk",
    ),
    ("numpyro", "default"): (
        "NumPyro",
        "own start (mean uniform in ±2, sd 0.1); Adam 0.01; own 1 draw; float32; lax.scan",
    ),
    ("numpyro", "best"): ("NumPyro at its best", f"{BEST}; 10 draws; compiled code from disk"),
    ("pytorch", "default"): (
        "PyTorch by hand",
        "start N(0, I); Adam 0.01; 10 draws; closed-form entropy; float32",
    ),
    ("pytorch", "best"): (
        "PyTorch by hand at its best",
        f"{BEST}; draws and gradient as BlackJAX at its best; fused Adam, one thread",
    ),
    ("pyro", "default"): (
        "Pyro",
        "own start (prior median of a few draws, sd 0.1); Adam 0.01; own 1 draw; float32",
    ),
    ("pyro", "best"): ("Pyro at its best", f"{BEST}; 10 draws; fused Adam, one thread"),
    ("pymc", "default"): (
        "PyMC",
        "own start (mean 0, sd 1.31); own adagrad_window 0.001, not Adam; own 1 draw; float64",
    ),
    ("pymc", "best"): ("PyMC at its best", f"{BEST}; Adam; 10 draws"),
}
OURS = ("numpy", "vitutor")


def run(python, script, way, size, cache, timeout):
    """(seconds, nats, trouble) of one fresh process."""
    command = [python, str(HERE / "peers" / f"with_{script}.py"), *map(str, size), way]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [*command, "--cache", cache], capture_output=True, text=True, env=env, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return None, None, f"stopped after {timeout:g} s"
    seconds = time.perf_counter() - start
    if done.returncode == 0:
        return seconds, float(done.stdout.split()[-1]), None
    said = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    missing = re.match(r"ModuleNotFoundError: No module named '(\w+)", said)
    return None, None, f"not installed: {missing[1]}" if missing else said


def measure(args):
    """One row per size and contender."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for size in args.sizes:
            batch = []
            for (script, way), (name, how) in CONTENDERS.items():
                if args.only and script not in args.only:
                    continue
                row = {"n": size[0], "d": size[1], "contender": name, "script": script}
                row |= {"way": way, "how": how, "seconds": [], "nats": [], "trouble": None}
                batch.append(row)
            for lap in range(1 + args.repeats):  # lap 0 is the warm-up
                for row in batch:
                    if row["trouble"]:
                        continue
                    script, way = row["script"], row["way"]
                    python = args.vitutor_python if script in OURS else args.peers_python
                    seconds, nats, trouble = run(python, script, way, size, cache, args.timeout)
                    row["trouble"] = trouble
                    said = trouble or f"{seconds:6.2f} s {nats:9.1e} nats"
                    what = f"lap {lap}" if lap else "warm-up"
                    print(f"{size} {what} {row['contender']}: {said}", file=sys.stderr)
                    if lap and not trouble:
                        row["seconds"].append(seconds)
                        row["nats"].append(nats)
            rows += batch
    return rows


def versions(python):
    """The versions of what is installed there, without importing it."""
    code = (
        "import importlib.metadata as m, json, sys\nfound = {}\nfor p in sys.argv[1:]:\n"
        "    try: found[p] = m.version(p)\n    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    out = subprocess.run([python, "-c", code, *PACKAGES.split()], capture_output=True, text=True)
    return json.loads(out.stdout) if out.returncode == 0 else {}


def table(result):
    """The same as Markdown: one table a size, and what it says of the target."""
    about = result["about"]
    lines = [
        "# Arrival: process start to a full-rank q",
        "",
        f"Made by `benchmarks/arrival.py` on {about['date']}: {about['machine']}, "
        f"Python {about['python']}, load average {about['load']:.1f} at the start and "
        f"{about['load_after']:.1f} at the end. Rounds of cold processes: {about['repeats']}; the "
        "peers take 2,000 steps each. A q has arrived when its KL from the exact posterior is at "
        f"most {NEAR:g} nats.",
    ]
    for n, d in dict.fromkeys((row["n"], row["d"]) for row in result["rows"]):
        rows = [row for row in result["rows"] if (row["n"], row["d"]) == (n, d)]
        time_of = {
            r["contender"]: statistics.median(r["seconds"]) for r in rows if not r["trouble"]
        }
        ours = time_of.get("vitutor")
        lines += ["", f"## N = {n:,}, D = {d}", ""]
        lines += ["| | median s | least s | nats | arrived | × vitutor |"]
        lines += ["| --- | ---: | ---: | ---: | :-: | ---: |"]
        for row in rows:
            name = row["contender"]
            if row["trouble"]:
                lines.append(f"| {name} | {row['trouble'].replace('|', '/')} | | | | |")
                continue
            nats = statistics.median(row["nats"])
            ratio = f"{time_of[name] / ours:.1f}" if ours else ""
            lines.append(
                f"| {name} | {time_of[name]:.2f} | {min(row['seconds']):.2f} | {nats:.1e} "
                f"| {'yes' if nats <= NEAR else 'no'} | {ratio} |"
            )
        peers = {r["contender"] for r in rows if r["script"] not in OURS} & time_of.keys()
        if ours and peers:
            fastest = min(peers, key=time_of.get)
            share = ours / time_of[fastest]
            lines += [
                "",
                f"vitutor takes {share:.2f} of the time of the fastest peer ({fastest}); the "
                f"target, under {SHARE:g}, is {'met' if share < SHARE else 'missed'}.",
            ]
    lines += ["", "## How each is run", "", "| | |", "| --- | --- |"]
    lines += dict.fromkeys(f"| {row['contender']} | {row['how']} |" for row in result["rows"])
    lines += ["", "Versions: " + ", ".join(f"{k} {v}" for k, v in about["versions"].items()) + "."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vitutor-python", default=sys.executable, help="has vitutor")
    parser.add_argument("--peers-python", default=sys.executable, help="has the peers")
    parser.add_argument("--repeats", type=int, default=3, help="measured rounds (3)")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a process gets (300)")
    parser.add_argument("--only", nargs="+", choices=sorted({s for s, _ in CONTENDERS}))
    parser.add_argument("--sizes", nargs="+", type=size, default=SIZES, help="such as 5,2 200,2")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()

    load, cores = os.getloadavg()[0], os.cpu_count()
    if load > 0.3 * cores:
        print(f"the machine is busy (load {load:.1f}): times will be off", file=sys.stderr)
    rows = measure(args)
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.system()} {platform.machine()}, {cores} cores",
        "python": platform.python_version(),
        "load": load,
        "load_after": os.getloadavg()[0],
        "repeats": args.repeats,
        "versions": versions(args.peers_python) | versions(args.vitutor_python),
    }
    result = {"about": about, "rows": rows}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "arrival.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "arrival.md").write_text(table(result))
    print(table(result))


def size(text):
    """ "200,2" -> (200, 2), if it is one of the four sizes."""
    pair = tuple(int(part) for part in text.split(","))
    if pair not in SIZES:
        raise argparse.ArgumentTypeError(f"{text} is none of {SIZES}")
    return pair


if __name__ == "__main__":
    main()
