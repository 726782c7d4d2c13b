"""Freed memory stays with the process: the next image finds it mapped."""

from __future__ import annotations

import subprocess
import sys

import pytest

from degrade_engine.engine.freed import keep_freed

IMAGES = """
import resource, sys
import numpy as np
from degrade_engine.engine.freed import keep_freed
if {told}:
    assert keep_freed()
def images():
    for _ in range(20):
        several = [np.zeros(3 << 20, np.uint8) + 1 for _ in range(3)]
images()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
images()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(told: bool) -> int:
    """Pages that sixty images of three megabytes fault in, after as many others."""
    code = IMAGES.format(told=told)
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_images_find_the_memory_of_those_before() -> None:
    if not keep_freed():
        pytest.skip("this C library is not glibc")
    assert faults(told=True) < 200 < faults(told=False)


def test_a_run_does_so() -> None:
    from degrade_engine.engine.pipeline import stages

    keep_freed.cache_clear()
    with stages.Stages(1, behind=1):
        pass
    assert keep_freed.cache_info().currsize == 1
