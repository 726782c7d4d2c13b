"""The one error that a user sees: what came, what was wanted, how to mend it."""

from __future__ import annotations


class DegradeError(Exception):
    """A mistake that the user can mend. The command line prints it without a traceback and exits with code 2.

    fact    what came: one sentence, with the file, the field and the value.
    wanted  what would have been right, if the fact alone does not say it.
    mend    what to do now.
    """

    def __init__(self, fact: str, *, wanted: str = "", mend: str = "") -> None:
        super().__init__(fact, wanted, mend)
        self.fact = fact
        self.wanted = wanted
        self.mend = mend

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.fact, self.wanted, self.mend)  # keywords survive a process border

    def __str__(self) -> str:
        text = _stopped(self.fact)
        if self.wanted:
            text += f" Wanted: {_stopped(self.wanted)}"
        if self.mend:
            text += f" To mend it: {_stopped(self.mend)}"
        return text


def _rebuild(cls: type[DegradeError], fact: str, wanted: str, mend: str) -> DegradeError:
    error = cls.__new__(cls)
    DegradeError.__init__(error, fact, wanted=wanted, mend=mend)
    return error


def _stopped(sentence: str) -> str:
    sentence = sentence.strip()
    return sentence if sentence.endswith((".", "!", "?")) else sentence + "."
