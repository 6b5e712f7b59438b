"""A bubblewrap sandbox for one untrusted notebook; run as a program, install and print bubblewrap.

Inside there are Python, its packages and `vitutor`, all read-only, a small /tmp, and nothing else:
no network, no other processes, no environment. Limits hold on time, memory, processes, files and
output. When the caller is root, the worker becomes an ordinary user with an id of its own.
"""

import functools
import json
import os
import platform
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import vitutor

HERE = Path(__file__).parent
MIB = 2**20
SECONDS = 20  # for a whole submission
SHARE = 5  # for one cell or one case
OUTPUT = 1 * MIB
FILES = 2000  # an empty one takes a kilobyte of the kernel's memory
RLIMITS = {
    "RLIMIT_AS": 1024 * MIB,
    "RLIMIT_CPU": SECONDS + 5,  # the clock ends a loop first, so its status is always the same
    "RLIMIT_CORE": 0,
    "RLIMIT_FSIZE": 16 * MIB,
    "RLIMIT_NOFILE": 64,
    "RLIMIT_NPROC": 3,
}
TMP = 32 * MIB
# System calls by which memory, namespaces or the kernel's rarer parts are reached past the limits:
# (x86-64, arm64)
DENIED = {
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "ptrace": (101, 117),
    "unshare": (272, 97),
    "setns": (308, 268),
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "memfd_create": (319, 279),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
}
CLONE, CLONE3 = (56, 220), 435
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


class NoSandboxError(RuntimeError):
    """There is no sandbox, and why."""


def seccomp():
    """The filter of system calls, as the kernel's BPF."""
    column, arch = MACHINES[platform.machine()]
    load, equal, above, anded, give = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, eperm, enosys = 0x80000000, 0x7FFF0000, 0x50001, 0x50026
    program = [
        (load, 0, 0, 4),
        (equal, 1, 0, arch),
        (give, 0, 0, kill),
        (load, 0, 0, 0),
        (above, 0, 1, 0x40000000),
        (give, 0, 0, kill),
    ]
    for numbers in DENIED.values():
        program += [(equal, 0, 1, numbers[column]), (give, 0, 0, eperm)]
    # clone3 hides its flags from a filter: without it, clone is used, whose flags can be read.
    program += [
        (equal, 0, 1, CLONE3),
        (give, 0, 0, enosys),
        (equal, 0, 3, CLONE[column]),
        (load, 0, 0, 16),
        (anded, 0, 1, 0x7E020000),  # any CLONE_NEW…
        (give, 0, 0, eperm),
        (give, 0, 0, allow),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in program)


@functools.cache
def warm():
    """A folder of compiled modules and fonts, made once, so that a sandbox starts quickly."""
    version = f"{sys.version_info.major}{sys.version_info.minor}"
    folder = HERE.parent / "_build" / f"grader-cache-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    settings = {"PYTHONPYCACHEPREFIX": str(folder / "pyc"), "MPLCONFIGDIR": str(folder / "mpl")}
    modules = "json, numpy, autograd.numpy, autograd.scipy.stats, matplotlib.pyplot, vitutor"
    subprocess.run(
        [sys.executable, "-c", f"import {modules}; vitutor.set_style"],
        env=clean | settings | {"MPLBACKEND": "agg"},
        check=True,
    )
    return folder


def command(bwrap, uid):
    """The sandbox's command line, up to the program that runs in it."""
    cache = warm()
    seen = {Path(sys.base_prefix), Path(sys.prefix), Path(vitutor.__file__).parent}
    system = {Path(p) for p in ("/usr", "/lib", "/lib64", "/bin")}
    line = [bwrap, "--die-with-parent", "--new-session", "--clearenv"]
    line += [f"--unshare-{each}" for each in ("ipc", "pid", "net", "uts", "cgroup-try")]
    if uid:  # in a user namespace root would stay root outside, so the worker sheds it by itself
        line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        line += ["--unshare-user", "--disable-userns", "--uid", "65534", "--gid", "65534"]
    # Before what is seen, which may lie below it.
    line += ["--perms", "1777", "--size", str(TMP), "--tmpfs", "/tmp"]
    parents = {parent for path in {*seen, Path("/grader/x")} for parent in path.parents}
    for path in sorted(parents - system):  # bubblewrap's own would be closed to others
        line += ["--perms", "0755", "--dir", str(path)]
    for path in sorted(system | seen):
        line += ["--ro-bind-try", str(path), str(path)]
    line += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    line += ["--ro-bind-try", "/etc/alternatives", "/etc/alternatives"]
    line += ["--ro-bind", str(HERE / "worker.py"), "/grader/worker.py"]
    line += ["--ro-bind", str(cache / "pyc"), "/grader/pyc"]
    line += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    line += ["--perms", "0777", "--dir", "/tmp/mpl"]
    for fonts in (cache / "mpl").glob("fontlist*.json"):
        line += ["--ro-bind", str(fonts), f"/tmp/mpl/{fonts.name}"]
    line += ["--remount-ro", "/", "--chdir", "/tmp"]
    environment = {
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": "/tmp/mpl",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPYCACHEPREFIX": "/grader/pyc",
        "TQDM_DISABLE": "1",
    }
    for name, value in environment.items():
        line += ["--setenv", name, value]
    return line


def run(bwrap, job, notebook, slot=0, seconds=SECONDS):
    """Run notebook and job; return what was written, at most OUTPUT bytes, and how it ended.

    It ended "well", or because of "time", "output" or a "crash". Nothing of it runs on.
    `slot` tells apart those who call at the same time.
    """
    uid = 1_000_000 + os.getpid() * 64 + slot if os.geteuid() == 0 else 0
    path = str(Path(vitutor.__file__).parents[1])  # -I keeps PYTHONPATH out
    limits = json.dumps({"uid": uid, "seconds": SHARE, "rlimits": RLIMITS, "path": path})
    read, write = os.pipe()
    os.write(write, seccomp())
    os.close(write)
    told, tell = os.pipe()
    with tempfile.TemporaryFile() as stdin:
        stdin.write(json.dumps(job).encode() + b"\n" + notebook)
        stdin.seek(0)
        line = [*command(bwrap, uid), "--seccomp", str(read), "--info-fd", str(tell), "--"]
        process = subprocess.Popen(
            [
                *line,
                sys.executable,
                "-I",
                "-X",
                "pycache_prefix=/grader/pyc",
                "/grader/worker.py",
                limits,
            ],
            stdin=stdin,
            env={},  # bubblewrap's own could be read from inside, in /proc/1/environ
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[read, tell],
        )
    os.close(read)
    os.close(tell)
    try:
        with open(told, "rb") as info:
            child = json.loads(info.read() or b"{}").get("child-pid")
        return listen(process, child, time.monotonic() + seconds)
    finally:
        process.kill()  # bubblewrap takes all that is in the sandbox with it
        process.wait()
        process.stdout.close()


def listen(process, child, deadline):
    written = b""
    while len(written) <= OUTPUT and files(child) <= FILES:
        left = deadline - time.monotonic()
        if left <= 0:
            return written, "time"
        if not select.select([process.stdout], [], [], min(left, 0.1))[0]:
            continue
        more = os.read(process.stdout.fileno(), 2**16)
        if not more:
            try:
                code = process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                return written, "time"
            return written, "crash" if code else "well"
        written += more
    return written[:OUTPUT], "output"


def files(child):
    """How many files, folders and links there are in the sandbox's /tmp."""
    try:
        tmp = os.statvfs(f"/proc/{child}/root/tmp")
    except (FileNotFoundError, ProcessLookupError):  # it is not there yet, or no longer
        return 0
    return tmp.f_files - tmp.f_ffree if tmp.f_blocks * tmp.f_frsize == TMP else 0


PROBE = json.dumps(
    {"cells": [{"cell_type": "code", "source": "import vitutor\ndef two(): return 2"}]}
).encode()


def find():
    """The path of a bubblewrap whose sandbox works; NoSandboxError says why there is none."""
    if platform.system() != "Linux" or platform.machine() not in MACHINES:
        raise NoSandboxError(
            f"grading needs Linux on x86-64 or arm64, this is {platform.system()} on "
            f"{platform.machine()}: grade in a virtual machine."
        )
    path = shutil.which("bwrap")
    if not path:
        raise NoSandboxError("bubblewrap is not installed (on Debian: apt-get install bubblewrap).")
    written, ended = run(path, [{"part": "probe", "function": "two", "cases": [[]]}], PROBE)
    if b'"values": [2]' in written and ended == "well":
        return path
    trial = [path, "--ro-bind", "/", "/", "--unshare-all", "true"]
    said = subprocess.run(trial, capture_output=True, text=True).stderr.strip()
    if said:
        raise NoSandboxError(
            f"bubblewrap does not work here: {said}. It needs namespaces, which containers often "
            "forbid and Ubuntu restricts (kernel.apparmor_restrict_unprivileged_userns)."
        )
    raise NoSandboxError(
        f"bubblewrap works here, but a trial notebook did not run in it by {sys.executable}; it "
        f"ended by {ended!r}."
    )


def install():
    """Install Debian's bubblewrap if we may."""
    if os.geteuid() == 0 and shutil.which("apt-get") and not shutil.which("bwrap"):
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        for step in (["update"], ["install", "-y", "bubblewrap"]):
            subprocess.run(["apt-get", "-q", *step], stdout=sys.stderr, check=False)


if __name__ == "__main__":
    install()
    try:
        print(find())
    except NoSandboxError as fault:
        sys.exit(f"No sandbox: {fault}")
