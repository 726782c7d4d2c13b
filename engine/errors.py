"""Errors for users: what came, what was expected, and how to fix it.

DegradeError    a mistake that the user can fix
BadImage        a file that cannot be decoded to usable pixels: it is skipped and listed, and the run continues
MachineFault    a failure of the machine, not of a file: the run stops, and no file is skipped because of it
"""

from __future__ import annotations

from typing import Any

from .secrecy import hidden


class DegradeError(Exception):
    """A mistake that the user can fix. The command line prints it without a traceback and exits with code 2.

    fact    what came: one sentence, with the file, the field and the value
    wanted  what was expected, where the fact alone does not say it
    mend    how to fix it

    User names, passwords and signatures are removed from URLs in all three.
    """

    def __init__(self, fact: str, *, wanted: str = "", mend: str = "") -> None:
        fact, wanted, mend = (hidden(text) for text in (fact, wanted, mend))
        super().__init__(fact, wanted, mend)
        self.fact = fact
        self.wanted = wanted
        self.mend = mend

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.fact, self.wanted, self.mend)  # keywords survive a process border

    def __str__(self) -> str:
        text = _stopped(self.fact)
        if self.wanted:
            text += f" Expected: {_stopped(self.wanted)}"
        if self.mend:
            text += f" Fix: {_stopped(self.mend)}"
        return text


class BadImage(DegradeError):
    """A file without usable pixels. reason: one machine-readable word, see `images.files`."""

    def __init__(self, reason: str, fact: str, *, wanted: str = "", mend: str = "") -> None:
        super().__init__(fact, wanted=wanted, mend=mend)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_bad, (self.reason, self.fact, self.wanted, self.mend)


class MachineFault(DegradeError):
    """Memory, a disk, a network or a folder was not available. The same call continues from there."""


def _rebuild_bad(reason: str, fact: str, wanted: str, mend: str) -> BadImage:
    return BadImage(reason, fact, wanted=wanted, mend=mend)


def _rebuild(cls: type[DegradeError], fact: str, wanted: str, mend: str) -> DegradeError:
    error = cls.__new__(cls)
    DegradeError.__init__(error, fact, wanted=wanted, mend=mend)
    return error


def _stopped(sentence: str) -> str:
    sentence = sentence.strip()
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
