"""Pairs that are made while a network trains, with no set on the disk.

python examples/fresh_pairs.py HR [BATCHES_DONE]
"""

import sys
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import degrade_engine


class FreshPairs(IterableDataset):
    """(LQ, GT), each pair once: float32 [3, h, w] and [3, H, W], 0 to 1. batches_done: how many batches of batch_size
    an earlier loop took with as many workers; the next ones follow. how: arguments of `degrade_engine.stream`."""

    def __init__(self, batch_size: int, batches_done: int = 0, **how) -> None:
        self.batch_size, self.batches_done, self.how = batch_size, batches_done, how

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        worker = get_worker_info()
        workers = worker.num_workers if worker else 1
        # batch n is worker n % workers' own, and a new loop begins with its worker 0
        number = ((worker.id if worker else 0) + self.batches_done) % workers
        mine = -(-(self.batches_done - number) // workers)  # batches that it has given
        first = number + workers * self.batch_size * mine
        for pair in degrade_engine.stream(first=first, every=workers, threads=1, **self.how):
            yield tuple(torch.from_numpy(image).permute(2, 0, 1) / 255 for image in (pair.lq, pair.gt))


if __name__ == "__main__":
    done = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    pairs = FreshPairs(4, done, degrader="camera", hr=sys.argv[1], lr_size=32, seed=1)
    loader = DataLoader(pairs, batch_size=4, num_workers=2, multiprocessing_context="spawn")
    for step, (lq, gt) in zip(range(done, done + 3), loader, strict=False):
        print(f"batch {step}: LQ {tuple(lq.shape)}, GT {tuple(gt.shape)}, mean {lq.mean():.6f}")
