"""What the tests ran, in a few lines: the share of all lines, and of the code of a GPU the lines that no test has run.

    python .ci/coverage.py build/coverage.json

What ran in processes of its own is not counted: commands that tests start, workers.
"""

from __future__ import annotations

import json
import sys
from fnmatch import fnmatch
from pathlib import Path

from slipcover.slipcover import format_missing

NEEDS_GPU = ("engine/devices/cuda*", "engine/executors/*tensorrt*", "engine/executors/*cuda*",
             "engine/backends/*tensorrt*", "bench/gpu/*")  # fmt: skip

found = json.loads(Path(sys.argv[1]).read_text())
print("Lines of the code of a GPU that no test has run:")
for name, file in sorted(found["files"].items()):
    if file["missing_lines"] and any(fnmatch(name, pattern) for pattern in NEEDS_GPU):
        share, lines = file["summary"]["percent_covered"], (file["missing_lines"], file["executed_lines"])
        print(f"  {name} ({share:.0f} % run): {format_missing(*lines, [])}")
whole = found["summary"]
lines = whole["covered_lines"] + whole["missing_lines"]
print(f"The tests ran {whole['percent_covered']:.1f} % of {lines:,} lines, without what ran in processes of its own.")
