"""Cases from outside: each an executable file that exits 0 when the product is right, and 77 where it cannot be tried.

`make test-slow` says where they lie, in CASES, and which engine they may use. DE_BIN, DE_SRC and DE_ENGINE tell a case.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = os.environ.get("CASES")
PATIENCE_S = 900
CANNOT_BE_TRIED = 77

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FOLDER, reason="CASES names no folder of cases")]


def cases() -> list[Path]:
    files = sorted(Path(FOLDER).iterdir()) if FOLDER else []
    return [path for path in files if path.is_file() and os.access(path, os.X_OK)]


@pytest.mark.parametrize("case", cases(), ids=lambda path: path.name)
def test_case(case, root, tmp_path):
    given = {"DE_BIN": str(Path(sys.executable).parent), "DE_SRC": str(root), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [case.resolve()], cwd=tmp_path, env=os.environ | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        said, _ = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"not done after {PATIENCE_S} s:\n{process.communicate()[0][-3000:]}")
    if process.returncode == CANNOT_BE_TRIED:
        pytest.skip(said.strip()[-300:] or "it cannot be tried here")
    assert process.returncode == 0, said[-3000:]
