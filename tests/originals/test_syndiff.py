"""SynDiff: its size, its training step, and its generation against a case with a closed form."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.cli import main  # noqa: E402
from degrade_engine.engine.images import encode_png  # noqa: E402
from degrade_engine.originals.checkpoint import load  # noqa: E402
from degrade_engine.originals.syndiff.config import PAPER, TINY  # noqa: E402
from degrade_engine.originals.syndiff.model import SynDiff, SynDiffStage, generate  # noqa: E402

SMALL = dataclasses.replace(TINY, unet=dataclasses.replace(TINY.unet, width=8, multipliers=(1, 2)))


def test_the_papers_size() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in SynDiff(PAPER).parameters())
    assert count == pytest.approx(101.121e6, rel=0.01)


class Gaussian(torch.nn.Module):
    """eps of images whose pixels are N(mean, std²), in closed form, in place of the network."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.config, self.mean, self.std = TINY, mean, std
        self.abar = torch.tensor(TINY.diffusion.alphas_bar, dtype=torch.float32)

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = self.abar[t][:, None, None, None]
        return (1 - a).sqrt() * (x_t - a.sqrt() * self.mean) / (a * self.std**2 + 1 - a)


def test_a_start_at_full_strength_ends_in_the_distribution_it_was_trained_on() -> None:
    rng = np.random.default_rng(0)
    x = generate(Gaussian(0.2, 0.3), torch.zeros(3, 64, 64), TINY.diffusion.T,  # type: ignore[arg-type]
                 lambda step: rng.standard_normal((3, 64, 64)).astype(np.float32))  # fmt: skip
    assert float(x.mean()) == pytest.approx(0.2, abs=0.02)
    assert float(x.std()) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(("tau", "kept"), [(0, 1.0), (125, None)])
def test_a_weak_start_keeps_the_content(tau: int, kept: float | None) -> None:
    """tau = 0 returns the start; up to a quarter of the schedule, a part of it that the posterior mean gives."""
    rng = np.random.default_rng(1)
    start = torch.full((3, 64, 64), 0.8)
    x = generate(Gaussian(0.0, 0.3), start, tau,  # type: ignore[arg-type]
                 lambda step: rng.standard_normal((3, 64, 64)).astype(np.float32))  # fmt: skip
    a = TINY.diffusion.alphas_bar[tau]
    expected = 0.8 * (kept if kept is not None else a * 0.09 / (a * 0.09 + 1 - a))  # E[x_0 | x_tau], linear here
    assert float(x.mean()) == pytest.approx(expected, abs=0.01)


def test_the_training_step_learns() -> None:
    torch.manual_seed(0)
    stage = SynDiffStage(SynDiff(SMALL), lr=3e-3, low_share=0.5)
    optimiser = torch.optim.Adam(stage.parameters(), lr=3e-3)
    batch = {"image": torch.rand(8, 3, 16, 16) * 0.2}
    found = []
    for step in range(40):
        loss = stage(batch, torch.Generator().manual_seed(step))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    assert found[0] == pytest.approx(1, abs=0.1), "a silent network guesses eps = 0"
    assert np.mean(found[-8:]) < 0.5


def test_a_pretrained_model_goes_on_and_its_record_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "lr").mkdir()
    for name in "ab":
        pixels = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        (tmp_path / "lr" / f"{name}.png").write_bytes(encode_png(pixels))
    call = ["train", "syndiff", "--lr", str(tmp_path / "lr"), "--crop", "16", "--batch", "1", "--threads", "1",
            "--workers", "0", "--no-bf16"]  # fmt: skip
    assert main([*call, "--steps", "1", "--out", str(tmp_path / "first")]) == 0
    first = tmp_path / "first" / "syndiff.safetensors"
    more = [*call, "--steps", "1", "--learning-rate", "1e-9", "--pretrained", str(first)]
    assert main([*more, "--out", str(tmp_path / "more")]) == 0
    before, record = load(first, SynDiff)
    after, after_record = load(tmp_path / "more" / "syndiff.safetensors", SynDiff)
    for (name, a), b in zip(before.state_dict().items(), after.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6, msg=name)
    assert after_record.training[:1] == record.training and len(after_record.training) == 2
    assert after_record.training[1]["pretrained"] == record.weights_sha256
    capsys.readouterr()
    assert main([*more, "--preset", "paper", "--out", str(tmp_path / "paper")]) == 2
    assert "give its --preset" in capsys.readouterr().err
