"""Globs over relative paths, as shells and `glob` read them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

MAGIC = re.compile(r"[*?\[]")  # makes a path a glob


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
