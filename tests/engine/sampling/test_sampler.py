"""The batch sampler against a plain loop over one candidate at a time, written here from Algorithm 2 and A.6.

The loop uses the same ONNX files at batch 1 through ONNX Runtime's ordinary call, the printed DDPM formula
in float64 and the noise of `kernels.philox`, and none of sampler, device, executor, layout and filter.

Every test runs on the host and on a CudaDevice, over the stand-in and over a GPU where there is one (rigs.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from degrade_engine.engine import sampling
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.devices import HostDevice
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor
from degrade_engine.engine.sampling.batch import Batch, BatchResult, Runner
from degrade_engine.engine.schedule import Schedule, table
from degrade_engine.kernels import philox

from ..rigs import Host, Network

H, W = 8, 12  # not square: a swap of the two would show


def open_sampler(bundle: Path, batch: int, candidates: int, rig: Host | None = None, **spoilt: Network) -> Runner:
    """spoilt: networks that take the place of the bundle's, by part."""
    rig, about = rig or Host(), open_bundle(bundle).spec
    executors = {
        name: rig.executor(spoilt.get(name) or open_network(bundle, name, batch, candidates)) for name in about.parts
    }
    return sampling.open(rig.device, executors, about, candidates=candidates)


def open_network(bundle: Path, name: str, batch: int, candidates: int) -> OnnxRuntimeExecutor:
    part = open_bundle(bundle).spec.parts[name]
    rows = batch * candidates if part.runs == "step" else batch
    return OnnxRuntimeExecutor(bundle / f"{name}.onnx", part, batch=rows, height=H, width=W, threads=1)


def make_batch(n: int, taus: list[int], *, seed: int = 5, start: bool = False, first: int = 100) -> Batch:
    random = np.random.default_rng(n)
    images = random.integers(0, 256, (3, n, H, W, 3), dtype=np.uint8)
    schedule = Schedule()
    return Batch(
        content=images[0],
        reference=images[1],
        start=images[2] if start else None,
        pairs=np.arange(first, first + n, dtype=np.uint32),
        tables=[table(schedule, "ddpm", tau) for tau in taus],
        seed=seed,
    )


@dataclass
class Oracle:
    """One pair, one candidate at a time."""

    bundle: Path

    def __post_init__(self) -> None:
        about = open_bundle(self.bundle).spec
        self.schedule = about.schedule
        self.sessions = {n: onnxruntime.InferenceSession(self.bundle / f"{n}.onnx") for n in about.parts}

    def call(self, part: str, **inputs: np.ndarray) -> np.ndarray:
        return self.sessions[part].run(None, {k: np.asarray(v) for k, v in inputs.items()})[0]

    def noise(self, batch: Batch, i: int, k: int, t: int) -> np.ndarray:
        out = np.zeros((1, 3, H, W), np.float32)
        words = [np.array([v], np.uint32) for v in (batch.pairs[i], k, t)]
        philox.normals(out, seed=batch.seed, pairs=words[0], candidates=words[1], steps=words[2])
        return out

    def pair(self, batch: Batch, i: int, k: int) -> tuple[np.ndarray, np.ndarray, float, float]:
        """(x_0 float [3, H, W], start, degradation error, content error)."""

        def planes(image: np.ndarray) -> np.ndarray:
            return (image[None].astype(np.float32) / np.float32(127.5) - 1).transpose(0, 3, 1, 2)

        f_deg = self.call("degradation", image=planes(batch.reference[i]))
        f_cont = self.call("content", image=planes(batch.content[i]))
        c = self.call("modulation", f_cont=f_cont, f_deg=f_deg)
        start = (
            self.call("reconstruction", f_cont=f_cont, f_deg=f_deg) if batch.start is None else planes(batch.start[i])
        )
        tau, alphas, bars = batch.tables[i].tau, self.schedule.alphas, self.schedule.alphas_bar
        x = start.astype(np.float64)
        if tau:
            x = np.sqrt(bars[tau]) * x + np.sqrt(1 - bars[tau]) * self.noise(batch, i, k, 0)
        for t in range(tau, 0, -1):
            eps = self.call("denoiser", x_t=x.astype(np.float32), t=np.array([t], np.int32), condition=c)
            x = (x - (1 - alphas[t]) / np.sqrt(1 - bars[t]) * eps) / np.sqrt(alphas[t])
            if t > 1:
                x = x + np.sqrt(1 - alphas[t]) * self.noise(batch, i, k, t)
        x32 = x.astype(np.float32)

        def error(part: str, target: np.ndarray) -> float:
            return float(((self.call(part, image=x32) - target) ** 2).sum() / (target**2).sum())

        return x[0], start[0], error("degradation", f_deg), error("content", f_cont)


def to_bytes(x: np.ndarray) -> np.ndarray:
    return np.clip(np.rint((x + 1) * 127.5), 0, 255).astype(np.uint8).transpose(1, 2, 0)


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("taus", [[0], [1], [7, 0, 3], [2, 5, 5, 30]])
def test_agrees_with_the_plain_loop(tiny_bundle: Path, rig: Host, taus: list[int], start: bool) -> None:
    n, candidates = len(taus), 3
    sampler, batch = open_sampler(tiny_bundle, 4, candidates, rig), make_batch(len(taus), taus, start=start)
    result, oracle = sampler.run(batch), Oracle(tiny_bundle)
    x = rig.read(sampler.x).reshape(candidates, 4, 3, H, W)
    scores = np.zeros((candidates, n))
    for i in range(n):
        for k in range(candidates):
            wanted, begin, degradation, content = oracle.pair(batch, i, k)
            np.testing.assert_allclose(x[k, i], wanted, rtol=0, atol=1e-4)
            assert np.abs(result.candidates[k, i].astype(int) - to_bytes(wanted)).max() <= 1
            assert np.abs(result.start[i].astype(int) - to_bytes(begin)).max() <= 1
            assert result.degradation_error[k, i] == pytest.approx(degradation, rel=1e-3, abs=1e-9)
            assert result.content_error[k, i] == pytest.approx(content, rel=1e-3, abs=1e-9)
            scores[k, i] = degradation + content
    np.testing.assert_allclose(result.score, scores, rtol=1e-3, atol=1e-9)
    for i in range(n):
        assert result.kept[i] == result.score[:, i].argmin()
        np.testing.assert_array_equal(result.lr[i], result.candidates[result.kept[i], i])
    assert result.finite.all()
    if taus[-1] == 30:
        assert len(set(result.kept.tolist())) > 1 or result.kept.any()  # the filter has something to decide


def test_accounting(tiny_bundle: Path, rig: Host) -> None:
    sampler = open_sampler(tiny_bundle, 4, 3, rig)
    result = sampler.run(make_batch(3, [7, 0, 3]))
    assert result.row_steps == 3 * 10 and result.executed_row_steps == 7 * 12
    assert result.calls == {
        "degradation": 4,
        "content": 4,
        "modulation": 1,
        "reconstruction": 1,
        "denoiser": 7,
    }
    result = sampler.run(make_batch(3, [7, 0, 3], start=True), filter=False)
    assert result.calls == {
        "degradation": 1,
        "content": 1,
        "modulation": 1,
        "reconstruction": 0,
        "denoiser": 7,
    }


def test_tau_0_returns_the_start(tiny_bundle: Path, rig: Host) -> None:
    batch = make_batch(2, [0, 0], start=True)
    result = open_sampler(tiny_bundle, 2, 2, rig).run(batch)
    assert batch.start is not None
    for found in (result.lr, result.start, *result.candidates):
        np.testing.assert_array_equal(found, batch.start)
    assert (result.kept == 0).all() and result.executed_row_steps == 0


def same(a: BatchResult, b: BatchResult, rows_a: list[int], rows_b: list[int]) -> None:
    np.testing.assert_array_equal(a.lr[rows_a], b.lr[rows_b])
    np.testing.assert_array_equal(a.candidates[:, rows_a], b.candidates[:, rows_b])
    np.testing.assert_allclose(a.score[:, rows_a], b.score[:, rows_b], rtol=1e-5)


def test_a_pair_does_not_depend_on_its_neighbours(tiny_bundle: Path, rig: Host) -> None:
    """Order, company, padding, a failed neighbour and a longer neighbour change nothing."""
    sampler, batch = open_sampler(tiny_bundle, 4, 2, rig), make_batch(4, [3, 6, 1, 6])
    whole = sampler.run(batch)
    order = [2, 0, 3, 1]
    shuffled = replace(
        batch, content=batch.content[order], reference=batch.reference[order], pairs=batch.pairs[order],
        tables=[batch.tables[i] for i in order],
    )  # fmt: skip
    same(sampler.run(shuffled), whole, [0, 1, 2, 3], order)
    alone = replace(
        batch, content=batch.content[:1], reference=batch.reference[:1], pairs=batch.pairs[:1],
        tables=batch.tables[:1],
    )  # fmt: skip
    same(sampler.run(alone), whole, [0], [0])
    content = batch.content.copy()
    content[1] = 0
    failed = sampler.run(replace(batch, content=content, valid=np.array([True, False, True, True])))
    same(failed, whole, [0, 2, 3], [0, 2, 3])
    assert failed.row_steps == 2 * (3 + 1 + 6)
    same(sampler.run(batch), whole, [0, 1, 2, 3], [0, 1, 2, 3])  # nothing is left over from run to run


def test_batch_1_agrees_with_batch_4(tiny_bundle: Path, rig: Host) -> None:
    batch = make_batch(4, [3, 6, 1, 6])
    whole, single = open_sampler(tiny_bundle, 4, 2, rig).run(batch), open_sampler(tiny_bundle, 1, 2, rig)
    for i in range(4):
        row = slice(i, i + 1)
        one = single.run(
            replace(
                batch,
                content=batch.content[row],
                reference=batch.reference[row],
                pairs=batch.pairs[row],
                tables=batch.tables[row],
            )  # fmt: skip
        )
        difference = np.abs(one.candidates[:, 0].astype(int) - whole.candidates[:, i])
        assert difference.max() <= 1 and (difference > 0).mean() <= 0.001


def test_seed_and_pair_change_the_noise(tiny_bundle: Path, rig: Host) -> None:
    sampler, batch = open_sampler(tiny_bundle, 2, 2, rig), make_batch(2, [9, 9])
    first = sampler.run(batch).lr
    assert (sampler.run(replace(batch, seed=6)).lr != first).any()
    assert (sampler.run(replace(batch, pairs=batch.pairs + np.uint32(1))).lr != first).any()
    candidates = sampler.run(batch).candidates
    assert (candidates[0] != candidates[1]).any()


def test_other_solvers_run(tiny_bundle: Path, rig: Host) -> None:
    sampler, batch = open_sampler(tiny_bundle, 2, 2, rig), make_batch(2, [9, 9])
    schedule, found = Schedule(), []
    for solver in ("ddim", "dpmpp"):
        rows = [table(schedule, solver, tau, 3) for tau in (30, 2)]  # type: ignore[arg-type]
        result = sampler.run(replace(batch, tables=rows))
        assert result.finite.all() and result.calls["denoiser"] == 3
        found.append(rig.read(sampler.x))
    # Two solvers of one ODE, three steps from tau 30: near each other, not the same.
    assert 0 < np.abs(found[0] - found[1]).max() < 0.2


class BreakingExecutor:
    """Makes candidate 0 of pair 1 NaN in the last step."""

    def __init__(self, inner: OnnxRuntimeExecutor, rows: list[int]) -> None:
        self.inner, self.rows, self.shapes = inner, rows, inner.shapes

    def bind(self, name: str, buffer: np.ndarray) -> None:
        self.inner.bind(name, buffer)
        if name == "eps":
            self.eps = buffer

    def enqueue(self, stream: object = None) -> None:
        self.inner.enqueue()
        self.eps[self.rows] = np.nan


@pytest.mark.parametrize("all_candidates", [False, True])
def test_a_candidate_that_is_not_finite_is_not_kept(tiny_bundle: Path, rig: Host, all_candidates: bool) -> None:
    clean = open_sampler(tiny_bundle, 2, 2, rig).run(make_batch(2, [3, 3]))
    broken = BreakingExecutor(open_network(tiny_bundle, "denoiser", 2, 2), [1, 3] if all_candidates else [1])
    result = open_sampler(tiny_bundle, 2, 2, rig, denoiser=broken).run(make_batch(2, [3, 3]))
    same(result, clean, [0], [0])
    assert np.isinf(result.score[0, 1])
    assert result.finite.tolist() == [True, not all_candidates]
    if not all_candidates:
        assert result.kept[1] == 1
        np.testing.assert_array_equal(result.lr[1], clean.candidates[1, 1])


def test_without_the_filter(tiny_bundle: Path, rig: Host) -> None:
    sampler, batch = open_sampler(tiny_bundle, 2, 3, rig), make_batch(2, [4, 4])
    with_filter, without = sampler.run(batch), sampler.run(batch, filter=False)
    np.testing.assert_array_equal(without.candidates, with_filter.candidates)
    np.testing.assert_array_equal(without.lr, with_filter.candidates[0])
    assert np.isnan(without.score).all() and without.finite.all() and (without.kept == 0).all()
    assert open_sampler(tiny_bundle, 2, 1, rig).run(batch).kept.tolist() == [0, 0]


class CountingDevice(HostDevice):
    """Counts what the loop may not do."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    def allocate(self, shape, dtype):  # type: ignore[no-untyped-def]
        self.log.append("allocate")
        return super().allocate(shape, dtype)

    def upload(self, buffer, values) -> None:  # type: ignore[no-untyped-def]
        self.log.append("upload")
        super().upload(buffer, values)

    def download(self, *buffers):  # type: ignore[no-untyped-def]
        self.log.append("download")
        return super().download(*buffers)

    def launch(self, kernel: str, **arguments: object) -> None:
        self.log.append(kernel)
        super().launch(kernel, **arguments)


def test_the_loop_is_only_launches(tiny_bundle: Path) -> None:
    rig = Host()
    rig.device = device = CountingDevice()
    sampler = open_sampler(tiny_bundle, 2, 2, rig)
    device.log.clear()
    sampler.run(make_batch(2, [5, 2]))
    assert "allocate" not in device.log
    begin, end = device.log.index("start"), device.log.index("select")
    assert device.log[begin + 1 : end] == ["load", "update", "advance"] * 5
    assert device.log.count("download") == 1 and device.log[-1] == "download"


@pytest.mark.parametrize(
    "change",
    [
        lambda b: replace(b, content=b.content[:, :, :-1]),
        lambda b: replace(b, reference=b.reference.astype(np.float32)),
        lambda b: replace(b, tables=b.tables[:1]),
        lambda b: replace(b, pairs=b.pairs.astype(np.int64)),
        lambda b: replace(b, valid=np.ones(3, np.bool_)),
        lambda b: replace(b, tables=[b.tables[0], replace(b.tables[1], clip=True)]),
        lambda b: make_batch(3, [1, 1, 1]),
        lambda b: make_batch(0, []),
    ],
)
def test_what_does_not_fit_is_refused(tiny_bundle: Path, change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DegradeError):
        open_sampler(tiny_bundle, 2, 1).run(change(make_batch(2, [3, 3])))
