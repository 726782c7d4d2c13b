"""TensorRTExecutor against a stand-in for TensorRT: the order of calls, and every refusal. No GPU has run it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors.tensorrt import TensorRTExecutor
from degrade_engine.engine.spec import PartSpec, TensorSpec

PART = PartSpec(
    "step",
    (TensorSpec("x_t", "float32", ("batch", 3, "height", "width")), TensorSpec("t", "int32", ("batch",))),
    (TensorSpec("eps", "float32", ("batch", 3, "height", "width")),),
    {},
)
TYPES = {"x_t": ("in", np.float32), "t": ("in", np.int32), "eps": ("out", np.float32)}


class Buffer:
    """Memory that lies nowhere, as pycuda describes it."""

    def __init__(self, shape: tuple[int, ...], dtype: Any = np.float32, at: int = 4096, strides: Any = None) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape, "typestr": np.dtype(dtype).str, "data": (at, False), "strides": strides, "version": 3
        }  # fmt: skip


class FakeTensorRT:
    """Writes down what is called; refuses says which call answers False or None."""

    __name__ = "tensorrt"

    def __init__(self, refuses: str = "", types: dict[str, tuple[str, Any]] | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.refuses, self.types = refuses, types or TYPES
        self.ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="user managed")
        self.TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")
        self.nptype = lambda dtype: dtype
        self.Runtime = lambda logger: SimpleNamespace(deserialize_cuda_engine=self._engine)

    def _note(self, *call: Any) -> bool:
        self.calls.append(call)
        return call[0] != self.refuses

    def _engine(self, plan: bytes) -> Any:
        if not self._note("deserialize", plan):
            return None
        names = list(self.types)
        return SimpleNamespace(
            num_io_tensors=len(names),
            get_tensor_name=lambda i: names[i],
            get_tensor_mode=lambda name: self.types[name][0],
            get_tensor_dtype=lambda name: self.types[name][1],
            device_memory_size_v2=1000,
            create_execution_context=self._context,
        )

    def _context(self, strategy: str) -> Any:
        self._note("context", strategy)
        return SimpleNamespace(
            set_input_shape=lambda name, shape: self._note("shape", name, shape),
            set_device_memory=lambda address, size: self._note("memory", address, size),
            set_tensor_address=lambda name, address: self._note("address", name, address),
            execute_async_v3=lambda stream: self._note("execute", stream),
        )


def opened(trt: FakeTensorRT, folder: Path) -> TensorRTExecutor:
    plan = folder / "denoiser.plan"
    plan.write_bytes(b"plan")
    return TensorRTExecutor(
        trt, None, plan, PART, batch=2, height=8, width=12,
        scratch=lambda size, use: use(Buffer((size,), np.uint8, at=65536)),
    )  # fmt: skip


def bound(trt: FakeTensorRT, folder: Path) -> TensorRTExecutor:
    executor = opened(trt, folder)
    executor.bind("x_t", Buffer((2, 3, 8, 12), at=1))
    executor.bind("t", Buffer((2,), np.int32, at=2))
    executor.bind("eps", Buffer((2, 3, 8, 12), at=3))
    return executor


def test_the_order_of_calls(tmp_path: Path) -> None:
    trt = FakeTensorRT()
    executor = bound(trt, tmp_path)
    executor.enqueue(77)
    executor.enqueue(77)
    first, strategy, *shapes = trt.calls[:4]
    assert first == ("deserialize", b"plan") and strategy == ("context", "user managed")
    assert set(shapes) == {("shape", "x_t", (2, 3, 8, 12)), ("shape", "t", (2,))}
    assert trt.calls[4:] == [
        ("memory", 65536, 1000), ("address", "x_t", 1), ("address", "t", 2), ("address", "eps", 3),
        ("execute", 77), ("execute", 77),
    ]  # fmt: skip


def test_activations_that_move_are_moved(tmp_path: Path) -> None:
    trt, users = FakeTensorRT(), []
    plan = tmp_path / "denoiser.plan"
    plan.write_bytes(b"plan")

    def scratch(size: int, use: Any) -> None:
        users.append((size, use))
        use(Buffer((size,), np.uint8, at=65536))

    TensorRTExecutor(trt, None, plan, PART, batch=2, height=8, width=12, scratch=scratch)
    assert [size for size, _ in users] == [1000]
    users[0][1](Buffer((5000,), np.uint8, at=131072))
    assert [call for call in trt.calls if call[0] == "memory"] == [("memory", 65536, 1000), ("memory", 131072, 1000)]


@pytest.mark.parametrize(
    ("refuses", "said"),
    [
        ("deserialize", "cannot load denoiser.plan"),
        ("shape", "refuses"),
        ("address", "refuses the address of x_t"),
        ("execute", "refused to run denoiser.plan"),
    ],
)
def test_a_false_answer_is_an_error(tmp_path: Path, refuses: str, said: str) -> None:
    with pytest.raises(DegradeError, match=said):
        bound(FakeTensorRT(refuses), tmp_path).enqueue(77)


@pytest.mark.parametrize(
    ("name", "buffer", "said"),
    [
        ("x", Buffer((2,)), "no tensor 'x'"),
        ("t", Buffer((2,), np.int64), "t was bound to int64"),
        ("t", Buffer((3,), np.int32), r"Expected: int32 \(2,\)"),
        ("eps", Buffer((2, 3, 8, 12), strides=(1, 2, 3, 4)), "C-contiguous"),
    ],
)
def test_a_buffer_that_does_not_fit(tmp_path: Path, name: str, buffer: Buffer, said: str) -> None:
    with pytest.raises(DegradeError, match=said):
        opened(FakeTensorRT(), tmp_path).bind(name, buffer)


def test_unbound_and_without_a_stream(tmp_path: Path) -> None:
    with pytest.raises(DegradeError, match="'x_t' unbound"):
        opened(FakeTensorRT(), tmp_path).enqueue(77)
    with pytest.raises(DegradeError, match="without a stream"):
        bound(FakeTensorRT(), tmp_path).enqueue()


def test_a_plan_of_another_network(tmp_path: Path) -> None:
    with pytest.raises(DegradeError, match="has the tensors"):
        opened(FakeTensorRT(types={**TYPES, "more": ("out", np.float32)}), tmp_path)
    with pytest.raises(DegradeError, match="eps is float16"):
        opened(FakeTensorRT(types={**TYPES, "eps": ("out", np.float16)}), tmp_path)
