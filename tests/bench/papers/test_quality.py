"""bench papers quality in small: every kind of generator, rows that can be measured again, and pairs of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("skimage", reason="needs the extra metrics")

from degrade_engine.bench import rows  # noqa: E402
from degrade_engine.bench.papers import quality, settings
from degrade_engine.bench.papers.baselines import NAMES, Baseline  # noqa: E402
from degrade_engine.bench.papers.true_pairs import PROTOCOLS, Pairs, read_folder  # noqa: E402
from degrade_engine.engine import images  # noqa: E402
from degrade_engine.engine.build import build  # noqa: E402
from degrade_engine.engine.classical import camera  # noqa: E402
from degrade_engine.engine.classical.degraders import open_degrader  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402

from ...engine import tiny_bundle  # noqa: E402

SIDE, SCALE = 32, 4


@pytest.fixture(scope="module")
def pairs(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three true pairs, whose real LR is the bicubic one."""
    folder = tmp_path_factory.mktemp("mine")
    for role in ("HR", "LR"):
        (folder / role).mkdir()
    for path in sorted((samples / "hr").iterdir())[:3]:
        hr = np.ascontiguousarray(images.read_rgb(path)[: SCALE * SIDE, : SCALE * SIDE])
        (folder / "HR" / f"{path.stem}.png").write_bytes(images.encode_png(hr))
        (folder / "LR" / f"{path.stem}.png").write_bytes(images.encode_png(images.resize_bicubic(hr, (SIDE, SIDE))))
    return folder


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An engine of random weights of each kind."""
    kinds: tuple[str, ...] = ("realdgen", "syndiff", "uddm", "lway")
    made = {}
    for kind in kinds:
        folder = tmp_path_factory.mktemp(kind)
        bundle = tiny_bundle.make(folder / "bundle", kind=kind)
        made[kind] = build(bundle, folder / "engine", lr_size=SIDE, batch=2, threads=1).folder
    return made


def run(*words: object) -> str:
    result = CliRunner().invoke(quality.main, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_kind_has_rows_and_they_can_be_measured_again(
    engines: dict[str, Path], pairs: Path, tmp_path: Path
) -> None:
    given = [word for path in engines.values() for word in ("--engine", path)]
    one = '[{"start": "bicubic", "tau": 2, "steps": 1}]'
    no_steps = '[{"tau": 0, "reference": "paired"}]'
    out = tmp_path / "rows.jsonl"
    run("--pairs", pairs, *given[:6], "--settings", one, "--threads", 1, "-o", out)
    run("--pairs", pairs, *given[6:], "--features-from", engines["realdgen"], "--settings", no_steps, "-o", out)
    run("--pairs", pairs, "--degrader", "bicubic", "--degrader", "BSRGAN", "--set", "table3", "-o", out,
        "--features-from", engines["realdgen"], "--lr-size", SIDE)  # fmt: skip
    made = rows.read_rows(out)
    assert [row["generator"] for row in made] == ["realdgen", "syndiff", "uddm", "lway", "bicubic", "BSRGAN"]
    assert [row["setting"].get("reference") for row in made] == ["other", "none", "none", "paired", None, None]
    for row in made:
        assert row["pairs"] == 3 and row["scale"] == SCALE and row["commit"] and row["lr_size"] == SIDE
        for figure in ("psnr", "psnr_y", "ssim", "laplacian_gap", "noise_gap", "spectrum", "frechet_random"):
            low, high = row[f"{figure}_interval"]
            assert low <= high, figure
    by_name = {row["generator"]: row for row in made}
    assert by_name["bicubic"]["psnr_db"] > 90 and by_name["bicubic"]["frechet_e_deg"] == pytest.approx(0, abs=1e-6)
    assert by_name["realdgen"]["denoiser_calls"] == 1 and "seconds_a_pair" not in by_name["realdgen"]

    spoiled = [row | {"psnr_db": 0.0} for row in made]
    rows.write_rows(out, spoiled)
    said = run("--pairs", pairs, "--engine", engines["realdgen"], "--degrader", "bicubic", "--again", out, "-o", out)
    again = rows.read_rows(out)
    assert [row["psnr_db"] == was["psnr_db"] for row, was in zip(again, made, strict=True)] == [
        True, False, False, False, True, False,
    ], "what was not given stays"  # fmt: skip
    assert "4 rows stay as they are" in said

    rows.write_rows(out, [{k: v for k, v in row.items() if k != "spectrum_db"} for row in again[:1]] + again[1:])
    filled = run("--pairs", pairs, *given[:2], "--degrader", "bicubic", "--again", out, "--new", "-o", out)
    assert "1 rows, " in filled and rows.read_rows(out)[0]["spectrum_db"] == made[0]["spectrum_db"]


def test_weights_that_are_not_there_are_said_and_the_rest_is_measured(pairs: Path, tmp_path: Path) -> None:
    words = "--lr-size", SIDE, "--degrader", "bicubic", "--set", "table3", "--perceptual", tmp_path
    said = run("--pairs", pairs, *words, "-o", tmp_path / "rows.jsonl")
    assert said.count("is left out") == 4 and "PSNR 148.13" in said


def test_nothing_asked_for_and_pairs_from_two_places_are_sentences(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(DegradeError, match="Nothing was asked for"):
        run("--pairs", pairs, "--lr-size", SIDE, "-o", tmp_path / "rows.jsonl")
    with pytest.raises(DegradeError, match="given twice, or not at all"):
        run("--pairs", pairs, "--data", pairs, "-o", tmp_path / "rows.jsonl")


def test_pairs_that_do_not_fit_are_named(pairs: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for role in ("HR", "LR"):
        (mine / role).mkdir(parents=True)
        for path in (pairs / role).iterdir():
            (mine / role / path.name).write_bytes(path.read_bytes())
    (mine / "HR" / "alone.png").write_bytes(images.encode_png(np.zeros((64, 64, 3), np.uint8)))
    for role, side in (("HR", 66), ("LR", 32)):
        (mine / role / "crooked.png").write_bytes(images.encode_png(np.zeros((side, 64, 3), np.uint8)))
    (mine / "HR" / "torn.png").write_bytes(b"no image")
    (mine / "LR" / "torn.png").write_bytes(b"no image")
    found = read_folder(mine, SIDE)
    assert len(found.hr) == 3 and found.scale == SCALE and set(found.references) == set(PROTOCOLS)
    assert [sentence.split()[0].rstrip(":") for sentence in found.left_out] == ["alone.png", "crooked.png", "torn.png"]
    smaller = read_folder(mine, SIDE // 2)
    assert smaller.lr[0].shape == (SIDE // 2, SIDE // 2, 3) and smaller.hr[0].shape[0] == SCALE * SIDE // 2
    assert np.array_equal(smaller.lr[0], found.lr[0][SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4])
    with pytest.raises(DegradeError, match="0 usable pairs"):
        read_folder(mine, SIDE * 2)


def test_a_setting_reads_back_from_its_row() -> None:
    for name in settings.NAMES:
        for setting in settings.settings_of(name, "realdgen"):
            assert settings.from_json(json.loads(json.dumps(setting.to_json()))) == setting
    assert "without" not in settings.Setting().to_json(), "rows of before had no such word"


def test_a_range_of_tau_costs_what_it_draws() -> None:
    ranged = settings.made(tau=(0, 300), steps=None)
    assert ranged.calls(50, seed=1) == ranged.taus(50, seed=1) and 120 < np.mean(ranged.calls(50, seed=1)) < 180
    assert settings.made(tau=(0, 300), steps=5).calls(50, seed=1) == [min(t, 5) for t in ranged.taus(50, seed=1)]


def test_the_committed_rows_are_ones_that_again_can_make(root: Path) -> None:
    """Each is a baseline by its name, or a setting that reads back; and no two measure the same."""
    committed = rows.read_rows(root / "bench" / "results" / "quality.jsonl")
    for at, row in enumerate(committed):
        known: Any = settings.from_json(row["setting"]) if row["setting"] else NAMES.index(row["generator"])
        assert known is not None
        assert not any(rows.same(row, other) for other in committed[:at]), row["setting"]


@pytest.mark.parametrize(("name", "wanted"), [("binned, calibrated", "--weights"), ("camera, fitted", "--cameras")])
def test_some_generators_need_their_file(name: str, wanted: str) -> None:
    with pytest.raises(DegradeError, match=f"came without its file.*{wanted}"):
        Baseline(name)


def test_fitted_cameras_are_those_of_the_tuned_models_record(tmp_path: Path) -> None:
    cameras = [camera.draw(0, at).to_json() for at in range(2)]
    (tmp_path / "my.json").write_text(json.dumps({"training": [{}, {"data": {"cameras": cameras}}]}))
    hr = [np.random.default_rng(at).integers(0, 256, (64, 64, 3), dtype=np.uint8) for at in range(3)]
    made = Baseline("camera, fitted", cameras=tmp_path / "my.json").make(Pairs("x", 4, hr, hr, {}), seed=0)
    drawn = open_degrader("camera", cameras=tmp_path / "my.json").draw(0, 1, 4)  # as `generate` draws
    assert drawn.lens in {camera.draw(0, at).lens for at in range(2)}
    assert np.array_equal(made[1], camera.apply(hr[1], drawn, scale=4, noise_seed=1))
    assert len(made) == 3 and made[0].shape == (16, 16, 3)


def test_the_row_of_the_calibrated_bins_is_that_of_the_bundled_weights(root: Path) -> None:
    results = root / "bench" / "results"
    about = Baseline("binned, calibrated", results / "binned-canon.json").about
    (row,) = (row for row in rows.read_rows(results / "quality.jsonl") if row["generator"] == "binned, calibrated")
    assert {name: row.get(name) for name in about} == about


def test_lines_that_are_no_rows_are_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"b":\n')
    with pytest.raises(DegradeError, match="line 2 is not valid JSON"):
        rows.read_rows(tmp_path / "rows.jsonl")
