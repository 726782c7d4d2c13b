"""A machine with a GPU, its driver's library, TensorRT and ONNX Runtime's providers, none of which is here: the modules
that the backends import, over the stand-in of cuda_stand_in.py. The networks are computed by ONNX Runtime on the CPU.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from degrade_engine.engine import machine
from degrade_engine.engine.backends import tensorrt as backend_tensorrt
from degrade_engine.engine.backends.backend import Made, Order
from degrade_engine.engine.backends.tensorrt_plan import PlanProof
from degrade_engine.engine.devices.cuda import CudaDevice
from degrade_engine.kernels import loader

from .cuda_stand_in import Gpu

ADA = machine.Gpus((machine.Gpu("NVIDIA L4", "8.9", 24 << 30),), "580.1", "13.0")
PACKAGES = {"tensorrt", "tensorrt-rtx", "polygraphy", "cuda-bindings", "onnxruntime-gpu"}
PROVIDERS = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
Spoil = Callable[[str, dict[str, np.ndarray]], None]


class Machine:
    """gpus: one for each device that was opened; spoil: may change a network's outputs, given its file and tensors;
    refuses: what ONNX Runtime or TensorRT does not do.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, library: Any, cache: Path) -> None:
        self.library, self.gpus, self.refuses = library, [], ""  # type: ignore[var-annotated]
        self.sessions: list[list[Any]] = []  # the providers that each was asked for
        self.spoil: Spoil = lambda file, tensors: None
        fatbin = loader.Status(Path("stand-in.fatbin"), "")
        monkeypatch.setenv("DEGRADE_ENGINE_CACHE", str(cache / "degrade-engine"))
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
        monkeypatch.setattr(machine, "nvidia", lambda: ADA)
        installed = machine.version_of
        monkeypatch.setattr(machine, "version_of", lambda name: "9.9" if name in PACKAGES else installed(name))
        monkeypatch.setattr(machine, "two_onnxruntimes", lambda: "")
        monkeypatch.setattr(machine, "trial", lambda code: "")
        monkeypatch.setattr(machine, "load_error", lambda module: "")
        monkeypatch.setattr(loader, "cuda_status", lambda: fatbin)
        monkeypatch.setattr(CudaDevice, "open", classmethod(lambda cls: self._open(fatbin)))
        monkeypatch.setitem(sys.modules, "onnxruntime", self._onnxruntime())
        monkeypatch.setattr(backend_tensorrt, "load", lambda flavour: self._tensorrt())
        monkeypatch.setattr(backend_tensorrt, "targets", lambda trt: ("sm_89",))
        monkeypatch.setattr(backend_tensorrt.TensorRT, "make", compile_to_onnx)

    @property
    def gpu(self) -> Gpu:
        return self.gpus[-1]

    def _open(self, fatbin: loader.Status) -> CudaDevice:
        self.gpus.append(Gpu(self.library))
        return CudaDevice(self.gpu.cuda, self.gpu.bindings, fatbin)

    def run(self, file: str, session: Any, tensors: dict[str, np.ndarray]) -> None:
        """The network on tensors that are views of device memory."""
        outputs = [node.name for node in session.get_outputs()]
        inputs = {name: values for name, values in tensors.items() if name not in outputs}
        for name, values in zip(outputs, session.run(outputs, inputs), strict=True):
            tensors[name][...] = values
        self.spoil(file, tensors)

    # ------------------------------------------------------------------------------------- onnxruntime

    def _onnxruntime(self) -> Any:
        real, machine = onnxruntime, self

        class Session:
            def __init__(self, path: Path, options: Any, providers: list[Any]) -> None:
                self.file, self.providers = Path(path).stem, providers
                self.inner = real.InferenceSession(path, options, providers=["CPUExecutionProvider"])
                machine.sessions.append(providers)

            def __getattr__(self, name: str) -> Any:
                return getattr(self.inner, name)

            def get_providers(self) -> list[str]:
                names = [one if isinstance(one, str) else one[0] for one in self.providers]
                return names[1:] if machine.refuses == "provider" and len(names) > 1 else names

            def io_binding(self) -> Any:
                if isinstance(self.providers[0], str):
                    return self.inner.io_binding()
                bound: dict[str, Any] = {}

                def bind(name: str, kind: str, index: int, dtype: Any, shape: Any, address: int) -> None:
                    assert (kind, index) == ("cuda", 0)
                    bound[name] = machine.gpu.view(address, shape, dtype)

                return SimpleNamespace(bind_input=bind, bind_output=bind, bound=bound)

            def run_with_iobinding(self, binding: Any, options: Any = None) -> None:
                if isinstance(self.providers[0], str):
                    return self.inner.run_with_iobinding(binding)
                assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
                if machine.refuses == "capture" and machine.gpu.capturing is not None:
                    machine.gpu.broken = True
                    raise RuntimeError("CUDA failure 900: operation not permitted when stream is capturing")
                stream, bound = int(self.providers[0][1]["user_compute_stream"]), dict(binding.bound)
                machine.gpu.put(stream, lambda: machine.run(self.file, self.inner, bound))
                return None

        return SimpleNamespace(
            InferenceSession=Session, RunOptions=real.RunOptions, SessionOptions=real.SessionOptions,
            GraphOptimizationLevel=real.GraphOptimizationLevel, ExecutionMode=real.ExecutionMode,
            get_available_providers=lambda: PROVIDERS, __version__="9.9",
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------- tensorrt

    def _tensorrt(self) -> Any:
        machine = self

        class Runtime:
            def __init__(self, logger: Any) -> None: ...

            def deserialize_cuda_engine(self, plan: bytes) -> Any:
                rows, name, onnx = struct.unpack("<i16s", plan[4:24])[0], plan[8:24].rstrip(b"\0").decode(), plan[24:]
                session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
                nodes = {n.name: ("in", n) for n in session.get_inputs()}
                nodes |= {n.name: ("out", n) for n in session.get_outputs()}
                dtypes = {"tensor(float)": np.float32, "tensor(int32)": np.int32}
                bound: dict[str, int] = {}
                shapes: dict[str, tuple[int, ...]] = {}

                def set_input_shape(tensor: str, shape: tuple[int, ...]) -> bool:
                    shapes[tensor] = shape
                    return shape[0] == rows  # a plan has one batch

                def enqueue(stream: int) -> bool:
                    if machine.refuses == "capture" and machine.gpu.capturing is not None:
                        return False
                    views = {
                        tensor: machine.gpu.view(address, machine.shapes[name][tensor], dtypes[nodes[tensor][1].type])
                        for tensor, address in bound.items()
                    }
                    machine.gpu.put(stream, lambda: machine.run(name, session, views))
                    return True

                context = SimpleNamespace(
                    set_input_shape=set_input_shape, set_device_memory=lambda address, size: None,
                    set_tensor_address=lambda tensor, address: bound.update({tensor: address}) or True,
                    execute_async_v3=enqueue,
                )  # fmt: skip
                return SimpleNamespace(
                    num_io_tensors=len(nodes), get_tensor_name=lambda i: list(nodes)[i], device_memory_size_v2=64,
                    get_tensor_mode=lambda tensor: nodes[tensor][0],
                    get_tensor_dtype=lambda tensor: dtypes[nodes[tensor][1].type],
                    create_execution_context=lambda strategy: context,
                    create_runtime_config=lambda: SimpleNamespace(
                        set_execution_context_allocation_strategy=lambda strategy: None,
                        create_runtime_cache=lambda: SimpleNamespace(
                            serialize=lambda: b"kernels", deserialize=lambda blob: True
                        ),
                        set_runtime_cache=lambda cache: True,
                    ),
                )  # fmt: skip

        logger: Any = lambda severity: None  # noqa: E731
        logger.ERROR = 1
        return SimpleNamespace(
            __name__="tensorrt", Runtime=Runtime, Logger=logger, nptype=lambda dtype: dtype,
            ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED=0),
            DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER=1),
            TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out"),
        )  # fmt: skip

    shapes: dict[str, dict[str, tuple[int, ...]]] = {}  # of the plans that were made, by part


def compile_to_onnx(self: backend_tensorrt.TensorRT, order: Order) -> Made:
    """A "plan": magic, rows, the part's name, and the network itself."""
    tensors = (*order.part.inputs, *order.part.outputs)
    Machine.shapes[order.name] = {t.name: t.resolve(order.rows, order.lr_size, order.lr_size) for t in tensors}
    head = (self.flavour.magic or b"trt!") + struct.pack("<i16s", order.rows, order.name.encode())
    path = order.folder / f"{order.name}.plan"
    path.write_bytes(head + order.source.read_bytes())
    return Made(path.name, PlanProof(1, 0, 0, 0, path.stat().st_size, order.source.stat().st_size))
