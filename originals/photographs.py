"""Photographs to train on, and batches that are pure functions of (seed, step, rank): what every original shares.

A resumed run continues exactly, because the batch of a step is drawn from that step's own generator. What a batch
holds is each original's own affair (realdgen/data.py, lway/data.py).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import BadImage, photographs_in, read_rgb, resize_bicubic
from degrade_engine.engine.scalars import whole

from .noise import Image, Range, at_most, roughness

TRIES = 6  # crops of which the roughest is taken, where texture is wanted


@dataclass(frozen=True)
class PairRow:
    """Where a true pair lies: its group and the place in it; how often it is drawn; whether its HR is the noise-free LR
    itself (the mean of many shots, say), so that their difference is noise."""

    group: str
    place: int
    weight: float
    quiet: bool


@dataclass
class Photographs:
    """Everything in memory, uint8 RGB."""

    hr: list[Image] = field(default_factory=list)
    familiar: list[Image] = field(default_factory=list)  # the HR of the true pairs, at its own size
    lr: list[Image] = field(default_factory=list)
    lr_noise: list[Range] = field(default_factory=list)  # of each of `lr`
    pairs: dict[str, list[tuple[Image, Image]]] = field(default_factory=dict)  # group -> (HR at LR size, LR)
    rows: list[PairRow] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    listings: dict[str, list[list[str]]] = field(default_factory=dict)  # role -> [name, hash of the pixels] in order

    @classmethod
    def read(
        cls, hr: list[Path], lr: list[Path], pairs: list[Path], least: int, longest: int, held_out: list[Path]
    ) -> Photographs:
        """Folders of photographs and CSV files `hr,lr,group,weight,quiet` (paths relative to the CSV, or absolute; a
        pair is drawn with its weight, its reference from its group; `quiet` = 1 where the HR is the noise-free LR
        itself). Images smaller than `least` or unreadable are named in `left_out`, and so are copies, byte for byte, of
        a photograph in `held_out`."""
        self = cls()
        digests = {digest(path) for path in photographs_in(held_out)}
        self.hr = self._folder("HR", hr, least, 4096, digests)
        self.lr = self._folder("LR", lr, least, longest, digests)
        self.lr_noise = [at_most(image) for image in self.lr]
        for table in pairs:
            self._table(table, least)
        for name, folders, found in (("HR", hr, self.hr), ("LR", lr, self.lr)):
            if folders and not found:
                fact = f"no usable {name} photograph was found"
                raise DegradeError(fact, wanted=f"images of at least {least} px", mend=f"check --{name.lower()}")
        return self

    def _table(self, table: Path, least: int) -> None:
        columns = "a CSV with the columns hr,lr and, if wanted, group,weight,quiet"
        with table.open(newline="") as f:
            rows = csv.DictReader(f)
            if not {"hr", "lr"} <= set(rows.fieldnames or ()):
                raise DegradeError(f"{table} has the columns {', '.join(rows.fieldnames or ['none'])}", wanted=columns)
            for row in rows:
                sharp, soft = (read_rgb(table.parent / row[k]) for k in ("hr", "lr"))
                if min(soft.shape[:2]) < least:
                    fact = f"{table}: {row['lr']} is {soft.shape[1]}x{soft.shape[0]}"
                    raise DegradeError(fact, wanted=f"{least} px or more a side", mend="give a smaller --crop")
                try:
                    weight = float(row.get("weight") or 1)
                except ValueError as e:
                    fact = f"{table}: the weight of {row['lr']} is {row['weight']!r}"
                    raise DegradeError(fact, wanted="a number") from e
                self.familiar.append(sharp)
                group = row.get("group") or "all"
                self.pairs.setdefault(group, []).append((resize_bicubic(sharp, soft.shape[:2]), soft))
                place = len(self.pairs[group]) - 1
                self.rows.append(PairRow(group, place, weight, quiet=row.get("quiet") == "1"))
                self._list("pair", row["lr"], sharp, soft, self.rows[-1])

    def _list(self, role: str, name: str, *of: object) -> None:
        """Write down what a photograph is: another one of its name would give another model."""
        known = hashlib.sha256()
        for one in of:
            known.update(f"{one.shape}".encode() + one.tobytes() if isinstance(one, np.ndarray) else repr(one).encode())
        self.listings.setdefault(role, []).append([name, known.hexdigest()[:16]])

    def _folder(self, role: str, folders: list[Path], least: int, longest: int, digests: set[str]) -> list[Image]:
        images = []
        for path in photographs_in(folders):
            if digests and digest(path) in digests:
                self.left_out.append(f"{path.name}: held out")
                continue
            try:
                image = read_rgb(path)
            except BadImage as e:
                self.left_out.append(f"{path.name}: {e}")
                continue
            if min(image.shape[:2]) < least:
                self.left_out.append(f"{path.name}: {image.shape[1]}x{image.shape[0]} is smaller than {least}")
                continue
            y, x = (max(0, (n - longest) // 2) for n in image.shape[:2])
            images.append(np.ascontiguousarray(image[y : y + longest, x : x + longest]))
            self._list(role, path.name, images[-1])
        return images


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cut(rng: np.random.Generator, image: Image, size: int) -> Image:
    """A random square of `size`, randomly mirrored and turned by quarters."""
    y, x = (int(rng.integers(0, n - size + 1)) for n in image.shape[:2])
    return turn(rng, image[y : y + size, x : x + size])[0]


def turn(rng: np.random.Generator, *images: Image) -> list[Image]:
    quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))
    turned = [np.rot90(i, quarter) for i in images]
    return [np.ascontiguousarray(i[:, ::-1] if mirror else i) for i in turned]


def tensor(images: list[Image]) -> torch.Tensor:
    """uint8 HWC list -> float32 [N, 3, h, w] in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


class CropOptions(Protocol):
    """What `StepDataset.sharp` asks of an original's own data options."""

    @property
    def familiar(self) -> float: ...

    @property
    def textured(self) -> float: ...


class StepDataset(Dataset[dict[str, torch.Tensor]]):
    """Index = step. Subclasses make the batch of one step from its own generator. Raises DegradeError where the
    options do not do, or no photograph is large enough for them."""

    least_batch = 1

    def __init__(self, photographs: Photographs, options: CropOptions, batch: int, seed: int, rank: int) -> None:
        self.photographs, self.options, self.batch, self.seed, self.rank = photographs, options, batch, seed, rank
        whole("the batch", batch, self.least_batch)
        self.check()

    def hr_side(self) -> int:
        """HR pixels a side of the largest crop that `sharp` is asked for; 0 where it is not asked."""
        return 0

    def check(self) -> None:
        """Say now what would else be found out at some step, in another process."""
        side = self.hr_side()
        familiar = self.photographs.familiar if self.options.familiar > 0 else []
        for name, pool in (("HR photograph", self.photographs.hr), ("HR of a true pair", familiar)):
            if side and pool and all(min(image.shape[:2]) < side for image in pool):
                raise DegradeError(f"no {name} is {side} px on both sides", wanted="larger photographs",
                                   mend="give larger ones or a smaller --crop")  # fmt: skip

    def __len__(self) -> int:
        return 1 << 31

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        cv2.setNumThreads(0)
        rng = np.random.Generator(np.random.Philox(key=[self.seed, 0xDA7A], counter=[0, 0, step, self.rank]))
        return self.make(rng)

    def make(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def sharp(self, rng: np.random.Generator, size: int, scale: int) -> Image:
        """An HR crop of scale·size a side, from a photograph that is large enough (theta's blur is in pixels of this
        crop, so the scale is never changed to fit).

        Some come from the true pairs' own HR: else a model can tell from the content which camera the target comes
        from, and need not look at its reference.
        """
        use = self.photographs.familiar and rng.random() < self.options.familiar
        pool = self.photographs.familiar if use else self.photographs.hr
        for _ in range(1000):
            image = pool[int(rng.integers(len(pool)))]
            if min(image.shape[:2]) >= scale * size:
                return self.textured(rng, image, scale * size)
        raise DegradeError(f"hardly any photograph is {scale * size} px on both sides", wanted="larger photographs",
                           mend="give larger --hr photographs or a smaller --crop")  # fmt: skip

    def textured(self, rng: np.random.Generator, image: Image, size: int) -> Image:
        """A random square; in a share of the calls the roughest of TRIES, for sand and bark are rare in photographs and
        are what E_deg takes for noise."""
        tries = TRIES if rng.random() < self.options.textured else 1
        return max((cut(rng, image, size) for _ in range(tries)), key=roughness)

    def aligned(self, rng: np.random.Generator, size: int) -> tuple[PairRow, Image, Image, Image]:
        """A true pair, drawn by its weight: (its row, HR at LR size, LR, another LR of its group). The first two are
        crops of `size` a side of the same place, the last is whole."""
        weight = np.array([row.weight for row in self.photographs.rows])
        row = self.photographs.rows[int(rng.choice(len(weight), p=weight / weight.sum()))]
        group = self.photographs.pairs[row.group]
        clean, real = group[row.place]
        other = group[int(rng.integers(len(group)))][1]
        y, x = (int(rng.integers(0, n - size + 1)) for n in real.shape[:2])
        content, target = turn(rng, clean[y : y + size, x : x + size], real[y : y + size, x : x + size])
        return row, content, target, other


@dataclass(frozen=True)
class RealCrops:
    """Options of `RealBatches`. crop: LR pixels a side."""

    crop: int = 64
    familiar: float = 0.0  # there are no true pairs
    textured: float = 0.0


class RealBatches(StepDataset):
    """{"image": crops of real LR photographs [B, 3, crop, crop]}."""

    options: RealCrops

    def make(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        return {"image": tensor([self.real(rng) for _ in range(self.batch)])}

    def real(self, rng: np.random.Generator) -> Image:
        """A crop of a real LR photograph."""
        lr = self.photographs.lr
        return cut(rng, lr[int(rng.integers(len(lr)))], self.options.crop)


class Spoken(Dataset[Any]):
    """A StepDataset whose DegradeErrors are values: raised in another process, they would come with its traceback."""

    def __init__(self, dataset: StepDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, step: int) -> dict[str, torch.Tensor] | DegradeError:
        try:
            return self.dataset[step]
        except DegradeError as error:
            return error


def batches(dataset: StepDataset, first: int, last: int, workers: int) -> Iterator[dict[str, torch.Tensor]]:
    """The batches of steps first..last-1, made ahead by `workers` processes."""
    for batch in DataLoader(Spoken(dataset), batch_size=None, sampler=range(first, last), num_workers=workers,
                            prefetch_factor=4 if workers else None):  # fmt: skip
        if isinstance(batch, DegradeError):
            raise batch
        yield batch
