"""What the names of files and folders say about pairs: which image is the GT, which the LQ, and which belong together.

BasicSR, DIV2K, RealSR and most others name folders or files with such words, and mark the scale. So
DIV2K_train_HR/0001.png and DIV2K_train_LR_bicubic/X4/0001x4.png are partners, as are 4/Canon_001_HR.png and
4/Canon_001_LR4.png.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

Role = Literal["gt", "lq"]
ROLES: tuple[Role, ...] = ("gt", "lq")
_WORDS: dict[Role, re.Pattern[str]] = {
    "gt": re.compile(r"(gt|hr|hq|highres|groundtruth|targets?)(mod\d+)?"),
    "lq": re.compile(r"(lq|lr|lowres|inputs?)(x?\d|bicx?\d)?"),
}
_SPLIT = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])")
_SCALE_FOLDER = re.compile(r"x\d(\D.*)?", re.IGNORECASE)
_MARK = re.compile(r"(?:[-_. ]|(?<=\d))(?:x\d[a-z]?\d?|gt|hr|hq|lq|lr(?:x?\d)?|[hl])$", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """What an image's path says. key: the same for partners; words: the others of the name that says the role."""

    role: Role
    key: tuple[str, ...]
    words: frozenset[str]


def role_of(name: str) -> Role | None:
    """None where the words of a name say neither role, or both."""
    found: set[Role] = {role for role, word in _WORDS.items() if any(map(word.fullmatch, _words(name)))}
    return found.pop() if len(found) == 1 else None


def place_of(path: PurePath) -> Place | None:
    """Of a path below the folder that holds the pairs. The innermost folder that names a role decides, or else the
    file's own name; None where no name does."""
    folders, stem = list(path.parts[:-1]), path.stem
    at = next((n for n in reversed(range(len(folders))) if role_of(folders[n])), None)
    name = stem if at is None else folders.pop(at)
    role = role_of(name)
    if role is None:
        return None
    while (cut := _MARK.sub("", stem)) != stem:
        stem = cut
    kept = [one for one in folders if not _SCALE_FOLDER.fullmatch(one)]
    return Place(role, (*kept, stem), frozenset(_words(name)))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _SPLIT.split(name)]
