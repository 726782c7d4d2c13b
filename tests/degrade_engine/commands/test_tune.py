"""`tune` through the command line, with a model of a few thousand weights: the table, what is written, a kill and the
next call, weights that are kept where tuning is not nearer, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from safetensors.torch import load_file  # noqa: E402

from degrade_engine.calib import camera, fitting, held_out, tune  # noqa: E402
from degrade_engine.cli import main  # noqa: E402
from degrade_engine.engine.classical.camera import apply, draw  # noqa: E402
from degrade_engine.engine.images import encode_png, read_rgb  # noqa: E402
from degrade_engine.originals.checkpoint import load, read_sidecar, save  # noqa: E402
from degrade_engine.originals.photographs import Photographs  # noqa: E402
from degrade_engine.originals.realdgen.config import SMALL, TINY, RealDGenConfig  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402
from degrade_engine.originals.realdgen.tuning import TuneData, TuneRows, TuneSets, stage_of  # noqa: E402

Call = Callable[..., tuple[int, str]]
MOVES = ("unet.", "modulation.", "noise.", "readings.", "degradation.mapping.")


def little(config: RealDGenConfig) -> RealDGenConfig:
    return dataclasses.replace(
        config,
        content=dataclasses.replace(config.content, width=8, blocks=1, channels=12, codes=16, groups=2),
        degradation=dataclasses.replace(config.degradation, widths=(8,), blocks=(16,), vector=8, mapping=8),
        modulation=dataclasses.replace(config.modulation, width=8, channels=4),
        unet=dataclasses.replace(config.unet, width=8, multipliers=(1, 2)),
    )


def checkpoint(path: Path, config: RealDGenConfig) -> Path:
    torch.manual_seed(0)
    save(RealDGen(little(config)).state_dict(), little(config), path, [{"stage": "sample"}], {"licence": "ours"})
    return path


@pytest.fixture
def lr(tmp_path: Path, samples: Path) -> Path:
    """Seven LR of one synthetic camera."""
    folder = tmp_path / "lr"
    folder.mkdir()
    for at, path in enumerate(sorted((samples / "hr").iterdir())[:7]):
        image = apply(read_rgb(path)[:256, :256], draw(5, 3), scale=4, noise_seed=at)
        (folder / f"{path.stem}.png").write_bytes(encode_png(image))
    return folder


@pytest.fixture
def call(
    tmp_path: Path, samples: Path, lr: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Call:
    """A tuning of four steps, with a look at the held-out part after every second: (exit code, what it said)."""
    for module, name, value in ((camera, "MOST", 4), (fitting, "SHARP", 12), (tune, "SAVED", 0.0),
                                (held_out, "LOOKED", 12), (held_out, "POOL", 30)):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    watched = tune.Keeper.__call__
    monkeypatch.setattr(tune.Keeper, "__call__", lambda self, step, seconds, ema: (
        watched(self, step, 1e9 if step % 2 == 0 else -1.0, ema) or step == 4))  # fmt: skip
    base = checkpoint(tmp_path / "base.safetensors", SMALL)

    def run(*more: str, model: Path = base, minutes: float = 5) -> tuple[int, str]:
        words = ["tune", "--model", model, "--lr", lr, "--hr", samples / "hr", "--minutes", minutes, "--batch", 2,
                 "--threads", 1, "--workers", 0, "--no-bf16", "-o", tmp_path / "my.safetensors", *more]  # fmt: skip
        code = main([str(word) for word in words])
        found = capsys.readouterr()
        return code, found.out + found.err

    return run


def steps_in(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("config", [SMALL, TINY], ids=["sample", "mean"])
def test_a_tuned_model_is_a_checkpoint_with_its_table_curve_and_card(
    config: RealDGenConfig, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "helps", lambda before, after: True)
    monkeypatch.setattr(tune.Keeper, "best", property(lambda self: len(self.rows) - 1))
    monkeypatch.setattr(tune.Keeper, "keeps", lambda self, row: True)
    base = checkpoint(tmp_path / "base.safetensors", config)
    code, said = call(model=base)
    assert code == 0, said
    assert "5 LR photographs to tune on, 2 held out; 9 sharp photographs" in said
    assert re.search(r"^Sharpness +[\d.]+ +[\d.]+ +[\d.]+", said, re.MULTILINE)
    assert "The tuned model is nearer to the 2 photographs that were held out." in said
    assert "2 photographs are few to judge by, and the verdict can be wrong" in said
    model, record = load(tmp_path / "my.safetensors", RealDGen)
    assert record.card["licence"] == "ours" and record.card["weights"] == "tuned"
    assert record.card["tuned_on"] == {"lr": 5, "held_out": 2, "hr": 9}
    assert [entry["stage"] for entry in record.training] == ["sample", "tune"]
    assert len(record.training[-1]["data"]["cameras"]) >= 1
    before, after = load_file(base), load_file(tmp_path / "my.safetensors")
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    first = () if config.unet.sample else ("vqvae.encoder.down.0",)  # A.5 fine-tunes it
    assert moved and all(key.startswith((*MOVES, *first)) for key in moved), moved
    assert any(key.startswith("degradation.mapping.") for key in moved)
    assert 0 in steps_in(tmp_path / "my.curves.jsonl")


def test_a_little_nearer_is_not_enough_and_fine_detail_counts() -> None:
    base = held_out.Standing(1.0, 0.2, {})
    near = [tune.helps(base, held_out.Standing(distance, detail, {}))
            for distance, detail in ((0.98, 0.1), (0.9, 0.2), (0.9, 0.3), (1.2, 0.1))]  # fmt: skip
    assert near == [False, True, False, False]


def test_a_farther_model_is_never_written(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune.Keeper, "best", property(lambda self: len(self.rows) - 1))
    monkeypatch.setattr(tune.Keeper, "keeps", lambda self, row: True)
    standing = held_out.Judge.__call__
    asked: list[float] = []

    def worse(self: held_out.Judge, make: held_out.Make) -> held_out.Standing:
        asked.append(1.0 + 0.01 * len(asked))
        return dataclasses.replace(standing(self, make), distance=asked[-1], detail=0.1)

    monkeypatch.setattr(held_out.Judge, "__call__", worse)
    code, said = call()
    assert code == 0 and "Tuning did not help" in said
    before, after = (load_file(tmp_path / f"{name}.safetensors") for name in ("base", "my"))
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert read_sidecar(tmp_path / "my.safetensors").card["weights"].startswith("the base's")


def test_a_stopped_tuning_goes_on_and_a_finished_one_stays(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = tune.Keeper.__call__

    def stopped(self: tune.Keeper, step: int, seconds: float, ema: dict) -> bool:
        if step == 3:  # of which the state is on the disk
            raise KeyboardInterrupt
        return watched(self, step, seconds, ema)

    with monkeypatch.context() as patch:
        patch.setattr(tune.Keeper, "__call__", stopped)
        code, said = call()
    assert code == 130 and not (tmp_path / "my.safetensors").exists()
    begun = (tmp_path / "my.tune" / "begun.json").read_bytes()
    code, said = call("--seed", "1")
    assert code == 2 and "was begun otherwise: seed was 0, now 1" in said
    seen: list[int] = []
    monkeypatch.setattr(tune.Keeper, "__call__", lambda self, step, seconds, ema: (
        seen.append(step), watched(self, step, seconds, ema))[1])  # fmt: skip
    code, said = call()
    assert code == 0 and "going on with what was begun" in said
    assert seen == [4], "steps that were saved are not made again"
    assert (tmp_path / "my.tune" / "begun.json").read_bytes() == begun
    written = (tmp_path / "my.safetensors").read_bytes()
    code, said = call()
    assert code == 0 and "stage tune is finished" in said
    assert (tmp_path / "my.safetensors").read_bytes() == written


def test_the_time_given_ends_it(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune.Keeper, "__call__", lambda self, step, seconds, ema: False)
    monkeypatch.setattr(tune, "ENDING", 0.0)
    code, said = call(minutes=0.02)  # over before the first step, of which one is made all the same
    assert code == 0 and "0.02 minutes at most" in said
    page = read_sidecar(tmp_path / "my.safetensors").training[-1]
    assert page["training"]["deadline_s"] == 1.0 and page["seconds"] <= 10 and page["steps_done"] < 100


def test_what_cannot_be_tuned_is_refused(call: Call, tmp_path: Path, lr: Path, root: Path) -> None:
    code, said = call(model=root / "originals" / "checkpoints" / "lway-tiny.safetensors")
    assert code == 2 and "holds a model of the kind 'lway'" in said and "realdgen" in said
    code, said = call(model=tmp_path / "none.safetensors")
    assert code == 2 and "does not exist" in said
    for path in sorted(lr.iterdir())[:3]:
        path.unlink()
    code, said = call()
    assert code == 2 and "--lr holds 4 different photographs" in said and "6 or more" in said
    code, said = call("-o", str(tmp_path / "my.bin"))
    assert code == 2 and ".safetensors" in said


def photographs(side: int, lr_side: int) -> Photographs:
    dice = np.random.default_rng(0)
    found = Photographs()
    found.hr = [dice.integers(0, 256, (side, side, 3), dtype=np.uint8)]
    found.lr = [np.full((lr_side, lr_side, 3), 77, np.uint8)]
    found.lr_noise = [(0.0, 0.1)]
    return found


def test_fitted_rows_have_the_users_own_references_and_small_photographs_do() -> None:
    only = TuneData(crop=48, reference_crop=64, mix=(0.0, 0.0, 0.0), fitted=1.0, own=1.0, cameras=(draw(0, 1),))
    for side, lr_side in ((64, 64), (512, 128)):
        sets = TuneSets(photographs(side, lr_side), only, 4, 0, 0)
        scales = set()
        for step in range(6):
            batch = sets[step]
            assert batch["references"].shape[-1] <= lr_side and batch["content"].shape == (4, 3, 48, 48)
            assert torch.all(batch["references"] == batch["references"][0, 0, 0, 0, 0])
            assert not torch.equal(batch["content"], batch["target"])
            scales |= {sets.scale(np.random.default_rng(step)) for step in range(40)}
        assert scales == ({1} if side == 64 else {1, 2, 4})
        rows = TuneRows(photographs(side, lr_side), only, 4, 0, 0)[0]
        assert torch.all(rows["reference"] == rows["reference"][0, 0, 0, 0]) and torch.all(rows["clean"] == 1)
    assert stage_of(SMALL).batches is TuneSets and stage_of(TINY).batches is TuneRows
