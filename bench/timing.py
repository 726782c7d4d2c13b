"""Times, and how rows say them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .rows import Row


def timed(work: Callable[[], Any], repeats: int, budget: float = math.inf) -> list[float]:
    """Seconds of each run after one that warms up; two at least, however long they take."""
    work()
    times: list[float] = []
    while len(times) < 2 or (len(times) < repeats and sum(times) < budget):
        times.append(clocked(work)[1])
    return times


def clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and how many seconds it took."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def spread(times: list[float]) -> Row:
    """p50, p95 and count of seconds, as milliseconds."""
    p50, p95 = (digits(1e3 * float(np.percentile(times, p))) for p in (50, 95))
    return {"p50_ms": p50, "p95_ms": p95, "repeats": len(times)}


def digits(value: float) -> float:
    """To four of them."""
    return float(f"{value:.4g}")
