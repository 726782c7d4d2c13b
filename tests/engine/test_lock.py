"""The lock of a folder: one holder, whoever comes second waits, and a holder that is killed leaves it free."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.lock import only_one

HOLD = """
import sys, time
from pathlib import Path
from degrade_engine.engine.lock import only_one
with only_one(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_waits_and_says_so(tmp_path: Path) -> None:
    out, order, said = tmp_path / "deep" / "engine", [], []

    def second() -> None:
        with only_one(out, said.append):
            order.append("second")

    with only_one(out, said.append):
        thread = threading.Thread(target=second)
        thread.start()
        deadline = time.monotonic() + 20
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"] and len(said) == 1 and "waiting" in said[0]
    assert [path.name for path in out.parent.iterdir()] == [".engine.lock"]


def test_a_killed_holder_leaves_it_free(tmp_path: Path) -> None:
    out = tmp_path / "engine"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    finally:
        holder.kill()
        holder.communicate()
    said: list[str] = []
    with only_one(out, said.append):
        assert not said


def test_a_place_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DegradeError, match="cannot be locked"):
        with only_one(tmp_path / "file" / "engine", print):
            pass
