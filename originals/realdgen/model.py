"""The whole RealDGen generator: four networks, assembled; checkpoints read and written as safetensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import RealDGenConfig
from .content import VQVAE
from .degradation import DegradationExtractor, NoiseHead
from .modulation import Modulation
from .samples import Readings
from .unet import UNet


class RealDGen(nn.Module):
    """E_cont (in `vqvae`), E_deg, M with Rec_lr, eps_theta."""

    def __init__(self, config: RealDGenConfig) -> None:
        super().__init__()
        self.config = config
        self.vqvae = VQVAE(config.content)
        self.degradation = DegradationExtractor(config.degradation)
        self.modulation = Modulation(config.modulation, config.content, config.degradation.vector)
        channels = config.modulation.channels + (3 if config.unet.residual_std > 0 else 0)
        self.unet = UNet(config.unet, channels, config.diffusion.alphas_bar)
        gated = config.unet.noise_gate or config.unet.sample
        self.noise = NoiseHead(config.degradation.vector) if gated else None
        self.readings = Readings(config.degradation.vector) if config.degradation.spread else None

    def e_cont(self, x: Tensor) -> Tensor:
        """F_cont of x [B, 3, h, w]; zeros when the content extractor is ablated (Table 5, w/o E_cont)."""
        f = self.vqvae.encoder(x)
        return torch.zeros_like(f) if "content" in self.config.without else f

    def e_deg(self, x: Tensor) -> Tensor:
        """F_deg of x [B, 3, h, w]; zeros when the degradation extractor is ablated (Table 5, w/o E_deg)."""
        e = self.degradation(x)[:, : self.config.degradation.vector]
        return torch.zeros_like(e) if "degradation" in self.config.without else e

    def drawn(self, references: Tensor, w: Tensor) -> Tensor:
        """F_deg [n, D] of one more shot of the camera that took the references [B, m, 3, h, w]; w [n, D] standard
        normal, n a multiple of B, row i for the references of row i mod B. Needs `spread`."""
        assert self.readings is not None, "F_deg is drawn by models with `spread` alone"
        b, m = references.shape[:2]
        found = self.read(references.flatten(0, 1))
        value, precision = (one.reshape(b, m, -1).repeat(len(w) // b, 1, 1) for one in found)
        return self.readings(value, precision, w)

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What a reference x [B, 3, h, w] says of each number of F_deg: (value, precision), FP32 [B, D]. Needs
        `spread`."""
        assert self.readings is not None, "only models with `spread` say how sure they are"
        value, log_error = self.degradation(x).chunk(2, dim=1)
        return value.float(), self.readings.precision(log_error)

    def rec_hr(self, f_cont: Tensor) -> Tensor:
        """Rec_hr(F_cont), eq. 1."""
        return self.vqvae.decoder(f_cont)

    def rec_lr(self, f_deg: Tensor, f_cont: Tensor) -> Tensor:
        """Rec_lr(F_deg, F_cont), eq. 5: the model's own feed-forward LR [B, 3, h, w]."""
        return self.modulation.reconstruct(self.modulation(f_cont, f_deg), f_cont)

    def condition(self, f_deg: Tensor, f_cont: Tensor) -> tuple[Tensor, Tensor]:
        """(the U-Net's condition, Rec_lr's image): eq. 7, computed once a pair."""
        c = self.modulation(f_cont, f_deg)
        mu = self.modulation.reconstruct(c, f_cont)
        return self.unet.condition(c, mu, self.noise_std(f_deg)), mu

    def noise_std(self, f_deg: Tensor) -> Tensor | None:
        """How noisy the reference is, [B] in the networks' units; None without a noise head."""
        return self.noise(f_deg) if self.noise else None

    def parameter_counts(self) -> dict[str, int]:
        """Parameters of what generation runs: E_cont, E_deg, M with Rec_lr, eps_theta (Table 13 counts the
        generator)."""
        parts = {
            "content": self.vqvae.encoder,
            "degradation": self.degradation,
            "modulation": self.modulation,
            "unet": self.unet,
        }
        parts |= {name: part for name, part in (("noise", self.noise), ("readings", self.readings)) if part}
        return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
