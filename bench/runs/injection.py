"""A command of which one system call fails, and what calls it makes on files.

`injection.c` watches and lets fail, every thread and child process included. It is compiled when it is needed, and
wants Linux 5.5.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from degrade_engine.engine.errors import DegradeError

NO_TOOL = 99  # how injection.c ends where it cannot do its work


@dataclass(frozen=True)
class Fault:
    """The nth call of this name on a file that matches the pattern (an extended regular expression, of its whole
    absolute path) is not made and returns this error, such as "EIO". on: neither is any that follows. The call "*" is
    any.
    """

    call: str
    pattern: str
    nth: int
    error: str
    on: bool = False

    def words(self) -> list[str]:
        return [self.call, self.pattern, f"{self.nth}{'+' * self.on}", str(getattr(errno, self.error))]


@dataclass(frozen=True)
class Ended:
    """A command that ended. code: None if it had to be killed; said: on stderr; calls: each with its file's path; hit:
    the one that failed.
    """

    code: int | None
    said: str
    calls: list[tuple[str, Path]]
    hit: tuple[str, Path] | None


class Injector:
    """Runs commands with a fault or without. folder: for the compiled tool and its log.

    Raises DegradeError where there is no compiler, or no Linux that can do it.
    """

    def __init__(self, folder: Path) -> None:
        self._tool, self._log = folder / "injection", folder / "injection.log"
        compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
        if compiler is None or not sys.platform.startswith("linux"):
            raise DegradeError("System calls can be made to fail on Linux with a C compiler only", mend="install gcc")
        words = [compiler, "-O2", "-o", str(self._tool), str(Path(__file__).with_suffix(".c"))]
        made = subprocess.run(words, capture_output=True, text=True, check=False)
        if made.returncode:
            raise DegradeError(f"injection.c cannot be compiled: {made.stderr.strip()[-500:]}")
        self.run(["true"], [folder])

    def run(
        self, command: Sequence[str], roots: Sequence[Path], fault: Fault | None = None, *, cwd: Path | None = None,
        patience_s: float = 120.0,
    ) -> Ended:  # fmt: skip
        """Watches calls on files under the roots, which are absolute and without links; after patience_s seconds the
        command is killed.
        """
        words = [
            str(self._tool), str(self._log), *(fault.words() if fault else ()), "--", *map(str, roots), "--", *command
        ]  # fmt: skip
        process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", cwd=cwd,
            start_new_session=True,
        )  # fmt: skip
        code: int | None = None
        try:
            _, said = process.communicate(timeout=patience_s)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said = process.communicate()[1]
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        if code == NO_TOOL:
            raise DegradeError(f"System calls cannot be watched here: {said.strip()[-500:]}")
        lines = self._log.read_text(errors="replace").splitlines()
        calls = [(call, Path(path)) for call, _, path in (line.removeprefix("! ").partition(" ") for line in lines)]
        hit = next((made for line, made in zip(lines, calls, strict=True) if line.startswith("! ")), None)
        return Ended(code, said, calls, hit)


def pattern_of(path: Path) -> str:
    """Of the files that are alike: a word of the path that has a digit stands for any such."""
    words = re.split(r"([A-Za-z0-9_-]+)", str(path))
    return "".join(
        re.sub(r"([^\w/-])", r"\\\1", word) if n % 2 == 0
        else word if not re.search(r"\d", word)
        else "[0-9]+" if word.isdecimal()
        else "[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*"
        for n, word in enumerate(words)
    )  # fmt: skip
