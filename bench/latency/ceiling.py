"""What this machine can do at most, measured: FLOP/s of a large matrix product, bytes a second of a large copy.

The product is that of the networks' own runtime on a CPU, ONNX Runtime, in both ways in which an engine uses threads
(one call on all of them, one call each side by side); in bf16 it is PyTorch's, which has kernels for it where the
processor has. The best of all repeats counts: a ceiling is what nothing else on the machine got in the way of.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from degrade_engine.engine.executors.onnx_session import import_onnxruntime

from ..timing import timed

SIDE, REPEATS = 1024, 12
COPY_BYTES = 2**29


def fastest(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Seconds of the fastest run."""
    return min(timed(work, repeats))


def product_flop_s(threads: int, side: int = SIDE) -> float:
    """FP32 [side, side] times [side, side]."""
    values = np.random.default_rng(0).standard_normal((2, side, side), dtype=np.float32)
    feed = {"a": values[0], "b": values[1]}
    whole, single = (_product(side, count) for count in (threads, 1))
    flops = 2 * side**3
    with ThreadPoolExecutor(threads) as pool:
        together = flops / fastest(lambda: whole.run(None, feed))
        apart = fastest(lambda: list(pool.map(lambda _: single.run(None, feed), range(threads))))
    return max(together, threads * flops / apart)


def bf16_product_flop_s(threads: int, side: int = 2 * SIDE) -> float:
    """The same in bf16, sums in FP32."""
    import torch

    torch.set_num_threads(threads)
    a, b = (torch.randn(side, side).bfloat16() for _ in range(2))
    return 2 * side**3 / fastest(lambda: a @ b)


def copy_bytes_s(threads: int, nbytes: int = COPY_BYTES) -> float:
    """Read and written bytes of a copy, a slice a thread; nbytes are read and as many written."""
    source, target = (np.ones(nbytes // 4, np.float32) for _ in range(2))
    slices = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        return 2 * nbytes / fastest(lambda: list(pool.map(lambda pair: np.copyto(*pair), slices)), 5)


def _product(side: int, threads: int) -> Any:
    ort = import_onnxruntime()
    value = partial(helper.make_tensor_value_info, elem_type=TensorProto.FLOAT, shape=[side, side])
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    graph = helper.make_graph([node], "product", [value("a"), value("b")], [value("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
