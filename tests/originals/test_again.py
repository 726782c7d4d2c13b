"""A training that is called again: what was begun is gone on with, what is finished stays as it is, and whoever asks
for something else is told what differs. And numbers that no training can do with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from degrade_engine.cli import main  # noqa: E402
from degrade_engine.commands import training  # noqa: E402
from degrade_engine.engine.images import encode_png  # noqa: E402
from degrade_engine.originals.photographs import RealBatches  # noqa: E402
from degrade_engine.originals.realdgen.config import PRESETS, TINY  # noqa: E402
from degrade_engine.originals.state import differences  # noqa: E402
from degrade_engine.originals.trainer import Curve  # noqa: E402

SHORT = ["--steps", "3", "--batch", "2", "--crop", "16", "--workers", "0", "--threads", "1", "--no-bf16"]
KINDS = {
    "vqvae": ["train", "realdgen", "--stage", "vqvae", "--hr", "HR", "--lr", "LR"],
    "syndiff": ["train", "syndiff", "--lr", "LR"],
    "ddm": ["train", "uddm", "--stage", "ddm", "--lr", "LR"],
    "pddm": ["train", "uddm", "--stage", "pddm", "--lr", "LR", "--hr", "HR"],
    "lway": ["train", "lway", "--hr", "HR"],
    "srresnet": ["train", "srresnet", "--hr", "HR"],
}
SMALL = replace(
    TINY,
    content=replace(TINY.content, width=8, blocks=1, channels=12, codes=16, groups=2),
    degradation=replace(TINY.degradation, widths=(8,), blocks=(16,), vector=8, mapping=8),
    modulation=replace(TINY.modulation, width=8, channels=4),
    unet=replace(TINY.unet, width=8, multipliers=(1, 2)),
)
Photos = dict[str, Path]
Said = Callable[..., tuple[int, str]]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """HR: three photographs of 160 pixels a side; LR: three of 40."""
    rng = np.random.default_rng(0)
    for role, side in (("HR", 160), ("LR", 40)):
        (tmp_path / role).mkdir()
        for name in "abc":
            image = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            (tmp_path / role / f"{name}.png").write_bytes(encode_png(image))
    return {role: tmp_path / role for role in ("HR", "LR")}


@pytest.fixture
def said(photos: Photos, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Said:
    """Calls a training of a kind in tmp_path/run: (exit code, what it said)."""
    monkeypatch.setitem(PRESETS, "tiny", SMALL)

    def call(kind: str, *more: str) -> tuple[int, str]:
        words = [str(photos[word]) if word in photos else word for word in KINDS[kind]]
        crop = ["--crop", "36"] if kind == "lway" else []
        code = main([*words, *SHORT, *crop, "--out", str(tmp_path / "run"), *more])
        found = capsys.readouterr()
        return code, found.out + found.err

    return call


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_stage_stays_as_it_is_or_says_what_differs(
    kind: str, said: Said, photos: Photos, tmp_path: Path
) -> None:
    assert said(kind)[0] == 0
    first = bytes_in(tmp_path / "run")
    entry = json.loads(first[f"{kind}.json"])["training"][-1]
    assert entry["steps_done"] == 3, "not the last row of the curve, which has one every 20 steps"

    code, text = said(kind, "--workers", "1")
    assert code == 0 and "nothing is trained" in text and "as it was" in text and "wrote" not in text
    for more, named in (
        (["--batch", "3"], "batch was 2, now 3"),
        (["--crop", "40" if kind == "lway" else "24"], "data.crop was "),
        (["--learning-rate", "1e-5"], "lr"),
        (["--steps", "4"], "training.steps was 3, now 4"),
        (["--seed", "1", "--ema", "0.5"], "training.seed was 0, now 1; training.ema was 0.999, now 0.5"),
    ):
        code, text = said(kind, *more)
        assert code == 2 and named in text, text
    role = KINDS[kind][-1]
    one = photos[role] / "b.png"
    one.write_bytes(encode_png(np.full((160, 160, 3), 90, np.uint8)))
    code, text = said(kind)
    assert code == 2 and f"of the {role} photographs b.png is changed" in text, text
    assert bytes_in(tmp_path / "run") == first


def test_photographs_are_known_by_their_pixels_and_order(said: Said, photos: Photos, tmp_path: Path) -> None:
    assert said("syndiff")[0] == 0
    lr = photos["LR"]
    shutil.move(lr, tmp_path / "elsewhere")
    photos["LR"] = lr = tmp_path / "elsewhere"
    assert said("syndiff")[0] == 0, "another folder, the same photographs"
    (lr / "a.png").rename(lr / "z.png")
    assert "come in another order" in said("syndiff")[1]
    (lr / "z.png").rename(tmp_path / "a.png")
    assert "of the LR photographs a.png is missing" in said("syndiff")[1]
    (tmp_path / "a.png").rename(lr / "a.png")
    shutil.copy(photos["HR"] / "a.png", lr / "d.png")
    assert "of the LR photographs d.png is new" in said("syndiff")[1]
    (lr / "d.png").unlink()
    assert said("syndiff", "--hold-out", str(lr / "c.png"))[1].count("c.png is missing") == 1


def test_what_differs_is_named_once() -> None:
    before = {"config": {"preset": "tiny", "unet": {"width": 8}}, "batch": 2, "earlier_sha256": "a" * 64, "gone": 1}
    now = {"config": {"preset": "paper", "unet": {"width": 32}}, "batch": 2, "earlier_sha256": "b" * 64, "came": 2}
    assert differences(before, before | {"came": 2}) == [], "what only one of them knows cannot be compared"
    assert differences(before, now) == [
        'config.preset was "tiny", now "paper"', "earlier_sha256 was aaaaaaaaaaaa…, now bbbbbbbbbbbb…"
    ]  # fmt: skip


def test_true_pairs_are_photographs_too(said: Said, photos: Photos, tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("hr,lr,weight\nHR/a.png,LR/a.png,1\n")
    assert said("lway", "--pairs", str(table))[0] == 0
    assert "LR/a.png is missing" in said("lway")[1]
    table.write_text("hr,lr,weight\nHR/a.png,LR/a.png,2\n")
    assert "LR/a.png is changed" in said("lway", "--pairs", str(table))[1]


def test_what_was_begun_is_compared_as_well(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, count = RealBatches.make, 0

    def dies(self: RealBatches, rng: np.random.Generator) -> dict:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return make(self, rng)

    monkeypatch.setattr(RealBatches, "make", dies)
    options = training.train_options
    monkeypatch.setattr(training, "train_options", lambda given: replace(options(given), save_every_s=0.0))
    assert said("syndiff")[0] == 130
    assert "data.crop was 16, now 24" in said("syndiff", "--crop", "24")[1]
    assert said("syndiff")[0] == 0
    assert json.loads((tmp_path / "run" / "syndiff.json").read_text())["training"][0]["steps_done"] == 3


def test_a_stage_whose_time_was_up_is_finished(said: Said, tmp_path: Path) -> None:
    call = ["syndiff", "--steps", "100000", "--minutes", "0.005"]
    assert said(*call)[0] == 0
    first = bytes_in(tmp_path / "run")
    assert 0 < json.loads(first["syndiff.json"])["training"][0]["steps_done"] < 100000
    assert said(*call)[0] == 0 and bytes_in(tmp_path / "run") == first


def test_the_checkpoint_is_made_again_from_the_state(said: Said, tmp_path: Path) -> None:
    """Also where the call ended between the state and the checkpoint, or between the weights and their record."""
    assert said("syndiff")[0] == 0
    first = bytes_in(tmp_path / "run")
    for name, left in (("syndiff.json", None), ("syndiff.json", b"{"), ("syndiff.safetensors", b"half")):
        path = tmp_path / "run" / name
        path.unlink() if left is None else path.write_bytes(left)
        assert said("syndiff")[0] == 0 and bytes_in(tmp_path / "run") == first


def test_stages_that_did_not_follow_one_another(said: Said, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for stage in ("vqvae", "content"):
        assert said("vqvae", "--stage", stage)[0] == 0
    for path in run.glob("vqvae.*"):
        path.rename(tmp_path / path.name)
    assert said("vqvae", "--seed", "1")[0] == 0
    code, text = said("vqvae", "--stage", "content")
    assert code == 2 and "earlier_sha256 was " in text
    code, text = said("vqvae", "--stage", "degradation")
    assert code == 2 and "content.safetensors was not trained from the vqvae.safetensors that is there" in text
    for path in tmp_path.glob("vqvae.*"):
        path.replace(run / path.name)
    assert said("vqvae", "--stage", "degradation")[0] == 0


@pytest.mark.parametrize("left", [b"", b"half of it", None], ids=["empty", "garbage", "cut short"])
def test_a_damaged_state_is_named(said: Said, tmp_path: Path, left: bytes | None) -> None:
    assert said("syndiff")[0] == 0
    state = tmp_path / "run" / "syndiff.state.safetensors"
    state.write_bytes(state.read_bytes()[:-100] if left is None else left)
    code, text = said("syndiff")
    assert code == 2 and "syndiff.state.safetensors is damaged" in text and "delete it" in text


def test_a_state_of_an_older_release_goes_on(said: Said, tmp_path: Path) -> None:
    """It knows steps, seed, EMA and bf16 alone, and those are compared."""
    assert said("syndiff")[0] == 0
    state = tmp_path / "run" / "syndiff.state.safetensors"
    with safe_open(state, "pt") as file:
        asked = json.loads(file.metadata()["asked"])["training"]
    old = {"step": "2", "options": json.dumps(asked | {"log_every": 20, "save_every_s": 120.0})}
    save_file(load_file(state), state, metadata=old)
    assert "training.seed was 0" in said("syndiff", "--seed", "4")[1]
    assert said("syndiff")[0] == 0
    assert json.loads((tmp_path / "run" / "syndiff.json").read_text())["training"][0]["steps_done"] == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "wrong",
    ["--steps 0", "--batch 0", "--batch -1", "--crop 0", "--crop 17", "--crop 44", "--crop 5000", "--ema nan",
     "--ema 2", "--learning-rate nan", "--learning-rate inf", "--learning-rate 0", "--minutes nan", "--minutes -1",
     "--minutes inf", "--seed -1", "--seed 99999999999999999999", "--threads 0", "--workers -1",
     "--out HR/a.png/x"],
)  # fmt: skip
def test_a_number_that_does_not_do_is_one_sentence(
    kind: str, wrong: str, said: Said, photos: Photos, tmp_path: Path
) -> None:
    """--crop 44: 160 pixels of HR are too few for it; --crop 17: halving it leaves a rest."""
    if wrong == "--crop 17" and kind == "srresnet" or wrong == "--crop 44" and kind in ("syndiff", "ddm"):
        return  # those can
    code, text = said(kind, *wrong.replace("HR", str(photos["HR"])).split())
    assert code == 2 and "Error: " in text and "Traceback" not in text
    assert text.count("Error") == 1 and not [*tmp_path.glob("run/*.safetensors")]


@pytest.mark.parametrize("mix", ["0 0 0", "nan 1 1", "-1 1 1", "0 0 1"])
def test_a_mix_of_nothing_is_one_sentence(mix: str, said: Said) -> None:
    code, text = said("vqvae", "--stage", "ddpm", "--no-pretraining", "--mix", *mix.split())
    assert code == 2 and "mix" in text


def test_a_vq_vae_takes_two_rows_a_step(said: Said) -> None:
    code, text = said("vqvae", "--batch", "1")
    assert code == 2 and "the batch is 1. Expected: a whole number, 2 or more" in text


REFUSING = """
import sys
from pathlib import Path
from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.photographs import Photographs, RealBatches, RealCrops, batches

class Refusing(RealBatches):
    def make(self, rng):
        raise DegradeError("no such thing", mend="give it")

found = Photographs.read([], [Path(sys.argv[1])], [], 16, 64, [])
try:
    list(batches(Refusing(found, RealCrops(16), 2, 0, 0), 0, 2, workers=1))
except DegradeError as error:
    print(error)
"""


def test_what_a_batch_refuses_in_another_process_is_said_without_its_traceback(photos: Photos) -> None:
    """In a process of its own: it forks, and this one may have threads of anything that a test has loaded."""
    done = subprocess.run([sys.executable, "-c", REFUSING, photos["LR"]], capture_output=True, text=True)
    assert done.stdout == "no such thing. Fix: give it.\n", done.stderr


def test_a_curve_has_no_step_twice(tmp_path: Path) -> None:
    """The rows that a killed run wrote after its state was saved are made again."""
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"loss": 1.0, "step": {step}}}\n' for step in (20, 40, 60)) + '{"loss": 1.0, "st')
    curve = Curve(path, 40, 20)
    for step in range(41, 61):
        row = curve.add({"loss": torch.tensor(2.0)}, step, 1e-3, 1.0)
    assert row and row["loss"] == 2.0
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [20, 40, 60]
