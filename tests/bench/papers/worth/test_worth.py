"""Worth of pairs: the data, the generators, the trainer, the rows, and the tables that they make."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("skimage", reason="needs the extra metrics")

import torch  # noqa: E402

from degrade_engine.bench.papers.worth import picture, table  # noqa: E402
from degrade_engine.bench.papers.worth.data import own  # noqa: E402
from degrade_engine.bench.papers.worth.generators import Generator  # noqa: E402
from degrade_engine.bench.papers.worth.pairs import LARGEST, Pair, likeness, noisy, read_pairs  # noqa: E402
from degrade_engine.bench.papers.worth.trainer import COMPACT, SMALL, Network, cut, rate_at, train  # noqa: E402
from degrade_engine.bench.papers.worth.worth import FLOOR, main  # noqa: E402
from degrade_engine.cli import main as degrade_engine  # noqa: E402
from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.engine.images import encode_png, resize_bicubic  # noqa: E402
from degrade_engine.originals.compact import Compact  # noqa: E402

TOY = replace(SMALL, width=8, blocks=1, steps=40, batch=4, crop=16, rate=3e-3, warmup=4)


def photograph(seed: int, side: int) -> np.ndarray:
    """Smooth blobs with edges: something that a network can learn to sharpen, uint8 [side, side, 3]."""
    noise = np.random.default_rng(seed).random((side, side, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 6)
    return (255 * (soft > np.median(soft)) * 0.7 + 30).astype(np.uint8)


def toy(count: int = 4, side: int = 96, first: int = 0) -> list[Pair]:
    """HR of `side` pixels and its LR of a quarter, blurred."""
    sharp = [photograph(seed, side) for seed in range(first, first + count)]
    return [Pair(cv2.GaussianBlur(resize_bicubic(hr, (side // 4, side // 4)), (0, 0), 0.8), hr) for hr in sharp]


def written(folder: Path, pairs: list[Pair], roles: tuple[str, str] = ("gt", "lq")) -> Path:
    for role, images in zip(roles, ([pair.hr for pair in pairs], [pair.lr for pair in pairs]), strict=True):
        (folder / role).mkdir(parents=True)
        for at, image in enumerate(images):
            (folder / role / f"{at:04d}.png").write_bytes(encode_png(image))
    return folder


# ---- pairs ----


@pytest.mark.parametrize("roles", [("gt", "lq"), ("HR", "LR")])
def test_pairs_of_any_layout_are_read_and_some_of_them_evenly(tmp_path: Path, roles: tuple[str, str]) -> None:
    pairs = toy(4)
    folder = written(tmp_path / "set", pairs, roles)
    for one, other in zip(read_pairs(folder), pairs, strict=True):
        assert np.array_equal(one.lr, other.lr)
        assert np.array_equal(one.hr, other.hr)
    assert [pair.name for pair in read_pairs(folder, 2)] == ["0000", "0002"]


def test_of_large_images_the_middle_is_read(tmp_path: Path) -> None:
    lr = np.random.default_rng(0).integers(0, 256, (20, LARGEST + 4, 3), np.uint8)
    (pair,) = read_pairs(written(tmp_path / "set", [Pair(lr, np.kron(lr, np.ones((2, 2, 1), np.uint8)))]))
    assert np.array_equal(pair.lr, lr[:, 2:-2])
    assert np.array_equal(pair.hr, np.kron(pair.lr, np.ones((2, 2, 1), np.uint8)))


def test_a_pair_without_its_partner_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path / "set", toy(3))
    (folder / "gt" / "0001.png").unlink()
    assert len(read_pairs(folder)) == 2
    assert "1 files are left out, such as lq/0001.png" in capsys.readouterr().err


def test_likeness_divides_the_content_out() -> None:
    plain = [Pair(resize_bicubic(pair.hr, (24, 24)), pair.hr) for pair in toy(2)]
    assert likeness(plain) == {"sharpness": 1.0, "sharpness_spread": 0.0, "noise": 1.0}
    assert likeness(toy(2))["sharpness"] < 0.9


def test_added_noise_has_its_standard_deviation_and_another_draw_for_each_pair() -> None:
    gray = [Pair(np.full((24, 24, 3), 100, np.uint8), np.full((96, 96, 3), 100, np.uint8))] * 2
    first, second = noisy(gray, 3.0)
    assert first.lr.std() == pytest.approx(3, rel=0.1)
    assert not np.array_equal(first.lr, second.lr)
    assert np.array_equal(first.lr, noisy(gray, 3.0)[0].lr)
    assert noisy(gray, 0.0) is gray


# ---- data ----


def test_a_part_of_the_test_pairs_chooses(tmp_path: Path) -> None:
    test = written(tmp_path / "test", toy(5))

    def names(share: float, choose: str | None = None) -> tuple[list[str], list[str]]:
        data = own(None, None, test, share, choose)
        return [pair.name for pair in data.chosen], [pair.name for pair in data.reported]

    assert names(0.4) == (["0000", "0002"], ["0001", "0003", "0004"])
    assert names(0.0) == ([], ["0000", "0001", "0002", "0003", "0004"])
    assert names(0.5, "*[34]") == (["0003", "0004"], ["0000", "0001", "0002"])
    with pytest.raises(DegradeError, match="5 of the 5 pairs of .* would choose, and 0 be reported"):
        names(0.5, "*")
    with pytest.raises(DegradeError, match="0 of the 5 pairs"):
        names(0.5, "x*")


def test_without_true_pairs_it_says_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hr").mkdir()
    (tmp_path / "hr" / "a.png").write_bytes(encode_png(photograph(0, 128)))
    command = ["bench", "papers", "worth", "--hr", str(tmp_path / "hr"), "--work", str(tmp_path / "work"), "-o",
               str(tmp_path / "rows.jsonl")]  # fmt: skip
    assert degrade_engine(command) == 2
    said = re.sub(r"\s+", " ", capsys.readouterr().err)
    assert "No true pairs to test on were given" in said and "match PAIRS --against my/camera" in said
    made = str(tmp_path / "made")
    asked = ["--degrader", "bicubic", "--hr", str(tmp_path / "hr"), "--pairs", "1", "--lr-size", "32", "--out", made]
    assert degrade_engine(["generate", *asked]) == 0
    assert degrade_engine([*command, "--test", made]) == 2
    assert "was made by `generate`, and worth is how well an SR network restores a camera's real LR" in re.sub(
        r"\s+", " ", capsys.readouterr().err
    )


# ---- generators ----


def test_a_generator_is_named_and_has_options(tmp_path: Path) -> None:
    plain = Generator.read("bicubic")
    assert (plain.name, plain.what, plain.options, plain.of_pairs) == ("bicubic", "bicubic", (), False)
    given = Generator.read("binned, mine=binned --weights 'my weights/w.json' --degrader-options=a.toml")
    assert (given.name, given.what) == ("binned, mine", "binned")
    assert given.options == ("--weights", "my weights/w.json", "--degrader-options=a.toml")
    assert given.asked == ["binned", "--weights", "w.json", "--degrader-options=a.toml"]
    assert Generator.read("realdgen-small --tau=40").name == "realdgen-small"
    folder = written(tmp_path / "theirs", toy(1))
    assert Generator.read(str(folder)).of_pairs and Generator.read(f"x={folder}").name == "x"
    for text, said in (("", "WHAT"), ("a='b", "WHAT"), ("a, noise 1 added=bicubic", "a name without added noise"),
                       (f"x={folder} --tau 0", "--tau is for `generate`")):  # fmt: skip
        with pytest.raises(DegradeError, match=re.escape(said)):
            Generator.read(text)


# ---- the trainer ----


def test_hr_and_lr_are_cut_and_turned_together() -> None:
    rng = np.random.default_rng(0)
    lr = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    cuts = cut([Pair(lr, np.kron(lr, np.ones((4, 4, 1), np.uint8)))], rng, batch=32, crop=8, scale=4)
    for one in cuts:
        assert one.lr.shape == (8, 8, 3)
        assert np.array_equal(one.hr, np.kron(one.lr, np.ones((4, 4, 1), np.uint8)))
    assert len({one.lr.tobytes() for one in cuts}) > 8


@pytest.mark.parametrize("network", [TOY, replace(TOY, name=COMPACT.name, blocks=2)], ids=lambda one: one.name)
def test_training_lowers_the_loss_and_is_the_same_for_the_same_seed(network: Network) -> None:
    pairs = [Pair(pair.lr // 2, pair.hr) for pair in toy()]  # darkening is learnt in a few steps
    first, again, other = (train(pairs, network, seed) for seed in (0, 0, 1))
    assert np.mean(first.losses[-10:]) < 0.85 * np.mean(first.losses[:5])
    assert first.losses == again.losses
    assert first.losses != other.losses


def test_pairs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DegradeError, match="an LR of 24 x 24 and a scale of 4"):
        train(toy(1), replace(TOY, crop=32), 0)
    with pytest.raises(DegradeError, match="a scale of 2"):
        train(toy(1), TOY, 0, scale=2)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    shares = [rate_at(step, TOY) for step in range(TOY.steps + 1)]
    assert shares[0] == 0.25
    assert max(shares) == shares[TOY.warmup] == 1
    assert shares[-1] == pytest.approx(0, abs=1e-12)


def test_the_compact_network_is_the_published_one() -> None:
    """621,424 parameters: 3·64·9 + 64, then 16 times 64·64·9 + 64, 17 PReLU of 64, and 64·48·9 + 48. Tensors have the
    names of realesr-animevideov3. At first it enlarges by repeating pixels, and the signal is alive before the last
    convolution."""
    net = Compact(COMPACT.width, COMPACT.blocks, 4)
    state = net.state_dict()
    assert sum(tensor.numel() for tensor in state.values()) == 621_424
    assert list(state)[:3] == ["body.0.weight", "body.0.bias", "body.1.weight"]
    assert tuple(state["body.34.weight"].shape) == (48, 64, 3, 3)
    lr = torch.rand(1, 3, 5, 6)
    with torch.no_grad():
        assert torch.equal(net(lr), lr.repeat_interleave(4, 2).repeat_interleave(4, 3))
        assert net.body[:-1](lr).std() > 0.01


# ---- rows ----


class Desk:
    """Photographs, true pairs, a folder of pairs from elsewhere, and the command on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder, folder / "worth.jsonl"
        (folder / "hr").mkdir()
        for seed in range(2):
            (folder / "hr" / f"{seed}.png").write_bytes(encode_png(photograph(seed, 256)))
        self.test = written(folder / "test", toy(4, side=128, first=10), ("HR", "LR"))
        self.theirs = written(folder / "theirs", toy(3, side=128, first=20))

    def bench(self, *more: str, test: bool = True) -> str:
        where = ["--hr", str(self.folder / "hr"), "--test", str(self.test)] if test else []
        sizes = ["--pairs", "2", "--steps", "2", "--work", str(self.folder / "work"), "-o", str(self.out)]
        ended = CliRunner().invoke(main, [*where, *sizes, *more], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output
        return ended.output

    def rows(self) -> list[dict]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def names(self) -> list[tuple[str, int | None]]:
        return [(row["generator"], row["seed"]) for row in self.rows()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_generators_are_compared_and_a_second_call_goes_on(desk: Desk) -> None:
    both = ("--generator", "bicubic", "--generator", f"theirs={desk.theirs}", "--noise", "0", "--noise", "2")
    said = desk.bench(*both, "--seeds", "1")
    assert "2 test pairs (0000, 0002) choose the noise, 2 test pairs (0001, 0003) are reported" in said
    assert "4 trainings of 2 steps" in said
    first = desk.rows()
    names = [("bicubic", 0), ("bicubic, noise 2 added", 0), ("theirs", 0), ("theirs, noise 2 added", 0)]
    assert desk.names() == [(FLOOR, None), *names]
    row, theirs = first[1], first[3]
    assert row["lq"] == {"sharpness": 1.0, "sharpness_spread": 0.0, "noise": 1.0}
    assert row["set"]["plan"]["hr"]["images"] == 2 and theirs["set"]["plan"] is None
    assert (row["set"]["asked"], theirs["set"]["asked"], theirs["pairs"]) == (["bicubic"], ["theirs"], 2)
    assert (row["network"]["name"], row["network"]["steps"], row["tests"], row["choosing"]) == (SMALL.name, 2, 2, 2)
    measured = {"psnr_db", "psnr_exposed_db", "ssim", "chosen_psnr_db", "loss"}
    assert measured | {"tests_sha256", "threads", "versions", "commit", "date"} <= set(row)

    said = desk.bench(*both, "--seeds", "2", "--picture", str(desk.folder / "worth.svg"))
    rows = desk.rows()
    assert rows[: len(first)] == first
    assert [one for one, _ in map(table.without_noise, (row["generator"] for row in rows[5:]))] == ["bicubic", "theirs"]
    best = {name: table.best_noise(rows, name) for name in ("bicubic", "theirs")}
    chosen = {row["generator"]: row["chosen_psnr_db"] for row in first[1:]}
    assert best["bicubic"] == (0 if chosen["bicubic"] >= chosen["bicubic, noise 2 added"] else 2)
    assert said.count("| theirs |") == said.count("| bicubic |") == 1
    assert desk.folder.joinpath("worth.svg").read_text().count("<circle") == 2 * 2 * 2

    desk.out.write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    desk.bench(*both, "--seeds", "2")
    figures = ("generator", "seed", "psnr_db", "psnr_y_db", "ssim", "loss")
    assert [[row.get(key) for key in figures] for row in desk.rows()] == [
        [row.get(key) for key in figures] for row in rows
    ]
    assert "Every row is there" in desk.bench(*both, "--seeds", "2")
    assert len(desk.rows()) == len(rows)


def test_options_of_generate_reach_it(desk: Desk) -> None:
    options = desk.folder / "blur.toml"
    options.write_text("sigma = [2.0, 2.0]\n")
    desk.bench("--generator", f"soft=blur-bicubic --degrader-options {options}", "--noise", "0", "--seeds", "1")
    (row,) = [row for row in desk.rows() if row["seed"] == 0]
    assert row["lq"]["sharpness"] < 0.5


def test_rows_of_one_name_are_of_one_thing(desk: Desk) -> None:
    desk.bench("--generator", f"theirs={desk.theirs}", "--noise", "0", "--seeds", "1")
    with pytest.raises(DegradeError, match="has rows of theirs, made by theirs"):
        desk.bench("--generator", "theirs=bicubic", "--noise", "0", "--seeds", "1")
    (desk.theirs / "lq" / "0000.png").write_bytes(encode_png(np.zeros((32, 32, 3), np.uint8)))
    read_pairs.cache_clear()
    with pytest.raises(DegradeError, match="The pairs of theirs have changed"):
        desk.bench("--generator", f"theirs={desk.theirs}", "--noise", "0", "--seeds", "2")


def test_a_set_that_holds_test_pairs_is_refused(desk: Desk) -> None:
    with pytest.raises(DegradeError, match="leak holds 2 of the test pairs, such as 0000"):
        desk.bench("--generator", f"leak={desk.test}")


def test_a_model_is_built_and_reads_the_cameras_photographs(desk: Desk, tiny_bundle: Path) -> None:
    model = f"mine={tiny_bundle} --tau 1 --steps 1"
    with pytest.raises(DegradeError, match="mine reads references. Expected: --lr"):
        desk.bench("--generator", model, "--noise", "0", "--seeds", "1")
    lr = desk.folder / "lr"
    lr.mkdir()
    (lr / "a.png").write_bytes(encode_png(photograph(5, 64)))
    desk.bench("--generator", model, "--lr", str(lr), "--noise", "0", "--seeds", "1")
    (row,) = [row for row in desk.rows() if row["seed"] == 0]
    plan = row["set"]["plan"]
    assert (plan["lr_size"], plan["tau"], plan["steps"], plan["reference"]["images"]) == (64, "1:1", 1, 1)


def test_what_a_generator_lacks_is_said(desk: Desk, tiny_bundle: Path) -> None:
    engine = desk.folder / "engine"
    assert degrade_engine(["build", str(tiny_bundle), "--lr-size", "16", "--batch", "1", "-o", str(engine)]) == 0
    for given, said in (
        (f"mine={engine}", "makes LR of 16 pixels"),
        ("no-such-model", "build failed: .*no-such-model"),
    ):
        with pytest.raises(DegradeError, match=said):
            desk.bench("--generator", given)
    with pytest.raises(DegradeError, match="Two generators have the same name"):
        desk.bench("--generator", "bicubic", "--generator", "bicubic --noise 1")


def test_canon_is_one_definition_of_data(desk: Desk) -> None:
    """The corpus in small: its scenes 001 to 020 are true pairs that may be trained on. Rows from before this form are
    known, and not made again."""
    corpus = desk.folder / "corpus"
    (corpus / "hr_cid22").mkdir(parents=True)
    (corpus / "hr_cid22" / "0.png").write_bytes(encode_png(photograph(0, 256)))
    for number, pair in enumerate(toy(50, side=128), 1):
        for side, pixels in (("HR", pair.hr), ("LR", pair.lr)):
            folder = corpus / "pairs_realsr_canon_x4" / side
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"Canon_{number:03d}_LR4.png").write_bytes(encode_png(pixels))
    given = ("--camera", "canon", "--data", str(corpus), "--noise", "0", "--seeds", "1")
    said = desk.bench(*given, "--generator", "bicubic", "--generator", "true pairs", test=False)
    assert "10 test pairs (Canon_021_LR4, " in said and "20 test pairs (Canon_031_LR4, " in said
    rows = desk.rows()
    assert [row["generator"] for row in rows] == [FLOOR, "bicubic", "true pairs"]
    assert rows[2]["pairs"] == 2 and "camera" not in rows[2]
    old = [{key: value for key, value in row.items() if key not in ("tests_sha256", "choosing")}
           | {"network": row["network"] | {"name": "cpu"}, "set": {"asked": {"pairs": 2}}} for row in rows]  # fmt: skip
    desk.out.write_text("".join(json.dumps(row) + "\n" for row in old))
    assert "Every row is there" in desk.bench(*given, "--generator", "bicubic", "--generator", "true pairs", test=False)


# ---- tables ----


def row(name: str, seed: int | None, psnr: float, **more: float) -> dict:
    lq = {} if seed is None else {"lq": {"sharpness": 0.5, "sharpness_spread": 0.0, "noise": 0.25}}
    figures = {"psnr_db": psnr, "psnr_y_db": psnr + 2, "ssim": 0.75, "detail": 4, "pairs": 400}
    return {"generator": name, "seed": seed} | figures | lq | more


def test_the_committed_tables_pair_the_seeds_tell_the_spread_and_keep_variants_apart() -> None:
    made = [row("bicubic", 0, 26), row("bsrgan", 0, 26.5), row("bicubic", 1, 27), row("bsrgan", 1, 28.5),
            row(FLOOR, None, 25), row("lway, noise 2", 0, 25.5)]  # fmt: skip
    assert table.worth(made).splitlines()[2:] == [
        "| bsrgan | 27.50 ± 1.41 | 29.50 ± 1.41 | 0.7500 ± 0.0000 | +1.00 | 0.50 | 0.25 | 4.0 | 2 |",
        "| bicubic | 26.50 ± 0.71 | 28.50 ± 0.71 | 0.7500 ± 0.0000 | +0.00 | 0.50 | 0.25 | 4.0 | 2 |",
        "| bicubic enlargement | 25.00 | 27.00 | 0.7500 |  |  |  | 4.0 | 1 |",
    ]
    assert table.why(made).splitlines()[2:] == [
        "| lway, noise 2 | 25.50 | 27.50 | 0.7500 | -0.50 | 0.50 | 0.25 | 4.0 | 1 |"
    ]


def test_the_leaderboard_has_each_generator_at_the_noise_that_was_chosen() -> None:
    """The noise with which the choosing pairs are best, though the reported ones are better with another."""
    exposed = {"psnr_exposed_db": 30.0}
    made = [row(FLOOR, None, 20), row("bicubic", 0, 26, chosen_psnr_db=10, **exposed),
            row("bicubic, noise 2 added", 0, 25, chosen_psnr_db=11, psnr_exposed_db=29),
            row("bicubic, noise 2 added", 1, 25.5, chosen_psnr_db=9, psnr_exposed_db=29),
            row("true pairs", 0, 27, chosen_psnr_db=12, psnr_exposed_db=31),
            row("true pairs, noise 2 added", 0, 28, chosen_psnr_db=11.9, **exposed),
            row("mine", 0, 26.5, chosen_psnr_db=12)]  # fmt: skip
    assert table.leaderboard(made).splitlines()[2:] == [
        "| true pairs | 0 | 27.00 | 1.00 | 31.00 | 1.00 | 0.50 | 0.25 | 400 | 1 |",
        "| mine | 0 | 26.50 | 0.71 |  |  | 0.50 | 0.25 | 400 | 1 |",
        "| bicubic | 2 | 25.25 | 0.00 | 29.00 | 0.00 | 0.50 | 0.25 | 400 | 2 |",
    ]
    drawn = picture.draw(made)
    assert drawn.count("<circle") == 4 + 3 and "bicubic + noise 2" in drawn and "mine, seed 0: 26.50 dB" in drawn


def test_where_no_pairs_choose_each_noise_has_a_line_and_shares_are_of_none() -> None:
    made = [row("bicubic", 0, 26), row("true pairs", 0, 28), row("true pairs, noise 1 added", 0, 29)]
    assert [line.split(" | ")[1:4] for line in table.leaderboard(made).splitlines()[2:]] == [
        ["1", "29.00", "1.50"], ["0", "28.00", "1.00"], ["0", "26.00", "0.00"],
    ]  # fmt: skip
    assert "| 26.00 |  |" in table.leaderboard([row("bicubic", 0, 26)])


def test_the_table_of_noise_puts_a_set_beside_the_quality_of_its_lr() -> None:
    def chosen(name: str, seed: int, psnr: float) -> dict:
        return {"generator": name, "seed": seed, "chosen_psnr_db": psnr}

    def looked_at(kind: str, noise: float, psnr: float) -> dict:
        gaps = dict.fromkeys(("laplacian_gap", "noise_gap", "spectrum_db", "frechet_e_deg"), 0.5)
        return {"generator": kind, "setting": {"noise": noise} if noise else {}, "psnr_db": psnr} | gaps

    made = [chosen("lway, without noise", 0, 26), chosen("lway", 0, 27), chosen("lway", 1, 99),
            chosen("realdgen", 0, 28), chosen("bicubic", 0, 25)]  # fmt: skip
    found = table.noise(made, [looked_at("lway", 0, 33), looked_at("lway", 1.0, 32), looked_at("lway", 2.0, 31)])
    assert found.splitlines()[2:] == [
        "| lway, 0 | 26.00 | 33.00 | 0.50 | 0.50 | 0.50 | 0.50 |",
        "| lway, 1 | 27.00 | 32.00 | 0.50 | 0.50 | 0.50 | 0.50 |",
    ]
