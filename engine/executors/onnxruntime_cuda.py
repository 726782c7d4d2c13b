"""An ONNX file on ONNX Runtime's CUDA or TensorRT provider: inputs and outputs are device pointers, the work goes into
our stream. Tested against a stand-in for the `onnxruntime` module; no GPU has run it yet.

The session gets our stream once, as `user_compute_stream`, and a run does not wait for it
(`disable_synchronize_execution_providers`), so that the kernels before and after are in order with it and a step can be
captured. A node that a provider leaves to the CPU is copied for by ONNX Runtime itself: right, slower, and no longer
capturable, which the device then says.

FP32 means FP32: TF32, which has FP16's mantissa, is off. cuDNN's algorithms are chosen by its heuristics, not by
timing, so that two sessions compute the same.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import DegradeError
from ..spec import PartSpec
from . import PartExecutor
from .onnx_session import import_onnxruntime, open_session, preload

Provider = Literal["CUDAExecutionProvider", "TensorrtExecutionProvider"]

# Kept in engine.json and part of the cache key, so all that follows is too.
GPU_SETTINGS = {
    "graph_optimization": "all",
    "execution_mode": "sequential",
    "shapes": "free-dimension overrides",
    "deterministic": "true",
    "tf32": "false",
    "convolutions": "cuDNN heuristics",
}


class OnnxRuntimeCudaExecutor(PartExecutor):
    """One network at the batch and size that it is opened for; see PartExecutor.

    path      the ONNX file, in the precision in which it is to be computed
    stream    the handle that every run has to come with
    provider  of ONNX Runtime; cache: a folder for what the TensorRT provider compiles
    """

    title = "ONNX Runtime"
    memory = "__cuda_array_interface__"

    def __init__(
        self, path: Path, part: PartSpec, *, batch: int, height: int, width: int, stream: int, provider: Provider,
        cache: Path,
    ) -> None:  # fmt: skip
        super().__init__(path, part, batch=batch, height=height, width=width)
        self._stream = stream
        preload(provider)
        self._session = open_session(path, part, self.shapes, providers(provider, stream, cache))
        self._binding = self._session.io_binding()
        self._options = import_onnxruntime().RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")

    def _attach(self, name: str, buffer: Any, address: int) -> None:
        bind = self._binding.bind_input if name in self._inputs else self._binding.bind_output
        bind(name, "cuda", 0, np.dtype(self._specs[name].dtype), self.shapes[name], address)

    def _run(self, stream: Any) -> None:
        if stream != self._stream:
            raise DegradeError(f"{self._path.name} was run on the stream {stream}", wanted=f"its own, {self._stream}")
        self._session.run_with_iobinding(self._binding, self._options)


def providers(provider: Provider, stream: int, cache: Path) -> list[Any]:
    """The provider and those that take what it leaves, with their options, as `InferenceSession` takes them."""
    common = {"device_id": "0", "user_compute_stream": str(stream)}
    cuda = ("CUDAExecutionProvider", {**common, "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
    if provider == "CUDAExecutionProvider":
        return [cuda, "CPUExecutionProvider"]
    # The provider has no option for TF32; the libraries below it read this when they start. Without a precision option
    # it builds a strongly typed network: the precision is the file's.
    os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    compiled = {"trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"}
    folders = {"trt_engine_cache_path": str(cache), "trt_timing_cache_path": str(cache)}
    return [("TensorrtExecutionProvider", {**common, **compiled, **folders}), cuda, "CPUExecutionProvider"]
