"""The stranger's trainer, the sets that it reads, and the table that they make."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("skimage", reason="needs the extra metrics")

from degrade_engine.bench.papers.worth import table as worth_table  # noqa: E402
from degrade_engine.bench.papers.worth.sets import Maker, Scenes, copy_true, derive, likeness, write_pairs  # noqa: E402
from degrade_engine.bench.papers.worth.trainer import CPU, Pair, cut, rate_at, read_set, train  # noqa: E402
from degrade_engine.bench.papers.worth.ways import BLUR, BY_NAME, GENERATORS, UNSHARPENED, WHY, Way  # noqa: E402
from degrade_engine.bench.papers.worth.worth import FLOOR, main, named, ways_of  # noqa: E402
from degrade_engine.engine.artefact import sha256_file, write_json_atomic  # noqa: E402
from degrade_engine.engine.classical.binned import Calibrated, Space  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.images import encode_png, resize_bicubic  # noqa: E402

TOY = replace(CPU, width=8, blocks=1, steps=40, batch=4, crop=16, rate=3e-3, warmup=4)


def photograph(seed: int, side: int) -> np.ndarray:
    """Smooth blobs with edges: something that a network can learn to sharpen, uint8 [side, side, 3]."""
    noise = np.random.default_rng(seed).random((side, side, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 6)
    return (255 * (soft > np.median(soft)) * 0.7 + 30).astype(np.uint8)


def toy(count: int = 4, side: int = 96) -> list[Pair]:
    """HR of `side` pixels and its LR of a quarter, blurred."""
    sharp = [photograph(seed, side) for seed in range(count)]
    return [Pair(cv2.GaussianBlur(resize_bicubic(hr, (side // 4, side // 4)), (0, 0), 0.8), hr) for hr in sharp]


def written(folder: Path, pairs: list[Pair]) -> Path:
    write_pairs(folder, [(f"{at:07d}", pair.hr, pair.lr) for at, pair in enumerate(pairs)])
    return folder


def test_a_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    pairs = toy(3)
    read = read_set(written(tmp_path / "set", pairs), scale=4, least=16)
    assert len(read) == 3
    for one, other in zip(read, pairs, strict=True):
        assert np.array_equal(one.lr, other.lr)
        assert np.array_equal(one.hr, other.hr)


def test_a_folder_that_breaks_the_contract_is_refused_in_a_sentence(tmp_path: Path) -> None:
    def refused(folder: Path, least: int = 16) -> str:
        with pytest.raises(DegradeError) as said:
            read_set(folder, scale=4, least=least)
        return str(said.value)

    assert "has no meta_info_pair.txt" in refused(tmp_path)
    folder = written(tmp_path / "set", toy(2))
    meta, lr = folder / "meta_info_pair.txt", folder / "lq" / "0000001.png"
    assert "24x24" in refused(folder, least=32)
    lr.write_bytes(encode_png(np.zeros((20, 24, 3), np.uint8)))
    assert "exactly 4 times the LR" in refused(folder)
    lr.write_bytes(b"not a picture")
    assert "missing or no image" in refused(folder)
    lr.unlink()
    assert "0000001.png" in refused(folder)
    meta.write_text("gt/0000000.png\n")
    assert "line 1" in refused(folder)
    meta.write_text("\n")
    assert "names no pair" in refused(folder)


def test_hr_and_lr_are_cut_and_turned_together() -> None:
    rng = np.random.default_rng(0)
    lr = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    cuts = cut([Pair(lr, np.kron(lr, np.ones((4, 4, 1), np.uint8)))], rng, batch=32, crop=8, scale=4)
    for one in cuts:
        assert one.lr.shape == (8, 8, 3)
        assert np.array_equal(one.hr, np.kron(one.lr, np.ones((4, 4, 1), np.uint8)))
    assert len({one.lr.tobytes() for one in cuts}) > 8


def test_training_lowers_the_loss_and_is_the_same_for_the_same_seed() -> None:
    pairs = [Pair(pair.lr // 2, pair.hr) for pair in toy()]  # darkening is learnt in a few steps
    first, again, other = (train(pairs, TOY, seed) for seed in (0, 0, 1))
    assert np.mean(first.losses[-10:]) < 0.85 * np.mean(first.losses[:5])
    assert first.losses == again.losses
    assert first.losses != other.losses


def test_the_rate_rises_then_falls_to_nothing() -> None:
    shares = [rate_at(step, TOY) for step in range(TOY.steps + 1)]
    assert shares[0] == 0.25
    assert max(shares) == shares[TOY.warmup] == 1
    assert shares[-1] == pytest.approx(0, abs=1e-12)


def test_likeness_divides_the_content_out(tmp_path: Path) -> None:
    plain = [Pair(resize_bicubic(pair.hr, (24, 24)), pair.hr) for pair in toy(2)]
    assert likeness(plain) == {"sharpness": 1.0, "sharpness_spread": 0.0, "noise": 1.0}
    derive(written(tmp_path / "bicubic", plain), tmp_path / "blur", BLUR, seed=0)
    blurred = read_set(tmp_path / "blur", scale=4, least=16)
    assert [np.array_equal(a.hr, b.hr) for a, b in zip(plain, blurred, strict=True)] == [True, True]
    assert likeness(blurred)["sharpness"] < 0.9


def test_added_noise_has_its_standard_deviation_and_another_draw_for_each_pair(tmp_path: Path) -> None:
    gray = [Pair(np.full((24, 24, 3), 100, np.uint8), np.full((96, 96, 3), 100, np.uint8))] * 2
    derive(written(tmp_path / "gray", gray), tmp_path / "noisy", Way("noisy", of="gray", noise=3.0), seed=0)
    first, second = read_set(tmp_path / "noisy", scale=4, least=16)
    assert first.lr.std() == pytest.approx(3, rel=0.1)
    assert not np.array_equal(first.lr, second.lr)


def test_true_pairs_become_a_set(tmp_path: Path) -> None:
    pair = toy(1)[0]
    files = (tmp_path / "Canon_001_LR4.png", tmp_path / "lr.png")
    for file, pixels in zip(files, (pair.hr, pair.lr), strict=True):
        file.write_bytes(encode_png(pixels))
    copy_true([files], tmp_path / "set")
    read = read_set(tmp_path / "set", scale=4, least=16)
    assert np.array_equal(read[0].hr, pair.hr)
    assert [path.name for path in (tmp_path / "set" / "gt").iterdir()] == ["0000000.png"]


def test_a_set_that_nobody_can_make_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    blunt = "binned, without sharpening"
    assert [way.name for way in ways_of({}, {}, ("bicubic", "lway", "binned", blunt))] == ["bicubic", "binned"]
    said = capsys.readouterr().out
    assert "lway is left out: no --engine is called 'lway'" in said
    assert f"{blunt} is left out: no --weights are called '{UNSHARPENED}'" in said
    with pytest.raises(DegradeError, match="no set is called 'cubic'"):
        ways_of({}, {}, ("cubic",))
    needed = {way.engine for way in (*GENERATORS, *WHY) if way.engine}
    everything = ways_of(dict.fromkeys(needed, Path()), {UNSHARPENED: Path()}, ())
    assert everything == [*GENERATORS, *WHY]


def test_an_engine_may_have_a_name(tmp_path: Path) -> None:
    assert named(f"a=b={tmp_path}", str) == ("a=b", tmp_path)
    assert named(str(tmp_path), lambda path: path.name) == (tmp_path.name, tmp_path)
    with pytest.raises(DegradeError, match="is not there"):
        named(f"x={tmp_path / 'none'}", str)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The development corpus in small: two sharp photographs, and fifty Canon pairs of 128 pixels."""
    data = tmp_path_factory.mktemp("data")
    for name in ("hr_cid22", "pairs_realsr_canon_x4/HR", "pairs_realsr_canon_x4/LR"):
        (data / name).mkdir(parents=True)
    for seed in range(2):
        (data / "hr_cid22" / f"{seed}.png").write_bytes(encode_png(photograph(seed, 256)))
    for number, pair in enumerate(toy(50, side=128), 1):
        for side, pixels in (("HR", pair.hr), ("LR", pair.lr)):
            (data / "pairs_realsr_canon_x4" / side / f"Canon_{number:03d}_LR4.png").write_bytes(encode_png(pixels))
    return data


def test_rows_are_evidence_and_a_second_call_goes_on(corpus: Path, tmp_path: Path) -> None:
    def bench(*more: str) -> list[dict]:
        command = ["--data", str(corpus), "--work", str(tmp_path / "work"), "-o", str(tmp_path / "worth.jsonl"),
                   "--pairs", "2", "--steps", "2", "--only", "bicubic", *more]  # fmt: skip
        ended = CliRunner().invoke(main, command, catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return [json.loads(line) for line in (tmp_path / "worth.jsonl").read_text().splitlines()]

    first = bench("--seeds", "1")
    assert [(row["generator"], row["seed"]) for row in first] == [(FLOOR, None), ("bicubic", 0)]
    row = first[1]
    assert row["lq"] == {"sharpness": 1.0, "sharpness_spread": 0.0, "noise": 1.0}
    assert row["set"]["plan"]["start"] == "bicubic"
    assert row["set"]["plan"]["hr"]["images"] == 2
    assert (row["network"]["name"], row["network"]["steps"], row["tests"]) == ("cpu", 2, 20)
    measured = {"psnr_db", "psnr_y_db", "ssim", "chosen_psnr_db", "loss"}
    assert measured | {"pairs", "threads", "versions", "commit", "date"} <= set(row)

    more = bench("--seeds", "2", "--only", "true pairs")
    assert more[:2] == first
    names = [(row["generator"], row["seed"]) for row in more[2:]]
    assert names == [("true pairs", 0), ("bicubic", 1), ("true pairs", 1)]

    (tmp_path / "worth.jsonl").write_text("\n".join(json.dumps(row) for row in more[:3]) + "\n")
    again = bench("--seeds", "2", "--only", "true pairs")
    figures = ("generator", "seed", "psnr_db", "psnr_y_db", "ssim", "loss")
    assert [[row.get(key) for key in figures] for row in again] == [[row.get(key) for key in figures] for row in more]


def test_a_binned_set_is_not_taken_for_one_of_other_weights(corpus: Path, tmp_path: Path) -> None:
    space = Space((2.0,), (0.0,), (90.0, 100.0), "antialias")
    page: dict[str, Any] = {"reference": {}, "hr": {}, "crop": 72, "scale": 4, "spread": 0.0, "tools": {}}
    for name, seed in (("one", 0), ("other", 1)):
        found = Calibrated(space, (1.0,), (0.0,), alpha=25.0, extractor={"name": "e-deg"}, seed=seed, **page)
        write_json_atomic(tmp_path / f"{name}.json", found)

    def make(name: str) -> dict[str, Any]:
        weights = {"binned": tmp_path / f"{name}.json"}
        return Maker(Scenes.read(corpus, "canon"), tmp_path / "work", {}, 2, seed=0, threads=1, weights=weights).make(
            BY_NAME["binned"]
        )

    assert make("one")["asked"]["weights"] == sha256_file(tmp_path / "one.json")
    with pytest.raises(DegradeError, match="was made with"):
        make("other")


def test_the_tables_pair_the_seeds_tell_the_spread_and_keep_variants_apart() -> None:
    def row(name: str, seed: int | None, psnr: float) -> dict:
        lq = {} if seed is None else {"lq": {"sharpness": 0.5, "sharpness_spread": 0.0, "noise": 0.25}}
        return {"generator": name, "seed": seed, "psnr_db": psnr, "psnr_y_db": psnr + 2, "ssim": 0.75, "detail": 4} | lq

    made = [row("bicubic", 0, 26), row("blur", 0, 26.5), row("bicubic", 1, 27), row("blur", 1, 28.5)]
    made += [row("floor", None, 25), row("lway, noise 2", 0, 25.5)]
    assert worth_table.worth(made).splitlines()[2:] == [
        "| blur | 27.50 ± 1.41 | 29.50 ± 1.41 | 0.7500 ± 0.0000 | +1.00 | 0.50 | 0.25 | 4.0 | 2 |",
        "| bicubic | 26.50 ± 0.71 | 28.50 ± 0.71 | 0.7500 ± 0.0000 | +0.00 | 0.50 | 0.25 | 4.0 | 2 |",
        "| floor | 25.00 | 27.00 | 0.7500 |  |  |  | 4.0 | 1 |",
    ]
    assert worth_table.why(made).splitlines()[2:] == [
        "| lway, noise 2 | 25.50 | 27.50 | 0.7500 | -0.50 | 0.50 | 0.25 | 4.0 | 1 |"
    ]


def test_the_table_of_noise_puts_a_set_beside_the_quality_of_its_lr() -> None:
    def row(name: str, seed: int, chosen: float) -> dict:
        return {"generator": name, "seed": seed, "chosen_psnr_db": chosen}

    def looked_at(kind: str, noise: float, psnr: float) -> dict:
        gaps = dict.fromkeys(("laplacian_gap", "noise_gap", "spectrum_db", "frechet_e_deg"), 0.5)
        return {"generator": kind, "setting": {"noise": noise} if noise else {}, "psnr_db": psnr} | gaps

    made = [row("lway, without noise", 0, 26), row("lway", 0, 27), row("lway", 1, 99),
            row("realdgen", 0, 28), row("bicubic", 0, 25)]  # fmt: skip
    found = worth_table.noise(made, [looked_at("lway", 0, 33), looked_at("lway", 1.0, 32), looked_at("lway", 2.0, 31)])
    assert found.splitlines()[2:] == [
        "| lway, 0 | 26.00 | 33.00 | 0.50 | 0.50 | 0.50 | 0.50 |",
        "| lway, 1 | 27.00 | 32.00 | 0.50 | 0.50 | 0.50 | 0.50 |",
    ]
