"""Numbers that a caller of the Python API gives, Python's or numpy's: whole ones, and others.

`int` would take 30.9 for 30, and `isinstance(…, int)` would refuse numpy's integers and let True through.
"""

from __future__ import annotations

import math
from operator import index
from typing import Any

import numpy as np

from .errors import DegradeError


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number of any integer type, least..most (None: no end), as an int. Raises DegradeError for another, for a
    bool, and for anything else, 3.0 included."""
    wanted = f"a whole number, {least} to {most}" if most is not None else f"a whole number, {least} or more"
    try:
        found = None if isinstance(value, bool | np.bool_) else index(value)
    except TypeError:
        found = None
    if found is None:
        raise DegradeError(f"{name} is {value!r}", wanted=wanted)
    if found < least or most is not None and found > most:
        raise DegradeError(f"{name} is {found}", wanted=wanted)
    return found


def number(name: str, value: Any, least: float, most: float = math.inf) -> float:
    """A finite number of any integer or float type, least..most, as a float. Raises DegradeError for another, for NaN
    and infinity, for a bool, a text and anything else."""
    wanted = f"a number, {least:g} to {most:g}" if most < math.inf else f"a number, {least:g} or more"
    try:
        refused = isinstance(value, bool | np.bool_ | str | bytes)
        found = math.nan if refused else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not (math.isfinite(found) and least <= found <= most):
        raise DegradeError(f"{name} is {value!r}", wanted=wanted)
    return found
