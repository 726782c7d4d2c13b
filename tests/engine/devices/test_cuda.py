"""CudaDevice: the scheduler's results are the host's to the last byte, a step is captured once and replayed, faults end
in plain launches or in one sentence. Over the stand-in everywhere, over a GPU where there is one (rigs.py).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from degrade_engine.engine.devices.cuda import CudaBuffer, CudaDevice, modules
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sampling.batch import BatchResult
from degrade_engine.engine.schedule import Schedule, table
from degrade_engine.kernels import loader

from ..cuda_stand_in import Gpu
from ..rigs import Faked, FakeDriver, Host, StandIn, cuda_module
from ..sampling.test_sampler import make_batch, open_sampler


@pytest.fixture()
def stand_in(grids_library: Any) -> Iterator[StandIn]:
    rig = StandIn(grids_library)
    yield rig
    rig.close()


def same_bytes(found: BatchResult, wanted: BatchResult) -> None:
    for field in fields(BatchResult):
        a, b = getattr(found, field.name), getattr(wanted, field.name)
        assert a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b, field.name


# ------------------------------------------------------------------------------------------ the same bytes


@pytest.mark.parametrize("graph", [True, False], ids=["replayed", "launched"])
def test_batch_after_batch_is_the_hosts_to_the_last_byte(tiny_bundle: Path, cuda_rig: Host, graph: bool) -> None:
    """Late joiners, padding, a failed pair, another seed, clipping, another solver, no filter, tau 0: one sampler."""
    first = make_batch(3, [5, 2, 7])
    clipped = [replace(one, clip=True) for one in first.tables]
    ddim = [table(Schedule(), "ddim", tau, 3) for tau in (30, 9, 2)]
    runs: list[tuple[Any, dict[str, Any]]] = [
        (first, {}),
        (replace(first, valid=np.array([True, False, True])), {}),
        (replace(first, seed=2**63 + 1), {}),
        (replace(first, tables=clipped, seed=2**63 + 1), {"inspect": False}),
        (replace(make_batch(3, [30, 9, 2], start=True), tables=ddim), {"filter": False}),
        (make_batch(2, [0, 0]), {}),
        (make_batch(1, [1]), {}),
    ]  # fmt: skip
    host = open_sampler(tiny_bundle, 4, 2)
    cuda_rig.device.graphs = graph  # type: ignore[attr-defined]
    cuda = open_sampler(tiny_bundle, 4, 2, cuda_rig)
    for batch, options in runs:
        same_bytes(cuda.run(batch, **options), host.run(batch, **options))


class OnDevice:
    """A denoiser of our own kernels: eps = s·x + n·z. It can be captured on a GPU too, and has the host's bytes."""

    def __init__(self, device: Any, network: Any) -> None:
        self.device, self.shapes = device, network.shapes
        rows = self.shapes["x_t"][0]
        self.coefficients, self.words = device.allocate((rows, 2), np.float32), device.allocate((rows,), np.uint32)
        device.upload(self.coefficients, np.full((rows, 2), 0.4, np.float32))
        self.bound: dict[str, Any] = {}

    def bind(self, name: str, buffer: Any) -> None:
        self.bound[name] = buffer

    def enqueue(self, stream: Any = None) -> None:
        self.device.launch(
            "start", x=self.bound["eps"], x_start=self.bound["x_t"], coefficients=self.coefficients, seed=77,
            pairs=self.words, candidates=self.words,
        )  # fmt: skip


def test_a_replayed_step_is_the_hosts_to_the_last_byte(tiny_bundle: Path, cuda_rig: Host) -> None:
    found = []
    for rig in (Host(), cuda_rig):
        sampler = open_sampler(tiny_bundle, 2, 2, rig)
        sampler.executors["denoiser"] = OnDevice(rig.device, sampler.executors["denoiser"])
        sampler.bind()
        found.append([sampler.run(make_batch(2, [9, 4], seed=seed)) for seed in (5, 5, 6)])
    for on_gpu, on_host in zip(found[1], found[0], strict=True):
        same_bytes(on_gpu, on_host)
    assert cuda_rig.device.notes == ()  # every step but the first of a seed was replayed


# ----------------------------------------------------------------------------------- what a batch calls


def test_one_capture_a_seed_and_one_copy_back_a_batch(tiny_bundle: Path, stand_in: StandIn) -> None:
    sampler, log = open_sampler(tiny_bundle, 2, 2, stand_in), stand_in.gpu.log
    for _ in range(2):
        sampler.run(make_batch(2, [5, 2], seed=4))  # after which both sets of staging memory are there
    for seed, captures, replays in ((5, 1, 4), (5, 0, 5), (6, 1, 4), (6, 0, 5)):
        log.clear()
        sampler.run(make_batch(2, [5, 2], seed=seed))
        assert log.count("cuStreamBeginCapture") == log.count("cuGraphInstantiate") == captures
        assert log.count("cuGraphLaunch") == replays
        assert log.count("cuGraphExecDestroy") == captures
        assert not {"cuMemAlloc", "cuMemFree"} & set(log)
        assert (log.count("cuStreamSynchronize"), log.count("cuEventSynchronize")) == (captures, 1)
        copies = [i for i, call in enumerate(log) if call == "cuMemcpyDtoHAsync"]
        assert len(copies) == 1 and copies[0] > max(i for i, c in enumerate(log) if c == "cuLaunchKernel")
        assert log[copies[0] :] == ["cuMemcpyDtoHAsync", "cuEventRecord", "cuEventSynchronize"]


def test_two_samplers_of_one_device_have_a_graph_each(tiny_bundle: Path, stand_in: StandIn) -> None:
    batch, host = make_batch(2, [5, 2]), open_sampler(tiny_bundle, 2, 2)
    one, other = (open_sampler(tiny_bundle, 2, 2, stand_in) for _ in range(2))
    for sampler in (one, other, one, other):
        same_bytes(sampler.run(batch), host.run(batch))
    assert len(stand_in.gpu.graphs) == 2


# --------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("cuLaunchKernel", "CUDA_ERROR_INVALID_VALUE"),
        ("cuStreamBeginCapture", "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"),
        ("cuStreamEndCapture", "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"),
        ("cuGraphInstantiate", "CUDA_ERROR_OUT_OF_MEMORY"),
    ],
)
def test_what_cannot_be_captured_is_launched_and_said_once(
    tiny_bundle: Path, stand_in: StandIn, function: str, code: str
) -> None:
    stand_in.gpu.fail(function, code, while_capturing=function in ("cuLaunchKernel", "cuStreamEndCapture"))
    sampler, host = open_sampler(tiny_bundle, 2, 2, stand_in), open_sampler(tiny_bundle, 2, 2)
    for seed in (5, 6):
        batch = make_batch(2, [5, 2], seed=seed)
        same_bytes(sampler.run(batch), host.run(batch))
    assert stand_in.gpu.capturing is None and "cuGraphLaunch" not in stand_in.gpu.log
    assert stand_in.gpu.log.count("cuStreamBeginCapture") == 1
    (note,) = stand_in.device.notes
    assert "one by one" in note and code in note and function in note


class Refusing:
    """A network whose runtime refuses its second run, which is the captured one."""

    def __init__(self, inner: Any, error: BaseException) -> None:
        self.inner, self.error, self.shapes, self.runs, self.bind = inner, error, inner.shapes, 0, inner.bind

    def enqueue(self, stream: Any) -> None:
        self.runs += 1
        if self.runs == 2:
            raise self.error
        self.inner.enqueue(stream)


@pytest.mark.parametrize("error", [DegradeError("TensorRT refused to run denoiser.plan"), RuntimeError("refused")])
def test_a_network_that_refuses_the_capture(tiny_bundle: Path, stand_in: StandIn, error: Exception) -> None:
    sampler, host = open_sampler(tiny_bundle, 2, 2, stand_in), open_sampler(tiny_bundle, 2, 2)
    sampler.executors["denoiser"] = Refusing(sampler.executors["denoiser"], error)
    same_bytes(sampler.run(make_batch(2, [5, 2])), host.run(make_batch(2, [5, 2])))
    assert stand_in.gpu.capturing is None and "refused" in stand_in.device.notes[0]


def test_ctrl_c_in_a_capture_ends_it_and_goes_on_up(tiny_bundle: Path, stand_in: StandIn) -> None:
    sampler, host = open_sampler(tiny_bundle, 2, 2, stand_in), open_sampler(tiny_bundle, 2, 2)
    sampler.executors["denoiser"] = Refusing(sampler.executors["denoiser"], KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        sampler.run(make_batch(2, [5, 2]))
    assert stand_in.gpu.capturing is None and stand_in.device.notes == ()
    same_bytes(sampler.run(make_batch(2, [5, 2])), host.run(make_batch(2, [5, 2])))  # the next one is captured


def test_a_replay_that_fails_is_an_error(tiny_bundle: Path, stand_in: StandIn) -> None:
    stand_in.gpu.fail("cuGraphLaunch", "CUDA_ERROR_ILLEGAL_ADDRESS")
    with pytest.raises(DegradeError, match="when a graph was launched: CUDA_ERROR_ILLEGAL_ADDRESS, cuGraphLaunch"):
        open_sampler(tiny_bundle, 2, 2, stand_in).run(make_batch(2, [5, 2]))


@pytest.mark.parametrize(
    ("function", "code", "action", "said"),
    [
        ("cuMemAlloc", "CUDA_ERROR_OUT_OF_MEMORY", lambda d: d.allocate((3, 5), np.float32),
         "when 60 bytes were allocated: CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc failed: out of memory.*smaller --batch"),
        ("cuLaunchKernel", "CUDA_ERROR_INVALID_VALUE", lambda d: d.launch("advance", step=d.allocate((1,), np.int32)),
         "when degrade_advance was launched: CUDA_ERROR_INVALID_VALUE, cuLaunchKernel failed: invalid argument"),
        ("cuEventSynchronize", "CUDA_ERROR_ILLEGAL_ADDRESS", lambda d: d.download(d.allocate((1,), np.int32)),
         "when results were read back: CUDA_ERROR_ILLEGAL_ADDRESS"),
    ],
)  # fmt: skip
def test_errors_say_what_was_being_done_and_cudas_name(
    grids_library: Any, function: str, code: str, action: Callable[[CudaDevice], Any], said: str
) -> None:
    rig = StandIn(grids_library)
    rig.gpu.fail(function, code)
    with pytest.raises(DegradeError, match=said) as error:
        action(rig.device)  # type: ignore[arg-type]
    assert "\n" not in str(error.value) and rig.gpu.depth == 0


def test_without_a_device_or_a_fatbin(grids_library: Any) -> None:
    gpu = Gpu(grids_library)
    with pytest.raises(DegradeError, match="no fatbin: none was built"):
        CudaDevice(gpu.cuda, gpu.bindings, loader.Status(None, "no fatbin: none was built"))
    gpu.fail("cuInit", "CUDA_ERROR_NO_DEVICE")
    with pytest.raises(DegradeError, match="when it was started: CUDA_ERROR_NO_DEVICE, cuInit failed: no CUDA-capable"):
        CudaDevice(gpu.cuda, gpu.bindings, loader.Status(Path("stand-in.fatbin"), ""))


def test_without_cuda_bindings_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(DegradeError, match=r"The GPU needs cuda-bindings.*degrade-engine\[cuda\]"):
        CudaDevice.open()


# ------------------------------------------------------------------------------ a driver without a GPU


@pytest.fixture(params=["cuda-bindings", "pycuda"])
def faked(request: pytest.FixtureRequest, fake_driver: FakeDriver) -> Iterator[Faked]:
    rig = Faked(fake_driver, request.param)
    yield rig
    fake_driver.said()  # the tests below do what is wrong
    rig.device.close()


def test_pycuda_is_taken_where_it_imports(monkeypatch: pytest.MonkeyPatch, fake_driver: FakeDriver) -> None:
    ours = cuda_module("cuda-bindings")
    theirs = ModuleType("pycuda.driver")
    for broken in (None, theirs):
        monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda") if broken else None)
        monkeypatch.setitem(sys.modules, "pycuda.driver", broken)
        if broken:
            monkeypatch.setattr(sys.modules["pycuda"], "driver", theirs, raising=False)
        assert modules()[0] is (theirs if broken else ours)


def test_a_kernel_with_an_address_that_is_not_ours(faked: Faked) -> None:
    device: Any = faked.device
    step = device.allocate((1,), np.int32)
    with pytest.raises(DegradeError, match="when degrade_advance was launched: CUDA_ERROR_ILLEGAL_ADDRESS"):
        device.launch("advance", step=replace(step, address=step.address + (1 << 40)))
    assert "degrade_advance: argument 0 is no address of ours" in faked.driver.said()


def test_a_grid_that_cuda_refuses(faked: Faked) -> None:
    device: Any = faked.device
    step = device.allocate((1,), np.int32)
    with pytest.raises(DegradeError, match="when degrade_advance was launched: CUDA_ERROR_INVALID_VALUE"):
        device.launch_grid("degrade_advance", (1, 65536), step=step)


def test_more_memory_than_there_is(faked: Faked) -> None:
    said = "when 1099511627776 bytes were allocated: CUDA_ERROR_OUT_OF_MEMORY.*smaller --batch"
    with pytest.raises(DegradeError, match=said):
        faked.device.allocate((1 << 40,), np.uint8)


@pytest.mark.parametrize("action", ["allocate", "download", "synchronize", "upload"])
def test_what_a_capture_cannot_hold_is_launched_plainly(faked: Faked, action: str) -> None:
    """Each of these ends the capture, and the loop goes on without one; the bytes are those of the steps."""
    device: Any = faked.device
    step = device.allocate((1,), np.int32)
    spare = device.allocate((1,), np.int32)
    actions: dict[str, Callable[[], Any]] = {
        "allocate": lambda: device.allocate((1,), np.int32), "download": lambda: device.download(spare),
        "synchronize": device.synchronize, "upload": lambda: device.upload(spare, np.ones(1, np.int32)),
    }  # fmt: skip

    def work() -> None:
        device.launch("advance", step=step)
        actions[action]()

    device.loop().run(work, 5, ())
    assert faked.read(step).tolist() == [5]  # what was captured of the lost capture does not count
    (note,) = device.notes
    refused_by_us = action in ("download", "upload")
    assert "one by one" in note and ("copies from or to the host" if refused_by_us else "CAPTURE_UNSUPPORTED") in note


def test_a_fatbin_that_is_none(fake_driver: FakeDriver, tmp_path: Path) -> None:
    from cuda.bindings import driver as bindings

    (tmp_path / "a.fatbin").write_bytes(b"ELF")
    with pytest.raises(DegradeError, match="when the kernels were loaded: CUDA_ERROR_INVALID_IMAGE"):
        CudaDevice(cuda_module("cuda-bindings"), bindings, loader.Status(tmp_path / "a.fatbin", ""))


@pytest.mark.parametrize("package", ["cuda-bindings", "pycuda"])
@pytest.mark.parametrize("closed", [True, False])
def test_a_process_ends_without_a_word(fake_driver: FakeDriver, package: str, closed: bool) -> None:
    """The primary context is released, by its own function, also where a device was left open."""
    cuda_module(package)  # or it is skipped
    code = f"""
import ctypes, os, sys
sys.setdlopenflags(os.RTLD_LAZY)
fake = ctypes.CDLL({str(fake_driver.path)!r}, ctypes.RTLD_GLOBAL)
grids = ctypes.CDLL({fake_driver.grids._name!r})
fake.fake_grids(grids.arguments_of, grids.launch_on_host)
from pathlib import Path
from degrade_engine.engine.devices.cuda import CudaDevice
from degrade_engine.kernels import loader
if {package == "pycuda"}:
    import pycuda.driver as cuda
else:
    from degrade_engine.engine.devices import driver as cuda
from cuda.bindings import driver as bindings
device = CudaDevice(cuda, bindings, loader.Status(Path({str(fake_driver.fatbin)!r}), ""))
step = device.allocate((1,), "int32")
device.milliseconds(lambda: device.launch("advance", step=step))
if {closed}:
    device.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# ------------------------------------------------------------------------------------- buffers, closing


def test_a_slice_is_a_view_of_rows(cuda_rig: Host) -> None:
    device = cuda_rig.device
    buffer = device.allocate((5, 2, 3), np.int32)
    values = np.arange(30, dtype=np.int32).reshape(5, 2, 3)
    device.upload(buffer, values)
    device.upload(buffer[2:4], -values[2:4])
    device.upload(buffer[5:], values[5:])  # of no rows: nothing to do
    values[2:4] *= -1
    assert (cuda_rig.read(buffer[1:]) == values[1:]).all() and (cuda_rig.read(buffer) == values).all()
    assert buffer[:3][1:].__cuda_array_interface__ == {
        "shape": (2, 2, 3), "typestr": "<i4", "data": (buffer.address + 24, False), "strides": None, "version": 3
    }  # fmt: skip
    with pytest.raises(IndexError, match="a run of rows"):
        buffer[::2]
    with pytest.raises(DegradeError, match="int64 .* was to be uploaded. Expected: int32"):
        device.upload(buffer, values.astype(np.int64))


def test_a_copy_on_the_device(cuda_rig: Host) -> None:
    device = cuda_rig.device
    source, out = device.allocate((3, 5), np.int32), device.allocate((3, 5), np.int32)
    device.upload(source, np.arange(15, dtype=np.int32).reshape(3, 5))
    device.copy(source, out)  # type: ignore[attr-defined]
    assert cuda_rig.read(out).ravel().tolist() == list(range(15))


def test_new_memory_is_zero(cuda_rig: Host) -> None:
    assert (cuda_rig.read(cuda_rig.device.allocate((1000,), np.float32)) == 0).all()


def test_networks_share_the_largest_need(tiny_bundle: Path, stand_in: StandIn) -> None:
    """One buffer at a time; who asked before is told of a larger one, and a graph that knows the old address ends."""
    device, gpu, told = stand_in.device, stand_in.gpu, []
    cuda = open_sampler(tiny_bundle, 4, 2, stand_in)
    cuda.run(make_batch(2, [4, 4]))
    graphs, held = len(gpu.graphs), len(gpu.memory)
    for nbytes in (100, 40, 300):
        device.scratch(nbytes, lambda buffer, n=nbytes: told.append((n, buffer.nbytes)))
    assert told == [(100, 100), (40, 100), (100, 300), (40, 300), (300, 300)]
    assert len(gpu.memory) == held + 1, "the smaller buffer is given back"
    assert (graphs, len(gpu.graphs)) == (1, 0)
    same_bytes(cuda.run(make_batch(2, [4, 4])), open_sampler(tiny_bundle, 4, 2).run(make_batch(2, [4, 4])))


def test_a_closed_device_says_so(stand_in: StandIn) -> None:
    buffer = stand_in.device.allocate((2,), np.int32)
    stand_in.device.close()
    stand_in.device.close()  # once more is nothing
    with pytest.raises(DegradeError, match="The CUDA device is closed"):
        stand_in.device.download(buffer)
    assert isinstance(buffer, CudaBuffer) and not stand_in.gpu.memory


def test_work_is_timed_between_two_events(stand_in: StandIn) -> None:
    step = stand_in.device.allocate((1,), np.int32)
    assert stand_in.device.milliseconds(lambda: stand_in.device.launch("advance", step=step)) == 1.0  # type: ignore[attr-defined]
    assert stand_in.read(step).tolist() == [1]
