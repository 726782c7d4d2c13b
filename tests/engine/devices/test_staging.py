"""Batches that overlap: uploads and results beside the kernels of other batches, over a driver that is as late as it
may be and knows what is in order (fake_libcuda.cpp)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ..rigs import Faked, FakeDriver
from ..sampling.test_sampler import make_batch, open_sampler
from .test_cuda import same_bytes


@pytest.fixture(params=["cuda-bindings", "pycuda"])
def faked(request: pytest.FixtureRequest, fake_driver: FakeDriver) -> Iterator[Faked]:
    rig = Faked(fake_driver, request.param)
    yield rig
    rig.close()


def batches(count: int) -> list[Any]:
    return [make_batch(3, [5, 2, 7], first=100 * n) for n in range(count)]


@pytest.mark.parametrize("order", [range(5), range(4, -1, -1)], ids=["in order", "the last first"])
def test_batches_begun_ahead_have_the_hosts_bytes(tiny_bundle: Path, faked: Faked, order: range) -> None:
    """Five at once, though there are two sets of memory: what nobody has asked for yet is put aside."""
    host, cuda = open_sampler(tiny_bundle, 4, 2), open_sampler(tiny_bundle, 4, 2, faked)
    begun = [cuda.begin(batch, inspect=n % 2 == 0) for n, batch in enumerate(batches(5))]
    for n in order:
        same_bytes(begun[n](), host.run(batches(5)[n], inspect=n % 2 == 0))
        same_bytes(begun[n](), begun[n]())  # asked for again, it is the same


def test_closing_the_device_puts_results_aside(tiny_bundle: Path, faked: Faked) -> None:
    begun = [open_sampler(tiny_bundle, 4, 2, faked).begin(batch) for batch in batches(3)]
    faked.device.close()
    for one, batch in zip(begun, batches(3), strict=True):
        same_bytes(one(), open_sampler(tiny_bundle, 4, 2).run(batch))


WAITS = ("cuStreamSynchronize", "cuCtxSynchronize", "cuEventSynchronize", "cuMemAlloc", "cuMemHostAlloc", "cuMemFree")


def test_the_host_waits_once_a_batch_for_an_event(tiny_bundle: Path, faked: Faked) -> None:
    cuda = open_sampler(tiny_bundle, 4, 2, faked)
    cuda.run(make_batch(3, [5, 2, 7]))  # captures the step, makes the memory
    before = cuda.begin(make_batch(3, [5, 2, 7]))
    for batch in batches(4):
        for name in (*WAITS, "cuMemcpyDtoHAsync"):
            faked.driver.calls(name)
        begun = cuda.begin(batch)
        assert [faked.driver.calls(name) for name in WAITS] == [0] * 6, "beginning waits for nothing"
        before()
        assert [faked.driver.calls(name) for name in WAITS] == [0, 0, 1, 0, 0, 0]
        assert faked.driver.calls("cuMemcpyDtoHAsync") == 1
        before = begun
    before()


def test_uploads_and_results_run_beside_the_kernels(tiny_bundle: Path, faked: Faked) -> None:
    """A batch's uploads wait for no kernel of the batch before; its results wait for none of the batch after."""
    cuda, device = open_sampler(tiny_bundle, 4, 2, faked), faked.device
    cuda.run(make_batch(3, [5, 2, 7]))
    kernels, staging = device.stream, device._staging  # type: ignore[attr-defined]
    uploads = int(staging._in.handle)
    first, second = cuda.begin(batches(2)[0]), cuda.begin(batches(2)[1])
    work, copies = faked.driver.waiting(kernels), faked.driver.waiting(uploads)
    with device.current("in a test"):  # type: ignore[attr-defined]
        staging._in.synchronize()
    assert copies and not faked.driver.waiting(uploads) and faked.driver.waiting(kernels) == work
    first()
    left = faked.driver.waiting(kernels)
    assert 0 < left < work and 2 * left <= work + 2, "the kernels of the second batch have not run"
    second()
    assert not faked.driver.waiting(kernels)


def test_values_may_change_once_they_are_uploaded(faked: Faked) -> None:
    buffer = faked.device.allocate((1000,), np.int32)
    values = np.arange(1000, dtype=np.int32)
    faked.device.upload(buffer, values)
    values[:] = 0
    assert faked.read(buffer).tolist() == list(range(1000))


def test_more_than_a_set_holds(faked: Faked) -> None:
    """It grows; what was uploaded before and what is still to come are not lost."""
    device, sizes = faked.device, [1, 1 << 18, 3 << 19, 7, 1 << 21]
    buffers = [device.allocate((size,), np.int32) for size in sizes]
    for n, buffer in enumerate(buffers):
        device.upload(buffer, np.full(buffer.shape, n, np.int32))
    begun = [device.fetch(buffer) for buffer in buffers]
    both = device.fetch(*buffers)
    for n, one in enumerate(begun):
        assert (one()[0] == n).all() and (both()[n] == n).all()
    assert device.fetch()() == ()


# ------------------------------------------------------------------------------- what the driver finds


@pytest.fixture()
def misused(fake_driver: FakeDriver) -> Iterator[Faked]:
    rig = Faked(fake_driver, "cuda-bindings")
    yield rig
    fake_driver.said()
    rig.device.close()


def drop_wait(staging: Any) -> None:
    """The kernels no longer wait for uploads."""
    staging._uploaded = staging._cuda.Event()
    staging._uploaded.record = lambda stream: None


def drop_made(staging: Any) -> None:
    """The results are copied before the kernels have ended."""
    staging._made = staging._cuda.Event()
    staging._made.record = lambda stream: None


def one_set(staging: Any) -> None:
    """A set is used again at once."""
    staging._room = lambda nbytes: (staging._sets[0].begin(), staging._sets[0])[1]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (None, ""),
        (drop_wait, "memory that another stream uses"),
        (drop_made, "memory that another stream uses"),
        (one_set, "pinned memory was written before a copy from it had run"),
    ],
)
def test_a_missing_wait_is_found(misused: Faked, damage: Callable[[Any], None] | None, said: str) -> None:
    device: Any = misused.device
    buffer = device.allocate((100,), np.int32)
    for _ in range(2):  # both sets have memory
        device.download(buffer)
    if damage:
        with device.current("in a test"):
            damage(device._staging)
    for n in range(3):
        device.upload(buffer, np.full(100, n, np.int32))
        device.copy(buffer, buffer)
        device.fetch(buffer)
    device.synchronize()
    assert said in misused.driver.said() if said else misused.driver.said() == ""
