"""Every kernel of the device's vocabulary names all of its fatbin kernel's arguments, and gives the host's bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from degrade_engine.engine.devices import HostDevice
from degrade_engine.engine.devices.launches import CALLS
from degrade_engine.engine.sampling import tiling
from degrade_engine.kernels.grids import KERNELS, PARTS
from degrade_engine.kernels.select import LANES

from ..rigs import Host

K, B, R, H, W, S, SEED = 2, 3, 6, 5, 7, 4, 2**40 + 9  # R = K·B rows; odd sizes leave tails and misaligned rows


def arguments(kernel: str) -> tuple[dict[str, Any], str]:
    """Arrays and numbers for a launch, and the names of what it writes."""
    random = np.random.default_rng(3)

    def floats(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    def words(*shape: int) -> np.ndarray:
        return random.integers(0, 2**32, shape, dtype=np.uint32)

    x, step = floats(R, 3, H, W), np.array([2], np.int32)
    timesteps = random.integers(1, 501, (S, R), dtype=np.int32)
    noise = {"seed": SEED, "pairs": words(R), "candidates": words(R)}
    bytes_ = random.integers(0, 256, (B, H, W, 3), dtype=np.uint8)
    coefficients = floats(S, R, 6)
    coefficients[2, 1] = 0, 0, 1, 0, 0, 0  # a row that waits
    pixels = {"x": np.where(x > 2.5, np.inf, x), "parts": np.full((R, PARTS), 7, np.uint8)}
    found = {"error_0": floats(K, B), "error_1": floats(K, B), "score": floats(K, B),
             "finite": np.ones((K, B), np.bool_), "kept": np.full(B, 9, np.int32)}  # fmt: skip
    y, x_ = tiling.grid(H, W, 4).y.axis("height"), tiling.grid(H, W, 4).x.axis("width")
    places = {"tops": y.starts, "cover_y": y.cover, "weights_y": y.weights, "lefts": x_.starts, "cover_x": x_.cover,
              "weights_x": x_.weights}  # fmt: skip
    filled: dict[str, tuple[dict[str, Any], str]] = {
        "to_planar": ({"images": bytes_, "out": floats(B, 3, H, W)}, "out"),
        "to_bytes": ({"x": x, "out": np.zeros((R, H, W, 3), np.uint8)}, "out"),
        "start": ({"x": x, "x_start": floats(R, 3, H, W), "coefficients": np.abs(floats(R, 2)), **noise}, "x"),
        "load": ({"t": np.zeros(R, np.int32), "timesteps": timesteps, "step": step}, "t"),
        "update": (
            {"x": x, "eps": floats(R, 3, H, W), "x0_prev": floats(R, 3, H, W), "coefficients": coefficients,
             "timesteps": timesteps, "step": step, "clip": True, **noise}, "x x0_prev"),
        "advance": ({"step": step}, "step"),
        "select": (
            {"features_0": floats(R, 9), "target_0": floats(B, 9), "lanes_0": floats(R, 2, LANES), "features_1": x,
             "target_1": floats(B, 3, H, W), "lanes_1": floats(R, 2, LANES), "weights": (0.3, 0.7), **pixels, **found},
            " ".join(found)),
        "keep_first": ({**pixels, **found}, " ".join(found)),
        "kept_to_bytes": ({"x": x, "kept": np.array([1, 0, 1], np.int32), "out": np.zeros((B, H, W, 3), np.uint8)},
                          "out"),
        "gather": ({"x": x, "kept": np.array([1, 0, 1], np.int32), "out": floats(B, 3, H, W)}, "out"),
        "tile": ({"source": floats(B, H, W), "out": floats(R, H, W)}, "out"),
        "cut": ({"source": x, "out": floats(5, 3, 4, 4), "tops": y.starts, "lefts": x_.starts, "first": 3}, "out"),
        "blend": ({"tiled": floats(R * 9, 3, 4, 4), "out": x, **places}, "out"),
    }  # fmt: skip
    return filled[kernel]


@pytest.mark.parametrize("kernel", CALLS)
def test_all_arguments_are_named(kernel: str) -> None:
    for name, written_out in CALLS[kernel](**arguments(kernel)[0]):
        assert set(written_out) == set(KERNELS[name].arguments)


@pytest.mark.parametrize("kernel", CALLS)
def test_the_bytes_are_the_hosts(kernel: str, cuda_rig: Host) -> None:
    given, written = arguments(kernel)
    on_host = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in given.items()}
    HostDevice().launch(kernel, **on_host)
    device, on_gpu = cuda_rig.device, {}
    for name, value in given.items():
        on_gpu[name] = value
        if isinstance(value, np.ndarray):
            on_gpu[name] = device.allocate(value.shape, value.dtype)
            device.upload(on_gpu[name], value)
    device.launch(kernel, **on_gpu)
    for name in written.split():
        found = cuda_rig.read(on_gpu[name])
        assert found.dtype == on_host[name].dtype
        assert found.tobytes() == on_host[name].tobytes(), name
        assert found.tobytes() != given[name].tobytes(), f"{name} was not written at all"


def test_the_vocabulary_is_the_hosts() -> None:
    assert set(CALLS) == set(HostDevice()._kernels)
