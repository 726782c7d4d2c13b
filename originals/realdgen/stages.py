"""The training stages of RealDGen, each a module with one forward and its learning rates.

vqvae        the VQ-VAE on HR images                      (A.1.1: a pretrained one in the paper)
content      its encoder, LR to HR, decoder frozen        eq. 1, 2
degradation  E_deg and Rec_lr                             eq. 3 to 6
ddpm         eps_theta and M, extractors nearly frozen    Algorithm 1, A.5
sample       instead of ddpm: one call, a sample          samples.py (ours)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from degrade_engine.engine.errors import DegradeError
from degrade_engine.originals.photographs import StepDataset

from . import data, losses, samples
from .model import RealDGen


@dataclass(frozen=True)
class StageOptions:
    """What a stage may depart in. The defaults are the paper's; `TINY_STAGES` is what the committed checkpoint was
    trained with."""

    batch: int = 16
    lr: float = 1e-4  # A.3 (E_deg, DDPM); the content stage's 1e-5 is A.1.1
    lr_content: float = 1e-5
    lr_finetune: float = 1e-6  # A.3: first block of E_cont, last convolution of E_deg
    lr_degradation: float = 0.0  # stage ddpm: > 0 lets the whole of E_deg learn on at this rate
    margin: float = 0.01
    spectral_weight: float = 0.0  # auxiliary: E_deg also predicts `data.spectral_targets`
    contrastive_weight: float = 1.0
    noise_weight: float = 0.0  # of how well F_deg tells the noise, for the noise gate; E_deg's and the last stage
    reconstruction_weight: float = 0.0  # stage ddpm: eq. 6 on Rec_lr beside Algorithm 1, so that M stays Rec_lr
    low_share: float = 0.0  # share of the rows with t drawn from 1..low
    low: int = 60
    start_share: float = 0.0  # share of the rows noised from a start image, see losses.diffuse_as_generated
    hidden_share: float = 0.0  # share of the rows whose x_t does not tell the target's noise, see the same
    mapping_alone: bool = False  # of E_deg, only the mapping that gives F_deg learns (stage sample, tuning)
    lr_modulation: float = 0.0  # stage sample: of M, where it differs from lr
    lr_variety: float = 2e-3  # stage sample: of the camera's variety, 128 numbers
    tau: int = 40  # stage sample: where the one call begins
    whole_weight: float = 0.5  # stage sample: of the score over whole crops, beside that over neighbourhoods
    plain_weight: float = 0.3  # stage sample: of the score of Rec_lr with white noise
    finetune: bool = True  # False: w/o fine-tuning (Table 15)
    pretrained: bool = True  # False: w/o pre-training (Table 15): extractors from scratch, trained with the DDPM


PAPER_STAGES = StageOptions(batch=8)
TINY_STAGES = StageOptions(lr=6e-4, lr_content=4e-4, spectral_weight=0.05, contrastive_weight=0.02,
                           lr_degradation=2e-4, noise_weight=0.3, reconstruction_weight=20.0, low_share=0.7, low=100,
                           start_share=0.5, hidden_share=0.7)  # fmt: skip
SMALL_STAGES = dataclasses.replace(TINY_STAGES, batch=8, lr=4e-4)
GROWN_STAGES = dataclasses.replace(  # from a trained tiny
    SMALL_STAGES, mapping_alone=True, lr_modulation=1e-4, lr_degradation=2e-4
)
STAGE_PRESETS = {"paper": PAPER_STAGES, "tiny": TINY_STAGES, "small": SMALL_STAGES}


class Stage(nn.Module):
    """A model, its options, and what one step minimises."""

    batches: type[StepDataset]

    def __init__(self, model: RealDGen, options: StageOptions) -> None:
        super().__init__()
        self.model, self.options = model, options

    def parts(self) -> list[dict[str, Any]]:
        """AdamW parameter groups with their learning rates."""
        raise NotImplementedError

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        raise NotImplementedError

    def groups(self) -> list[dict[str, Any]]:
        """The `parts`, all else frozen."""
        groups = [{"params": list(part["params"]), "lr": part["lr"]} for part in self.parts()]
        self.requires_grad_(False)
        for group in groups:
            for p in group["params"]:
                p.requires_grad_(True)
        return groups


class VQVAEStage(Stage):
    """Mean squared error of the VQ-VAE, and 0.25 of the commitment (van den Oord et al., eq. 3)."""

    batches = data.HRBatches

    def parts(self) -> list[dict[str, Any]]:
        return [{"params": self.model.vqvae.parameters(), "lr": self.options.lr}]

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        x = batch["image"]
        x_hat, commitment = self.model.vqvae(x)
        half = (len(x) + 1) // 2
        coded, direct = losses.reconstruction(x_hat[:half], x[:half]), losses.reconstruction(x_hat[half:], x[half:])
        weight = (
            0.25 if not self.model.config.content.shortcut else 0.01
        )  # a lossless code must not be pulled onto 256 points
        return {
            "loss": coded + direct + weight * commitment,
            "coded": coded,
            "direct": direct,
            "commitment": commitment,
        }


class ContentStage(Stage):
    """L_rh (eq. 2): E_cont sees the degraded image, the frozen decoder must give the clean one."""

    batches = data.ContentBatches

    def parts(self) -> list[dict[str, Any]]:
        return [{"params": self.model.vqvae.encoder.parameters(), "lr": self.options.lr_content}]

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        x_hat = self.model.rec_hr(self.model.e_cont(batch["degraded"]))
        loss = losses.reconstruction(x_hat, batch["clean"])
        return {"loss": loss, "unrestored": losses.reconstruction(batch["degraded"], batch["clean"])}


class DegradationStage(Stage):
    """L_cl + L_rl (eq. 4, 6). F_deg for eq. 5 comes from another content with the same theta (a positive), so that it
    can carry no content. Tiny's training adds the spectral head, which is thrown away afterwards, and the gate's
    noise: of synthetic rows, of true pairs that say what of them is noise, and bounded on real photographs."""

    batches = data.TripletBatches

    def __init__(self, model: RealDGen, options: StageOptions) -> None:
        super().__init__(model, options)
        self.spectral = nn.Sequential(
            nn.Linear(model.config.degradation.vector, 128), nn.SiLU(), nn.Linear(128, 3 * data.BANDS)
        )

    def parts(self) -> list[dict[str, Any]]:
        parts = [self.model.degradation, self.model.modulation, self.spectral]
        parts += [self.model.noise] if self.model.noise else []
        return [{"params": [p for part in parts for p in part.parameters()], "lr": self.options.lr}]

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        model, options = self.model, self.options
        seen = ["anchor", "positive", "negative", "pair_reference", "pair_target", "pair_content", "real"]
        images = {name: batch[name] for name in seen if name in batch}
        vectors = model.e_deg(torch.cat([*images.values()])).float().split([len(x) for x in images.values()])
        e = dict(zip(images, vectors, strict=True))
        cl, ordered = losses.contrastive(e["anchor"], e["positive"], e["negative"], options.margin)
        other = e["positive"][:: data.TripletBatches.n]
        content, target, spectrum = batch["content"], batch["anchor"], batch["spectrum"]
        noisy = [(e["anchor"], batch["noise_range"]), (other, batch["noise_range"])]  # F_deg, what the gate should find
        if "pair_target" in batch:  # a true pair is a triplet too: another LR of its camera, and its own sharp side
            cl = cl + losses.contrastive(e["pair_target"], e["pair_reference"], e["pair_content"], options.margin)[0]
            other = torch.cat([other, e["pair_reference"]])
            content = torch.cat([content, batch["pair_content"]])
            target = torch.cat([target, batch["pair_target"]])
            spectrum = torch.cat([spectrum, batch["pair_spectrum"]])
            noisy.append((e["pair_reference"], batch["pair_noise_range"]))
        if "real" in batch:
            noisy.append((e["real"], batch["real_noise_range"]))
        rl = losses.reconstruction(model.rec_lr(other, model.e_cont(content)), target)
        known = torch.isfinite(spectrum)
        spectral = F.smooth_l1_loss(self.spectral(other).float()[known], spectrum[known])
        loss = rl + options.contrastive_weight * cl + options.spectral_weight * spectral
        parts = {"loss": loss, "rl": rl, "cl": cl, "ordered": ordered, "spectral": spectral}
        if model.noise:
            f_deg, wanted = (torch.cat(part) for part in zip(*noisy, strict=True))
            parts["noise"] = losses.noise_error(model.noise(f_deg), wanted)
            parts["loss"] = loss + options.noise_weight * parts["noise"]
        with torch.no_grad():
            parts["identity"] = losses.reconstruction(content, target)  # what doing nothing would cost
        return parts


class DDPMStage(Stage):
    """Algorithm 1 with the partial fine-tuning of A.5."""

    batches = data.DiffusionBatches

    def parts(self) -> list[dict[str, Any]]:
        model, options = self.model, self.options
        trained = [*model.unet.parameters(), *model.modulation.parameters()]
        trained += model.noise.parameters() if model.noise else []
        groups = [{"params": trained, "lr": options.lr}]
        if not options.pretrained:
            groups.append(
                {"params": [*model.vqvae.encoder.parameters(), *model.degradation.parameters()], "lr": options.lr}
            )
        elif options.finetune:
            first, last = model.vqvae.encoder.down[0], model.degradation.last
            if options.lr_degradation:  # tiny: how noisy the reference is, E_deg learns best from what it is needed for
                extractor = model.degradation.mapping if options.mapping_alone else model.degradation
                groups.append({"params": [*extractor.parameters()], "lr": options.lr_degradation})
                groups.append({"params": [*first.parameters()], "lr": options.lr_finetune})
            else:
                groups.append({"params": [*first.parameters(), *last.parameters()], "lr": options.lr_finetune})
        return groups

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        model, options = self.model, self.options
        x_0 = batch["target"]
        t = losses.draw_t(len(x_0), model.config.diffusion.T, generator, options.low_share, options.low).to(x_0.device)
        eps = torch.randn(x_0.shape, generator=generator).to(x_0.device)
        f_deg, f_cont = model.e_deg(batch["reference"]), model.e_cont(batch["content"])
        c = model.modulation(f_cont, f_deg)
        mu = model.modulation.reconstruct(c, f_cont)
        s = model.noise_std(f_deg)
        condition = model.unet.condition(c, mu.detach(), None if s is None else s.detach())
        x_t = losses.diffuse(x_0, eps, t, model.unet.abar)
        if options.start_share > 0 or options.hidden_share > 0:
            base, kept = self.as_generated(batch, mu.detach().float(), t, generator)
            x_t, eps = losses.diffuse_as_generated(x_0, base, eps, t, model.unet.abar, batch["noise"], kept)
        eps_hat = model.unet(x_t, t, condition)
        loss_eps = losses.reconstruction(eps_hat, eps)
        clean = batch["clean"][:, None, None, None]
        rl = ((mu.float() - x_0).square() * clean).mean() / clean.mean().clamp_min(1e-6)
        found = {"loss": loss_eps + options.reconstruction_weight * rl, "eps": loss_eps, "rl": rl}
        if s is not None:
            found["noise"] = losses.noise_error(s, batch["noise_range"])
            found["loss"] = found["loss"] + options.noise_weight * found["noise"]
        return found

    def as_generated(
        self, batch: dict[str, Tensor], mu: Tensor, t: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """(base [B, 3, h, w], kept [B]) of losses.diffuse_as_generated: which rows come from the content or from
        Rec_lr's mu, and how much of the target's noise each x_t tells (1 = all, as in Algorithm 1)."""
        options, x_0 = self.options, batch["target"]

        def chance(share: float) -> Tensor:
            return torch.rand(len(x_0), generator=generator).to(x_0.device) < share

        start = torch.where(chance(0.5)[:, None, None, None], mu, batch["content"]) + batch["noise"]
        rows = chance(options.start_share) & (batch["clean"] > 0)
        remains = rows * losses.remains_of_start(t, self.model.unet.abar, generator)
        base = x_0 + remains[:, None, None, None] * (start - x_0)
        told = torch.rand(len(x_0), generator=generator).to(x_0.device) ** 3  # a generation's first steps tell nothing
        return base, torch.where(chance(options.hidden_share), told, torch.ones_like(told))


class SampleStage(Stage):
    """One call that returns a sample (samples.py): E_deg, its readings, M and eps_theta learn together by the energy
    score of two samples a row. So that Rec_lr with white noise of the head's s is a sample too, it is scored beside."""

    batches = data.SampleBatches

    def __init__(self, model: RealDGen, options: StageOptions) -> None:
        super().__init__(model, options)
        if model.readings is None or not model.config.unet.sample:
            fact = f"the stage sample was asked for a model of the preset {model.config.preset}"
            raise DegradeError(fact, wanted="--preset small", mend="train the other stages with it, too")

    def parts(self) -> list[dict[str, Any]]:
        model, options = self.model, self.options
        assert model.readings is not None and model.noise is not None
        extractor = model.degradation.mapping if options.mapping_alone else model.degradation
        return [
            {"params": [*model.unet.parameters(), *model.noise.parameters()], "lr": options.lr},
            {"params": model.modulation.parameters(), "lr": options.lr_modulation or options.lr},
            {"params": extractor.parameters(), "lr": options.lr_degradation},
            {"params": model.readings.parameters(), "lr": options.lr_variety},
        ]

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        model, options = self.model, self.options
        content, target = batch["content"], batch["target"]
        b = len(content)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(content.device)

        f_deg = model.drawn(batch["references"], normal(2 * b, model.config.degradation.vector))
        f_cont = model.e_cont(content).repeat(2, 1, 1, 1)
        c = model.modulation(f_cont, f_deg)
        mu = model.modulation.reconstruct(c, f_cont).float()
        s = model.noise_std(f_deg)
        assert s is not None
        condition = model.unet.condition(c, mu, s)
        t = torch.full((2 * b,), options.tau, device=content.device)
        abar = model.unet.abar[options.tau]
        x_t = abar.sqrt() * mu + (1 - abar).sqrt() * normal(*mu.shape)
        x_0 = (x_t - (1 - abar).sqrt() * model.unet(x_t, t, condition)) / abar.sqrt()
        noisy = mu + s[:, None, None, None] * normal(*mu.shape)
        with torch.autocast(content.device.type, enabled=False):
            real, sharp = target.float(), content.float()
            call = samples.score(x_0[:b].float(), x_0[b:].float(), real, sharp)
            plain = samples.score(noisy[:b].float(), noisy[b:].float(), real, sharp)
            mean = losses.reconstruction((mu[:b] + mu[b:]) / 2, target)
        loss = call.local + options.whole_weight * call.whole
        beside = plain.local + options.whole_weight * plain.whole
        return {"loss": loss + options.plain_weight * beside, "local": call.local, "whole": call.whole,
                "plain_local": plain.local, "plain_whole": plain.whole, "error": call.error, "spread": call.spread,
                "off": call.off, "plain_off": plain.off, "mse": mean}  # fmt: skip


STAGES: dict[str, type[Stage]] = {"vqvae": VQVAEStage, "content": ContentStage, "degradation": DegradationStage,
                                  "ddpm": DDPMStage, "sample": SampleStage}  # fmt: skip


def stages_before(name: str, options: StageOptions) -> Sequence[str]:
    """Which stages' weights stage `name` starts from."""
    if name == "ddpm" and not options.pretrained:
        return ()
    names = list(STAGES)
    return names[: names.index("ddpm" if name == "sample" else name)]
