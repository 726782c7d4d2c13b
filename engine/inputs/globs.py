"""Globs over relative paths, as shells and `glob` read them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

MAGIC = re.compile(r"[*?\[]")  # makes a path a glob


MOST = 10**5  # names that a pair of braces may stand for
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}|\{([^{},]+(?:,[^{},]+)+)\}")


def braces(text: str) -> list[str]:
    """Such as "a-{08..10}.tar" -> a-08.tar, a-09.tar, a-10.tar, and "{a,b}.tar" -> a.tar, b.tar; other texts alone."""
    found = _BRACES.search(text)
    if found is None:
        return [text]
    first, last, names = found.groups()
    if names is None:
        if not 0 <= int(last) - int(first) < MOST:
            return [text]
        names = ",".join(f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1))
    ends = braces(text[found.end() :])
    return [text[: found.start()] + name + end for name in names.split(",") for end in ends]


def split_glob(text: str) -> tuple[str, str]:
    """Such as "a/b/**/*.jpg" -> ("a/b", "**/*.jpg"): the folder before the first wildcard, and the pattern below it."""
    parts = text.split("/")
    first = next(at for at, part in enumerate(parts) if MAGIC.search(part))
    root = "/".join(parts[:first])
    return root or ("/" if text.startswith("/") else ""), "/".join(parts[first:])


def matches(path: str, pattern: str) -> bool:
    """Whether a relative path fits a glob as shells and `glob` read it: "*" and "?" stay within a name, "**" is any
    number of folders. Letters' case counts.
    """
    return _fits(path.split("/"), pattern.split("/"))


def _fits(parts: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        rest = pattern[1:] or ["*"]
        return any(_fits(parts[at:], rest) for at in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
