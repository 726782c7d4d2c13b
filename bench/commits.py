"""Two commits of this repository, each built in place with an environment of its own, ready to be run in turn.

Each gets a git worktree and a virtual environment that sees this one's packages, but not its editable installation of
the project: a path in a .pth file is not searched for further .pth files. So both run on the same libraries.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from degrade_engine.engine.errors import DegradeError

CLI = "import sys; from degrade_engine.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Version:
    """A commit that is built: its worktree, its Python, its folder for what it makes."""

    commit: str
    tree: Path
    python: Path
    work: Path

    def cli(self, *words: object) -> list[str]:
        """The command line of this version's degrade-engine."""
        return [str(self.python), "-c", CLI, *map(str, words)]

    def run(self, words: Sequence[str]) -> tuple[str, float]:
        """(standard output, wall seconds) of a command in the worktree. Raises DegradeError with its last words where
        it fails."""
        binaries = os.pathsep.join([str(self.python.parent), os.environ.get("PATH", "")])
        # a safe path: the worktree's own folder degrade_engine is half the package, and must not hide the installed one
        environment = {**os.environ, "PATH": binaries, "WORK": str(self.work), "PYTHONSAFEPATH": "1"}
        environment.pop("PYTHONPATH", None)
        began = time.perf_counter()
        done = subprocess.run(words, cwd=self.tree, env=environment, capture_output=True, text=True, check=False)
        took = time.perf_counter() - began
        if done.returncode:
            last = " ".join((done.stderr or done.stdout).strip().splitlines()[-1:])
            raise DegradeError(f"{self.commit}: {shlex.join(words)[-120:]} ended with {done.returncode}: {last}")
        return done.stdout, took


def git(*words: str) -> str:
    """What git answers. Raises DegradeError with its complaint."""
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DegradeError(f"git {' '.join(words)}: {done.stderr.strip()}", wanted="commits of this repository")
    return done.stdout.strip()


@contextmanager
def versions(a: str, b: str, folder: Path) -> Iterator[tuple[Version, Version]]:
    """Both commits, built; their worktrees are gone afterwards. folder: an empty one."""
    with ExitStack() as stack:
        made = []
        for letter, name in (("a", a), ("b", b)):
            commit, tree = git("rev-parse", "--short=12", f"{name}^{{commit}}"), folder / letter / "tree"
            git("worktree", "add", "--detach", "--force", str(tree), commit)
            stack.callback(git, "worktree", "remove", "--force", str(tree))
            made.append(installed(commit, tree, folder / letter))
        yield made[0], made[1]


def installed(commit: str, tree: Path, folder: Path) -> Version:
    """The worktree's package, compiled, in an environment that shares this one's libraries."""
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    site = next((folder / "venv").glob("lib/python*/site-packages"))
    (site / "shared.pth").write_text("\n".join(p for p in sys.path if p.endswith("site-packages")) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps",
         "--no-build-isolation", "--target", str(site), str(tree)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])},
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise DegradeError(f"{commit} could not be installed: {said}",
                           wanted="scikit-build-core, cmake and ninja in this environment")  # fmt: skip
    (folder / "work").mkdir()
    return Version(commit, tree, folder / "venv" / "bin" / "python", folder / "work")
