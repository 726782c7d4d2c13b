"""RealDGen's networks against the paper: sizes, counts, grids, ablations."""

from __future__ import annotations

import dataclasses
import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.originals.realdgen.config import PAPER, TINY  # noqa: E402
from degrade_engine.originals.realdgen.content import ResidualBlock  # noqa: E402
from degrade_engine.originals.realdgen.degradation import quiet  # noqa: E402
from degrade_engine.originals.realdgen.model import RealDGen  # noqa: E402
from degrade_engine.originals.realdgen.oracle import alphas_bar  # noqa: E402


@pytest.fixture(scope="module")
def tiny() -> RealDGen:
    torch.manual_seed(0)
    return RealDGen(TINY).eval()


def test_paper_preset_has_the_parameters_of_table_13() -> None:
    with torch.device("meta"):
        counts = RealDGen(PAPER).parameter_counts()
    assert sum(counts.values()) == pytest.approx(73.676e6, rel=0.01)


def test_paper_degradation_extractor_is_as_figure_8_describes() -> None:
    with torch.device("meta"):
        model = RealDGen(PAPER)
    assert sum(isinstance(m, ResidualBlock) for m in model.degradation.blocks) == 16
    assert len(model.degradation.mapping) == 4
    assert model.degradation.last.out_channels == 2048
    assert len(model.modulation.layers) == 4
    assert PAPER.diffusion.T == 500


def test_tiny_keeps_the_structure() -> None:
    assert sum(TINY.degradation.blocks) == 16
    assert TINY.modulation.layers == 4


def test_grids(tiny: RealDGen) -> None:
    x = torch.rand(2, 3, 24, 40) * 2 - 1
    with torch.no_grad():
        f_cont, f_deg = tiny.e_cont(x), tiny.e_deg(x)
        condition, mu = tiny.condition(f_deg, f_cont)
        eps = tiny.unet(x, torch.tensor([1, 500]), condition)
    assert f_cont.shape == (2, TINY.content.channels, 12, 20)
    assert f_deg.shape == (2, TINY.degradation.vector)
    assert condition.shape == (2, TINY.unet.width + 4, 24, 40)
    assert mu.shape == eps.shape == x.shape
    assert eps.dtype == torch.float32


def test_degradation_vector_has_one_length_for_any_image_size(tiny: RealDGen) -> None:
    with torch.no_grad():
        assert tiny.e_deg(torch.zeros(1, 3, 33, 57)).shape == (1, TINY.degradation.vector)


def test_the_quiet_pooling_reads_noise_past_texture() -> None:
    """Three windows of four full of texture: the harmonic mean still tells the noise of the fourth, the plain one does
    not; what fills no window is left out."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, 16, 16, generator=generator)
    texture = 5 * torch.randn(1, 1, 16, 16, generator=generator)
    texture[:, :, :8, :8] = 0
    found = [float(quiet(texture + s * noise, 8)) for s in (0.1, 0.2)]
    alone = math.log(0.1 * float(noise[:, :, :8, :8].std(correction=0)))
    assert found[0] == pytest.approx(alone + 0.5 * math.log(4), abs=0.02)
    assert found[1] - found[0] == pytest.approx(math.log(2), abs=0.02)
    assert float(quiet(torch.nn.functional.pad(texture + 0.1 * noise, (0, 5, 0, 3), value=99.0), 8)) == found[0]


def test_e_deg_pools_each_resolution(tiny: RealDGen) -> None:
    width, widths = TINY.degradation.widths[-1], TINY.degradation.widths
    assert tiny.degradation.mapping[0].in_channels == 2 * width + sum(widths)
    blocks = tiny.degradation.blocks
    assert [blocks[i].conv1.out_channels for i in tiny.degradation.ends] == list(widths)
    assert tiny.degradation.ends[-1] == len(blocks) - 1


def test_shortcut_code_starts_nearly_lossless(tiny: RealDGen) -> None:
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        assert (tiny.rec_hr(tiny.e_cont(x)) - x).abs().mean() < 0.05


def test_untrained_denoiser_is_the_best_linear_guess(tiny: RealDGen) -> None:
    """unet.py: with F = 0, eps = sqrt(1 - abar)/v (x_t - sqrt(abar) mu)."""
    x, mu = torch.randn(3, 3, 16, 16), torch.randn(3, 3, 16, 16)
    t = torch.tensor([1, 30, 500])
    condition = tiny.unet.condition(torch.randn(3, TINY.modulation.channels, 16, 16), mu, torch.zeros(3))
    with torch.no_grad():
        got = tiny.unet(x, t, condition)
    abar = torch.tensor(alphas_bar(500, 1e-4, 0.02)[t.numpy()], dtype=torch.float32)[:, None, None, None]
    v = abar * TINY.unet.residual_std**2 + 1 - abar
    torch.testing.assert_close(got, (1 - abar).sqrt() / v * (x - abar.sqrt() * mu), atol=1e-4, rtol=1e-4)


def test_the_noise_gate_leaves_what_is_as_strong_as_the_references_noise(tiny: RealDGen) -> None:
    """unet.py: where t's noise is the weaker, x_0 = x_t/sqrt(abar), noise and all; where it is stronger, s²/sigma² of
    what the ungated network takes for noise stays."""
    x, mu, c = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), torch.randn(2, TINY.modulation.channels, 16, 16)
    t, s = torch.tensor([10, 200]), torch.tensor([0.12, 0.12])
    abar = torch.tensor(alphas_bar(500, 1e-4, 0.02)[t.numpy()], dtype=torch.float32)
    with torch.no_grad():
        gated = tiny.unet(x, t, tiny.unet.condition(c, mu, s))
        open_ = tiny.unet(x, t, tiny.unet.condition(c, mu, torch.zeros(2)))
    assert float((1 - abar[0]) / abar[0]) < 0.12**2 and not gated[0].any() and open_[0].any()
    stays = 0.12**2 * abar[1] / (1 - abar[1])
    torch.testing.assert_close(gated[1], (1 - stays) * open_[1])


@pytest.mark.parametrize("which", ["degradation", "content"])
def test_an_ablated_extractor_says_nothing(which: str) -> None:
    model = RealDGen(dataclasses.replace(TINY, without=(which,))).eval()
    x = torch.rand(1, 3, 16, 16)
    features = model.e_deg(x) if which == "degradation" else model.e_cont(x)
    other = model.e_cont(x) if which == "degradation" else model.e_deg(x)
    assert not features.any()
    assert other.any()


def test_quantiser_returns_its_codes_and_passes_the_gradient(tiny: RealDGen) -> None:
    f = torch.randn(1, TINY.content.channels, 4, 4, requires_grad=True)
    quantised, commitment = tiny.vqvae.quantiser(f)
    dim = TINY.content.channels // TINY.content.groups
    for g in range(TINY.content.groups):
        vectors = quantised[0, g * dim : (g + 1) * dim].reshape(dim, -1).T
        distance = (vectors.detach()[:, None] - tiny.vqvae.quantiser.codebook[g][None]).norm(dim=-1).min(1).values
        assert distance.max() < 1e-5
    assert commitment > 0
    quantised.sum().backward()
    assert torch.equal(f.grad, torch.ones_like(f))
