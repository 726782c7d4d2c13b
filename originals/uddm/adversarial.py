"""The training of P-DDM (eq. 5): L = L_rec + alpha L_adv.

    L_rec = ||I_lr^P - I_hr down r||²    the mean square, so that alpha does not depend on the crop's size
    L_adv = -log D(I_lr^P)               Ledig et al. 2017; D learns beside it to tell I_lr^P from real LR

D sees patches, so that it judges the look of a photograph and not its subject, and is made of plain convolutions. Both
players move at every step: one backward pass of L + L_D, in which L reads D's weights as constants and L_D reads I_lr^P
as one. The paper gives neither D nor alpha.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from degrade_engine.originals.stage import WholeModel

from .data import PDDMBatches
from .pddm import PDDM

ALPHA = 2e-3


class Critic(nn.Sequential):
    """D: LR [B, 3, h, w] -> logits [B, 1, h/4, w/4] of "this is a real LR photograph"."""

    def __init__(self, width: int) -> None:
        leak = [nn.LeakyReLU(0.2) for _ in range(4)]
        super().__init__(
            nn.Conv2d(3, width, 3, padding=1), leak[0],
            nn.Conv2d(width, width, 4, stride=2, padding=1), leak[1],
            nn.Conv2d(width, 2 * width, 3, padding=1), leak[2],
            nn.Conv2d(2 * width, 2 * width, 4, stride=2, padding=1), leak[3],
            nn.Conv2d(2 * width, 1, 3, padding=1),
        )  # fmt: skip


def adversarial(of_made: Tensor) -> Tensor:
    """L_adv = -log D(made), from D's logits, mean over patches."""
    return F.softplus(-of_made.float()).mean()


def critical(of_real: Tensor, of_made: Tensor) -> Tensor:
    """L_D = -log D(real) - log(1 - D(made)), from D's logits, half of their sum."""
    return (F.softplus(-of_real.float()).mean() + F.softplus(of_made.float()).mean()) / 2


class PDDMStage(WholeModel):
    """eq. 5 on {"hr", "bicubic", "real"}. "loss" is minimised; "rec", "adv" and "critic" are its parts."""

    batches = PDDMBatches
    model: PDDM

    def __init__(self, model: PDDM, lr: float, alpha: float = ALPHA) -> None:
        super().__init__(model, lr)
        self.alpha = alpha
        self.critic = Critic(model.config.critic)

    def forward(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        target = batch["bicubic"]
        z = torch.randn(target.shape, generator=generator).to(target.device)
        made = self.model(batch["hr"], z)
        rec = F.mse_loss(made, target)
        constant = {name: p.detach() for name, p in self.critic.named_parameters()}
        adv = adversarial(functional_call(self.critic, constant, (made,)))
        critic = critical(self.critic(batch["real"]), self.critic(made.detach()))
        return {"loss": rec + self.alpha * adv + critic, "rec": rec, "adv": adv, "critic": critic}
