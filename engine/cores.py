"""How many threads arithmetic should have: one a physical core."""

from __future__ import annotations

import os
from pathlib import Path

TOPOLOGY = Path("/sys/devices/system/cpu")


def cores(topology: Path = TOPOLOGY) -> int:
    """Physical cores that this process may run on, at least 1.

    Two hyper-threads of a core share its multipliers, and one convolution keeps those busy. Linux says which
    processors are siblings and which of them are ours; elsewhere it is every processor.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    siblings = {_siblings(topology / f"cpu{cpu}" / "topology" / "core_cpus_list", cpu) for cpu in allowed}
    return len(siblings)


def _siblings(path: Path, cpu: int) -> str:
    """The processors of the core that `cpu` belongs to, as Linux lists them; itself where that is not said."""
    try:
        return path.read_text().strip()
    except OSError:
        return str(cpu)
