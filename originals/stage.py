"""What most trainings are a stage of: a whole model at one learning rate."""

from __future__ import annotations

from typing import Any

from torch import nn


class WholeModel(nn.Module):
    """A stage (trainer.py) that trains all of its parameters alike. Subclasses say `batches`, the StepDataset, and what
    `forward` makes of a batch."""

    def __init__(self, model: nn.Module, lr: float) -> None:
        super().__init__()
        self.model, self.lr = model, lr

    def groups(self) -> list[dict[str, Any]]:
        """AdamW's parameter groups."""
        return [{"params": [*self.parameters()], "lr": self.lr}]
