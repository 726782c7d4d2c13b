"""TensorRTExecutor against a stand-in for TensorRT: the order of calls, and every refusal. No GPU has run it."""

from __future__ import annotations

from contextlib import nullcontext
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


class Device:
    """Lends memory that lies nowhere, and writes copies down beside TensorRT's calls."""

    capturing = False

    def __init__(self, trt: FakeTensorRT) -> None:
        self.trt, self.users = trt, []  # type: ignore[var-annotated]

    def scratch(self, size: int, use: Any) -> None:
        self.users.append((size, use))
        use(Buffer((size,), np.uint8, at=65536))

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> Buffer:
        self.trt.calls.append(("allocate", shape))
        return Buffer(shape, dtype, at=1 << 20)

    def copy(self, source: Buffer, out: Buffer) -> None:
        self.trt.calls.append(("copy", *(one.__cuda_array_interface__["data"][0] for one in (source, out))))

    def current(self, doing: str) -> Any:
        self.trt.calls.append(("current", doing))
        return nullcontext()


def opened(
    trt: FakeTensorRT, folder: Path, device: Device | None = None, cache: Path | None = None
) -> TensorRTExecutor:
    plan = folder / "denoiser.plan"
    plan.write_bytes(b"plan")
    return TensorRTExecutor(
        trt, None, plan, PART, batch=2, height=8, width=12, device=device or Device(trt), cache=cache
    )


def bound(trt: FakeTensorRT, folder: Path, **options: Any) -> TensorRTExecutor:
    executor = opened(trt, folder, **options)
    executor.bind("x_t", Buffer((2, 3, 8, 12), at=256))
    executor.bind("t", Buffer((2,), np.int32, at=512))
    executor.bind("eps", Buffer((2, 3, 8, 12), at=768))
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
        ("memory", 65536, 1000), ("address", "x_t", 256), ("address", "t", 512), ("address", "eps", 768),
        ("execute", 77), ("execute", 77),
    ]  # fmt: skip


def test_activations_that_move_are_moved(tmp_path: Path) -> None:
    trt = FakeTensorRT()
    device = Device(trt)
    opened(trt, tmp_path, device)
    ((size, use),) = device.users
    assert size == 1000
    use(Buffer((5000,), np.uint8, at=131072))
    assert [call for call in trt.calls if call[0] == "memory"] == [("memory", 65536, 1000), ("memory", 131072, 1000)]


def test_a_view_that_is_not_aligned_is_read_and_written_through_a_copy(tmp_path: Path) -> None:
    """Rows of LR 20, one pair a batch, begin 4800 bytes apart."""
    trt = FakeTensorRT()
    executor = bound(trt, tmp_path)
    del trt.calls[:]
    executor.bind("x_t", Buffer((2, 3, 8, 12), at=4800))
    executor.enqueue(77)
    executor.bind("eps", Buffer((2, 3, 8, 12), at=9600))
    executor.enqueue(77)
    executor.bind("x_t", Buffer((2, 3, 8, 12), at=256))
    executor.bind("eps", Buffer((2, 3, 8, 12), at=14400))  # its copy is there
    executor.enqueue(77)
    shape = (2, 3, 8, 12)
    assert trt.calls == [
        ("allocate", shape), ("address", "x_t", 1 << 20), ("copy", 4800, 1 << 20), ("execute", 77),
        ("allocate", shape), ("address", "eps", 1 << 20), ("copy", 4800, 1 << 20), ("execute", 77),
        ("copy", 1 << 20, 9600), ("address", "x_t", 256), ("address", "eps", 1 << 20), ("execute", 77),
        ("copy", 1 << 20, 14400),
    ]  # fmt: skip


class FakeRtx(FakeTensorRT):
    """TensorRT-RTX, with kernels that a context compiles."""

    def __init__(self, refuses: str = "") -> None:
        super().__init__(refuses)
        self.DynamicShapesKernelSpecializationStrategy = SimpleNamespace(EAGER="eager")
        self.kernels = b"compiled"

    def _engine(self, plan: bytes) -> Any:
        engine = super()._engine(plan)
        self.config = SimpleNamespace(
            set_execution_context_allocation_strategy=lambda strategy: self._note("strategy", strategy),
            create_runtime_cache=lambda: SimpleNamespace(
                deserialize=lambda blob: self._note("read", blob), serialize=lambda: self.kernels
            ),
            set_runtime_cache=lambda cache: self._note("cache"),
        )
        engine.create_runtime_config = lambda: self.config
        return engine

    def _context(self, how: Any) -> Any:
        assert how is self.config and how.dynamic_shapes_kernel_specialization_strategy == "eager"
        context = super()._context("by config")
        context.is_stream_capturable = lambda stream: self._note("capturable", stream)
        return context


def test_what_tensorrt_rtx_compiles_is_kept_and_read_again(tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "kernels"
    for known, kernels in ((None, b"compiled"), (b"compiled", b"compiled"), (b"compiled", b"more")):
        trt = FakeRtx()
        trt.kernels = kernels
        executor = bound(trt, tmp_path, cache=cache)
        assert [call for call in trt.calls if call[0] == "read"] == ([("read", known)] if known else [])
        assert ("strategy", "user managed") in trt.calls and ("cache",) in trt.calls
        assert (cache.read_bytes() if known else None) == known, "nothing has run yet"
        executor.enqueue(77)
        assert cache.read_bytes() == kernels


def test_kernels_of_another_gpu_are_compiled_anew(tmp_path: Path) -> None:
    (tmp_path / "kernels").write_bytes(b"of another")
    executor = bound(FakeRtx("read"), tmp_path, cache=tmp_path / "kernels")
    executor.enqueue(77)
    assert (tmp_path / "kernels").read_bytes() == b"compiled"


def test_what_tensorrt_rtx_cannot_capture_it_says_itself(tmp_path: Path) -> None:
    trt = FakeRtx("capturable")
    device = Device(trt)
    executor = bound(trt, tmp_path, device=device, cache=tmp_path / "kernels")
    executor.enqueue(77)
    device.capturing = True
    with pytest.raises(DegradeError, match="denoiser.plan cannot be captured"):
        executor.enqueue(77)
    assert [call for call in trt.calls if call[0] == "execute"] == [("execute", 77)]


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
