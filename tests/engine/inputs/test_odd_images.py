"""The corpus of odd and broken images (odd_images.py): none crashes or hangs, every refusal is named, every accepted
image is right against an independent decoder."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from degrade_engine.engine import images
from degrade_engine.engine.inputs import headers

from .odd_images import make
from .odd_parts import Case, by_pillow

READ_ALL = """
import pickle, sys
from pathlib import Path
from degrade_engine.engine import images
from degrade_engine.engine.faults import Patience
from degrade_engine.engine.inputs import folders, inventory, reading
found = inventory.scan(folders.Folder(Path(sys.argv[1]), patience=Patience(0, allow_missing=True)))
came = {one.path: one.reason for one in found.rejects}
for photo in found.entries:
    try:
        came[photo.path] = reading.read(found.place, photo)
    except images.BadImage as bad:
        came[photo.path] = bad.reason
with open("/proc/self/status") as status:  # not ru_maxrss, which a program inherits from who started it
    came[""] = int(next(line for line in status if line.startswith("VmHWM")).split()[1])
sys.stdout.buffer.write(pickle.dumps(came))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("odd") / "corpus"
    return root, make(root)


@pytest.fixture(scope="module")
def came(corpus):
    done = subprocess.run([sys.executable, "-c", READ_ALL, str(corpus[0])], capture_output=True, timeout=120)
    assert done.returncode == 0 and done.stderr == b"", done.stderr.decode()[-2000:]
    return pickle.loads(done.stdout)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")  # Pillow's word on what is torn on purpose
def test_there_are_many_and_each_has_its_outcome(corpus, came):
    root, cases = corpus
    assert len(cases) >= 300 and len({case.path for case in cases}) == len(cases)
    assert set(came) - {""} == {case.path for case in cases}  # nothing is passed over, nothing else turns up
    wrong = [said for case in cases if (said := verdict(root, case, came[case.path]))]
    assert not wrong, "\n".join(wrong)


def verdict(root, case: Case, outcome) -> str:
    """What is wrong with an outcome, "" where it is as wanted."""
    if isinstance(outcome, str):
        fine = outcome in case.reasons
        return "" if fine else f"{case.path}: refused as {outcome}, wanted {' or '.join(case.reasons) or 'its pixels'}"
    if "either" in case.reasons:
        return ""
    if case.reasons:
        return f"{case.path}: read, wanted {' or '.join(case.reasons)}"
    wanted = by_pillow(root / case.path) if case.wanted is None else case.wanted
    if outcome.shape != wanted.shape:
        return f"{case.path}: {outcome.shape}, wanted {wanted.shape}"
    off = np.abs(outcome.astype(int) - wanted)
    fine = off.max() <= case.bound and off.mean() <= max(case.bound / 6, min(case.bound, 1))
    return "" if fine else f"{case.path}: off by {off.max()}, mean {off.mean():.2f}; bound {case.bound}"


def test_a_bomb_takes_no_memory(came):
    assert came[""] < 1_000_000  # KB


def test_the_fast_header_says_what_libvips_says_or_nothing(corpus):
    root, cases = corpus
    fast = 0
    for case in cases:
        path = root / case.path
        if not path.is_file():
            continue
        size = headers.size_of(path.read_bytes()[: 1 << 14])
        if size is None:
            continue
        fast += 1
        try:
            wanted = images.read_size(path, pixel_limit=2**62)
        except images.BadImage:
            continue  # seen later, by whoever reads it
        assert size == wanted, case.path
    assert fast > 80
