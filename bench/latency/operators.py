"""Which operators a network's time goes to: ONNX Runtime's own profile of its optimised graph, one thread.

It is the graph that runs: convolutions fused with what follows them, Reorder… where a layout changes between them.
"""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from degrade_engine.engine.executors.onnx_session import import_onnxruntime
from degrade_engine.engine.executors.onnxruntime import rows_a_call
from degrade_engine.engine.spec import PartSpec

RUNS = 6


def profile(path: Path, part: PartSpec, batch: int, lr_size: int) -> list[dict[str, Any]]:
    """One row an operator: nodes, milliseconds of one row of the network, share of all; the longest first."""
    rows = rows_a_call(batch, lr_size, lr_size)
    shapes = {tensor.name: tensor.resolve(rows, lr_size, lr_size) for tensor in part.inputs}
    with tempfile.TemporaryDirectory() as folder:
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        options.enable_profiling, options.profile_file_prefix = True, f"{folder}/profile"
        for tensor in part.inputs:
            for word, size in zip(tensor.shape, shapes[tensor.name], strict=True):
                if isinstance(word, str):
                    options.add_free_dimension_override_by_name(word, size)
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        random = np.random.default_rng(0)
        feed = {
            tensor.name: np.full(shapes[tensor.name], 20, np.int32) if tensor.dtype == "int32"
            else random.uniform(-1, 1, shapes[tensor.name]).astype(np.float32) for tensor in part.inputs
        }  # fmt: skip
        for _ in range(RUNS + 1):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    return by_operator(events, rows)


def by_operator(events: list[dict[str, Any]], rows: int) -> list[dict[str, Any]]:
    """The events of several runs, the first of which warms up: the median run of each node, summed by operator."""
    times: dict[str, list[int]] = defaultdict(list)
    operator: dict[str, str] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["name"]].append(event["dur"])
            operator[event["name"]] = event["args"]["op_name"]
    found: dict[str, tuple[int, float]] = {}
    for node, microseconds in times.items():
        nodes, ms = found.get(operator[node], (0, 0.0))
        found[operator[node]] = nodes + 1, ms + float(np.median(microseconds[1:])) / 1e3 / rows
    whole = sum(ms for _, ms in found.values())
    return [
        {"operator": name, "nodes": nodes, "ms": round(ms, 4), "share": round(ms / whole, 5)}
        for name, (nodes, ms) in sorted(found.items(), key=lambda item: -item[1][1])
    ]
