"""What a user is told: what came, what was wanted, how to mend it.

DegradeError    a mistake that the user can mend
BadImage        a file whose bytes give no usable pixels: it is named and left out, and a run goes on
MachineFault    what the machine could not do: it says nothing of any file, so a run stops and nothing is left out
"""

from __future__ import annotations

from typing import Any

from .secrecy import hidden


class DegradeError(Exception):
    """A mistake that the user can mend. The command line prints it without a traceback and exits with code 2.

    fact    what came: one sentence, with the file, the field and the value.
    wanted  what would have been right, if the fact alone does not say it.
    mend    what to do now.

    Users, passwords and signatures in their URLs are left out.
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
            text += f" Wanted: {_stopped(self.wanted)}"
        if self.mend:
            text += f" To mend it: {_stopped(self.mend)}"
        return text


class BadImage(DegradeError):
    """A file that gives no usable pixels, by what was read of it. reason: one machine word, see `images.files`."""

    def __init__(self, reason: str, fact: str, *, wanted: str = "", mend: str = "") -> None:
        super().__init__(fact, wanted=wanted, mend=mend)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_bad, (self.reason, self.fact, self.wanted, self.mend)


class MachineFault(DegradeError):
    """Memory, a disk, a network or a folder that was not there when it was needed. The same call goes on from there."""


def _rebuild_bad(reason: str, fact: str, wanted: str, mend: str) -> BadImage:
    return BadImage(reason, fact, wanted=wanted, mend=mend)


def _rebuild(cls: type[DegradeError], fact: str, wanted: str, mend: str) -> DegradeError:
    error = cls.__new__(cls)
    DegradeError.__init__(error, fact, wanted=wanted, mend=mend)
    return error


def _stopped(sentence: str) -> str:
    sentence = sentence.strip()
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
