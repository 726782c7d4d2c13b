"""Runs in processes of their own, with code that slows, hangs or stops them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from degrade_engine.engine.objects import Out

PAIRS, SHARD = 96, 16  # six shards of one batch
MANY = ("--pairs", str(PAIRS), "--shard-pairs", str(SHARD), "--lr-size", "16", "--threads", "1")

SLOW = """
import os, time
from degrade_engine.engine.sampling.starts import StartEngine
fast = StartEngine.begin
def slow(self, batch, **options):
    time.sleep(0.3)
    return fast(self, batch, **options)
StartEngine.begin = slow
"""
SHORT_LEASE = """
from degrade_engine.engine.runners import workers
real = workers.Workers.run
def run(self, *given, **told):
    object.__setattr__(self, "lease_s", 0.5)
    return real(self, *given, **told)
workers.Workers.run = run
"""

HOLDER = """
import sys
from degrade_engine.engine.objects import out_of
from degrade_engine.engine.runners.object_claims import claiming
with claiming(out_of(sys.argv[1]), float(sys.argv[2])) as mine:
    print(mine.name, [mine.take(what) for what in sys.argv[3:]], flush=True)
    sys.stdin.readline()
"""


def words(photos: Path, out: Path, kind: str = "folder", *more: str) -> list[str]:
    return ["generate", "--degrader", "bicubic", "--hr", str(photos), "--sink", kind, "--out", str(out), *MANY, *more]


def start(line: list[str], code: str = "", everywhere: Path | None = None) -> subprocess.Popen[str]:
    """The command in a process of its own. code: run before, such as one that slows it. everywhere: a folder for the
    code, which its workers then run, too.
    """
    environment = dict(os.environ)
    if everywhere is not None:
        (everywhere / "sitecustomize.py").write_text(code)  # which Python runs as it starts
        code, environment["PYTHONPATH"] = "", str(everywhere)
    body = f"import sys\n{code}\nfrom degrade_engine.cli import main\nsys.exit(main())"
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", body, *line], stderr=pipe, stdout=pipe, text=True, env=environment
    )  # fmt: skip


@contextmanager
def holder(out: Out, *what: str, lease_s: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    """A process that claims `what` of a run. Its name and what it got are attributes of what this gives."""
    words = [sys.executable, "-c", HOLDER, str(out), str(lease_s), *what]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        child.name, _, child.got = child.stdout.readline().partition(" ")  # type: ignore[attr-defined, union-attr]
        yield child
    finally:
        child.kill()
        child.communicate()


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)
