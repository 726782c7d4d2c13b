"""A PyTorch Dataset over the folders of a set.

python examples/pytorch_dataset.py PAIRS
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Pairs(Dataset):
    """(LQ, GT) of a set's folder: float32 [3, side, side] and [3, 4·side, 4·side], 0 to 1. side: of the random crop of
    the LQ, in pixels."""

    def __init__(self, folder: str | Path, side: int = 64) -> None:
        self.folder, self.side = Path(folder), side
        self.names = sorted(path.name for path in (self.folder / "gt").iterdir())

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        lq, gt = (self._read(role, self.names[index]) for role in ("lq", "gt"))
        scale = gt.shape[1] // lq.shape[1]
        y, x = (int(torch.randint(size - self.side + 1, ())) for size in lq.shape[1:])
        y_gt, x_gt, side_gt = y * scale, x * scale, self.side * scale
        return lq[:, y : y + self.side, x : x + self.side], gt[:, y_gt : y_gt + side_gt, x_gt : x_gt + side_gt]

    def _read(self, role: str, name: str) -> torch.Tensor:
        return torch.from_numpy(np.array(Image.open(self.folder / role / name))).permute(2, 0, 1) / 255


if __name__ == "__main__":
    loader = DataLoader(Pairs(sys.argv[1]), batch_size=4, shuffle=True)
    lq, gt = next(iter(loader))
    print(f"{len(loader.dataset)} pairs; a batch: LQ {tuple(lq.shape)}, GT {tuple(gt.shape)}")
