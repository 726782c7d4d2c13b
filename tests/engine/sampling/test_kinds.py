"""What holds for every kind of model, and what a kind without extractors refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.bundle import open_bundle
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.executors.onnxruntime import OnnxRuntimeExecutor
from degrade_engine.engine.kinds import KINDS
from degrade_engine.engine.pipeline import records
from degrade_engine.kernels import philox, pixels

LR = 16
STEPLESS = [kind for kind in KINDS if "denoiser" not in KINDS[kind].parts]
ALONE = [kind for kind in KINDS if "degradation" not in KINDS[kind].parts]  # read no reference
FUSED = [kind for kind in KINDS if "pddm" in KINDS[kind].parts]


@pytest.fixture(scope="session")
def bundles(tiny_bundle_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: tiny_bundle_module.make(folder / kind, kind=kind) for kind in KINDS}


@pytest.fixture(scope="session")
def engines(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """Of each kind, batches of 1 and 4."""
    folder = tmp_path_factory.mktemp("engines")
    made = {}
    for kind in KINDS:
        for batch in (1, 4):
            out = folder / f"{kind}-{batch}"
            made[kind, batch] = build(bundles[kind], out, lr_size=LR, batch=batch, threads=1).folder
    return made


def photographs(count: int, side: int, seed: int) -> np.ndarray:
    """uint8 [count, side, side, 3], smooth with a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(9 * (x * a + y * b)) for a, b in rng.uniform(-1, 1, (3 * count, 2))]
    smooth = 127 + 90 * np.stack(waves).reshape(count, 3, side, side).transpose(0, 2, 3, 1)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for name, side in (("hr", 70), ("reference", 20)):
        (folder / name).mkdir()
        for i, image in enumerate(photographs(4, side, len(name))):
            (folder / name / f"{i}.png").write_bytes(images.encode_png(image))
    return folder


def generate(kind: str, engine: Path, photos: Path, out: Path, *options: object) -> int:
    reference = [] if kind in ALONE else ["--reference", photos / "reference"]
    words = ["generate", "--engine", engine, "--hr", photos / "hr", *reference, "--out", out, "--pairs", 10,
             "--threads", 1, "--shard-pairs", 4, "--seed", 3, *options]  # fmt: skip
    return main([str(word) for word in words])


def pairs_of(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for role in ("gt", "lq") for p in (out / role).iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_of_another_kind_is_refused(kind: str, bundles: dict[str, Path], tmp_path: Path) -> None:
    page = json.loads((bundles[kind] / "bundle.json").read_text())
    other = next(one for one in KINDS if one != kind)
    (tmp_path / "bundle.json").write_text(json.dumps(page | {"kind": other}))
    with pytest.raises(DegradeError, match=r"the part '\w+' is (missing|unknown)"):
        open_bundle(tmp_path, verify=False)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_built_through_the_gate_with_as_many_candidates_as_it_can_choose_among(
    kind: str, engines: dict[tuple[str, int], Path]
) -> None:
    with Engine.open(engines[kind, 4], threads=1) as engine:
        spec = engine.spec
        assert spec.kind == kind and spec.parity.passed
        assert {name: part.runs for name, part in spec.parts.items()} == KINDS[kind].parts
        assert {m.part for m in spec.parity.measures} == {*KINDS[kind].parts, "end to end"}
        assert spec.candidates == (3 if spec.model_kind.can_filter else 1)
        assert spec.model_kind.reads_reference == (kind not in ALONE) and spec.model_kind.can_filter == (
            kind == "realdgen"
        )


@pytest.mark.parametrize(("kind", "preset"), [(kind, preset) for kind in KINDS for preset in KINDS[kind].recipes])
def test_its_presets_run_and_are_named(
    kind: str, preset: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path
) -> None:
    assert generate(kind, engines[kind, 4], photos, tmp_path / "pairs", "--preset", preset) == 0
    page = json.loads((tmp_path / "pairs" / "run.json").read_text())
    assert (page["pairs"], page["preset"]) == (10, preset)
    rows = [json.loads(line) for line in (tmp_path / "pairs" / "manifest.jsonl").read_text().splitlines()]
    settings = KINDS[kind].recipes[preset]
    assert all(settings.tau[0] <= row["tau"] <= settings.tau[1] for row in rows)
    assert {row["start"]["kind"] for row in rows} == {settings.start}
    assert all((row["reference"] is None) == (kind in ALONE) for row in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_goes_on_to_the_same_bytes(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate(kind, engines[kind, 4], photos, tmp_path / "whole") == 0
    write = records.write

    def stops(out: Path, record: records.Record) -> None:
        write(out, record)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(records, "write", stops)
        assert generate(kind, engines[kind, 4], photos, tmp_path / "stopped") == 130
    assert generate(kind, engines[kind, 4], photos, tmp_path / "stopped", "--threads", 2) == 0
    assert pairs_of(tmp_path / "stopped") == pairs_of(tmp_path / "whole")


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch_changes_no_pixel_by_more_than_one_level(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path
) -> None:
    steps = [] if kind in STEPLESS else ["--tau", "0:9", "--steps", "full"]
    for batch in (1, 4):
        assert generate(kind, engines[kind, batch], photos, tmp_path / str(batch), *steps) == 0
    one, four = ([images.read_rgb(p).astype(int) for p in sorted((tmp_path / b / "lq").iterdir())] for b in ("1", "4"))
    off = np.abs(np.stack(one) - np.stack(four))
    assert off.max() <= 1 and (off > 0).mean() <= 0.001


@pytest.mark.parametrize("kind", ALONE)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reference", "hr"), "--reference was given, and an engine of the kind {kind} reads no reference"),
        (("--candidates", 2), "2 candidates per pair"),
        (("--start", "reconstruction"), "the start image reconstruction does not fit this engine"),
    ],
)
def test_what_it_has_no_use_for_is_refused(
    kind: str, options: tuple, said: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = [photos / word if str(word).startswith("hr") else word for word in options]
    assert generate(kind, engines[kind, 4], photos, tmp_path / "pairs", *given) == 2
    assert said.format(kind=kind) in capsys.readouterr().err


@pytest.mark.parametrize("kind", STEPLESS)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tau", 30), "tau is 30, and an engine of the kind {kind} has no steps"),
        (("--candidates", 2), "2 candidates per pair"),
        (("--start", "bicubic"), "the start image bicubic does not fit this engine"),
        (("--preset", "paper"), "an engine of the kind {kind} has no preset paper"),
    ],
)
def test_without_steps_there_is_nothing_to_noise_and_one_candidate(
    kind: str, options: tuple, said: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert generate(kind, engines[kind, 4], photos, tmp_path / "pairs", *options) == 2
    assert said.format(kind=kind) in capsys.readouterr().err
    hr, camera = photographs(1, 2 * LR, 0), photographs(1, LR, 1)
    with Engine.open(engines[kind, 1], threads=1) as engine:
        with pytest.raises(DegradeError, match="no steps"):
            engine.degrade(hr, camera, scale=2, tau=30)
        with pytest.raises(DegradeError, match="cannot filter"):
            engine.degrade(hr, camera, scale=2, filter=True)
        made = engine.degrade(hr, camera, scale=2, noise=0)
    assert made.calls == {"degradation": 1, "reconstruction": 1} and made.finite.all() and np.isnan(made.score).all()
    assert np.array_equal(made.start, made.lr) and np.array_equal(made.candidates[0], made.lr)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_list_has_a_reference_where_one_is_read(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = {name: tmp_path / f"{name}.csv" for name in ("alone", "both")}
    lists["alone"].write_text("hr\nhr/3.png\nhr/1.png\nhr/3.png\n")
    lists["both"].write_text(
        "reference,hr\nreference/0.png,hr/3.png\nreference/2.png,hr/1.png\nreference/1.png,hr/3.png\n"
    )
    right, wrong = ("alone", "both") if kind in ALONE else ("both", "alone")
    command = ["generate", "--engine", engines[kind, 4], "--hr", photos, "--threads", 1]
    command += [] if kind in ALONE else ["--reference", photos]
    assert main([str(w) for w in (*command, "--out", tmp_path / "pairs", "--pair-list", lists[right])]) == 0
    rows = [json.loads(line) for line in (tmp_path / "pairs" / "manifest.jsonl").read_text().splitlines()]
    assert [row["hr"]["path"] for row in rows] == ["hr/3.png", "hr/1.png", "hr/3.png"]
    references = [row["reference"] and row["reference"]["path"] for row in rows]
    assert references == ([None] * 3 if kind in ALONE else [f"reference/{n}.png" for n in (0, 2, 1)])
    assert main([str(w) for w in (*command, "--out", tmp_path / "no", "--pair-list", lists[wrong])]) == 2
    assert "in its first line" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ALONE)
def test_more_candidates_than_it_can_choose_among_are_not_built(
    kind: str, bundles: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(DegradeError, match="--candidates is 3"):
        build(bundles[kind], tmp_path / "engine", lr_size=LR, batch=2, candidates=3)


@pytest.mark.parametrize("kind", KINDS)
def test_references_come_where_they_are_read_and_nowhere_else(kind: str, engines: dict[tuple[str, int], Path]) -> None:
    hr, reference = photographs(3, 4 * LR, 1), photographs(3, LR, 2)
    with Engine.open(engines[kind, 4], threads=1) as engine:
        tau = 0 if kind in STEPLESS else 4
        given, other = (None, reference) if kind in ALONE else (reference, None)
        result = engine.degrade(hr, given, tau=tau, seed=1)
        assert result.lr.shape == (3, LR, LR, 3) and result.finite.all()
        assert np.isfinite(result.score).all() == engine.spec.model_kind.can_filter
        with pytest.raises(DegradeError, match="reference"):
            engine.degrade(hr, other, tau=tau)
        if not engine.spec.model_kind.can_filter:
            with pytest.raises(DegradeError, match="cannot filter"):
                engine.degrade(hr, given, tau=tau, filter=True)


# ------------------------------------------------------------------------------------------- two branches fused


def fused(engine: Engine, w: float, tau: int = 6) -> np.ndarray:
    """The LR of three pairs, uint8."""
    return engine.degrade(photographs(3, 4 * LR, 1), tau=tau, steps=None, seed=5, fusion_weight=w).lr


@pytest.mark.parametrize("kind", FUSED)
def test_the_fused_lr_lies_between_its_branches(kind: str, engines: dict[tuple[str, int], Path]) -> None:
    """eq. 1, where neither branch was clipped to a byte; and 0.5 is the default."""
    with Engine.open(engines[kind, 4], threads=1) as engine:
        ddm, pddm, quarter = (fused(engine, w).astype(float) for w in (0.0, 1.0, 0.25))
        default = engine.degrade(photographs(3, 4 * LR, 1), tau=6, steps=None, seed=5).lr
        assert np.array_equal(default, fused(engine, 0.5))
    inside = (ddm > 0) & (ddm < 255) & (pddm > 0) & (pddm < 255)
    assert inside.mean() > 0.3 and np.abs(ddm - pddm)[inside].mean() > 10
    assert np.abs(quarter - (0.75 * ddm + 0.25 * pddm))[inside].max() <= 1  # three roundings to a byte of half a level


@pytest.mark.parametrize("kind", FUSED)
def test_each_end_is_one_branch_alone(kind: str, engines: dict[tuple[str, int], Path]) -> None:
    """w = 1 does not depend on the diffusion, w = 0 with tau = 0 is the start image, to the byte."""
    hr = photographs(3, 4 * LR, 1)
    with Engine.open(engines[kind, 4], threads=1) as engine:
        assert np.array_equal(fused(engine, 1.0, tau=6), fused(engine, 1.0, tau=0))
        start = np.stack([images.resize_bicubic(image, (LR, LR)) for image in hr])
        assert np.array_equal(fused(engine, 0.0, tau=0), start)


@pytest.mark.parametrize("kind", FUSED)
def test_the_noise_of_the_second_branch_is_the_pairs_own(
    kind: str, engines: dict[tuple[str, int], Path], bundles: dict[str, Path]
) -> None:
    """The same HR three times: the same LR but for P-DDM's noise, which is that of the counter T + 1."""
    hr = np.repeat(photographs(1, 4 * LR, 1), 3, axis=0)
    with Engine.open(engines[kind, 4], threads=1) as engine:
        T = engine.spec.schedule.T
        made = engine.degrade(hr, tau=0, seed=5, fusion_weight=1.0).lr
    z = np.empty((3, 3, LR, LR), np.float32)
    numbers = {"pairs": np.arange(3), "candidates": np.zeros(3), "steps": np.full(3, T + 1)}
    philox.normals(z, seed=5, **{name: values.astype(np.uint32) for name, values in numbers.items()})
    part = open_bundle(bundles[kind]).spec.parts["pddm"]
    network = OnnxRuntimeExecutor(bundles[kind] / "pddm.onnx", part, batch=3, height=LR, width=LR)
    expected = np.empty_like(z)
    for name, buffer in (("hr", pixels.to_planar(hr)), ("z", z), ("lr_pddm", expected)):
        network.bind(name, buffer)
    network.enqueue()
    assert np.array_equal(made, pixels.to_bytes(expected))
    assert not np.array_equal(made[0], made[1])


@pytest.mark.parametrize("kind", FUSED)
def test_the_fusion_weight_is_part_of_the_plan_and_of_the_manifest(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(kind, engines[kind, 4], photos, tmp_path, "--fusion-weight", "0.25") == 0
    rows = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text().splitlines()]
    assert {row["fusion_weight"] for row in rows} == {0.25}
    assert generate(kind, engines[kind, 4], photos, tmp_path, "--fusion-weight", "0.75") == 2
    assert "fusion_weight was 0.25 and is now 0.75" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FUSED])
def test_a_kind_that_fuses_nothing_refuses_a_weight(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(kind, engines[kind, 4], photos, tmp_path, "--fusion-weight", "0.5") == 2
    assert f"an engine of the kind {kind} has no use for it" in capsys.readouterr().err
    with Engine.open(engines[kind, 4], threads=1) as engine:
        reference = None if kind in ALONE else photographs(1, LR, 2)
        with pytest.raises(DegradeError, match="The fusion weight is 0.5"):
            engine.degrade(photographs(1, 4 * LR, 1), reference, tau=0, fusion_weight=0.5)


@pytest.mark.parametrize("kind", FUSED)
def test_networks_that_read_the_hr_have_one_scale(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(kind, engines[kind, 4], photos, tmp_path, "--scale", "2") == 2
    assert "--scale is 2, and this engine works at scale 4 only" in capsys.readouterr().err
    with Engine.open(engines[kind, 4], threads=1) as engine, pytest.raises(DegradeError, match="The scale is 2"):
        engine.degrade(photographs(1, 2 * LR, 1), tau=1, scale=2)
