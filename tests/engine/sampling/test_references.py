"""Several references of a pair: what they say is put together, wherever a pair is made."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from degrade_engine.cli import main
from degrade_engine.engine import images
from degrade_engine.engine.api import Engine
from degrade_engine.engine.build import build
from degrade_engine.engine.devices import HostDevice
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.sampling.references import References

LR, M = 16, 3
READ = ("realdgen", "onecall", "lway")


@pytest.fixture(scope="module")
def engines(tiny_bundle_module: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    folder, made = tmp_path_factory.mktemp("several"), {}
    for kind in (*READ, "syndiff"):
        bundle = tiny_bundle_module.make(folder / f"{kind}-bundle", kind=kind)
        for batch in (1, 4):
            out = folder / f"{kind}-{batch}"
            made[kind, batch] = build(bundle, out, lr_size=LR, batch=batch, threads=1).folder
    return made


@pytest.fixture(scope="module")
def photos(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HR, and the references of two cameras."""
    folder = tmp_path_factory.mktemp("several-photos")
    for role, side, where in (("hr", 90, ("",)), ("reference", 40, ("one", "two"))):
        paths = [path for path in sorted((samples / role).iterdir()) if path.suffix in (".png", ".jpg")]
        for number, path in enumerate(paths[:6]):
            out = folder / role / where[number % len(where)]
            out.mkdir(parents=True, exist_ok=True)
            crop = np.ascontiguousarray(images.read_rgb(path)[60 : 60 + side, 60 : 60 + side])
            (out / f"{path.stem}.png").write_bytes(images.encode_png(crop))
    return folder


def generate(engine: Path, photos: Path, out: Path, *options: object) -> list[dict[str, Any]]:
    """The rows of a run of eight pairs."""
    words = ["generate", "--engine", engine, "--hr", photos / "hr", "--reference", photos / "reference", "--out", out,
             "--pairs", 8, "--seed", 5, "--threads", 1, "--references-per-pair", M, *options]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def lr_of(out: Path) -> np.ndarray:
    return np.stack([images.read_rgb(path) for path in sorted((out / "lq").iterdir())])


def crops_of(row: dict[str, Any], photos: Path) -> np.ndarray:
    found = []
    for one in (row["reference"], *row["other_references"]):
        y, x, h, w = one["crop"]
        found.append(images.read_rgb(photos / "reference" / one["path"])[y : y + h, x : x + w])
    return np.stack(found)


def test_a_tensor_becomes_its_mean_or_its_sum() -> None:
    device, rng = HostDevice(), np.random.default_rng(0)
    values = rng.normal(size=(4, M, 5)).astype(np.float32)
    made = {name: device.allocate((4, 5), np.float32) for name in ("mean", "sum")}
    told = References(device, made, adds=("sum",))
    each = 16 * np.arange(4, dtype=np.uint8)[:, None] + np.arange(M, dtype=np.uint8)
    numbers = np.broadcast_to(each[..., None, None, None], (4, M, 2, 2, 3))

    def one(images: np.ndarray) -> dict[str, int]:
        j = int(images[0, 0, 0, 0]) % 16
        for buffer in made.values():
            buffer[...] = values[:, j]
        return {"degradation": 1}

    for calls in (M, 1):  # what a batch leaves behind does not matter, even if it is no number
        assert told.read(numbers, one) == {"degradation": calls}, "a further reference is read once"
        np.testing.assert_allclose(made["mean"], values.mean(1), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(made["sum"], values.sum(1), rtol=1e-5, atol=1e-6)
        for buffer in made.values():
            buffer[...] = np.nan


@pytest.mark.parametrize("kind", READ)
def test_a_run_and_the_api_make_the_same_pairs_at_every_batch(
    kind: str, engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path
) -> None:
    rows = generate(engines[kind, 4], photos, tmp_path / "4")
    assert generate(engines[kind, 1], photos, tmp_path / "1")[3]["other_references"] == rows[3]["other_references"]
    off = np.abs(lr_of(tmp_path / "4").astype(int) - lr_of(tmp_path / "1"))
    assert off.max() <= 1 and (off > 0).mean() <= 0.001
    hr = np.stack([images.read_rgb(tmp_path / "4" / "gt" / f"{row['name']}.png") for row in rows])
    camera = np.stack([crops_of(row, photos) for row in rows])
    with Engine.open(engines[kind, 4], threads=1) as engine:
        made = engine.degrade(hr, camera, seed=5)
        alone = engine.degrade(hr, camera[:, 0], seed=5)
    np.testing.assert_array_equal(made.lr, lr_of(tmp_path / "4"))
    assert made.calls["degradation"] > alone.calls["degradation"]
    others = [[(one["path"], *one["crop"]) for one in row["other_references"]] for row in rows]
    assert all(len(set(some)) == M - 1 for some in others), "of a photograph that comes again, another crop"
    first = {path: crop for some in reversed(others) for path, *crop in reversed(some)}
    assert all(first[path] == crop for some in others for path, *crop in some[:1]), "one place in the whole run"
    assert (made.lr != alone.lr).any()


def test_they_are_of_the_first_ones_folder(engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path) -> None:
    rows = generate(engines["onecall", 4], photos, tmp_path / "pairs")
    folders = [{Path(one["path"]).parent for one in (row["reference"], *row["other_references"])} for row in rows]
    assert all(len(found) == 1 for found in folders) and len(set.union(*folders)) == 2
    assert all(len(row["other_references"]) == M - 1 for row in rows)


def test_of_a_pair_list_they_are_crops_of_its_reference(
    engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path
) -> None:
    hr, reference = (sorted((photos / role).rglob("*.png")) for role in ("hr", "reference"))
    table = tmp_path / "list.csv"
    table.write_text("hr,reference\n" + "".join(f"{a},{b}\n" for a, b in zip(hr[:3], reference[:3], strict=True)))
    words = ["generate", "--engine", engines["onecall", 4], "--pair-list", table, "--out", tmp_path / "pairs",
             "--threads", 1, "--references-per-pair", M]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    rows = [json.loads(line) for line in (tmp_path / "pairs" / "manifest.jsonl").read_text().splitlines()]
    assert all({one["path"] for one in row["other_references"]} == {row["reference"]["path"]} for row in rows)


def test_a_damaged_one_is_named_and_another_pair_is_drawn(
    engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path
) -> None:
    for path in photos.rglob("*.png"):
        copy = tmp_path / "photos" / path.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    broken = sorted((tmp_path / "photos" / "reference" / "one").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:-400])
    rows = generate(engines["onecall", 4], tmp_path / "photos", tmp_path / "pairs")
    rejects = [json.loads(line) for line in (tmp_path / "pairs" / "rejects.jsonl").read_text().splitlines()]
    assert len(rows) == 8 and any(one["path"].endswith(broken.name) for one in rejects)
    used = {one["path"] for row in rows for one in (row["reference"], *row["other_references"])}
    assert not any(path.endswith(broken.name) for path in used)


def test_what_does_not_fit_is_refused(
    engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "--engine", engines["syndiff", 4], "--hr", photos / "hr", "--out", tmp_path / "pairs",
             "--pairs", 2, "--threads", 1, "--references-per-pair", M]  # fmt: skip
    assert main([str(word) for word in words]) == 2
    assert "references is 3, and an engine of the kind syndiff reads none" in capsys.readouterr().err
    hr, camera = np.zeros((2, 4 * LR, 4 * LR, 3), np.uint8), np.zeros((2, LR, LR, 3), np.uint8)
    with Engine.open(engines["onecall", 4], threads=1) as engine:
        with pytest.raises(DegradeError, match=r"reference\[1\] is uint8 \(2, 16, 16, 3\)"):
            engine.degrade(hr, [np.stack([camera[0]] * 3), np.stack([camera[0]] * 2)])
        with pytest.raises(DegradeError, match="as many of each"):
            engine.degrade(hr, np.stack([camera[:1]] * 3))


def test_the_noise_of_f_deg_is_the_pairs_own(engines: dict[tuple[str, int], Path]) -> None:
    """Of one seed and one image, pairs differ; pair 5 is pair 5 wherever it stands."""
    rng = np.random.default_rng(1)
    hr = np.repeat(rng.integers(0, 256, (1, 4 * LR, 4 * LR, 3), dtype=np.uint8), 6, axis=0)
    camera = np.repeat(rng.integers(0, 256, (1, LR, LR, 3), dtype=np.uint8), 6, axis=0)
    with Engine.open(engines["onecall", 4], threads=1) as engine:
        made = engine.degrade(hr, camera, tau=0)  # the start image alone: no noise but that of F_deg
        last = engine.degrade(hr[:1], camera[:1], first=5, tau=0)
    assert len({image.tobytes() for image in made.lr}) == 6
    np.testing.assert_array_equal(last.lr[0], made.lr[5])


def test_variety_and_temperature_are_factors_of_the_draws(engines: dict[tuple[str, int], Path]) -> None:
    """With neither of them, pairs of one HR and one camera are the same; with less of one they differ less."""
    rng = np.random.default_rng(1)
    hr = np.repeat(rng.integers(0, 256, (1, 4 * LR, 4 * LR, 3), dtype=np.uint8), 4, axis=0)
    camera = np.repeat(rng.integers(0, 256, (1, LR, LR, 3), dtype=np.uint8), 4, axis=0)
    with Engine.open(engines["onecall", 4], threads=1) as engine:

        def spread(**changes: float) -> float:
            return float(engine.degrade(hr, camera, **changes).lr.astype(float).std(axis=0).mean())

        still = spread(variety=0.0, temperature=0.0)
        assert still == 0
        for name in ("variety", "temperature"):
            other = {"variety": 0.0, "temperature": 0.0}
            some, all_ = spread(**other | {name: 0.3}), spread(**other | {name: 1.0})
            assert 0 < some < 0.8 * all_, name
        for wrong in (-0.1, 2.1):
            with pytest.raises(DegradeError, match="variety is .*a number, 0 to 2"):
                engine.degrade(hr, camera, variety=wrong)
    with (
        Engine.open(engines["realdgen", 4], threads=1) as engine,
        pytest.raises(DegradeError, match="temperature is 0.5, and an engine of the kind realdgen has no use for it"),
    ):
        engine.degrade(hr, camera, temperature=0.5)


def test_a_run_says_its_variety_and_temperature(
    engines: dict[tuple[str, int], Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = generate(engines["onecall", 4], photos, tmp_path / "pairs", "--variety", 0.4, "--temperature", 0.9)
    assert all((row["variety"], row["temperature"]) == (0.4, 0.9) for row in rows)
    assert "variety 0.4, temperature 0.9, " in capsys.readouterr().err
    usual = generate(engines["onecall", 4], photos, tmp_path / "usual", "--variety", 1, "--temperature", 1)
    page = json.loads((tmp_path / "usual" / "plan.json").read_text())
    assert "variety" not in page and "variety" not in usual[0], "as trained it is not named: older plans keep theirs"
    hr = np.stack([images.read_rgb(tmp_path / "pairs" / "gt" / f"{row['name']}.png") for row in rows])
    camera = np.stack([crops_of(row, photos) for row in rows])
    with Engine.open(engines["onecall", 4], threads=1) as engine:
        made = engine.degrade(hr, camera, seed=5, variety=0.4, temperature=0.9)
    np.testing.assert_array_equal(made.lr, lr_of(tmp_path / "pairs"))
    assert main(["report", str(tmp_path / "pairs"), "-o", str(tmp_path / "report.html")]) == 0
    page_of = (tmp_path / "report.html").read_text()
    assert "Variety" in page_of and "Temperature" in page_of
