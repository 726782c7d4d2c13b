"""UDDM: its resampling against Pillow, its equations against closed forms, its training in small."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="needs the extra train")

from degrade_engine.engine.errors import DegradeError  # noqa: E402
from degrade_engine.originals.checkpoint import load  # noqa: E402
from degrade_engine.originals.runs import Machine, Setup, Source  # noqa: E402
from degrade_engine.originals.trainer import TrainOptions  # noqa: E402
from degrade_engine.originals.uddm import adversarial, ddm  # noqa: E402
from degrade_engine.originals.uddm.config import TINY, scaled_betas  # noqa: E402
from degrade_engine.originals.uddm.ddm import DDM, DDMStage  # noqa: E402
from degrade_engine.originals.uddm.model import UDDM, fuse, generate  # noqa: E402
from degrade_engine.originals.uddm.pddm import PDDM  # noqa: E402
from degrade_engine.originals.uddm.resample import Bicubic, bicubic  # noqa: E402
from degrade_engine.originals.uddm.train import Options, train_stage  # noqa: E402

SMALL = dataclasses.replace(
    TINY,
    ddm=dataclasses.replace(TINY.ddm, unet=dataclasses.replace(TINY.ddm.unet, width=8, multipliers=(1, 2))),
    pddm=dataclasses.replace(TINY.pddm, width=8, blocks=1, kernels=4, critic=8),
)


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    """In [-1, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def normals(seed: int, side: int) -> ddm.Noise:
    return lambda step: np.random.default_rng((seed, step)).standard_normal((3, side, side)).astype(np.float32)


# ------------------------------------------------------------------------------------- extreme downsampling


def test_the_kernel_has_its_closed_form() -> None:
    """Keys' kernel interpolates: 1 at 0, 0 at 1 and 2, and K(1/2) = 9/16, K(3/2) = -1/16."""
    np.testing.assert_allclose(bicubic(np.array([0, 0.5, 1, 1.5, 2, 2.5])), [1, 9 / 16, 0, -1 / 16, 0, 0], atol=1e-15)


@pytest.mark.parametrize("s", [2, 4])
def test_down_and_up_are_pillows(s: int) -> None:
    image = uniform(1, 3, 8 * s, 12 * s)
    down = Bicubic(s).down(image)
    up = Bicubic(s).up(down)
    for c in range(3):
        small = Image.fromarray(image[0, c].numpy()).resize((12, 8), Image.Resampling.BICUBIC)
        large = small.resize((12 * s, 8 * s), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(down[0, c].numpy(), np.asarray(small), atol=2e-6)
        np.testing.assert_allclose(up[0, c].numpy(), np.asarray(large), atol=2e-6)


@pytest.mark.parametrize("s", [2, 4])
def test_a_constant_stays_what_it_is(s: int) -> None:
    flat = torch.full((2, 3, 16, 16), 0.7)
    torch.testing.assert_close(Bicubic(s).up(Bicubic(s).down(flat)), flat, rtol=0, atol=1e-6)


def test_the_condition_knows_nothing_that_the_downsampling_took() -> None:
    """Two images with the same ULR have the same condition, and it is not blind to another ULR."""
    torch.manual_seed(0)
    model = DDM(SMALL.ddm)
    image = uniform(1, 3, 32, 32)
    same = model.resample.up(model.resample.down(image))
    lost = image - same
    kept = model.resample.down(lost)  # what is left of what was lost: up is no inverse of down
    other = image + lost - model.resample.up(kept)
    far = (model.resample.down(other) - model.resample.down(image)).abs().max()
    moved = (model.condition(other) - model.condition(image)).abs().max()
    weight = model.unet.from_c.weight.abs().sum(dim=(1, 2, 3)).max()
    assert moved <= 1.6 * max(weight, 1) * far + 1e-5, "only through the ULR"  # up amplifies by 1.25² at most
    assert (model.condition(0.5 * image) - model.condition(image)).abs().max() > 0.1


# ---------------------------------------------------------------------------------------------- DDM, eq. 2 to 4


def test_200_steps_end_where_ddpms_1000_do() -> None:
    def log_snr(T: int) -> float:
        abar = scaled_betas(T).alphas_bar[-1]
        return math.log(abar / (1 - abar))

    assert scaled_betas(1000).beta_1 == pytest.approx(1e-4) and scaled_betas(1000).beta_T == pytest.approx(0.02)
    assert TINY.diffusion.T == 200
    assert log_snr(200) == pytest.approx(log_snr(1000), rel=0.05)
    assert TINY.diffusion.alphas_bar[-1] ** 0.5 < 0.006, "a start at T is noise"


class Known(torch.nn.Module):
    """eps of images whose pixels are N(ULR brought up, std²), in closed form, in place of the network."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.config, self.std, self.resample = TINY.ddm, std, Bicubic(TINY.ddm.s)
        self.abar = torch.tensor(TINY.diffusion.alphas_bar, dtype=torch.float32)

    def condition(self, image: torch.Tensor) -> torch.Tensor:
        return self.resample.up(self.resample.down(image))

    def forward(self, x_t: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        a = self.abar[t][:, None, None, None]
        return (1 - a).sqrt() * (x_t - a.sqrt() * condition) / (a * self.std**2 + 1 - a)


def test_generation_from_noise_ends_in_the_distribution_that_its_condition_names() -> None:
    image = uniform(3, 96, 96)
    model = Known(0.2)
    x = ddm.generate(model, image, TINY.diffusion.T, normals(0, 96))  # type: ignore[arg-type]
    found = x - model.condition(image[None])[0]
    assert abs(float(found.mean())) < 0.01
    assert float(found.std()) == pytest.approx(0.2, rel=0.06)
    assert torch.equal(ddm.generate(model, image, 0, normals(0, 96)), image)  # type: ignore[arg-type]


def test_the_residual_unet_starts_at_the_best_linear_guess() -> None:
    """A silent network already knows the ULR: its loss is that of the linear guess, below 1 (a bare eps = 0)."""
    torch.manual_seed(0)
    stage = DDMStage(DDM(SMALL.ddm), 1e-3)
    image = Bicubic(2).up(uniform(4, 3, 16, 16))
    loss = float(stage({"image": image}, torch.Generator().manual_seed(0))["loss"].detach())
    assert loss < 0.9


# -------------------------------------------------------------------------------------------------- P-DDM


def steered(**bias: float) -> PDDM:
    """A P-DDM whose parameters are the same everywhere: logits of the first kernel and of sigma, g and o by their
    heads' biases."""
    torch.manual_seed(0)
    model = PDDM(SMALL.pddm).eval()
    heads = model.parameters_of
    with torch.no_grad():
        heads.maps.get_parameter("bias")[0] = bias.get("first", 0.0)
        heads.maps.get_parameter("bias")[-1] = bias.get("sigma", -40.0)
        heads.colour.get_parameter("bias")[:3] = bias.get("g", 0.0)
        heads.colour.get_parameter("bias")[3:] = bias.get("o", 0.0)
    return model


def test_every_kernel_sums_to_one_whatever_training_makes_of_it() -> None:
    model = PDDM(SMALL.pddm)
    with torch.no_grad():
        model.raw.copy_(uniform(*model.raw.shape, seed=1))
    torch.testing.assert_close(model.kernels().sum(dim=(1, 2, 3)), torch.ones(4), rtol=0, atol=1e-5)
    flat = torch.full((1, 3, 64, 64), 0.3)
    torch.testing.assert_close(model.blur(flat, model.parameters_of(flat)[0]), flat[:, :, ::4, ::4], rtol=0, atol=1e-5)


def test_the_sharpest_kernel_is_the_mean_of_r_by_r() -> None:
    """Before training its Gaussian is narrower than a pixel, so what remains is the pooling."""
    model, hr = steered(first=80.0), uniform(2, 3, 64, 48)
    pooled = torch.nn.functional.avg_pool2d(hr, 4)
    model_sigma = 0.1 * SMALL.pddm.r
    centre = 1 / sum(math.exp(-0.5 * (i / model_sigma) ** 2) for i in range(-6, 7)) ** 2
    made = model(hr, torch.zeros(2, 3, 16, 12)).detach()
    assert float((made - pooled).abs().max()) < 2 * (1 - centre)
    assert float((made - pooled).abs().mean()) < 0.02


def test_the_mixture_is_the_mean_of_the_single_blurs() -> None:
    model, hr = steered(), uniform(1, 3, 64, 64)
    made = model(hr, torch.zeros(1, 3, 16, 16))
    padded = torch.nn.functional.pad(hr, [6] * 4, mode="replicate")
    single = [torch.nn.functional.conv2d(padded, k[None].expand(3, 1, 13, 13), groups=3) for k in model.kernels()]
    pooled = torch.stack([torch.nn.functional.avg_pool2d(one, 4) for one in single])
    torch.testing.assert_close(made, pooled.mean(0).clamp(-1, 1), rtol=0, atol=1e-5)


def test_colour_and_noise_are_as_strong_as_their_parameters_say() -> None:
    flat, z = torch.full((1, 3, 512, 512), 0.2), torch.from_numpy(normals(0, 128)(0))[None]
    model = steered(sigma=-2.0, g=0.5, o=-0.3)
    sigma = SMALL.pddm.most_noise / (1 + math.exp(2.0))
    light = (1 + 0.25 * math.tanh(0.5)) * 0.2 + 0.25 * math.tanh(-0.3)
    made = model(flat, z).detach()
    torch.testing.assert_close(made - z * sigma, torch.full_like(z, light), rtol=0, atol=1e-5)
    assert float(made.std()) == pytest.approx(sigma, rel=0.02)
    white = steered(o=40.0)(torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 16, 16))
    assert torch.equal(white, torch.ones_like(white)), "saturates"


def test_the_parameters_follow_the_photograph() -> None:
    torch.manual_seed(1)
    model = PDDM(SMALL.pddm)
    for p in model.parameters_of.parameters():
        torch.nn.init.normal_(p, std=0.1)
    dark, texture = torch.full((1, 3, 64, 64), -0.8), uniform(1, 3, 64, 64)
    for one, other in zip(model.parameters_of(dark), model.parameters_of(texture), strict=True):
        assert not torch.allclose(one, other, atol=1e-3)


# ---------------------------------------------------------------------------------------------- eq. 5 and eq. 1


def test_the_adversarial_losses_have_their_values_and_signs() -> None:
    """-log D: ln 2 where D is undecided, 0 where it believes; L_D the other way round."""
    zero, sure = torch.zeros(2, 1, 4, 4), torch.full((2, 1, 4, 4), 30.0)
    assert float(adversarial.adversarial(zero)) == pytest.approx(math.log(2))
    assert float(adversarial.adversarial(sure)) < 1e-6 < 29 < float(adversarial.adversarial(-sure))
    assert float(adversarial.critical(zero, zero)) == pytest.approx(math.log(2))
    assert float(adversarial.critical(sure, -sure)) < 1e-6
    assert float(adversarial.critical(-sure, sure)) == pytest.approx(30)


def test_each_player_moves_by_its_own_loss() -> None:
    """The gradient of `loss` at D is L_D's, the one at P-DDM is that of L_rec + alpha L_adv."""
    torch.manual_seed(0)
    stage = adversarial.PDDMStage(PDDM(SMALL.pddm), 1e-3, alpha=0.5)
    small, other = (uniform(2, 3, 16, 16, seed=seed) for seed in (1, 2))
    batch = {"hr": uniform(2, 3, 64, 64), "bicubic": small, "real": other}

    def gradients(term: str) -> dict[str, torch.Tensor | None]:
        losses = stage(batch, torch.Generator().manual_seed(0))
        value = losses["rec"] + 0.5 * losses["adv"] if term == "pddm" else losses[term]
        names, parameters = zip(*stage.named_parameters(), strict=True)
        return dict(zip(names, torch.autograd.grad(value, parameters, allow_unused=True), strict=True))

    whole, critic, pddm = (gradients(term) for term in ("loss", "critic", "pddm"))
    for name, gradient in whole.items():
        own, other = (critic, pddm) if name.startswith("critic.") else (pddm, critic)
        assert other[name] is None and own[name] is not None and gradient is not None
        torch.testing.assert_close(gradient, own[name])


@pytest.mark.parametrize("w", [0.0, 0.25, 1.0])
def test_fusion_is_eq_1_and_its_ends_are_the_branches(w: float) -> None:
    torch.manual_seed(0)
    model = UDDM(SMALL).eval()
    image, hr, z = uniform(3, 16, 16), uniform(3, 64, 64, seed=1), uniform(3, 16, 16, seed=2)
    of_ddm = ddm.generate(model.ddm, image, 5, normals(0, 16))
    with torch.no_grad():
        of_pddm = model.pddm(hr[None], z[None])[0]
    made = generate(model, image, hr, z, 5, normals(0, 16), w)
    np.testing.assert_allclose(made.numpy(), (1 - w) * of_ddm.numpy() + w * of_pddm.numpy(), atol=1e-6)
    assert torch.equal(fuse(of_ddm, of_pddm, 0.0), of_ddm) and torch.equal(fuse(of_ddm, of_pddm, 1.0), of_pddm)
    assert float((of_ddm - of_pddm).abs().mean()) > 0.1


# ------------------------------------------------------------------------------------------------- training


def train(stage: str, samples: Path, out: Path, steps: int = 3) -> Path:
    source = Source((samples / "hr",), lr=(samples / "reference",))
    setup = Setup(source, TrainOptions(steps=steps, log_every=1, bf16=False), out, Machine(0, 1))
    return train_stage(stage, SMALL, Options(2, 1e-3), 32, setup)  # type: ignore[arg-type]


def test_both_stages_in_either_order_make_one_checkpoint(samples: Path, tmp_path: Path) -> None:
    assert train("pddm", samples, tmp_path) == tmp_path / "pddm.safetensors"
    with pytest.raises(DegradeError, match="holds a model of the kind 'pddm'"):
        load(tmp_path / "pddm.safetensors", UDDM)
    assert train("ddm", samples, tmp_path) == tmp_path / "uddm.safetensors"
    model, record = load(tmp_path / "uddm.safetensors", UDDM)
    assert [(e["stage"], e["steps_done"], e["photographs"] > 0) for e in record.training] == [
        ("ddm", 3, False), ("pddm", 3, True)
    ]  # fmt: skip
    assert record.training[0]["lr_photographs"] == len(list((samples / "reference").iterdir()))
    for branch, kind in ((model.ddm, DDM), (model.pddm, PDDM)):
        alone = load(tmp_path / f"{kind.__name__.lower()}.safetensors", kind)[0].state_dict()
        assert all(torch.equal(v, alone[k]) for k, v in branch.state_dict().items())


def test_what_cannot_be_trained_is_said(samples: Path, tmp_path: Path) -> None:
    setup = Setup(Source((), lr=(samples / "reference",)), TrainOptions(1, bf16=False), tmp_path, Machine(0, 1))
    with pytest.raises(DegradeError, match="without HR photographs"):
        train_stage("pddm", SMALL, Options(2, 1e-3), 32, setup)
    with pytest.raises(DegradeError, match="crop is 33"):
        train_stage("ddm", SMALL, Options(2, 1e-3), 33, setup)
    train("ddm", samples, tmp_path, steps=1)
    other = dataclasses.replace(SMALL, preset="other", ddm=dataclasses.replace(SMALL.ddm, s=4))
    setup = dataclasses.replace(setup, source=dataclasses.replace(setup.source, hr=(samples / "hr",)))
    with pytest.raises(DegradeError, match="other sizes than the preset other"):
        train_stage("pddm", other, Options(2, 1e-3), 32, setup)
