"""What each training stage sees. Every batch is a pure function of (seed, step, rank): a resumed run continues exactly.

Three sources, all cut to `crop` LR pixels:

- **synthetic**: a sharp photograph at scale 1, 2 or 4 and a degradation theta, x_lr = D(x_hr; theta). D is
  Real-ESRGAN's second order as published, or its milder camera-like ranges, or nothing at all (a clean reference
  must give a clean LR).
- **unpaired**: a real LR photograph; content and degradation both come from it (Algorithm 1 as printed), the
  degradation from another crop of it, so that no content leaks through F_deg. Its noise is bounded (noise.py).
- **true pairs**, where the user has some: HR brought to LR size, the camera's LR, and a reference of the same group.

Content is always the clean image on the LR grid where there is one, as in generation. Every row of the last stage also
says which part of its target is noise, where that is known: a synthetic target is made a second time without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from degrade_engine.engine.classical import camera
from degrade_engine.engine.classical.realesrgan import CAMERA, REALESRGAN, SecondOrder, apply, draw
from degrade_engine.engine.errors import DegradeError
from degrade_engine.engine.images import resize_bicubic
from degrade_engine.engine.scalars import number
from degrade_engine.originals.noise import Image, Noise, Range, difference, exactly
from degrade_engine.originals.photographs import StepDataset, cut, tensor

Theta = SecondOrder | camera.Camera
Set = tuple[Image, Image, list[Image]]  # content, target, references
BANDS = 6  # radial bands of the spectral targets
MILD = dataclasses.replace(  # CAMERA with blur alone in four samples of ten: most cameras' LR has little noise
    CAMERA, second=dataclasses.replace(CAMERA.second, skip_noise=0.4, skip_jpeg=0.6, jpeg_range=(10, 98))
)


@dataclass(frozen=True)
class DataOptions:
    """`mix` = samples of a batch of eps_theta that are synthetic, unpaired, true pairs (weights; absent sources drop
    out)."""

    crop: int = 64  # LR pixels a side
    reference_crop: int = 64  # LR pixels a side of what E_deg sees
    mix: tuple[float, float, float] = (0.5, 0.25, 0.25)
    clean: float = 0.12  # share of synthetic samples that are not degraded at all
    familiar: float = 0.3  # share of synthetic samples whose photograph is the HR of a true pair, where there are some
    strong: float = 0.2  # share of synthetic samples by the published Real-ESRGAN ranges; the rest by MILD
    textured: float = 0.25  # share of crops, sharp or unpaired, that are the roughest of a few
    camera: float = 0.0  # share of the degraded synthetic samples by the synthetic camera
    exposed: bool = False  # whether the LR of a true pair is brought to its HR's exposure
    longest: int = 1024  # unpaired photographs are cut to their central square of this size

    def __post_init__(self) -> None:
        for weight in self.mix:
            number("a weight of the mix", weight, 0)


def spectral_targets(clean: Image, degraded: Image, noise: Noise | None) -> np.ndarray:
    """What the degradation did, band by band: float32 [3·BANDS], the log power of the degraded image over the clean
    one's, the log power of their difference, and that of the noise in it (NaN where it is not known), in radial
    frequency bands. The auxiliary target of E_deg (tiny preset's training)."""
    a, b = (i.astype(np.float32).mean(axis=2) / 127.5 for i in (clean, degraded))
    c = np.full_like(a, np.nan) if noise is None else noise.mean(axis=2)
    n = a.shape[0]
    window = np.hanning(n).astype(np.float32)
    window = window[:, None] * window[None]
    power = [np.abs(np.fft.rfft2((i - i.mean()) * window)) ** 2 for i in (a, b, a - b, c)]
    fy, fx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None]
    band = np.minimum((np.hypot(fy, fx) / 0.5 * BANDS).astype(int), BANDS - 1)
    pa, pb, pd, pn = (
        np.bincount(band.ravel(), p.ravel(), BANDS) / np.bincount(band.ravel(), minlength=BANDS) for p in power
    )
    floor = 1e-3
    bands = [np.log((pb + floor) / (pa + floor)), 0.25 * np.log(pd + floor), 0.25 * np.log(pn + floor)]
    return np.concatenate(bands).astype(np.float32)


@dataclass(frozen=True)
class Row:
    """What one row of a batch is made of. noise: the part of the target that is noise, None = not known; noise_range:
    what is known of how strong it is, in the target and in the reference alike."""

    content: Image
    target: Image
    reference: Image
    noise: Noise | None
    noise_range: Range


class RealDGenBatches(StepDataset):
    """The three sources; subclasses make the batches of a stage from them."""

    options: DataOptions

    def hr_side(self) -> int:
        return 4 * max(self.options.crop, self.options.reference_crop)

    # the three sources

    def theta(self, rng: np.random.Generator) -> Theta | None:
        """A degradation, or None for none."""
        kind = rng.random()
        if kind < self.options.clean:
            return None
        if rng.random() < self.options.camera:
            return camera.draw(int(rng.integers(1 << 31)), int(rng.integers(1 << 31)))
        ranges = REALESRGAN if kind < self.options.clean + self.options.strong else MILD
        return draw(int(rng.integers(1 << 31)), int(rng.integers(1 << 31)), ranges)

    def scale(self, rng: np.random.Generator) -> int:
        return int(rng.choice([1, 2, 4], p=[0.5, 0.35, 0.15]))

    def degrade(
        self, rng: np.random.Generator, hr: Image, theta: Theta | None, scale: int, noise: bool = True
    ) -> tuple[Image, Image]:
        """(clean, degraded), both on the LR grid. A camera takes another shot each time, with the blocks of its JPEG
        where the crop begins, as they are in a generated LR. noise=False: the same without the noise."""
        clean = hr if scale == 1 else resize_bicubic(hr, (hr.shape[0] // scale, hr.shape[1] // scale))
        if theta is None:
            return clean, clean
        if isinstance(theta, camera.Camera):
            taken = camera.shot(theta, rng)
            taken = dataclasses.replace(taken, shot=dataclasses.replace(taken.shot, jpeg_grid=(0, 0)))
            seed = int(rng.integers(1 << 31))
            return clean, camera.apply(hr, taken, scale=scale, noise_seed=seed, without_noise=not noise)
        if not noise:
            theta = dataclasses.replace(theta, noise1=None, noise2=None)
        return clean, apply(hr, theta, scale=scale, noise_seed=int(rng.integers(1 << 31)))

    def degrade_twice(
        self, rng: np.random.Generator, hr: Image, theta: Theta | None, scale: int
    ) -> tuple[Image, Image, Noise]:
        """(clean, degraded, noise): the degraded image less the same one made without noise is its noise."""
        state = rng.bit_generator.state
        clean, degraded = self.degrade(rng, hr, theta, scale)
        if theta is None or not (theta.sensor if isinstance(theta, camera.Camera) else theta.has_noise):
            return clean, degraded, np.zeros(degraded.shape, np.float32)
        rng.bit_generator.state = state
        return clean, degraded, difference(degraded, self.degrade(rng, hr, theta, scale, noise=False)[1])

    def synthetic(self, rng: np.random.Generator) -> Row:
        """The reference has another content and the same theta."""
        size, theta, scale = self.options.reference_crop, self.theta(rng), self.scale(rng)
        other = self.degrade(rng, self.sharp(rng, size, scale), theta, scale)[1]
        content, target, noise = self.degrade_twice(rng, self.sharp(rng, self.options.crop, scale), theta, scale)
        return Row(content, target, other, noise, exactly(noise))

    def unpaired(self, rng: np.random.Generator) -> Row:
        i = int(rng.integers(len(self.photographs.lr)))
        image = self.photographs.lr[i]
        x, reference = cut(rng, image, self.options.crop), self.textured(rng, image, self.options.reference_crop)
        return Row(x, x, reference, None, self.photographs.lr_noise[i])

    def true_pair(self, rng: np.random.Generator) -> Row:
        row, content, target, other = self.aligned(rng, self.options.crop)
        if self.options.exposed:
            target = exposed(target, content)
        noise = difference(target, content) if row.quiet else None
        return Row(content, target, cut(rng, other, self.options.reference_crop), noise, exactly(noise))


class HRBatches(RealDGenBatches):
    """Stage vqvae: {"image"}: sharp photographs on the LR grid, at every scale."""

    least_batch = 2  # half of the rows go through the codebook, half around it

    def make(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        return {"image": tensor([self.degrade(rng, self.sharp(rng, self.options.crop, s), None, s)[0]
                                 for s in (self.scale(rng) for _ in range(self.batch))])}  # fmt: skip


class ContentBatches(RealDGenBatches):
    """Stage content: {"degraded", "clean"} (eq. 1, 2)."""

    def make(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        rows = []
        for _ in range(self.batch):
            scale = self.scale(rng)
            rows.append(self.degrade(rng, self.sharp(rng, self.options.crop, scale), self.theta(rng), scale))
        return {"clean": tensor([r[0] for r in rows]), "degraded": tensor([r[1] for r in rows])}


class TripletBatches(RealDGenBatches):
    """Stage degradation: the triplets of eq. 3, n positives and n negatives an anchor, and rows of true pairs for eq.
    5.

    {"anchor" [A], "positive" [A·n], "negative" [A·n], "content" [A], "spectrum" [A, 3·BANDS], "noise_range" [A, 2]};
    where true pairs are given also "pair_content", "pair_target", "pair_reference", "pair_spectrum",
    "pair_noise_range"; where unpaired photographs are, "real" [A] and "real_noise_range", for the bound on their noise.
    """

    n = 3

    def make(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        size = self.options.crop
        anchors, contents, positives, negatives, spectra, noises = [], [], [], [], [], []
        for _ in range(self.batch):
            scale, theta = self.scale(rng), self.theta(rng)
            hr = self.sharp(rng, size, scale)
            clean, anchor, noise = self.degrade_twice(rng, hr, theta, scale)
            anchors.append(anchor)
            contents.append(clean)
            spectra.append(spectral_targets(clean, anchor, noise))
            noises.append(exactly(noise))
            for _ in range(self.n):
                positives.append(self.degrade(rng, self.sharp(rng, size, scale), theta, scale)[1])
                negatives.append(self.degrade(rng, hr, self.theta(rng), scale)[1])
        batch = {"anchor": tensor(anchors), "content": tensor(contents), "positive": tensor(positives),
                 "negative": tensor(negatives), "spectrum": torch.from_numpy(np.stack(spectra)),
                 "noise_range": torch.tensor(noises)}  # fmt: skip
        if self.photographs.pairs:
            rows = [self.true_pair(rng) for _ in range(self.batch)]
            batch |= {f"pair_{name}": images for name, images in image_tensors(rows).items()}
            spectrum = [spectral_targets(row.content, row.target, row.noise) for row in rows]
            batch["pair_spectrum"] = torch.from_numpy(np.stack(spectrum))
            batch["pair_noise_range"] = torch.tensor([row.noise_range for row in rows])
        if self.photographs.lr:
            rows = [self.unpaired(rng) for _ in range(self.batch)]
            batch["real"] = tensor([row.reference for row in rows])
            batch["real_noise_range"] = torch.tensor([row.noise_range for row in rows])
        return batch


class DiffusionBatches(RealDGenBatches):
    """Stage ddpm: {"content", "target", "reference"} (Algorithm 1), the three sources mixed; "noise" [B, 3, h, w] is
    what of the target is noise, 0 where that is not known, and "noise_range" [B, 2] how strong it is; "clean" [B]
    says whose content is a clean image, so that Rec_lr can be held to the target (an unpaired row would teach it to
    copy)."""

    def check(self) -> None:
        super().check()
        if not self.weights().sum() > 0:
            fact = f"The mix is {self.options.mix}, and of what it names no photographs came"
            raise DegradeError(fact, mend="give --lr or --pairs, or another --mix")

    def weights(self) -> np.ndarray:
        """Of the three sources, 0 for one that is not there."""
        there = [True, bool(self.photographs.lr), bool(self.photographs.pairs)]
        return np.array(self.options.mix) * there

    def sources(self) -> list[Callable[[np.random.Generator], Row]]:
        """In the order of the weights."""
        return [self.synthetic, self.unpaired, self.true_pair]

    def make(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        sources, weight = self.sources(), self.weights()
        kinds = [int(k) for k in rng.choice(len(sources), self.batch, p=weight / weight.sum())]
        rows = [sources[k](rng) for k in kinds]
        noise = np.stack([np.zeros(r.target.shape, np.float32) if r.noise is None else r.noise for r in rows])
        return image_tensors(rows) | {
            "noise": torch.from_numpy(noise).permute(0, 3, 1, 2),
            "noise_range": torch.tensor([r.noise_range for r in rows]),
            "clean": torch.tensor([float(k != 1) for k in kinds]),
        }


class SampleBatches(RealDGenBatches):
    """Stage sample: {"content" [B, 3, h, w], "target", "references" [B, m, 3, r, r]}: m photographs of one camera
    setting, other scenes than the target; m differs from step to step, and so does r. Unpaired photographs have no
    sharp side and are not used."""

    counts = (1, 2, 4, 8)  # m, and how often
    shares = (0.35, 0.2, 0.25, 0.2)

    def make(self, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        m = int(rng.choice(self.counts, p=self.shares))
        size = self.options.reference_crop
        if m < 4 and rng.random() < 0.5:
            size = size * 3 // 2  # one large crop says as much as several
        size = min(size, self.largest_reference())
        sources, weight = self.sources(), self.weights()
        kinds = rng.choice(len(sources), self.batch, p=weight / weight.sum())
        rows = [sources[int(kind)](rng, m, size) for kind in kinds]
        references = torch.stack([tensor(references) for _, _, references in rows])
        return {"content": tensor([row[0] for row in rows]), "target": tensor([row[1] for row in rows]),
                "references": references}  # fmt: skip

    def largest_reference(self) -> int:
        """Side of the largest crop that every real photograph here has."""
        sides = [min(lr.shape[:2]) for group in self.photographs.pairs.values() for _, lr in group]
        return min(sides, default=2 * self.options.reference_crop)

    def sources(self) -> list[Callable[[np.random.Generator, int, int], Set]]:
        """In the order of the weights."""
        return [self.synthetic_set, self.true_set]

    def weights(self) -> np.ndarray:
        """Of the sources, 0 for one that is not there."""
        synthetic, _, paired = self.options.mix
        return np.array([synthetic, paired * bool(self.photographs.pairs)])

    def synthetic_set(self, rng: np.random.Generator, m: int, size: int) -> Set:
        """(content, target, m references) of one degradation: of a synthetic camera each is another shot."""
        theta, scale = self.theta(rng), self.scale(rng)
        content, target = self.degrade(rng, self.sharp(rng, self.options.crop, scale), theta, scale)
        references = [self.degrade(rng, self.sharp(rng, size, scale), theta, scale)[1] for _ in range(m)]
        return content, target, references

    def true_set(self, rng: np.random.Generator, m: int, size: int) -> Set:
        """The same of a true pair and LR of its group; the target's own photograph is one of them no more often than
        chance makes it."""
        row, content, target, _ = self.aligned(rng, self.options.crop)
        group = self.photographs.pairs[row.group]
        references = [cut(rng, group[int(rng.integers(len(group)))][1], size) for _ in range(m)]
        return content, exposed(target, content) if self.options.exposed else target, references


def exposed(target: Image, content: Image) -> Image:
    """The target with the gain and the offset of each colour that bring it nearest to the content, both blurred. HR and
    LR of a true pair are two exposures. Which one a camera will choose no reference tells, so a model that samples
    would draw brightness and colour at random."""
    low = [cv2.GaussianBlur(image.astype(np.float32), (0, 0), 3) for image in (target, content)]
    found = np.empty(target.shape, np.float32)
    for colour in range(3):
        x, y = (image[..., colour].ravel() for image in low)
        spread = x.var()
        gain = np.clip(((x - x.mean()) * (y - y.mean())).mean() / spread, 0.8, 1.25) if spread > 25 else 1.0
        found[..., colour] = gain * (target[..., colour] - x.mean()) + y.mean()
    return np.clip(np.rint(found), 0, 255).astype(np.uint8)


def image_tensors(rows: list[Row]) -> dict[str, torch.Tensor]:
    """The three images of each row, stacked."""
    return {
        "content": tensor([row.content for row in rows]),
        "target": tensor([row.target for row in rows]),
        "reference": tensor([row.reference for row in rows]),
    }
