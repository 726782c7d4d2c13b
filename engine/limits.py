"""What a JSON or TOML text may hold beyond its grammar: nesting and numbers that no page of ours comes near, and that
would break whoever reads on.
"""

from __future__ import annotations

import math
import re
from typing import Any

from .errors import DegradeError

DEEPEST = 64  # lists and objects within one another
_SUSPECT = re.compile(rb"\d{20}|\d[eE]\+?\d{3}")  # may be a number of more than 64 bits, or one past a float's range


def within(data: bytes, value: Any, where: str) -> None:
    """DegradeError for a text (`data`, parsed as `value`) with such numbers or such nesting. A look at the bytes spares
    nearly every text the walk: a manifest has a million."""
    if data.count(b"[") + data.count(b"{") > DEEPEST or _SUSPECT.search(data):
        walk(value, where)


def walk(value: Any, where: str) -> None:
    """The same of the value alone. Numbers have to be finite, whole ones to fit into 64 bits."""
    level = [value]
    for _ in range(DEEPEST + 1):
        for one in level:
            if isinstance(one, int) and not -(2**63) <= one < 2**64:
                raise too_long(where)
            if isinstance(one, float) and not math.isfinite(one):
                raise DegradeError(f"{where} holds the number {one}", wanted="finite numbers")
        lists = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        if not lists:
            return
        level = [child for one in lists for child in one]
    raise too_deep(where)


def too_deep(where: str) -> DegradeError:
    """Of a text whose lists and objects are nested too deeply."""
    return DegradeError(f"{where} is nested too deeply", wanted=f"{DEEPEST} levels at most", mend="make it again")


def too_long(where: str) -> DegradeError:
    """Of a text with a whole number that is too long."""
    return DegradeError(f"{where} holds a number of more than 64 bits", mend="make it again")
